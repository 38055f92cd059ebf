"""Items in replies: what they say, and how many of them stay in memory."""

from __future__ import annotations

import gc
from pathlib import Path
from unittest.mock import Mock

import pytest

from index_service import replies
from index_service.config import IndexSettings
from index_service.native.backend import open_native
from index_service.records import Item, Neighbors, View
from index_service.replies import EncodedItems
from index_service.servicer import IndexServicer
from index_service.workers import Workers
from lookalike.index.v1 import index_pb2 as pb
from tests.indexes import LISTINGS, SPACE

ITEMS = [
    Item("a", "x", "Toys", 2.5, {"title": "a red car", "color": "red"}),
    Item("b", "y"),
]
NEAR = Neighbors(ITEMS, [0.0, 1.5])


@pytest.mark.parametrize("view", [View.IDS, View.FULL])
def test_neighbours_say_what_their_items_say_in_the_first_reply_and_the_next(view: View) -> None:
    encoded = EncodedItems(10)
    expected = [
        pb.Neighbor(item=replies.item(item, view), distance=distance)
        for item, distance in zip(*NEAR[:2], strict=True)
    ]
    assert replies.neighbors(NEAR, view, encoded) == expected
    assert replies.neighbors(NEAR, view, encoded) == expected


def test_neighbours_say_what_else_they_were_ranked_by() -> None:
    near = NEAR._replace(first_distances=[3.0, 4.0])
    by_vector, fused = (
        replies.neighbors(near, View.FULL, EncodedItems(10), scores) for scores in (None, [0.2, 0])
    )
    assert [each.first_distance for each in by_vector] == [3, 4]
    assert not any(each.HasField("fused_score") for each in by_vector)
    assert [each.fused_score for each in fused] == [pytest.approx(0.2), 0]
    assert all(each.HasField("first_distance") for each in fused)


def test_only_so_many_encoded_items_stay() -> None:
    encoded = EncodedItems(3)
    for number in range(10):
        encoded.of(Item(str(number), "x"))
        assert len(encoded) <= 3


async def test_items_written_again_beside_searches_do_not_pile_up(tmp_path: Path) -> None:
    def kept() -> int:
        return sum(type(known) is Item for known in gc.get_objects())

    vector = pb.Vector(values=[0, 0], embedding_space=SPACE)
    write = pb.BatchUpsertItemsRequest(
        collection="listings", items=[pb.Item(id="a", product_id="x", vector=vector)]
    )
    find = pb.FindNeighborsRequest(
        collection="listings", queries=[pb.Query(vector=vector)], k=1, view=pb.ITEM_VIEW_FULL
    )
    settings = IndexSettings(data_dir=tmp_path, max_cached_items=10, search_threads=1)
    conversions = Workers("conversions", threads=1, waiting=1)
    with open_native(settings) as backend, conversions:
        servicer = IndexServicer(backend, conversions, cached_items=settings.max_cached_items)
        await backend.create_collection(LISTINGS)
        before = kept()
        for _ in range(100):
            await servicer.BatchUpsertItems(write, Mock())
            answer = await servicer.FindNeighbors(find, Mock())
            assert answer.results[0].neighbors[0].item.id == "a"
        # Those that the index caches, those encoded, and what the last calls have left.
        assert kept() - before <= 2 * settings.max_cached_items + 5
