from __future__ import annotations

import numpy as np
import pytest

from benchmarks.index import messages
from benchmarks.index.large import recall
from benchmarks.index.photos import BLOCK, Photos
from lookalike.index.v1 import index_pb2 as pb


@pytest.fixture
def photos() -> Photos:
    return Photos(np.random.default_rng(3).normal(size=(2 * BLOCK, 4)).astype(np.float32))


def test_items_are_unique_two_a_product_and_one_in_a_hundred_rare(photos: Photos) -> None:
    sent = list(messages.batches(photos, "photos", 3 * BLOCK))
    items = [item for batch in sent for item in batch.items]

    assert {batch.collection for batch in sent} == {"photos"}
    assert len({item.id for item in items}) == len(items) == 3 * BLOCK
    assert len({item.product_id for item in items}) == len(items) // 2
    assert sum(item.category == messages.RARE for item in items) == len(items) // 100


def test_batches_after_a_block_have_other_ids(photos: Photos) -> None:
    first = {item.id for item in next(messages.batches(photos, "photos", BLOCK)).items}
    later = {item.id for item in next(messages.batches(photos, "photos", BLOCK, first=1)).items}
    assert first.isdisjoint(later)


def test_rich_items_have_titles_and_long_ids(photos: Photos) -> None:
    (item, *_) = messages.items(photos, 0, rich=True)
    assert len(item.id) == 36
    assert item.attributes["title"]


def test_packed_queries_are_the_same_vectors(photos: Photos) -> None:
    vectors = photos.queries(3)
    request = messages.packed("photos", vectors)
    read = np.frombuffer(request.packed_vectors, "<f4").reshape(3, 4)
    assert np.array_equal(read, vectors)
    assert (request.columns, request.view, request.k) == (True, pb.ITEM_VIEW_IDS, 10)


def test_query_names_a_category_only_if_there_is_one(photos: Photos) -> None:
    (vector,) = photos.queries(1)
    assert not messages.query("photos", vector).filter.categories
    assert messages.query("photos", vector, category="rare").filter.categories == ["rare"]


def test_recall_counts_what_is_found_whatever_its_place() -> None:
    assert recall([["a", "b"], ["c", "x"]], [["b", "a"], ["c", "d"]]) == 0.75
    assert recall([["a"]], [["a", "b"]]) == 0.5
