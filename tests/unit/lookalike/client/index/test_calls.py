"""What the index's clients ask and read, without a service."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lookalike.client import Embedding
from lookalike.client.calls import Call
from lookalike.client.index import (
    Collection,
    Item,
    ItemFilter,
    ItemView,
    Query,
    Upserted,
    calls,
    messages,
)
from lookalike.errors import InternalError, InvalidArgumentError
from lookalike.index.v1 import index_pb2 as pb

NEIGHBORS = {
    "k": 1,
    "where": None,
    "distinct_products": False,
    "exclude_same_product": False,
    "max_distance": None,
    "rerank": None,
    "exact": False,
    "min_seq": 0,
    "view": ItemView.FULL,
}


def vector(*values: float) -> Embedding:
    return Embedding(np.array(values, np.float32), "space-1")


def items(count: int, title: str = "") -> list[Item]:
    attributes = {"title": title} if title else {}
    return [Item(f"i{n}", "p", vector(n, 1), attributes=attributes) for n in range(count)]


def batches(*sent: Item, size: int, max_message_bytes: int = 1 << 20) -> list[Call[Upserted]]:
    cut = calls.Batches("lamps", size, max_message_bytes)
    ready: Iterator[Call[Upserted] | None] = (cut.add(item) for item in sent)
    return [call for call in (*ready, cut.rest()) if call]


def test_every_write_has_an_id_of_its_own_unless_the_caller_gives_one() -> None:
    made = {calls.upsert("lamps", [], None).request.request_id for _ in range(2)}
    made |= {calls.delete("lamps", ["a"], (), None).request.request_id for _ in range(2)}
    made |= {call.request.request_id for call in batches(*items(4), size=2)}
    assert len(made) == 6
    assert "" not in made
    assert calls.upsert("lamps", [], "mine").request.request_id == "mine"
    assert calls.delete("lamps", ["a"], (), "mine").request.request_id == "mine"


def test_batches_are_cut_by_number() -> None:
    sizes = [len(call.request.items) for call in batches(*items(5), size=2)]
    assert sizes == [2, 2, 1]
    assert batches(size=2) == []
    with pytest.raises(InvalidArgumentError, match="batch_size is 0"):
        batches(size=0)


def test_batches_fit_into_a_message() -> None:
    sent = items(20, title="x" * 500)
    cut = batches(*sent, size=1000, max_message_bytes=4000)
    assert len(cut) > 1
    assert all(call.request.ByteSize() <= 4000 for call in cut)
    assert [item.id for call in cut for item in call.request.items] == [item.id for item in sent]


def test_an_item_larger_than_a_message_goes_alone_and_the_service_refuses_it() -> None:
    cut = batches(*items(2, title="x" * 5000), size=1000, max_message_bytes=4000)
    assert [len(call.request.items) for call in cut] == [1, 1]


def test_a_word_is_one_query_one_example_and_one_value_of_a_filter() -> None:
    request = calls.neighbors("lamps", "abc", **NEIGHBORS).request
    assert [query.item_id for query in request.queries] == ["abc"]
    request = calls.neighbors("lamps", Query("abc", negatives="de"), **NEIGHBORS).request
    (query,) = request.queries
    assert [each.item_id for each in query.examples.positives] == ["abc"]
    assert [each.item_id for each in query.examples.negatives] == ["de"]
    where = messages.filter_message(ItemFilter(categories="lamps", attributes={"colour": "red"}))
    assert where is not None
    assert list(where.categories) == ["lamps"]
    assert list(where.attributes[0].values) == ["red"]
    assert list(calls.delete("lamps", "abc", (), None).request.item_ids) == ["abc"]


def test_one_example_is_a_plain_query_and_keeps_its_features() -> None:
    features = np.array([1, 2], np.float32)
    sent = [vector(3, 4), Query(vector(3, 4), features=features), Query("abc", features=features)]
    request = calls.neighbors("lamps", sent, **NEIGHBORS).request
    plain, with_features, item = request.queries
    assert list(plain.vector.values) == list(with_features.vector.values) == [3, 4]
    assert plain.vector.embedding_space == "space-1"
    assert list(plain.features) == []
    assert list(with_features.features) == list(item.features) == [1, 2]
    assert item.item_id == "abc"


def test_pages_with_vectors_are_smaller() -> None:
    def size(view: ItemView, page_size: int | None = None) -> int:
        options = {"page_size": page_size, "page_token": "", "min_seq": 0}
        return int(calls.page("lamps", None, view=view, **options).request.page_size)

    assert size(ItemView.FULL) == 1000
    assert size(ItemView.VECTORS) == 250
    assert size(ItemView.VECTORS, 7) == 7


def test_words_that_mean_nothing_are_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidArgumentError, match=r"view is 'all'.*ids, full, vectors"):
        messages.view("all")
    collection = Collection("lamps", "space-1", 2, metric="l1")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="metric is 'l1'") as caught:
        calls.create_collection(collection)
    assert caught.value.field == "metric"


def test_a_metric_of_a_newer_index_is_not_taken_for_another() -> None:
    with pytest.raises(InternalError, match="metric 9"):
        messages.collection(pb.Collection(name="lamps", metric=9))


@pytest.mark.parametrize("price", [None, 0.0, 2.5])
def test_an_item_is_written_as_it_was_read(price: float | None) -> None:
    sent = pb.Item(
        id="a",
        product_id="p",
        category="lamps",
        price=price,
        attributes={"title": "Lamp", "location": "Leeds"},
        vector=pb.Vector(values=[0.1, 0.2], embedding_space="space-1"),
        features=[0.3],
    )
    assert messages.item_message(messages.item(sent)) == sent
    bare = pb.Item(id="a", product_id="p", price=price)
    assert messages.item_message(messages.item(bare)) == bare
