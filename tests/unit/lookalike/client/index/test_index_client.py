"""Both clients of the index, on a real one."""

from __future__ import annotations

import itertools
import pickle
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lookalike import AsyncIndexClient, IndexClient
from lookalike.client import Embedding
from lookalike.client.index import (
    Collection,
    Item,
    ItemFilter,
    ItemView,
    Metric,
    Query,
    Rerank,
    Upserted,
)
from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    LookalikeError,
    UpstreamUnavailableError,
    WordsUnavailableError,
)
from lookalike.serving.local_stack import ServiceProcess
from tests.unit.lookalike.client.conftest import Blocking

SPACE = "space-1"


class BlockingIndex(Blocking):
    """An AsyncIndexClient whose coroutines are waited for."""

    client_class = AsyncIndexClient


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("index")
    settings = {"LOOKALIKE_INDEX_PORT": "0", "LOOKALIKE_INDEX_DATA_DIR": str(folder / "data")}
    with ServiceProcess("index_service", settings, folder / "index_service.log") as service:
        yield service.address


@pytest.fixture(params=[IndexClient, BlockingIndex], ids=["IndexClient", "AsyncIndexClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    clients: list[Any] = []

    def connect(*args: Any, **kwargs: Any) -> Any:
        clients.append(request.param(*args, **kwargs))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Any], target: str) -> Any:
    return connect(target)


numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """A name that is free."""
    return f"lamps-{next(numbers)}"


@pytest.fixture
def lamps(client: Any, name: str) -> str:
    """A collection of three listings' photos, on a line."""
    client.create_collection(
        Collection(name, SPACE, 2, indexed_attributes=("colour",), features_dimension=2)
    )
    client.upsert(
        name,
        [
            item("a1", "a", 0, price=5, attributes={"colour": "red"}),
            item("a2", "a", 1, price=6, attributes={"colour": "blue"}),
            item("b1", "b", 2, price=7, features=floats(0, 1)),
            item("c1", "c", 4),
        ],
    )
    return name


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def vector(*values: float) -> Embedding:
    return Embedding(floats(*values), SPACE)


def item(item_id: str, product_id: str, place: float, **fields: Any) -> Item:
    fields = {"features": floats(1, 0), "category": "lamps", **fields}
    return Item(item_id, product_id, vector(place, 0), **fields)


def ids(neighbors: Any) -> list[str]:
    return [near.item.id for near in neighbors]


def test_a_collection_is_created_described_and_deleted(client: Any, name: str) -> None:
    wanted = Collection(
        name,
        SPACE,
        3,
        metric=Metric.COSINE,
        indexed_attributes=("colour",),
        features_dimension=5,
        exact_up_to=10,
        target_recall=0.9,
    )
    assert client.create_collection(wanted) == wanted
    assert client.collection(name) == wanted
    assert wanted in client.collections()
    with pytest.raises(CollectionExistsError):
        client.create_collection(wanted)
    assert client.ensure_collection(Collection(name, SPACE, 4)) == wanted, "that which is there"
    assert client.delete_collection(name) == 0
    with pytest.raises(CollectionNotFoundError):
        client.collection(name)
    assert client.ensure_collection(wanted) == wanted
    client.delete_collection(name)


def test_an_alias_leads_to_one_collection_after_another(client: Any, lamps: str) -> None:
    client.create_collection(Collection(f"{lamps}-next", SPACE, 2))
    alias = f"{lamps}-alias"
    first = client.set_alias(alias, lamps)
    second = client.set_alias(alias, f"{lamps}-next")
    assert (first.previous_collection, second.previous_collection) == ("", lamps)
    assert second.seq > first.seq
    assert client.aliases()[alias] == f"{lamps}-next"
    assert client.collection(alias).name == f"{lamps}-next"
    with pytest.raises(LookalikeError, match=alias):
        client.delete_collection(f"{lamps}-next")
    assert client.delete_alias(alias) > second.seq
    assert alias not in client.aliases()


