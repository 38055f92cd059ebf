"""What is said of the answers that a gateway gives: with one whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from demo import quality
from demo.quality import KnownPhoto, measure
from lookalike import CataloguePhoto, ListingFilter
from lookalike.client import (
    CategoryScore,
    Classification,
    Classified,
    PriceEstimate,
    Ranking,
    SearchResult,
    SimilarListing,
)


class Catalogue:
    """A client whose catalogue holds these photos, nearest first whatever is asked about."""

    def __init__(self, photos: list[KnownPhoto], seen: str = "lamps") -> None:
        self.held = {photo.photo.item_id: photo.photo for photo in photos}
        self.seen = seen
        self.asked_with: list[set[str]] = []

    def delete(self, *, item_id: str) -> None:
        del self.held[item_id]

    def ingest(self, photo: CataloguePhoto, image: Path) -> None:
        self.held[photo.item_id] = photo

    def similar(
        self,
        photo: Path | None = None,
        *,
        text: str = "",
        k: int,
        where: ListingFilter | None = None,
        every_photo: bool = False,
        include_price: bool = False,
    ) -> SearchResult:
        if photo is None:
            hits = [SimilarListing(each, 0.0, None, 1.0) for each in self.held.values()]
            return SearchResult(tuple(hits[:k]))
        if photo.name == "fails.jpg":
            raise OSError("cannot be read")
        self.asked_with.append(set(self.held))
        left_out = where.exclude_product_ids if where else ()
        listings = [each for each in self.held.values() if each.product_id not in left_out]
        if not every_photo:
            listings = list({each.product_id: each for each in reversed(listings)}.values())[::-1]
        hits = [SimilarListing(each, 1.0, 0.75, 1.0) for each in listings[:k]]
        return SearchResult(
            tuple(hits),
            Classification((CategoryScore(self.seen, 0, 1.0),), "space"),
            ranking=Ranking.BLEND,
            price=PriceEstimate(8.0, 5.0, 9.0) if include_price else None,
        )

    def classify(self, photos: list[Path]) -> Classified:
        seen = self.seen if len(photos) > 1 else "chairs"
        return Classified((CategoryScore(seen, 0, 1.0),), "space")


def known(
    item_id: str, product_id: str, category: str, price: float = 0.0, title: str = ""
) -> KnownPhoto:
    photo = CataloguePhoto(item_id, product_id, category, title, price=price)
    return KnownPhoto(photo, Path(f"{item_id}.jpg"), f"bytes of {item_id}", "test")


PHOTOS = [
    known("a1", "a", "lamps", 10, "Lamp"),
    known("a2", "a", "lamps", 10, "Lamp"),
    known("b1", "b", "chairs", 4, "Oak chair"),
    known("c1", "c", "lamps"),
]


def judged(client: Any, asked: list[KnownPhoto]) -> Any:
    return measure(client, PHOTOS, asked)


def test_each_photo_is_asked_about_while_it_is_not_in_the_catalogue() -> None:
    catalogue = Catalogue(PHOTOS)
    judged(catalogue, PHOTOS)
    for number, photo in enumerate(PHOTOS):
        for held in catalogue.asked_with[3 * number : 3 * number + 3]:
            assert held == {each.photo.item_id for each in PHOTOS} - {photo.photo.item_id}
    assert set(catalogue.held) == {photo.photo.item_id for photo in PHOTOS}


def test_figures_are_those_that_a_hand_can_count() -> None:
    served = judged(Catalogue(PHOTOS), PHOTOS)
    assert (served.photos, served.ranking) == (4, "blend")
    expected = {
        # Only listing a has two photos, and each finds the other.
        quality.RECALL_5: 1.0,
        quality.RECALL_10: 1.0,
        # a1 and a2 find one and one more lamp, c1 two, b1 no chair; of five each.
        quality.PRECISION_5: (2 + 2 + 0 + 2) / 20,
        quality.ACCURACY: 0.75,
        # Alone every listing is a chair, and a is a lamp by its two photos.
        quality.ACCURACY_OF_LISTINGS: 2 / 3,
        # Of 10 listings found two are the one asked about, and all are said to be at 75 %. What is
        # put back comes last, so that a2 finds its listing last, and a1 first.
        quality.LIKENESS_ERROR: 0.75 - 2 / 10,
        quality.FIRST_LIKENESS_ERROR: 0.75 - 1 / 4,
        # 8 is off by a fifth of 10, twice, and once by as much as 4 itself; none is in the range.
        quality.PRICE_ERROR: 0.2,
        quality.PRICE_COVERAGE: 0.0,
        # Whatever is typed, the lamp comes first.
        quality.TITLE_FIRST: 0.5,
        quality.TITLE_10: 1.0,
    }
    assert served.figures == pytest.approx(expected)


def test_photo_is_put_back_whatever_fails() -> None:
    bad = KnownPhoto(PHOTOS[0].photo, Path("fails.jpg"), "", "test")
    catalogue = Catalogue(PHOTOS)
    with pytest.raises(OSError, match="cannot be read"):
        judged(catalogue, [bad])
    assert set(catalogue.held) == {photo.photo.item_id for photo in PHOTOS}


def test_what_nobody_can_tell_is_not_told() -> None:
    served = judged(Catalogue(PHOTOS), PHOTOS[3:])
    assert math.isnan(served.figures[quality.PRICE_ERROR])
    assert math.isnan(served.figures[quality.TITLE_FIRST])
    words = [words for words, _ in served.lines()]
    assert not any("price" in each for each in words)
    assert any("same category" in each for each in words)
