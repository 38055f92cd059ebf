"""What the index's API has beside single calls: aliases, streams, pages, ranges, columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import CollectionInUseError, LookalikeError, UnknownFilterFieldError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.status import from_status
from tests.listings import SPACE, Index, create, index_with_listings, item, upsert, vector

Refusal = Callable[[Callable[[], object]], LookalikeError]

COUNT = 50


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with index_with_listings(tmp_path_factory.mktemp("streams")) as index:
        yield index


@pytest.fixture
def line(index: Index, request: pytest.FixtureRequest) -> str:
    """A collection of 50 photos in a row, two to a product, of two colours; nobody else's."""
    name = f"line{abs(hash(request.node.name))}"
    index.stub.CreateCollection(create(name=name))
    photos = [placed(i) for i in range(COUNT)]
    index.stub.BatchUpsertItems(upsert(*photos, collection=name))
    return name


def placed(number: int, **changes: Any) -> pb.Item:
    fields = {
        "id": f"photo-{number}",
        "product_id": f"product-{number // 2}",
        "vector": vector(number, 0),
        "features": [1, number],
        "price": number,
        "attributes": {"colour": ["red", "blue"][number % 2]},
        **changes,
    }
    return item(**fields)


def ids(neighbors: Any) -> list[str]:
    return [neighbor.item.id for neighbor in neighbors]


def find(line: str, **fields: Any) -> pb.FindNeighborsRequest:
    defaults: dict[str, Any] = {
        "collection": line,
        "k": 3,
        "queries": [pb.Query(vector=vector(0, 0))],
    }
    return pb.FindNeighborsRequest(**defaults | fields)


def test_alias_leads_from_one_collection_to_the_next(
    index: Index, line: str, refusal: Refusal
) -> None:
    stub, alias = index.stub, f"alias-{line}"
    first = stub.SetAlias(pb.SetAliasRequest(name=alias, collection=line))
    answer = stub.FindNeighbors(find(alias))
    assert (answer.collection, answer.applied_seq) == (line, first.seq)
    stub.BatchDeleteItems(pb.BatchDeleteItemsRequest(collection=alias, item_ids=["photo-0"]))
    assert stub.GetCollection(pb.GetCollectionRequest(name=alias)).collection.item_count == 49
    held = refusal(lambda: stub.DeleteCollection(pb.DeleteCollectionRequest(name=line)))
    assert isinstance(held, CollectionInUseError)
    assert held.metadata["alias"] == alias
    moved = stub.SetAlias(pb.SetAliasRequest(name=alias, collection="listings"))
    assert (moved.previous_collection, moved.seq) == (line, first.seq + 2)
    listed = stub.ListAliases(pb.ListAliasesRequest()).aliases
    assert pb.Alias(name=alias, collection="listings") in listed
    stub.DeleteAlias(pb.DeleteAliasRequest(name=alias))
    assert stub.DeleteCollection(pb.DeleteCollectionRequest(name=line)).deleted_items == 49


def test_batches_of_a_stream_take_effect_in_the_order_in_which_they_were_sent(
    index: Index, line: str
) -> None:
    def requests() -> Iterator[pb.StreamUpsertItemsRequest]:
        for i in range(60):
            # Batches of different sizes take different ways.
            others = [placed(1000 * i + j) for j in range(1, 30 if i % 3 else 2)]
            batch = upsert(placed(0, price=i), *others, collection=line)
            yield pb.StreamUpsertItemsRequest(id=str(i), request=batch)

    answers = {each.id: each.response for each in index.stub.StreamUpsertItems(requests())}
    seqs = [answers[str(i)].seq for i in range(60)]
    assert seqs == sorted(seqs)
    assert all(answers[str(i)].replaced >= 1 for i in range(60))
    got = index.stub.GetItem(pb.GetItemRequest(collection=line, item_id="photo-0"))
    assert got.item.price == 59


def test_bad_batch_of_a_stream_is_answered_in_its_place_and_the_others_are_written(
    index: Index, line: str
) -> None:
    bad = upsert(placed(100), placed(101, vector=vector(1, 2, 3)), collection=line)
    batches = [upsert(placed(98), collection=line), bad, upsert(placed(99), collection=line)]
    sent = [pb.StreamUpsertItemsRequest(id=f"b{i}", request=b) for i, b in enumerate(batches)]
    answers = {each.id: each for each in index.stub.StreamUpsertItems(iter(sent))}
    kinds = [answers[f"b{i}"].WhichOneof("result") for i in range(3)]
    assert kinds == ["response", "error", "response"]
    error = from_status(answers["b1"].error)
    assert (error.reason, error.field) == ("DIMENSION_MISMATCH", "items[1].vector.values")
    count = index.stub.CountItems(pb.CountItemsRequest(collection=line))
    assert count.items == COUNT + 2


