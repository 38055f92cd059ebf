"""A listing's photo: embedded first, written once, and never written without its vector."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway import cache
from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.duplicates import DuplicateFinder, NearDuplicatePolicy
from gateway.index_state import ServingCollection
from gateway.ingest import Ingester
from gateway.listings import Written
from gateway.space_guard import EmbeddingSpaceGuard
from gateway.vectors import compact
from lookalike.catalogue.listings import CataloguePhoto, NearDuplicateKind
from lookalike.errors import (
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    InvalidImageError,
    NearDuplicateError,
    ReadOnlyError,
    RequestIdReusedError,
    UpstreamUnavailableError,
)
from tests.gateway_models import FEATURES, model_with_features
from tests.gateways import FakeEmbedder, FakeIndex

LISTING = CataloguePhoto("photo", "listing", category="tools", title="A hammer", price=0.0)
OTHER = CataloguePhoto("other photo", "other listing")


class FakeThumbnails:
    """Keeps none; remembers which it was to."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.error: Exception | None = None
        self.hang = False

    async def keep(self, item_id: str, image: bytes) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        self.kept[item_id] = image

    async def remove(self, item_ids: Sequence[str]) -> None:
        for item_id in item_ids:
            self.kept.pop(item_id, None)


class Ingest:
    """Makes ingesters of different policies."""

    def __init__(
        self, classifier: Classifier, index: FakeIndex, space_guard: EmbeddingSpaceGuard
    ) -> None:
        self.thumbnails: FakeThumbnails | None = None
        self._parts = classifier, index, space_guard

    def __call__(
        self, policy: NearDuplicatePolicy = NearDuplicatePolicy.FLAG, distance: float = 0
    ) -> Ingester:
        classifier, index, space_guard = self._parts
        duplicates = DuplicateFinder(index, policy, distance)
        return Ingester(classifier, index, space_guard, duplicates, self.thumbnails)


@pytest.fixture
def ingest(classifier: Classifier, index: FakeIndex, space_guard: EmbeddingSpaceGuard) -> Ingest:
    return Ingest(classifier, index, space_guard)


