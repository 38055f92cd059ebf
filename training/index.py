"""Vectors in Parquet → the index service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from lookalike.catalogue.schema import (
    CURRENCY,
    DESCRIPTION,
    INDEXED_ATTRIBUTES,
    LOCATION,
    PHOTO_SHA256,
    TEXT_ATTRIBUTES,
    TITLE,
    collection_name,
)
from lookalike.client import Embedding, IndexClient
from lookalike.client.index import Collection, Item
from lookalike.errors import CollectionNotFoundError, LookalikeError
from training.config import CATEGORY_OUTPUT, FEATURES_OUTPUT
from training.embed import EMBEDDING_SPACE, RANKED_BY, vector_column
from training.errors import TrainingError

BATCH = 1000
VECTOR = vector_column(CATEGORY_OUTPUT)
# The columns that become attributes of an item, where a file has them.
ATTRIBUTES = {
    TITLE: "title",
    DESCRIPTION: "description",
    LOCATION: "location",
    CURRENCY: "currency",
    PHOTO_SHA256: "sha256",
}
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
        ranked_by = schema.metadata.get(RANKED_BY, FEATURES_OUTPUT.encode()).decode()
        features = vector_column(ranked_by)
        has_features = features in schema.names
        features_dimension = schema.field(features).type.list_size if has_features else 0
    except (OSError, KeyError, TypeError, AttributeError, pa.ArrowInvalid) as error:
        raise TrainingError(f"{vectors}: not a file of `training embed`: {error}") from None
    try:
        with IndexClient(target, timeout=_TIMEOUT_S) as client:
            wanted = Collection(
                name=collection_name(collection, space),
                embedding_space=space,
                dimension=dimension,
                features_dimension=features_dimension,
                indexed_attributes=INDEXED_ATTRIBUTES,
                text_attributes=TEXT_ATTRIBUTES,
            )
            # One that was there before may keep no features; its vectors are worth having alone.
            there = _ensure_collection(client, wanted, collection)
            kept = there.features_dimension
            columns = [name for name in schema.names if kept or name != features]
            items = _items(file.iter_batches(BATCH, columns=columns), space, features)
            counts = [0, 0]
            work = _upserted(client, collection, items, counts)
            for _ in track(work, "Indexing", total=file.metadata.num_rows):
                pass
            total = client.collection(collection).item_count
    except LookalikeError as error:
        where = f"the index at {target}"
        named = where in error.message
        raise TrainingError(error.message if named else f"{where}: {error.message}") from None
    lacking = _lacking(there, collection) if has_features and not kept else ""
    return IndexedCatalogue(counts[0], counts[1], total, lacking)


def _ensure_collection(client: IndexClient, wanted: Collection, name: str) -> Collection:
    """Returns the collection that a name leads to; makes it and the alias if there is none."""
    try:
        return client.collection(name)
    except CollectionNotFoundError:
        client.ensure_collection(wanted)
        client.set_alias(name, wanted.name)
        return client.collection(name)


def _lacking(there: Collection, name: str) -> str:
    if there.name == name:
        remedy = "choose a --collection that is free, for LOOKALIKE_GATEWAY_COLLECTION too"
    else:
        remedy = f"`lookalike reindex --images DIR --collection {name}` makes one that does"
    what = f"{there.name} was there and keeps no features"
    return f"{what}, so searches rank by category alone; {remedy}"


def _items(batches: Iterable[pa.RecordBatch], space: str, features_column: str) -> Iterator[Item]:
    for batch in batches:
        for row in batch.to_pylist():
            features = row.get(features_column)
            yield Item(
                id=row["image_id"],
                product_id=row["product_id"],
                vector=Embedding(np.array(row[VECTOR], np.float32), space),
                features=None if features is None else np.array(features, np.float32),
                category=row["category"],
                price=row["price"],
                attributes={
                    name: text for name, column in ATTRIBUTES.items() if (text := row.get(column))
                },
            )


def _upserted(
    client: IndexClient, collection: str, items: Iterable[Item], counts: list[int]
) -> Iterator[int]:
    """Writes items; yields once an item, and counts those inserted and replaced."""
    for written in client.upsert_many(collection, items, batch_size=BATCH):
        counts[0] += written.inserted
        counts[1] += written.replaced
        yield from range(written.inserted + written.replaced)
