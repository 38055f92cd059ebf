"""Builds what readers see from the cache, or from the store where there is no cache.

The cache holds memory as it was after some write; the store tells what came and went since.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np

from index_service.native.disk import cache
from index_service.native.memory import state as states
from index_service.native.memory.rows import rows_of_columns
from index_service.native.memory.state import Live, State
from index_service.native.store.database import Store
from index_service.records import Collection

logger = logging.getLogger(__name__)


def load(store: Store, directory: cache.Path, feature_bytes: int) -> State:
    """Returns the state that the store's newest write left.

    Args:
        store: The store of record, open.
        directory: Of the cache; what is wrong there is logged, and left aside.
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
    live, since_key, since_seq = _begin(collections, cached, feature_bytes)
    loaded = sum(len(each.segments) for each in live.values())
    read = 0
    for key, columns in store.columns(collections, since_key):
        read += len(columns.keys)
        rows = rows_of_columns(live[key], columns)
        live[key] = replace(live[key], segments=live[key].segments.with_rows(rows))
    if cached:
        dead = np.array(store.deaths(since_seq), np.int64)
        for key, each in live.items():
            live[key] = replace(each, segments=each.segments.without(dead))
    names = {key: collection.name for key, collection in collections.items()}
    aliases = {alias: names[key] for alias, key in store.aliases().items()}
    logger.info(
        "index loaded",
        extra={
            "collections": len(live),
            "items_from_cache": loaded,
            "items_from_store": read,
            "duration_ms": round((time.perf_counter() - started) * 1e3, 3),
        },
    )
    by_name = {each.collection.name: each for each in live.values()}
    return State(store.seq(), by_name, aliases, feature_bytes)


def _begin(
    collections: dict[int, Collection], cached: cache.Cached | None, feature_bytes: int
) -> tuple[dict[int, Live], int, int]:
    """Returns collections as the cache has them, and the first key and last write it lacks."""
    live = {
        key: states.empty(key, collection, feature_bytes) for key, collection in collections.items()
    }
    if cached is None:
        return live, 0, 0
    return {**live, **cached.live}, cached.next_key, cached.seq
