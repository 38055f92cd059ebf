"""Vectors in Parquet → the index service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from lookalike.errors import CollectionExistsError, CollectionNotFoundError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.status import from_rpc_error
from training.embed import EMBEDDING_SPACE, vector_column
from training.errors import TrainingError
from training.model import CATEGORY_OUTPUT

BATCH = 1000
VECTOR = vector_column(CATEGORY_OUTPUT)
FEATURES = vector_column("features")
LOCATION = "location"
CURRENCY = "currency"
# What the gateway filters by, and how it calls the collection that an alias leads to.
INDEXED = (LOCATION, "near_duplicate")
_SPACE_DIGITS = 12
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class IndexedCatalogue:
    """What `index` wrote.

    Attributes:
        inserted: Items that were new.
        replaced: Items that took another's place.
        items: How many the collection has now.
        lacking: What the collection does not keep of them, and what to do; empty for nothing.
    """

    inserted: int
    replaced: int
    items: int
    lacking: str = ""


def index(vectors: Path, target: str, collection: str) -> IndexedCatalogue:
    """Upserts every photo of a vectors file; safe to repeat, since ids replace themselves.

    Args:
        vectors: What `embed` wrote.
        target: The index service's host:port.
        collection: Name of a collection or an alias. If there is neither, a collection is made
            whose name ends in the embedding space, and the name leads to it: as the gateway does,
            so that a catalogue of the next model can take its place.
    """
    try:
        file = pq.ParquetFile(vectors)
        space = file.schema_arrow.metadata[EMBEDDING_SPACE].decode()
        schema = file.schema_arrow
        dimension = schema.field(VECTOR).type.list_size
        has_features = FEATURES in schema.names
        features_dimension = schema.field(FEATURES).type.list_size if has_features else 0
    except (OSError, KeyError, TypeError, AttributeError, pa.ArrowInvalid) as error:
        raise TrainingError(f"{vectors}: not a file of `training embed`: {error}") from None
    with grpc.insecure_channel(target) as channel:
        stub = IndexServiceStub(channel)
        try:
            wanted = pb.Collection(
                name=f"{collection}-{space[:_SPACE_DIGITS]}",
                embedding_space=space,
                dimension=dimension,
                features_dimension=features_dimension,
                indexed_attributes=INDEXED,
            )
            # One that was there before may keep no features; its vectors are worth having alone.
            there = _ensure_collection(stub, wanted, collection)
            kept = there.features_dimension
            counts = [0, 0]
            rows = file.metadata.num_rows
            columns = [name for name in schema.names if kept or name != FEATURES]
            work = _upserted(
                stub, file.iter_batches(BATCH, columns=columns), collection, space, counts
            )
            for _ in track(work, "Indexing", total=rows):
                pass
            request = pb.GetCollectionRequest(name=collection)
            items = stub.GetCollection(request, timeout=_TIMEOUT_S).collection.item_count
        except grpc.RpcError as error:
            message = from_rpc_error(error).message
            raise TrainingError(f"the index at {target}: {message}") from None
    lacking = _lacking(there, collection) if has_features and not kept else ""
    return IndexedCatalogue(counts[0], counts[1], items, lacking)


def _ensure_collection(stub: IndexServiceStub, wanted: pb.Collection, name: str) -> pb.Collection:
    request = pb.GetCollectionRequest(name=name)
    try:
        return stub.GetCollection(request, timeout=_TIMEOUT_S).collection
    except grpc.RpcError as error:
        if not isinstance(from_rpc_error(error), CollectionNotFoundError):
            raise
    try:
        stub.CreateCollection(pb.CreateCollectionRequest(collection=wanted), timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        if not isinstance(from_rpc_error(error), CollectionExistsError):
            raise
    stub.SetAlias(pb.SetAliasRequest(name=name, collection=wanted.name), timeout=_TIMEOUT_S)
    return stub.GetCollection(request, timeout=_TIMEOUT_S).collection


def _lacking(there: pb.Collection, name: str) -> str:
    if there.name == name:
        remedy = "choose a --collection that is free, for LOOKALIKE_GATEWAY_COLLECTION too"
    else:
        remedy = f"`lookalike reindex --images DIR --collection {name}` makes one that does"
    what = f"{there.name} was there and keeps no features"
    return f"{what}, so searches rank by category alone; {remedy}"


def _attributes(row: dict[str, Any]) -> dict[str, str]:
    texts = {"title": row["title"], LOCATION: row["location"], CURRENCY: row.get(CURRENCY, "")}
    return {name: text for name, text in texts.items() if text}


def _upserted(
    stub: IndexServiceStub,
    batches: Iterable[pa.RecordBatch],
    collection: str,
    space: str,
    counts: list[int],
) -> Iterator[int]:
    for batch in batches:
        items = [
            pb.Item(
                id=row["image_id"],
                product_id=row["product_id"],
                category=row["category"],
                price=row["price"],
                attributes=_attributes(row),
                vector=pb.Vector(values=row[VECTOR], embedding_space=space),
                features=row.get(FEATURES),
            )
            for row in batch.to_pylist()
        ]
        request = pb.BatchUpsertItemsRequest(collection=collection, items=items)
        response = stub.BatchUpsertItems(request, timeout=_TIMEOUT_S)
        counts[0] += response.inserted
        counts[1] += response.replaced
        yield from range(len(items))
