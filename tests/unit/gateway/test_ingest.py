"""A listing's photo: embedded first, written once, and never written without its vector."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.budget import Budget
from gateway.classify import Classifier
from gateway.ingest import Ingester
from gateway.listings import Listing, Written
from lookalike.errors import InvalidImageError, UpstreamUnavailableError

LISTING = Listing("photo", "listing", category="tools", title="A hammer", price=0.0)


@pytest.fixture
def ingester(embedder: Any, index: Any) -> Ingester:
    return Ingester(Classifier(embedder), index)


async def test_listing_is_written_with_its_photos_vector(
    ingester: Ingester, embedder: Any, index: Any
) -> None:
    budget = Budget(60)
    ingested = await ingester.ingest(LISTING, b"photo", budget)
    assert embedder.embedded == [(b"photo", budget)]
    ((listing, vector, its_budget),) = index.written
    assert listing is LISTING
    assert (vector.values, vector.embedding_space) == (embedder.logits, "space")
    assert its_budget is budget
    assert ingested.written == Written(seq=1, replaced=False)
    assert ingested.classification.scores[0].category == "clothes"


async def test_category_of_the_seller_is_kept_whatever_the_model_says(
    ingester: Ingester, index: Any
) -> None:
    ingested = await ingester.ingest(LISTING, b"photo", Budget(60))
    assert ingested.classification.scores[0].category != LISTING.category
    assert index.written[0][0].category == "tools"


async def test_second_photo_of_an_id_is_told_to_replace_the_first(ingester: Ingester) -> None:
    await ingester.ingest(LISTING, b"photo", Budget(60))
    ingested = await ingester.ingest(LISTING, b"other", Budget(60))
    assert ingested.written == Written(seq=2, replaced=True)


async def test_photo_that_cannot_be_embedded_is_not_written(
    ingester: Ingester, embedder: Any, index: Any
) -> None:
    embedder.error = InvalidImageError("image is empty (0 bytes)", field="image")
    with pytest.raises(InvalidImageError):
        await ingester.ingest(LISTING, b"", Budget(60))
    assert index.written == []


async def test_failed_write_is_no_success(ingester: Ingester, index: Any) -> None:
    index.error = UpstreamUnavailableError("the index cannot be reached")
    with pytest.raises(UpstreamUnavailableError):
        await ingester.ingest(LISTING, b"photo", Budget(60))
