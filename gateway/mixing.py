"""Mixes photos, words and photos of the catalogue into one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.classify import Classifier
from gateway.concurrent import all_of
from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.listings import ItemId, Mix, MixPart, PhotoVector, SearchOptions, Words
from gateway.reading import Reader
from lookalike.errors import InvalidArgumentError, ItemNotFoundError, LookalikeError


@dataclass(frozen=True)
class Mixed:
    """The parts of a mix.

    Attributes:
        parts: Their vectors and weights.
        product_ids: Listings of its photos of the catalogue, which the answer leaves out.
        cached: Whether the vectors of all photos that were sent were known.
    """

    parts: Sequence[tuple[PhotoVector, float]]
    product_ids: Sequence[str]
    cached: bool

    def narrowed(self, options: SearchOptions) -> SearchOptions:
        """Returns the options with these listings left out."""
        kept = options.filter
        others = dict.fromkeys((*kept.exclude_product_ids, *self.product_ids))
        return replace(options, filter=replace(kept, exclude_product_ids=tuple(others)))


@dataclass(frozen=True)
class _Part:
    vector: PhotoVector
    product_id: str = ""
    cached: bool = True


class Mixer:
    """Embeds the parts of a mix side by side."""

    def __init__(self, classifier: Classifier, reader: Reader, index: IndexUpstream) -> None:
        self._classifier = classifier
        self._reader = reader
        self._index = index

    async def mix(self, query: Mix, deadline: Deadline) -> Mixed:
        """Returns the vectors of a mix.

        Raises:
            InvalidArgumentError: A part cannot be used; names it.
            WordsUnavailableError: There are words, and the model reads none.
            ItemNotFoundError: The catalogue has no such photo.
        """
        parts = await all_of([self._part(i, part, deadline) for i, part in enumerate(query.parts)])
        weights = [part.weight for part in query.parts]
        vectors = [part.vector for part in parts]
        return Mixed(
            list(zip(vectors, weights, strict=True)),
            [part.product_id for part in parts if part.product_id],
            all(part.cached for part in parts),
        )

    async def _part(self, number: int, part: MixPart, deadline: Deadline) -> _Part:
        later = self._index.read_latencies
        try:
            match part.part:
                case bytes(image):
                    photo = await self._classifier.embed(image, deadline, later=later)
                    return _Part(photo.vector, cached=photo.cached)
                case Words() as words:
                    return _Part((await self._reader.read(words, deadline, later=later)).vector)
                case ItemId(item_id):
                    stored = await self._index.get(item_id, deadline)
                    assert stored.vector is not None
                    return _Part(stored.vector, stored.photo.product_id)
        except (InvalidArgumentError, ItemNotFoundError) as error:
            raise _placed(number, part, error) from None
        raise AssertionError(part)


def _placed(number: int, part: MixPart, error: LookalikeError) -> LookalikeError:
    """Returns an error that names the part; a new one, as callers of one photo share the old."""
    name = {bytes: "image", Words: "text", ItemId: "item_id"}[type(part.part)]
    return type(error)(
        f"part {number + 1} of the mix: {error.message}",
        field=f"mix.parts[{number}].{name}",
        metadata=error.metadata,
        resource=error.resource,
    )
