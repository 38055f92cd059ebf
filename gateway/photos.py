"""Several photos of one thing: embedded at once; those that cannot be used are named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.listings import PhotoVector
from lookalike.errors import InvalidArgumentError, LookalikeError


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vectors, and whether they were known from the same bytes."""

    vector: PhotoVector
    cached: bool


@dataclass(frozen=True)
class PhotoFailure:
    """A photo that could not be used, by its place from 0, and why."""

    photo: int
    error: InvalidArgumentError


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Photos of one thing, in the order of the request; at least one could be used.

    Attributes:
        photos: None for one that could not be used.
        failures: Those that could not.
    """

    photos: Sequence[EmbeddedPhoto | None]
    failures: Sequence[PhotoFailure] = ()

    @property
    def vectors(self) -> list[PhotoVector]:
        """Those of the photos that can be used."""
        return [photo.vector for photo in self.photos if photo]

    @property
    def cached(self) -> bool:
        """Whether all of these were known."""
        return all(photo.cached for photo in self.photos if photo)


Embed = Callable[[bytes], Awaitable[EmbeddedPhoto]]


async def embed_all(
    embed: Embed, images: Sequence[bytes], *, partial: bool, field: str
) -> EmbeddedPhotos:
    """Embeds photos of one thing at once.

    Args:
        embed: Embeds one.
        images: At least one.
        partial: Whether photos that are at fault may be left out.
        field: Path of the photos in the request; of one that is at fault, its place comes behind.

    Raises:
        InvalidArgumentError: A photo is at fault, and is not to be left out, or all are; the
            first of several is named by its place.
        LookalikeError: What the embedder says of what is nobody's fault here.
    """

    def placed(number: int, error: InvalidArgumentError) -> InvalidArgumentError:
        # Another one, since callers who sent the same photo share the error.
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

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(i, image)) for i, image in enumerate(images)]
    except* LookalikeError as errors:
        first = errors.exceptions[0]
        assert isinstance(first, LookalikeError)
        raise first from None
    outcomes = [task.result() for task in tasks]
    failures = [outcome for outcome in outcomes if isinstance(outcome, PhotoFailure)]
    if len(failures) == len(outcomes):
        raise placed(0, failures[0].error)
    photos = [outcome if isinstance(outcome, EmbeddedPhoto) else None for outcome in outcomes]
    return EmbeddedPhotos(photos, failures)
