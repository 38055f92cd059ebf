"""Embeds several photos of one thing concurrently, and names those that cannot be used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.concurrent import all_of
from gateway.listings import PhotoVector
from lookalike.errors import InvalidArgumentError


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vectors, and whether the cache had them."""

    vector: PhotoVector
    cached: bool


@dataclass(frozen=True)
class PhotoFailure:
    """A photo that could not be used: its index in the request, from 0, and the error."""

    photo: int
    error: InvalidArgumentError


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Photos of one thing, at least one of which could be used.

    Attributes:
        photos: In the order of the request; None for one that could not be used.
        failures: The photos that could not be used.
    """

    photos: Sequence[EmbeddedPhoto | None]
    failures: Sequence[PhotoFailure] = ()

    @property
    def vectors(self) -> list[PhotoVector]:
        """Vectors of the photos that can be used."""
        return [photo.vector for photo in self.photos if photo]

    @property
    def cached(self) -> bool:
        """Whether the cache had all of these."""
        return all(photo.cached for photo in self.photos if photo)


Embed = Callable[[bytes], Awaitable[EmbeddedPhoto]]


async def embed_all(
    embed: Embed, images: Sequence[bytes], *, partial: bool, field: str
) -> EmbeddedPhotos:
    """Embeds photos of one thing concurrently.

    Args:
        embed: Embeds one photo.
        images: At least one encoded photo.
        partial: Whether to leave out photos that cannot be used.
        field: Path of the photos in the request; an error appends the photo's index.

    Raises:
        InvalidArgumentError: A photo cannot be used and `partial` is false, or none can be used;
            names the first such photo by its index.
        LookalikeError: Any other error of the embedder.
    """

    def placed(number: int, error: InvalidArgumentError) -> InvalidArgumentError:
        # A new error, since callers who sent the same photo share the old one.
        which = f"photo {number + 1}: " if len(images) > 1 else ""
        return type(error)(
            which + error.message, field=f"{field}[{number}]", metadata=error.metadata
        )

    async def one(number: int, image: bytes) -> EmbeddedPhoto | PhotoFailure:
        try:
            return await embed(image)
        except InvalidArgumentError as error:
            if not partial:
                raise placed(number, error) from None
            return PhotoFailure(number, error)

    outcomes = await all_of([one(i, image) for i, image in enumerate(images)])
    failures = [outcome for outcome in outcomes if isinstance(outcome, PhotoFailure)]
    if len(failures) == len(outcomes):
        raise placed(0, failures[0].error)
    photos = [outcome if isinstance(outcome, EmbeddedPhoto) else None for outcome in outcomes]
    return EmbeddedPhotos(photos, failures)
