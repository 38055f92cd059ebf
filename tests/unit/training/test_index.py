"""Vectors go to a real index service; what it refuses is told in one line."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pyarrow.parquet as pq
import pytest

import training.index
from gateway.items import stored_photo
from lookalike.catalogue.schema import INDEXED_ATTRIBUTES, TEXT_ATTRIBUTES, collection_name
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess
from training.embed import EMBEDDING_SPACE, RANKED_BY
from training.errors import TrainingError
from training.index import index


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index service; each test keeps to a collection of its own."""
    folder = tmp_path_factory.mktemp("index")
    settings = {"LOOKALIKE_INDEX_PORT": "0", "LOOKALIKE_INDEX_DATA_DIR": str(folder / "data")}
    with ServiceProcess("index_service", settings, folder / "index_service.log") as service:
        yield service.address


@pytest.fixture(scope="module")
def stub(target: str) -> Iterator[IndexServiceStub]:
    with grpc.insecure_channel(target) as channel:
        yield IndexServiceStub(channel)


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"collection-{number}" for number in itertools.count())


@pytest.fixture
def collection(names: Iterator[str]) -> str:
    """A name that is free."""
    return next(names)


@pytest.fixture(scope="module")
def rows(vectors: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(vectors).to_pylist())


@pytest.fixture(scope="module")
def space(vectors: Path) -> str:
    return str(pq.read_schema(vectors).metadata[EMBEDDING_SPACE].decode())


def create(stub: IndexServiceStub, name: str, space: str, dimension: int = 13) -> None:
    wanted = pb.Collection(name=name, embedding_space=space, dimension=dimension)
    stub.CreateCollection(pb.CreateCollectionRequest(collection=wanted), timeout=10)


def describe(stub: IndexServiceStub, name: str) -> pb.Collection:
    return stub.GetCollection(pb.GetCollectionRequest(name=name), timeout=10).collection


def refusal(vectors: Path, target: str, collection: str) -> str:
    with pytest.raises(TrainingError) as refused:
        index(vectors, target, collection)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_row_becomes_an_item_of_a_new_collection(
    vectors: Path, rows: list[dict[str, Any]], target: str, stub: IndexServiceStub, collection: str
) -> None:
    indexed = index(vectors, target, collection)

    assert (indexed.inserted, indexed.replaced, indexed.items) == (len(rows), 0, len(rows))
    made = describe(stub, collection)
    space = pq.read_schema(vectors).metadata[EMBEDDING_SPACE].decode()
    assert (made.embedding_space, made.dimension, made.item_count) == (space, 13, len(rows))
    assert made.name == collection_name(collection, space), "and the name leads to it"
    assert tuple(made.indexed_attributes) == INDEXED_ATTRIBUTES
    assert tuple(made.text_attributes) == TEXT_ATTRIBUTES
    for row in (rows[0], rows[-1]):
        request = pb.GetItemRequest(collection=collection, item_id=row["image_id"])
        item = stub.GetItem(request, timeout=10).item
        assert (item.product_id, item.category) == (row["product_id"], row["category"])
        assert item.price == row["price"]
        texts = {name: row[name] for name in ("title", "description", "location", "currency")}
        assert item.attributes == {**texts, "photo_sha256": row["sha256"]}
        assert stored_photo(item).sha256 == row["sha256"], (
            "by which the gateway knows identical photos"
        )
        assert texts["currency"] == "GBP"
        assert list(item.vector.values) == row["vector:category"]


def test_description_is_written_and_found_by_its_words_where_the_file_has_one(
    vectors: Path, target: str, stub: IndexServiceStub, collection: str, tmp_path: Path
) -> None:
    table = pq.read_table(vectors)
    texts = [f"photo {number} of many" for number in range(table.num_rows)]
    described = tmp_path / "described.parquet"
    pq.write_table(table.append_column("description", [texts]), described)
    index(described, target, collection)

    request = pb.FindNeighborsRequest(
        collection=collection, queries=[pb.Query(words="photos 7")], k=1000
    )
    (result,) = stub.FindNeighbors(request, timeout=10).results
    assert result.words_matched == table.num_rows
    assert result.neighbors[0].item.attributes["description"] == texts[7]


def test_a_second_run_replaces_every_item_and_adds_none(
    vectors: Path, rows: list[dict[str, Any]], target: str, collection: str
) -> None:
    index(vectors, target, collection)
    again = index(vectors, target, collection)

    assert (again.inserted, again.replaced, again.items) == (0, len(rows), len(rows))


def test_what_takes_several_calls_is_all_there(
    vectors: Path,
    rows: list[dict[str, Any]],
    target: str,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.index, "BATCH", 50)
    assert len(rows) % 50, "the last call is not full"
    indexed = index(vectors, target, collection)

    assert (indexed.inserted, indexed.items) == (len(rows), len(rows))


