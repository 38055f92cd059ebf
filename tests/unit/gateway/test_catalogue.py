"""Listings read and deleted, thumbnails with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.catalogue import Catalogue, Deleted
from gateway.deadline import Deadline
from gateway.items import StoredPhoto
from gateway.listings import EVERY_LISTING, ItemId, PhotoVector, ProductId
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import (
    CollectionNotFoundError,
    InvalidArgumentError,
    ItemNotFoundError,
    UpstreamUnavailableError,
)
from tests.gateways import FakeIndex


class FakeThumbnails:
    """Remembers which were removed."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.error: Exception | None = None
        self.hang = False

    async def keep(self, item_id: str, image: bytes) -> None:
        raise AssertionError("the catalogue keeps no thumbnail")

    async def remove(self, item_ids: Sequence[str]) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        self.removed += item_ids


def fill(index: FakeIndex, count: int) -> None:
    for number in range(count):
        photo = CataloguePhoto(f"photo {number}", f"listing {number // 2}")
        index.kept[photo.item_id] = StoredPhoto(photo, PhotoVector((float(number),), "space"))


async def test_photo_and_listing_are_returned(index: FakeIndex) -> None:
    fill(index, 5)
    catalogue = Catalogue(index)
    (photo,) = await catalogue.get(ItemId("photo 3"), Deadline(60))
    assert photo.product_id == "listing 1"
    photos = await catalogue.get(ProductId("listing 1"), Deadline(60))
    assert [photo.item_id for photo in photos] == ["photo 2", "photo 3"]


async def test_what_is_not_there_is_not_found(index: FakeIndex) -> None:
    with pytest.raises(ItemNotFoundError):
        await Catalogue(index).get(ItemId("photo 3"), Deadline(60))
    with pytest.raises(ItemNotFoundError) as caught:
        await Catalogue(index).get(ProductId("listing"), Deadline(60))
    assert caught.value.resource == ("product", "listing")


async def test_pages_go_on_where_the_one_before_ended(index: FakeIndex) -> None:
    fill(index, 5)
    catalogue, ids, token = Catalogue(index), [], ""
    for _ in range(3):
        page = await catalogue.list(EVERY_LISTING, 2, token, Deadline(60))
        ids += [photo.item_id for photo in page.photos]
        token = page.next_page_token
    assert (ids, token) == ([f"photo {number}" for number in range(5)], "")


async def test_targets_and_pages_beyond_a_limit_are_refused(index: FakeIndex) -> None:
    catalogue = Catalogue(index)
    for call in (
        catalogue.get(ItemId(""), Deadline(60)),
        catalogue.delete(ProductId("x" * 129), Deadline(60)),
        catalogue.delete(ItemId("a"), Deadline(60), "x" * 129),
        catalogue.list(EVERY_LISTING, 1001, "", Deadline(60)),
    ):
        with pytest.raises(InvalidArgumentError):
            await call


async def test_thumbnails_go_with_what_is_deleted(index: FakeIndex) -> None:
    fill(index, 5)
    thumbnails = FakeThumbnails()
    catalogue = Catalogue(index, thumbnails)
    assert await catalogue.delete(ProductId("listing 1"), Deadline(60), "key") == Deleted(1, 7)
    assert await catalogue.delete(ItemId("photo 4"), Deadline(60)) == Deleted(1, 7)
    assert thumbnails.removed == ["photo 2", "photo 3", "photo 4"]
    assert index.deleted == [ProductId("listing 1"), ItemId("photo 4")]
    assert index.request_ids == ["key", ""]


async def test_thumbnails_that_stay_fail_no_deletion(index: FakeIndex) -> None:
    thumbnails = FakeThumbnails()
    thumbnails.error = OSError("read-only")
    deleted = await Catalogue(index, thumbnails).delete(ItemId("photo"), Deadline(60))
    assert deleted == Deleted(1, 7, "thumbnails not removed: read-only")


async def test_removal_of_thumbnails_may_take_half_of_the_time(index: FakeIndex) -> None:
    thumbnails = FakeThumbnails()
    thumbnails.hang = True
    deleted = await Catalogue(index, thumbnails).delete(ItemId("photo"), Deadline(0.4))
    assert deleted.degraded.startswith("thumbnails not removed: it took longer than the 0.2 s")
    assert deleted.deleted == 1


async def test_every_thumbnail_of_a_large_listing_goes_before_the_listing(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2001):
        photo = CataloguePhoto(f"photo {number}", "listing")
        index.kept[photo.item_id] = StoredPhoto(photo, None)
    thumbnails = FakeThumbnails()

    async def fail(*_: object) -> tuple[int, int]:
        assert len(thumbnails.removed) == 2001
        raise UpstreamUnavailableError("away")

    monkeypatch.setattr(index, "delete", fail)
    with pytest.raises(UpstreamUnavailableError):
        await Catalogue(index, thumbnails).delete(ProductId("listing"), Deadline(60))
    assert len(thumbnails.removed) == 2001


async def test_thumbnails_stay_where_the_index_takes_no_writes(index: FakeIndex) -> None:
    index.read_only = True
    thumbnails = FakeThumbnails()
    await Catalogue(index, thumbnails).delete(ItemId("photo"), Deadline(60))
    assert thumbnails.removed == []


async def test_catalogue_that_does_not_exist_yet_has_nothing_to_delete(index: FakeIndex) -> None:
    index.error = CollectionNotFoundError("none")
    assert await Catalogue(index).delete(ItemId("photo"), Deadline(60)) == Deleted(0, 0)
    index.error = UpstreamUnavailableError("away")
    with pytest.raises(UpstreamUnavailableError):
        await Catalogue(index).delete(ItemId("photo"), Deadline(60))


@pytest.mark.parametrize(("there", "asked", "given"), [(5, 10, 5), (3000, 100, 100), (0, 10, 0)])
async def test_sample_is_spread_over_the_catalogue(
    index: FakeIndex, there: int, asked: int, given: int
) -> None:
    fill(index, there)
    sample = await Catalogue(index).vectors(asked, Deadline(60))
    numbers = [round(vector.values[0]) for _, vector in sample]
    assert len(numbers) == len(set(numbers)) == given
    assert [photo.item_id for photo, _ in sample] == [f"photo {n}" for n in numbers]
    if given:
        assert numbers[-1] >= there - 1 - there // asked - 1
