"""Measures the quality of served answers, with queries whose right answers are known.

Each photo is removed from the catalogue, used as a query and put back: it finds what its seller
would have found among all the others. Titles are typed as they stand.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookalike import CataloguePhoto, Client, ListingFilter
from lookalike.catalogue.photo_files import photo_path
from lookalike.catalogue.tables import read_catalogue
from lookalike.cli.ingest import photo_of
from lookalike.client import PriceEstimate
from training.calibration import reliability
from training.prepare import Prepared

HITS = 10
_FIRST = 5
# One more, in case the removed photo is found all the same.
_LOOKED_AT = HITS + 1


@dataclass(frozen=True)
class KnownPhoto:
    """A photo of a prepared catalogue with its listing, file, content hash and split."""

    photo: CataloguePhoto
    file: Path
    sha256: str
    split: str


RECALL_5, RECALL_10 = "same listing, recall@5", "same listing, recall@10"
PRECISION_5 = "category, precision@5"
ACCURACY, ACCURACY_OF_LISTINGS = "accuracy by photo", "accuracy by listing"
LIKENESS_ERROR = "likeness, calibration error"
FIRST_LIKENESS_ERROR = "likeness of the nearest, calibration error"
PRICE_ERROR, PRICE_COVERAGE = "price, median error", "price, coverage"
TITLE_FIRST, TITLE_10 = "typed title, first", "typed title, among the first 10"

_IN_WORDS = {
    RECALL_5: "find another photo of their listing among the first 5",
    RECALL_10: "find one among the first 10",
    PRECISION_5: "of the first 5 photos found have the same category",
    ACCURACY: "are given their category, each photo alone",
    ACCURACY_OF_LISTINGS: "of the listings are, by all of their photos",
    LIKENESS_ERROR: "is how far likeness is off, on average",
    PRICE_ERROR: "is how far a fair price is off, for half of them",
    PRICE_COVERAGE: "of the prices lie in the range that is given",
    TITLE_FIRST: "of the titles, typed, find a listing of that title first",
    TITLE_10: "find one among the first 10",
}


@dataclass(frozen=True)
class Served:
    """The quality of served answers.

    Attributes:
        photos: Number of queries.
        ranking: The gateway's ranking.
        figures: Shares, by the names above; NaN if undefined.
    """

    photos: int
    ranking: str
    figures: dict[str, float]

    def lines(self) -> list[tuple[str, str]]:
        """Returns the figures in words, with their values."""
        known = {name: value for name, value in self.figures.items() if not math.isnan(value)}
        return [(_IN_WORDS[name], f"{known[name]:.1%}") for name in known if name in _IN_WORDS]


def known_photos(prepared: Prepared, data: Path) -> list[KnownPhoto]:
    """Returns all photos of a raw catalogue that were prepared, in the catalogue's order."""
    photos = read_catalogue(data / "Products.csv", data / "Images.csv").photos
    facts = prepared.photos.set_index("image_id")[["sha256", "split"]].astype(str)
    return [
        KnownPhoto(
            photo_of(item_id, row),
            photo_path(data / "images", item_id),
            *facts.loc[item_id],
        )
        for item_id, row in photos.items()
        if item_id in facts.index
    ]


def measure(
    client: Client,
    everything: Sequence[KnownPhoto],
    asked: Sequence[KnownPhoto],
    advance: Callable[[], None] = lambda: None,
) -> Served:
    """Measures a gateway's answers.

    Args:
        client: Client of a gateway whose catalogue holds all photos.
        everything: All photos.
        asked: The photos to query.
        advance: Called after each query.
    """
    sizes: dict[str, int] = defaultdict(int)
    for known in everything:
        sizes[known.photo.product_id] += 1
    contents = {known.photo.item_id: known.sha256 for known in everything}
    found = dict.fromkeys((_FIRST, HITS), 0)
    siblings, right, same_category = 0, 0, 0
    likeness: list[list[tuple[float, bool]]] = []
    prices: list[tuple[float, PriceEstimate]] = []
    ranking = ""
    for known in asked:
        own = known.photo
        client.delete(item_id=own.item_id)
        try:
            photos = client.similar(known.file, k=_LOOKED_AT, every_photo=True).hits[:HITS]
            answer = client.similar(known.file, k=HITS)
            others = ListingFilter(exclude_product_ids=(own.product_id,))
            priced = client.similar(known.file, k=1, where=others, include_price=True)
        finally:
            client.ingest(own, known.file)
        assert answer.classification is not None
        ranking = answer.ranking or ""
        right += answer.classification.category == own.category
        same_category += sum(hit.photo.category == own.category for hit in photos[:_FIRST])
        if sizes[own.product_id] > 1:
            siblings += 1
            for k in found:
                found[k] += any(hit.photo.product_id == own.product_id for hit in photos[:k])
        likeness.append(
            [
                (
                    hit.likeness,
                    hit.photo.product_id == own.product_id
                    or contents[hit.photo.item_id] == known.sha256,
                )
                for hit in answer.hits
                if hit.likeness is not None
            ]
        )
        if own.price and priced.price:
            prices.append((own.price, priced.price))
        advance()
    off = [abs(one.median - price) / price for price, one in prices]
    held = [one.low <= price <= one.high for price, one in prices]
    figures = {
        RECALL_5: found[_FIRST] / siblings if siblings else math.nan,
        RECALL_10: found[HITS] / siblings if siblings else math.nan,
        PRECISION_5: same_category / (_FIRST * len(asked)),
        ACCURACY: right / len(asked),
        ACCURACY_OF_LISTINGS: _accuracy_of_listings(client, asked),
        LIKENESS_ERROR: _calibration_error([pair for pairs in likeness for pair in pairs]),
        FIRST_LIKENESS_ERROR: _calibration_error(
            [each for pairs in likeness for each in pairs[:1]]
        ),
        PRICE_ERROR: float(np.median(off)) if off else math.nan,
        PRICE_COVERAGE: float(np.mean(held)) if held else math.nan,
        **_typed_titles(client, {known.photo.title for known in asked if known.photo.title}),
    }
    return Served(len(asked), ranking, figures)


def _typed_titles(client: Client, titles: Set[str]) -> dict[str, float]:
    found = [
        [hit.photo.title == title for hit in client.similar(text=title, k=HITS).hits]
        for title in sorted(titles)
    ]
    if not found:
        return {TITLE_FIRST: math.nan, TITLE_10: math.nan}
    first = sum(any(own[:1]) for own in found)
    return {TITLE_FIRST: first / len(found), TITLE_10: sum(map(any, found)) / len(found)}


def _accuracy_of_listings(client: Client, asked: Sequence[KnownPhoto]) -> float:
    listings: dict[str, list[KnownPhoto]] = defaultdict(list)
    for known in asked:
        listings[known.photo.product_id].append(known)
    right = [
        client.classify([photo.file for photo in photos[:16]]).category == photos[0].photo.category
        for photos in listings.values()
    ]
    return float(np.mean(right))


def _calibration_error(pairs: Sequence[tuple[float, bool]]) -> float:
    if not pairs:
        return math.nan
    said, true = zip(*pairs, strict=True)
    return reliability(np.array(said), np.array(true)).error
