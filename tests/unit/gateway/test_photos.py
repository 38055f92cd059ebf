"""Several photos of one thing: one answer, and photos that are at fault named."""

from __future__ import annotations

import asyncio
import math

import pytest

from gateway.classify import Classifier
from gateway.deadline import Deadline
from gateway.listings import Photos, SearchOptions
from gateway.scores import softmax
from gateway.search import SimilarListingFinder
from lookalike.errors import (
    ImageTooLargeError,
    InvalidArgumentError,
    InvalidImageError,
    UpstreamUnavailableError,
)
from tests.gateway_models import model
from tests.gateways import FakeEmbedder, FakeIndex

BAD, LARGE = InvalidImageError("no photo", field="image"), ImageTooLargeError("large")


async def test_listing_is_classified_by_the_mean_of_its_photos_log_probabilities(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.served = model(temperature=2.0)
    logits = {b"a": (4.0, 0.0, 2.0), b"b": (0.0, 1.0, 0.5)}
    for image, values in logits.items():
        embedder.logits = values
        await classifier.embed(image, Deadline(60))
    listing = await classifier.classify_listing([b"a", b"b"], Deadline(60))
    logs = [
        [math.log(p) for p in softmax([logit / 2 for logit in values])]
        for values in logits.values()
    ]
    expected = softmax([math.fsum(pair) / 2 for pair in zip(*logs, strict=True)])
    by_index = {score.index: score.probability for score in listing.classification.scores}
    assert [by_index[i] for i in range(3)] == pytest.approx(expected)
    assert [photo and photo.scores[0].category for photo in listing.photos] == ["books", "clothes"]
    assert (listing.cached, list(listing.failures)) == (True, [])


async def test_one_photo_is_a_listing_too(classifier: Classifier, embedder: FakeEmbedder) -> None:
    listing = await classifier.classify_listing([b"photo"], Deadline(60))
    alone = await classifier.classify(b"photo", Deadline(60))
    assert listing.classification == alone.classification
    assert listing.photos == [alone.classification]
    assert not listing.cached
    embedder.errors[b"<html>"] = BAD
    with pytest.raises(InvalidImageError) as caught:
        await classifier.classify_listing([b"<html>"], Deadline(60), partial=True)
    assert (caught.value.field, caught.value.message) == ("images[0]", "no photo")


async def test_listing_has_at_most_16_photos(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    with pytest.raises(InvalidArgumentError, match="has 17 entries; it must have 0 to 16"):
        await classifier.classify_listing([b"photo"] * 17, Deadline(60))
    assert embedder.embedded == []


async def test_bad_photo_fails_the_listing_unless_the_others_will_do(
    classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.errors = {b"<html>": BAD}
    images = [b"a", b"<html>", b"b"]
    with pytest.raises(InvalidImageError) as caught:
        await classifier.classify_listing(images, Deadline(60))
    assert (caught.value.field, caught.value.message) == ("images[1]", "photo 2: no photo")
    listing = await classifier.classify_listing(images, Deadline(60), partial=True)
    (failure,) = listing.failures
    assert (failure.photo, failure.error) == (1, BAD)
    assert [photo is None for photo in listing.photos] == [False, True, False]
    assert (await classifier.classify_listing(images, Deadline(60), partial=True)).cached


async def test_search_by_several_photos_names_those_that_are_at_fault(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.errors = {b"<html>": BAD, b"large": LARGE}
    photos = Photos((b"large", b"a", b"<html>", b"b"))
    with pytest.raises(InvalidArgumentError):
        await finder.find(photos, SearchOptions(), Deadline(60))
    assert index.searched == []
    found = await finder.find(photos, SearchOptions(allow_partial=True), Deadline(60))
    assert [(f.photo, f.error.reason) for f in found.failures] == [
        (0, "IMAGE_TOO_LARGE"),
        (2, "INVALID_IMAGE"),
    ]
    ((vectors, _),) = index.searched
    assert len(vectors) == 2  # type: ignore[arg-type]
    assert found.classification is not None
    assert found.degraded == "", "what is wrong with photos is told once"


async def test_photos_that_are_all_at_fault_are_the_first_ones_error(
    finder: SimilarListingFinder, embedder: FakeEmbedder
) -> None:
    embedder.errors = {b"<html>": BAD, b"large": LARGE}
    for images, error_class, message in (
        ((b"large", b"<html>"), ImageTooLargeError, "photo 1: large"),
        ((b"<html>",), InvalidImageError, "no photo"),
    ):
        with pytest.raises(error_class) as caught:
            await finder.find(Photos(images), SearchOptions(allow_partial=True), Deadline(60))
        assert caught.value.message == message


async def test_embedder_that_is_away_is_no_fault_of_a_photo(
    finder: SimilarListingFinder, classifier: Classifier, embedder: FakeEmbedder
) -> None:
    embedder.errors = {b"a": BAD, b"b": UpstreamUnavailableError("away")}
    images = (b"a", b"b", b"c")
    with pytest.raises(UpstreamUnavailableError):
        await finder.find(Photos(images), SearchOptions(allow_partial=True), Deadline(60))
    with pytest.raises(UpstreamUnavailableError):
        await classifier.classify_listing(images, Deadline(60), partial=True)


async def test_what_is_missing_is_told_of_photos_and_of_the_index_alike(
    finder: SimilarListingFinder, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    embedder.errors = {b"<html>": BAD}
    index.error = UpstreamUnavailableError("away")
    found = await finder.find(
        Photos((b"a", b"<html>")), SearchOptions(allow_partial=True), Deadline(60)
    )
    assert found.degraded == "no listings: away"
    assert len(found.failures) == 1


async def test_photos_are_embedded_at_once(classifier: Classifier, embedder: FakeEmbedder) -> None:
    embedder.gate = asyncio.Event()
    task = asyncio.create_task(classifier.classify_listing([b"a", b"b", b"c"], Deadline(60)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(embedder.embedded) == [b"a", b"b", b"c"]
    embedder.gate.set()
    assert len((await task).photos) == 3