def test_an_item_comes_back_as_it_was_sent(client: Any, lamps: str) -> None:
    found = client.get(lamps, "a1")
    assert (found.id, found.product_id, found.category, found.price) == ("a1", "a", "lamps", 5)
    assert found.attributes == {"colour": "red"}
    assert found.vector.embedding_space == SPACE
    np.testing.assert_array_equal(found.vector, [0, 0])
    np.testing.assert_array_equal(found.features, [1, 0])
    assert not found.features.flags.writeable
    assert client.get(lamps, "c1").price is None
    with pytest.raises(ItemNotFoundError):
        client.get(lamps, "z")


def test_a_write_that_is_sent_again_is_one_write(client: Any, lamps: str) -> None:
    sent = [item("d1", "d", 8), item("a1", "a", 9)]
    first = client.upsert(lamps, sent, request_id=f"{lamps}-1")
    assert (first.inserted, first.replaced) == (1, 1)
    assert client.upsert(lamps, sent, request_id=f"{lamps}-1") == first
    again = client.upsert(lamps, sent)
    assert (again.inserted, again.replaced) == (0, 2)
    assert again.seq > first.seq
    gone = client.delete(lamps, item_ids=["d1"], request_id=f"{lamps}-2")
    assert client.delete(lamps, item_ids=["d1"], request_id=f"{lamps}-2") == gone


def test_many_items_are_written_in_batches_as_they_are_read(client: Any, lamps: str) -> None:
    read: list[int] = []

    def many() -> Iterator[Item]:
        for number in range(25):
            read.append(number)
            yield item(f"m{number}", "m", number)

    answers = client.upsert_many(lamps, many(), batch_size=10)
    first = next(answers)
    assert (first.inserted, first.replaced) == (10, 0)
    assert len(read) == 11
    assert [answer.inserted for answer in answers] == [10, 5]
    assert client.count(lamps).items == 29


async def test_many_items_may_come_asynchronously(target: str, name: str) -> None:
    async def many() -> AsyncIterator[Item]:
        for number in range(3):
            yield Item(f"m{number}", "m", vector(number, 0))

    async with AsyncIndexClient(target) as client:
        await client.create_collection(Collection(name, SPACE, 2))
        answers: list[Upserted] = [a async for a in client.upsert_many(name, many())]
        assert [answer.inserted for answer in answers] == [3]


def test_an_error_ends_many_and_what_was_answered_stays(client: Any, lamps: str) -> None:
    wrong = Item("w", "w", Embedding(floats(0, 0), "space-2"))
    answers = client.upsert_many(lamps, [item("m", "m", 1), wrong], batch_size=1)
    assert next(answers).inserted == 1
    with pytest.raises(EmbeddingSpaceMismatchError):
        next(answers)
    assert client.get(lamps, "m").id == "m"


def test_items_and_products_are_deleted(client: Any, lamps: str) -> None:
    assert client.delete(lamps, item_ids=["c1", "never"]).deleted == 1
    assert client.delete(lamps, product_ids=["a"]).deleted == 2
    assert [each.id for each in client.items(lamps)] == ["b1"]


def test_items_are_listed_page_by_page_in_the_order_of_writing(client: Any, lamps: str) -> None:
    assert [each.id for each in client.items(lamps, page_size=3)] == ["a1", "a2", "b1", "c1"]
    page = client.page(lamps, page_size=3)
    assert [each.id for each in page.items] == ["a1", "a2", "b1"]
    last = client.page(lamps, page_size=3, page_token=page.next_page_token)
    assert ([each.id for each in last.items], last.next_page_token) == (["c1"], "")