def test_searches_of_a_stream_are_each_answered_as_a_single_call_would_be(
    index: Index, line: str
) -> None:
    requests = {
        f"s{i}": find(line, queries=[pb.Query(vector=vector(i, 0))], k=1 + i % 4) for i in range(40)
    }
    requests["bad"] = find(
        line, filter=pb.Filter(attributes=[pb.AttributeFilter(key="size", values=["x"])])
    )
    sent = (pb.StreamFindNeighborsRequest(id=key, request=r) for key, r in requests.items())
    answers = {each.id: each for each in index.stub.StreamFindNeighbors(sent)}
    assert set(answers) == set(requests)
    assert isinstance(from_status(answers.pop("bad").error), UnknownFilterFieldError)
    for key, answer in answers.items():
        assert answer.response == index.stub.FindNeighbors(requests[key])


def test_pages_together_are_all_items_in_the_order_of_writing(index: Index, line: str) -> None:
    only = pb.Filter(attributes=[pb.AttributeFilter(key="colour", values=["red"])])
    listed: list[pb.Item] = []
    token = ""
    while True:
        page = index.stub.ListItems(
            pb.ListItemsRequest(
                collection=line,
                filter=only,
                page_size=7,
                page_token=token,
                view=pb.ITEM_VIEW_VECTORS,
            )
        )
        listed += page.items
        if not (token := page.next_page_token):
            break
    assert listed == [placed(i) for i in range(0, COUNT, 2)]


def test_view_says_how_much_of_each_item_is_listed(index: Index, line: str) -> None:
    def first(view: int) -> pb.Item:
        request = pb.ListItemsRequest(collection=line, page_size=1, view=view)  # type: ignore[arg-type]
        return index.stub.ListItems(request).items[0]

    whole = placed(0)
    assert first(pb.ITEM_VIEW_VECTORS) == whole
    whole.ClearField("vector")
    whole.ClearField("features")
    assert first(pb.ITEM_VIEW_FULL) == first(pb.ITEM_VIEW_UNSPECIFIED) == whole
    assert first(pb.ITEM_VIEW_IDS) == pb.Item(id="photo-0", product_id="product-0")


def test_items_and_products_are_counted(index: Index, line: str) -> None:
    only = pb.Filter(min_price=10, max_price=13, exclude_product_ids=["product-5"])
    count = index.stub.CountItems(pb.CountItemsRequest(collection=line, filter=only))
    assert (count.items, count.products) == (2, 1)
    assert count.applied_seq == index.newest_write()


def test_all_within_a_distance_are_counted_and_the_nearest_returned(
    index: Index, line: str
) -> None:
    request = pb.SearchRangeRequest(
        collection=line, query=pb.Query(item_id="photo-10"), max_distance=9, limit=2
    )
    answer = index.stub.SearchRange(request)
    assert ids(answer.neighbors) == ["photo-9", "photo-11"]
    assert (answer.total, answer.embedding_space) == (6, SPACE)
    assert [neighbor.distance for neighbor in answer.neighbors] == [1, 1]
    request.distinct_products = True
    assert index.stub.SearchRange(request).total == 4


@pytest.mark.parametrize("count", [1, 5, 40])
def test_packed_queries_and_columns_say_the_same_as_messages(
    index: Index, line: str, count: int
) -> None:
    places = [(i + 0.25, 1.0) for i in range(count)]
    queries = [pb.Query(vector=vector(*place)) for place in places]
    plain = index.stub.FindNeighbors(find(line, queries=queries))
    packed = find(
        line,
        queries=[],
        packed_vectors=np.array(places, "<f4").tobytes(),
        packed_embedding_space=SPACE,
    )
    assert index.stub.FindNeighbors(packed) == plain
    packed.columns = True
    answer = index.stub.FindNeighbors(packed)
    assert not answer.results
    every = [neighbor for result in plain.results for neighbor in result.neighbors]
    assert answer.columns == pb.NeighborColumns(
        counts=[3] * count,
        item_ids=ids(every),
        product_ids=[neighbor.item.product_id for neighbor in every],
        distances=[neighbor.distance for neighbor in every],
        methods=[pb.SEARCH_METHOD_EXACT] * count,
        candidates_scanned=[COUNT] * count,
    )


def test_candidates_are_ranked_again_and_keep_their_first_distance(index: Index, line: str) -> None:
    query = pb.Query(vector=vector(0, 0), features=[0, 1])
    answer = index.stub.FindNeighbors(
        find(line, queries=[query], k=2, rerank=pb.Rerank(candidates=5))
    )
    (result,) = answer.results
    assert ids(result.neighbors) == ["photo-4", "photo-3"]
    assert [neighbor.first_distance for neighbor in result.neighbors] == [16, 9]


def test_index_describes_itself(index: Index, line: str) -> None:
    index.stub.BatchDeleteItems(
        pb.BatchDeleteItemsRequest(collection=line, product_ids=["product-0"])
    )
    described = index.stub.GetIndex(pb.GetIndexRequest())
    assert (described.backend, described.read_only) == ("native", False)
    names = [collection.name for collection in described.collections]
    assert names == sorted(names)
    (own,) = [each for each in described.collections if each.name == line]
    assert (own.items, own.deleted_rows, own.items_in_graph) == (COUNT - 2, 2, 0)
    assert own.memory_bytes > 0
    assert not own.HasField("recall")


def test_log_of_the_service_has_no_traceback(index: Index) -> None:
    assert "Traceback" not in Path(index.process.log).read_text()
