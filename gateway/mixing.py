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
from gateway.vectors import least, mixed
from lookalike.errors import InvalidArgumentError, ItemNotFoundError, LookalikeError


@dataclass(frozen=True)
class _Part:
    """A part's vector and weight; of a photo of the catalogue its listing too."""

    vector: PhotoVector
    weight: float
    is_photo: bool = True
    product_id: str = ""
    cached: bool = True


@dataclass(frozen=True)
class Mixed:
    """The parts of a mix, at least one of which leads towards it."""

    parts: Sequence[_Part]

    @property
    def cached(self) -> bool:
        """Whether the vectors of all photos that were sent were known."""
        return all(part.cached for part in self.parts)

    @property
    def least(self) -> PhotoVector:
        """A vector of it; one without features, if there is one."""
        return least([part.vector for part in self.parts])

    def vector(self, *, by_features: bool) -> PhotoVector:
        """Returns the mix as one vector.

        Candidates to be ranked by features are chosen by its photos, if some lead towards it: words
        are surer of a category than photos, and "but blue" is to find the same kind of thing.

        Args:
            by_features: Whether listings are ranked by features, which all parts must have then.

        Raises:
            InvalidArgumentError: The parts cancel each other out.
        """
        whole = _mixed(self.parts, by_features=by_features)
        if by_features and not any(whole.features):
            raise InvalidArgumentError(
                "the parts of the mix cancel each other out: give them other weights",
                field="mix.parts",
            )
        photos = [part for part in self.parts if part.is_photo]
        if not by_features or all(part.weight <= 0 for part in photos):
            return whole
        return replace(whole, values=_mixed(photos, by_features=True).values)

    def narrowed(self, options: SearchOptions) -> SearchOptions:
        """Returns the options with the listings of its photos of the catalogue left out."""
        kept = options.filter
        own = (part.product_id for part in self.parts if part.product_id)
        others = dict.fromkeys((*kept.exclude_product_ids, *own))
        return replace(options, filter=replace(kept, exclude_product_ids=tuple(others)))


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
        return Mixed(
            await all_of([self._part(i, part, deadline) for i, part in enumerate(query.parts)])
        )

    async def _part(self, number: int, part: MixPart, deadline: Deadline) -> _Part:
        later = self._index.read_latencies
        try:
            match part.part:
                case bytes(image):
                    photo = await self._classifier.embed(image, deadline, later=later)
                    return _Part(photo.vector, part.weight, cached=photo.cached)
                case Words() as words:
                    read = await self._reader.read(words, deadline, later=later)
                    return _Part(read.vector, part.weight, is_photo=False)
                case ItemId(item_id):
                    stored = await self._index.get(item_id, deadline)
                    assert stored.vector is not None
                    return _Part(stored.vector, part.weight, product_id=stored.photo.product_id)
        except (InvalidArgumentError, ItemNotFoundError) as error:
            raise _placed(number, part, error) from None
        raise AssertionError(part)


def _mixed(parts: Sequence[_Part], *, by_features: bool) -> PhotoVector:
    vectors, weights = [part.vector for part in parts], [part.weight for part in parts]
    return mixed(vectors, weights, by_features=by_features)


def _placed(number: int, part: MixPart, error: LookalikeError) -> LookalikeError:
    """Returns an error that names the part; a new one, as callers of one photo share the old."""
    name = {bytes: "image", Words: "text", ItemId: "item_id"}[type(part.part)]
    return type(error)(
        f"part {number + 1} of the mix: {error.message}",
        field=f"mix.parts[{number}].{name}",
        metadata=error.metadata,
        resource=error.resource,
    )
