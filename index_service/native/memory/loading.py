"""Builds the state in memory from the cache, or from the store if there is no cache.

The cache holds the state after some write; the later changes come from the store.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np

from index_service.native.disk import cache
from index_service.native.memory import state as states
from index_service.native.memory.features import quantised
from index_service.native.memory.rows import rows_of_columns
from index_service.native.memory.segments import Segment
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.store.database import Store
from index_service.records import Collection

logger = logging.getLogger(__name__)

# Rows whose features are read at a time.
_ROWS = 4096


def load(store: Store, directory: cache.Path, feature_bytes: int) -> State:
    """Returns the state after the store's newest write.

    Args:
        store: The store of record, open.
        directory: Directory of the cache; a cache with any fault is logged, and ignored.
        feature_bytes: How much memory each collection's features may take.

    Raises:
        StoreCorruptedError: Writes are missing, or an item is not as it was written.
    """
    started = time.perf_counter()
    collections = store.collections()
    cached = cache.load(directory, collections, feature_bytes)
    if cached and cached.seq > store.seq():
        raise store.corrupted(
            f"its newest write is {store.seq()}, that of the cache {directory} is {cached.seq}: it "
            "is older than the cache, or empty; delete the cache to go on with it as it is"
        )
    snapshots, since_key, since_seq = _begin(collections, cached, feature_bytes, store)
    loaded = sum(len(each.segments) for each in snapshots.values())
    read = 0
    for key, columns in store.columns(collections, since_key):
        read += len(columns.keys)
        rows = rows_of_columns(snapshots[key], columns)
        snapshots[key] = replace(snapshots[key], segments=snapshots[key].segments.with_rows(rows))
    if cached:
        dead = np.array(store.tombstones(since_seq), np.int64)
        for key, each in snapshots.items():
            snapshots[key] = replace(each, segments=each.segments.without(dead))
    names = {key: collection.name for key, collection in collections.items()}
    aliases = {alias: names[key] for alias, key in store.aliases().items()}
    logger.info(
        "index loaded",
        extra={
            "collections": len(snapshots),
            "items_from_cache": loaded,
            "items_from_store": read,
            "duration_ms": round((time.perf_counter() - started) * 1e3, 3),
        },
    )
    by_name = {each.collection.name: each for each in snapshots.values()}
    return State(store.seq(), by_name, aliases, feature_bytes)


def _begin(
    collections: dict[int, Collection],
    cached: cache.Cached | None,
    feature_bytes: int,
    store: Store,
) -> tuple[dict[int, CollectionSnapshot], int, int]:
    """Returns the collections of the cache, the first key that it lacks, and its last write."""
    snapshots = {
        key: states.empty(key, collection, feature_bytes) for key, collection in collections.items()
    }
    if cached is None:
        return snapshots, 0, 0
    held = {key: _with_features(each, store) for key, each in cached.collections.items()}
    return {**snapshots, **held}, cached.next_key, cached.seq


def _with_features(snapshot: CollectionSnapshot, store: Store) -> CollectionSnapshot:
    """Reads the features that fit into memory and are not in the cache.

    More memory may be allowed now, or segments without features may have moved up in a merge.
    """
    segments, width = snapshot.segments, snapshot.collection.features_dimension
    parts = tuple(
        _filled(part, width, store)
        if width and segments.keeps_features(number) and not part.has_features
        else part
        for number, part in enumerate(segments.parts)
    )
    return replace(snapshot, segments=replace(segments, parts=parts))


def _filled(part: Segment, width: int, store: Store) -> Segment:
    values, none = np.zeros((part.size, width), np.int8), np.zeros(width, np.float32)
    for start in range(0, part.size, _ROWS):
        keys = part.rows.keys[start : min(start + _ROWS, part.size)].tolist()
        by_key = store.features(keys)
        known = np.stack([by_key.get(key, none) for key in keys])
        values[start : start + len(keys)], _ = quantised(known)
    return replace(part, rows=replace(part.rows.part(slice(part.size)), features=values))