async def test_listing_is_written_with_its_photos_vector_and_hash(
    ingest: Ingest, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert embedder.embedded == [b"photo"]
    (photo,) = index.written
    assert photo.photo == LISTING
    assert photo.vector is not None
    assert (photo.vector.values, photo.vector.embedding_space) == (embedder.logits, "space")
    assert photo.sha256 == hashlib.sha256(b"photo").hexdigest()
    assert ingested.written == Written(seq=1, replaced=False)
    assert ingested.classification.scores[0].category == "clothes"
    assert (ingested.cached, ingested.degraded, list(ingested.near_duplicates)) == (False, "", [])


@pytest.mark.parametrize("bulk", [False, True])
async def test_listing_is_written_with_its_photos_features(
    ingest: Ingest, embedder: FakeEmbedder, index: FakeIndex, *, bulk: bool
) -> None:
    embedder.served = model_with_features()
    for _ in range(2):
        await ingest().ingest(LISTING, b"photo", Deadline(60), bulk=bulk)
    assert [photo.vector and photo.vector.features for photo in index.written] == [FEATURES] * 2
    assert embedder.embedded == [b"photo"]


async def test_retry_sends_the_features_that_were_written(
    ingest: Ingest, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.served = model_with_features()
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    embedder.features = compact([1.0, 0.0, 0.0, 0.0])
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    assert index.written[1] == index.written[0]
    assert index.written[1].vector is not None
    assert index.written[1].vector.features == FEATURES


async def test_retry_of_a_listing_without_a_currency_is_what_it_was_before_there_were_any(
    ingest: Ingest, index: FakeIndex
) -> None:
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    said = {
        "category": "tools",
        "has_thumbnail": False,
        "item_id": "photo",
        "location": "",
        "near_duplicate": None,
        "price": 0.0,
        "product_id": "listing",
        "title": "A hammer",
    }
    fields = json.dumps(said, sort_keys=True).encode()
    digest = hashlib.sha256(cache.digest(b"photo") + fields).hexdigest()
    assert index.written[0].request_sha256 == digest
    with pytest.raises(RequestIdReusedError):
        await ingest().ingest(replace(LISTING, currency="GBP"), b"photo", Deadline(60), "key")


async def test_category_of_the_seller_is_kept_whatever_the_model_says(
    ingest: Ingest, index: FakeIndex
) -> None:
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert ingested.classification.scores[0].category != LISTING.category
    assert index.written[0].photo.category == "tools"


async def test_second_photo_of_an_id_is_told_to_replace_the_first(ingest: Ingest) -> None:
    await ingest().ingest(LISTING, b"photo", Deadline(60))
    ingested = await ingest().ingest(LISTING, b"other", Deadline(60))
    assert ingested.written == Written(seq=2, replaced=True)


async def test_photo_that_cannot_be_embedded_is_not_written(
    ingest: Ingest, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.error = InvalidImageError("image is empty (0 bytes)", field="image")
    with pytest.raises(InvalidImageError):
        await ingest().ingest(LISTING, b"", Deadline(60))
    assert index.written == []


async def test_listing_beyond_a_limit_is_refused_before_anybody_is_asked(
    ingest: Ingest, embedder: FakeEmbedder
) -> None:
    for photo, request_id in ((replace(LISTING, price=-1.0), ""), (LISTING, "x" * 129)):
        with pytest.raises(InvalidArgumentError):
            await ingest().ingest(photo, b"photo", Deadline(60), request_id)
    assert embedder.embedded == []


async def test_failed_write_is_no_success(ingest: Ingest, index: FakeIndex) -> None:
    index.write_error = UpstreamUnavailableError("the index cannot be reached")
    with pytest.raises(UpstreamUnavailableError):
        await ingest().ingest(LISTING, b"photo", Deadline(60))


async def test_identical_photo_of_another_listing_is_flagged_by_default(
    ingest: Ingest, index: FakeIndex
) -> None:
    await ingest().ingest(OTHER, b"photo", Deadline(60))
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    (near,) = ingested.near_duplicates
    assert (near.item_id, near.product_id) == ("other photo", "other listing")
    assert (near.kind, near.linked) == (NearDuplicateKind.IDENTICAL, False)
    assert index.written[1].photo.near_duplicate == near
    assert index.written[0].photo.near_duplicate is None, "the first is the original"


async def test_identical_photo_is_linked_where_that_is_the_policy(
    ingest: Ingest, index: FakeIndex
) -> None:
    linking = ingest(NearDuplicatePolicy.LINK)
    await linking.ingest(OTHER, b"photo", Deadline(60))
    (near,) = (await linking.ingest(LISTING, b"photo", Deadline(60))).near_duplicates
    assert near.linked
    assert index.written[1].photo.near_duplicate == near


async def test_identical_photo_is_refused_where_that_is_the_policy(
    ingest: Ingest, index: FakeIndex
) -> None:
    refusing = ingest(NearDuplicatePolicy.REFUSE)
    await refusing.ingest(OTHER, b"photo", Deadline(60))
    with pytest.raises(NearDuplicateError) as caught:
        await refusing.ingest(LISTING, b"photo", Deadline(60))
    assert caught.value.metadata == {
        "item_id": "other photo",
        "product_id": "other listing",
        "distance": "0.0",
    }
    assert list(index.kept) == ["other photo"]


async def test_a_listing_may_replace_its_own_photo_by_the_same(ingest: Ingest) -> None:
    refusing = ingest(NearDuplicatePolicy.REFUSE)
    for photo in (LISTING, LISTING, replace(LISTING, item_id="another of it")):
        await refusing.ingest(photo, b"photo", Deadline(60))


async def test_retry_with_the_same_request_id_sends_what_was_written(
    ingest: Ingest, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    await ingest().ingest(OTHER, b"photo", Deadline(60))  # of which the first is no duplicate
    embedder.logits = (1.0, 3.0000001, 2.0)
    again = await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    assert index.written[2] == index.written[0]
    assert index.request_ids == ["key", "", "key"]
    assert again.classification.scores[0].category == "clothes"
    assert again.cached


async def test_request_id_with_other_content_is_refused(ingest: Ingest, index: FakeIndex) -> None:
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    for photo, image in ((replace(LISTING, price=1.0), b"photo"), (LISTING, b"other")):
        with pytest.raises(RequestIdReusedError):
            await ingest().ingest(photo, image, Deadline(60), "key")
    assert len(index.written) == 1


async def test_photo_is_hashed_once(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    digest = cache.digest

    def count(image: bytes) -> bytes:
        hashed.append(image)
        return digest(image)

    monkeypatch.setattr(cache, "digest", count)
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    assert hashed == [b"photo"]


async def test_thumbnail_is_kept_and_the_listing_says_so(ingest: Ingest, index: FakeIndex) -> None:
    ingest.thumbnails = FakeThumbnails()
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert ingest.thumbnails.kept == {"photo": b"photo"}
    assert index.written[0].photo.has_thumbnail
    assert ingested.degraded == ""


async def test_thumbnail_that_fails_fails_no_ingest(ingest: Ingest, index: FakeIndex) -> None:
    ingest.thumbnails = FakeThumbnails()
    ingest.thumbnails.error = OSError("disk full")
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert ingested.degraded == "thumbnail not kept: disk full"
    assert not index.written[0].photo.has_thumbnail


async def test_thumbnail_may_take_half_of_the_time_and_the_rest_is_for_the_listing(
    ingest: Ingest, index: FakeIndex
) -> None:
    ingest.thumbnails = FakeThumbnails()
    ingest.thumbnails.hang = True
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(0.4))
    assert ingested.degraded.startswith("thumbnail not kept: it took longer than the 0.2 s")
    assert not index.written[0].photo.has_thumbnail


async def test_retry_keeps_the_thumbnail_again(ingest: Ingest) -> None:
    ingest.thumbnails = FakeThumbnails()
    await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    ingest.thumbnails.kept = {"photo": b"of an ingest that failed since"}
    assert not (await ingest().ingest(LISTING, b"photo", Deadline(60), "key")).degraded
    assert ingest.thumbnails.kept == {"photo": b"photo"}
    ingest.thumbnails.error = OSError("disk full")
    again = await ingest().ingest(LISTING, b"photo", Deadline(60), "key")
    assert again.degraded == "thumbnail not kept: disk full"


async def test_thumbnail_stays_if_its_listing_may_have_been_written(
    ingest: Ingest, index: FakeIndex
) -> None:
    ingest.thumbnails = FakeThumbnails()
    index.write_error = UpstreamUnavailableError("away")
    with pytest.raises(UpstreamUnavailableError):
        await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert list(ingest.thumbnails.kept) == ["photo"]


@pytest.mark.parametrize("when", ["searched", "written"])
async def test_catalogue_of_another_model_is_looked_at_anew(
    ingest: Ingest,
    index: FakeIndex,
    space_guard: EmbeddingSpaceGuard,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks: list[bool] = []
    monkeypatch.setattr(space_guard, "check_soon", lambda: checks.append(True))
    error = EmbeddingSpaceMismatchError("no")
    index.error, index.write_error = (error, None) if when == "searched" else (None, error)
    with pytest.raises(EmbeddingSpaceMismatchError):
        await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert checks == [True]


async def test_thumbnail_of_what_was_refused_is_removed_unless_there_was_one_before(
    ingest: Ingest, index: FakeIndex
) -> None:
    ingest.thumbnails = FakeThumbnails()
    await ingest().ingest(OTHER, b"photo", Deadline(60))
    index.write_error = ReadOnlyError("a snapshot")
    for photo in (LISTING, OTHER):
        with pytest.raises(ReadOnlyError):
            await ingest().ingest(photo, b"new photo", Deadline(60))
    assert list(ingest.thumbnails.kept) == ["other photo"]


async def test_photo_that_is_refused_gets_no_thumbnail(ingest: Ingest) -> None:
    ingest.thumbnails = FakeThumbnails()
    refusing = ingest(NearDuplicatePolicy.REFUSE)
    await refusing.ingest(OTHER, b"photo", Deadline(60))
    with pytest.raises(NearDuplicateError):
        await refusing.ingest(LISTING, b"photo", Deadline(60))
    assert list(ingest.thumbnails.kept) == ["other photo"]


async def test_photo_that_is_stored_without_the_features_that_others_have_is_told_of(
    ingest: Ingest, index: FakeIndex
) -> None:
    index.serving = ServingCollection("listings-space", "space", len(FEATURES))
    ingested = await ingest().ingest(LISTING, b"photo", Deadline(60))
    assert ingested.degraded.startswith("stored without features")