def test_a_view_says_how_much_of_an_item_is_returned(client: Any, lamps: str) -> None:
    found = {view: next(client.items(lamps, view=view)) for view in ItemView}
    assert (found[ItemView.IDS].product_id, found[ItemView.IDS].category) == ("a", "")
    assert found[ItemView.FULL].attributes == {"colour": "red"}
    assert found[ItemView.FULL].vector is found[ItemView.FULL].features is None
    np.testing.assert_array_equal(found[ItemView.VECTORS].vector, [0, 0])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ItemFilter(categories=["lamps"]), ["a1", "a2", "b1", "c1"]),
        (ItemFilter(product_ids=["a", "c"]), ["a1", "a2", "c1"]),
        (ItemFilter(exclude_product_ids=["a"]), ["b1", "c1"]),
        (ItemFilter(min_price=6), ["a2", "b1"]),
        (ItemFilter(max_price=6), ["a1", "a2"]),
        (ItemFilter(attributes={"colour": ["red", "green"]}), ["a1"]),
        (ItemFilter(product_ids="a", attributes={"colour": "blue"}), ["a2"]),
    ],
)
def test_a_filter_counts_everywhere(
    client: Any, lamps: str, where: ItemFilter, expected: list[str]
) -> None:
    assert [each.id for each in client.items(lamps, where)] == expected
    assert client.count(lamps, where).items == len(expected)
    near = client.neighbors(lamps, vector(0, 0), where=where)
    assert ids(near.results[0]) == expected
    assert ids(client.search_range(lamps, vector(0, 0), 100, where=where).neighbors) == expected


def test_items_and_products_are_counted(client: Any, lamps: str) -> None:
    found = client.count(lamps)
    assert (found.items, found.products) == (4, 3)
    assert client.count(lamps, min_seq=found.applied_seq) == found
    with pytest.raises(LookalikeError):
        client.count(lamps, min_seq=found.applied_seq + 1000)


def test_neighbours_of_vectors_and_items_are_found(client: Any, lamps: str) -> None:
    found = client.neighbors(lamps, [vector(1.9, 0), "a1"], k=2)
    by_vector, by_item = found.results
    assert ids(by_vector) == ["b1", "a2"]
    assert ids(by_item) == ["a2", "b1"], "not itself"
    assert [near.distance for near in by_item] == [1, 4]
    assert [near.vector_distance for near in by_item] == [1, 4]
    assert by_item.neighbors[0].item.attributes == {"colour": "blue"}
    assert by_item.neighbors[0].item.vector is None
    assert (len(by_item), by_item.exact, by_item.complete) == (2, True, True)
    assert by_item.candidates_scanned > 0
    assert (found.collection, found.embedding_space, found.features_dimension) == (lamps, SPACE, 2)
    assert found.applied_seq == client.count(lamps).applied_seq


def test_neighbours_are_of_other_products_within_a_distance_as_asked(
    client: Any, lamps: str
) -> None:
    def found(**options: Any) -> list[str]:
        return ids(client.neighbors(lamps, "a1", exact=True, **options).results[0])

    assert found(exclude_same_product=True) == ["b1", "c1"]
    assert found(max_distance=4) == ["a2", "b1"]
    near = client.neighbors(lamps, vector(0, 0), distinct_products=True, view=ItemView.IDS)
    assert ids(near.results[0]) == ["a1", "b1", "c1"]
    assert near.results[0].neighbors[0].item.category == ""
    assert near.results[0].shortfall


def test_neighbours_of_several_examples_are_near_the_one_and_away_from_the_other(
    client: Any, lamps: str
) -> None:
    between = client.neighbors(lamps, Query(["b1", "c1"]), k=1).results[0]
    assert ids(between) == ["a2"], "examples are left out"
    away = client.neighbors(lamps, Query(vector(2, 0), negatives=vector(0, 0)), k=1).results[0]
    assert ids(away) == ["c1"]