def test_an_alias_of_a_collection_without_features_is_filled_and_it_is_said_what_adds_them(
    vectors: Path, space: str, target: str, stub: IndexServiceStub, collection: str
) -> None:
    create(stub, f"{collection}-old", space)
    stub.SetAlias(pb.SetAliasRequest(name=collection, collection=f"{collection}-old"), timeout=10)
    indexed = index(vectors, target, collection)

    assert indexed.items == indexed.inserted > 0
    assert indexed.lacking == (
        f"{collection}-old was there and keeps no features, so searches rank by category alone; "
        f"`lookalike reindex --images DIR --collection {collection}` makes one that does"
    )


def test_a_collection_without_features_needs_another_name(
    vectors: Path, space: str, target: str, stub: IndexServiceStub, collection: str
) -> None:
    create(stub, collection, space)

    assert "choose a --collection that is free" in index(vectors, target, collection).lacking


def test_a_collection_with_features_lacks_nothing(
    vectors: Path, target: str, stub: IndexServiceStub, collection: str
) -> None:
    assert index(vectors, target, collection).lacking == ""
    assert index(vectors, target, collection).lacking == "", "also where it was there"
    assert describe(stub, collection).features_dimension == 128


def test_features_are_the_output_that_the_model_is_ranked_by(
    vectors: Path, tmp_path: Path, target: str, stub: IndexServiceStub, collection: str
) -> None:
    table = pq.read_table(vectors)
    names = [name.replace("vector:features", "vector:style") for name in table.column_names]
    other = tmp_path / "style.parquet"
    metadata = {**table.schema.metadata, RANKED_BY: b"style"}
    pq.write_table(table.rename_columns(names).replace_schema_metadata(metadata), other)
    assert index(other, target, collection).lacking == ""
    assert describe(stub, collection).features_dimension == 128


def test_a_file_without_descriptions_currencies_hashes_or_features_is_indexed_without(
    vectors: Path, tmp_path: Path, target: str, stub: IndexServiceStub, collection: str
) -> None:
    table = pq.read_table(vectors)
    older = tmp_path / "older.parquet"
    pq.write_table(
        table.drop_columns(["description", "currency", "sha256", "vector:features"]), older
    )
    indexed = index(older, target, collection)

    assert (indexed.items, indexed.lacking) == (len(table), "")
    item_id = table["image_id"][0].as_py()
    request = pb.GetItemRequest(collection=collection, item_id=item_id)
    assert set(stub.GetItem(request, timeout=10).item.attributes) == {"title", "location"}


def test_a_collection_of_another_embedding_space_is_refused_and_left_alone(
    vectors: Path, space: str, target: str, stub: IndexServiceStub, collection: str
) -> None:
    create(stub, collection, "another space", 13)
    refused = refusal(vectors, target, collection)

    assert refused.startswith(f"the index at {target}: ")
    assert space in refused
    assert "another space" in refused
    assert describe(stub, collection).item_count == 0


def test_a_collection_of_another_dimension_is_refused(
    vectors: Path, space: str, target: str, stub: IndexServiceStub, collection: str
) -> None:
    create(stub, collection, space, 12)
    refused = refusal(vectors, target, collection)

    assert refused.startswith(f"the index at {target}: ")
    assert "13" in refused
    assert "12" in refused
    assert describe(stub, collection).item_count == 0


def test_a_name_that_no_collection_can_have_is_refused(vectors: Path, target: str) -> None:
    assert "Not A Name" in refusal(vectors, target, "Not A Name")


def test_an_index_that_is_away_is_told_by_its_address(vectors: Path) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = refusal(vectors, target, "listings")

    assert refused.startswith(f"the index at {target} cannot be reached: ")
    assert "refused" in refused.lower()


def write_text(file: Path) -> None:
    file.write_text("no table")


def write_foreign_table(file: Path) -> None:
    pd.DataFrame({"image_id": ["a"]}).to_parquet(file)


def write_without_vectors(file: Path) -> None:
    table = pq.read_table(file.with_name("whole.parquet"))
    pq.write_table(table.drop_columns("vector:category"), file)


def write_without_space(file: Path) -> None:
    table = pq.read_table(file.with_name("whole.parquet"))
    pq.write_table(table.replace_schema_metadata({"other": "facts"}), file)


def write_nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    "write",
    [write_text, write_foreign_table, write_without_vectors, write_without_space, write_nothing],
)
def test_a_file_that_is_not_of_embed_is_refused_before_any_call(
    vectors: Path, tmp_path: Path, write: Any
) -> None:
    (tmp_path / "whole.parquet").symlink_to(vectors)
    write(tmp_path / "vectors.parquet")
    refused = refusal(tmp_path / "vectors.parquet", "127.0.0.1:1", "listings")

    assert refused.startswith(f"{tmp_path / 'vectors.parquet'}: not a file of `training embed`: ")