def test_candidates_are_ranked_again_by_features(client: Any, lamps: str) -> None:
    query = Query(vector(0, 0), features=floats(0, 1))
    found = client.neighbors(lamps, query, k=4, rerank=Rerank(candidates=4)).results[0]
    assert ids(found)[0] == "b1"
    first = found.neighbors[0]
    assert first.distance == pytest.approx(0, abs=1e-3)
    assert first.vector_distance == 4
    assert found.candidates_ranked == 4
    near = Rerank(candidates=4, vector_weight=0.25, max_distance=1.5)
    assert ids(client.neighbors(lamps, query, rerank=near).results[0]) == ["a1", "b1", "a2"]


def test_all_within_a_distance_are_found_and_counted(client: Any, lamps: str) -> None:
    found = client.search_range(lamps, "a1", 4)
    assert ids(found.neighbors) == ["a2", "b1"]
    few = client.search_range(lamps, vector(0, 0), 4, limit=1, distinct_products=True)
    assert (ids(few.neighbors), few.total) == (["a1"], 2)
    assert few.embedding_space == SPACE


def test_the_index_describes_itself_and_writes_a_snapshot(client: Any, lamps: str) -> None:
    state = client.state()
    assert (state.backend, state.read_only) == ("native", False)
    (mine,) = [each for each in state.collections if each.name == lamps]
    assert (mine.items, mine.items_with_features, mine.recall) == (4, 4, None)
    written = client.create_snapshot(timeout=60)
    assert written.seq == state.applied_seq
    assert written.name
    assert written.size_bytes > 0


def test_an_index_that_is_away_is_named(connect: Callable[..., Any]) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UpstreamUnavailableError, match=f"the index at {address} cannot be"):
            connect(address, retries=1).state()


def test_what_makes_no_sense_is_refused_at_once(connect: Callable[..., Any], target: str) -> None:
    with pytest.raises(InvalidArgumentError, match="without encryption"):
        connect("shop.test:50052", token="secret")
    with pytest.raises(InvalidArgumentError, match="timeout"):
        connect(target, timeout=0)
    with pytest.raises(InvalidArgumentError, match="batch_size"):
        connect(target).upsert_many("lamps", [], batch_size=0)


def test_another_process_gets_the_like_of_a_client(target: str) -> None:
    with pickle.loads(pickle.dumps(IndexClient(target))) as copy:
        assert copy.state().backend == "native"


def test_words_are_found_alone_and_beside_a_target(client: Any, name: str) -> None:
    made = client.create_collection(
        Collection(name, SPACE, 2, text_attributes=("title", "description"))
    )
    assert made.text_attributes == ("title", "description")
    assert client.collection(name).text_attributes == ("title", "description")
    assert made.text_attributes in [each.text_attributes for each in client.collections()]
    titles = ["Oak table", "Red armchairs", "Lamp"]
    client.upsert(
        name,
        [
            Item(
                f"{i}",
                f"p{i}",
                Embedding(np.array([i, 0], np.float32), SPACE),
                attributes={"title": title},
            )
            for i, title in enumerate(titles)
        ],
    )
    (alone,) = client.neighbors(name, Query(words="armchair")).results
    assert [(near.item.id, near.distance, near.fused_score) for near in alone] == [("1", 0, 1 / 61)]
    assert (alone.words_matched, alone.complete, alone.exact) == (1, True, True)
    (both,) = client.neighbors(name, Query("0", words="lamp"), k=2).results
    assert [near.item.id for near in both] == ["2", "1"]
    assert [near.vector_distance for near in both] == [4, 1]
    assert both.neighbors[0].fused_score == pytest.approx(3 / 61 + 1 / 62)
    (none,) = client.neighbors(name, "0", k=1).results
    assert (none.neighbors[0].fused_score, none.words_matched) == (None, 0)


def test_words_that_cannot_be_found_are_refused(client: Any, name: str) -> None:
    client.create_collection(Collection(name, SPACE, 2))
    with pytest.raises(WordsUnavailableError) as unavailable:
        client.neighbors(name, Query(words="armchair"))
    assert unavailable.value.field == "queries[0].words"
    with pytest.raises(InvalidArgumentError, match="limits are 0 and 1024"):
        client.neighbors(name, Query(words="x" * 1025))
