"""Background work on one thread: compaction, graphs, measured recall, and the cache.

It takes the writer's lock only to publish its results.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from index_service.native.disk import cache
from index_service.native.finder import Finder
from index_service.native.memory import compaction
from index_service.native.memory.graph import MAX_EF_SEARCH, MIN_EF_SEARCH
from index_service.native.memory.segments import Segment
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.search.second_stage import MOST_FROM_GRAPH
from index_service.native.store.database import Store
from index_service.records import Answer, Matrix, Method, PackedVectors, Search, View
from lookalike.errors import LookalikeError

logger = logging.getLogger(__name__)

_INTERVAL_S = 0.5
# Up to so many rows behind a graph wait for a pause in writes: a search scans them in 1 to 2 ms.
_TAIL_WHILE_WRITTEN = 300_000
# Rows or writes after which the cache is written again, and the minimum time in between.
_CACHE_AFTER_ROWS = 200_000
_CACHE_AFTER_WRITES = 20_000
_CACHE_INTERVAL_S = 60.0
_SAMPLE = 64
_SAMPLE_INTERVAL_S = 30.0


class Recall(NamedTuple):
    """The share of the true neighbours that a sample of approximate answers contained."""

    share: float
    samples: int


class _SampledQuery(NamedTuple):
    vector: Matrix
    search: Search


class Maintenance:
    """Runs the background thread; use as a context manager.

    Args:
        store: The store of record, whose tombstones are deleted once the cache is written.
        finder: Answers the sampled queries.
        directory: Directory of the cache.
        current: Returns the state that readers see.
        publish: Replaces that state.
        writing: Lock held while that state is changed.
        threads: How many threads build a graph.
    """

    def __init__(
        self,
        store: Store,
        finder: Finder,
        directory: Path,
        *,
        current: Callable[[], State],
        publish: Callable[[State], None],
        writing: threading.Lock,
        threads: int,
    ) -> None:
        self._store = store
        self._finder = finder
        self._directory = directory
        self._current = current
        self._publish = publish
        self._writing = writing
        self._threads = threads
        self.saving = threading.Lock()  # held while the cache is written or copied
        self.recall: dict[str, Recall] = {}
        self._samples: dict[str, deque[_SampledQuery]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="index-maintenance")
        self._loaded = current()
        self._saved: State | None = None  # the content of the cache, if this process wrote it
        self._saved_at = time.monotonic()
        self._sampled_at = time.monotonic()
        self._seen = 0  # the newest write at the last step

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stops, and writes the cache if it is not of the newest write."""
        self._ended.set()
        self._thread.join()
        if self._current() is not self._saved:
            self.save()

    def observe(self, name: str, vector: Matrix, search: Search) -> None:
        """Adds an approximately answered query to the sample, once in a while."""
        if random.random() < 0.05:
            samples = self._samples.setdefault(name, deque(maxlen=_SAMPLE))
            samples.append(_SampledQuery(vector, search))

    def save(self) -> None:
        """Writes the cache, and deletes the tombstones that it makes superfluous."""
        with self.saving:
            state = self._current()
            started = time.perf_counter()
            try:
                cache.save(self._directory, state)
                with self._writing, self._store.transaction() as write:
                    write.forget_tombstones(state.seq)
            except (OSError, LookalikeError) as error:
                logger.warning("the cache was not written", extra={"error": str(error)})
                return
            self._saved = state
            self._saved_at = time.monotonic()
            logger.info(
                "cache written",
                extra={
                    "seq": state.seq,
                    "duration_ms": round((time.perf_counter() - started) * 1e3, 3),
                },
            )

    def step(self) -> bool:
        """Does the most urgent work; returns whether there was any."""
        state = self._current()
        is_written_to, self._seen = state.seq != self._seen, state.seq
        for snapshot in state.collections.values():
            if self._compact(snapshot) or self._index(snapshot, is_written_to=is_written_to):
                return True
        now = time.monotonic()
        if now - self._sampled_at > _SAMPLE_INTERVAL_S:
            self._sampled_at = now
            for name in list(self._samples):
                self.check_recall(name)
        if now - self._saved_at > _CACHE_INTERVAL_S and self._much_was_written():
            self.save()
        return False

    def _much_was_written(self) -> bool:
        saved, state = self._saved or self._loaded, self._current()
        rows = abs(_rows(state) - _rows(saved))
        return rows > _CACHE_AFTER_ROWS or state.seq - saved.seq > _CACHE_AFTER_WRITES

    def check_recall(self, name: str) -> None:
        """Measures recall on the sample, and adjusts `ef_search` to the target."""
        samples = list(self._samples.get(name, ()))
        snapshot = self._current().collections.get(name)
        if snapshot is None or not samples:
            self._forget(name)
            return
        shares: list[float] = []
        for vector, sampled in samples:
            if self._ended.is_set():
                return
            query = PackedVectors(vector, snapshot.collection.embedding_space)
            search = _first_stage(sampled)
            try:
                found = self._finder.find(name, query, search)
                if found.results[0].method is Method.EXACT:
                    continue
                true = self._finder.find(name, query, replace(search, exact=True))
            except LookalikeError:  # another collection has the name by now
                self._forget(name)
                return
            shares.append(_share(found, true))
        if not shares:  # all are searched exactly by now, so that there is nothing to measure
            self.recall.pop(name, None)
            return
        recall = Recall(float(np.mean(shares)), len(shares))
        self.recall[name] = recall
        ef_search = snapshot.ef_search
        if recall.share < snapshot.collection.target_recall:
            ef_search = min(MAX_EF_SEARCH, 2 * ef_search)
        elif recall.share == 1 and ef_search > MIN_EF_SEARCH:
            ef_search = max(MIN_EF_SEARCH, int(0.8 * ef_search))
        logger.info(
            "recall measured",
            extra={
                "collection": name,
                "recall": recall.share,
                "samples": recall.samples,
                "search_effort": ef_search,
            },
        )
        if ef_search != snapshot.ef_search:
            self._change(name, lambda snapshot: replace(snapshot, ef_search=ef_search))

    def _forget(self, name: str) -> None:
        self._samples.pop(name, None)
        self.recall.pop(name, None)

    def _work(self) -> None:
        # Not niced: a thread of low priority keeps the interpreter's lock while others have the
        # processors, so searches would wait for it.
        while not self._ended.is_set():
            try:
                if self.step():
                    continue
            except Exception:  # the next step may succeed; requests are not affected
                logger.exception("background work failed")
            self._ended.wait(_INTERVAL_S)

    def _compact(self, snapshot: CollectionSnapshot) -> bool:
        parts = snapshot.segments.parts
        for i, part in enumerate(parts):
            if compaction.wants_rewriting(part):
                return self._exchange(snapshot, i, i + 1, "segment compacted")
        if found := compaction.mergeable(snapshot.segments):
            return self._exchange(snapshot, *found, "segments merged")
        return False

    def _index(self, snapshot: CollectionSnapshot, *, is_written_to: bool) -> bool:
        for i, part in enumerate(snapshot.segments.parts):
            tail = part.size - part.in_graph
            # The rows behind a graph are scanned quickly; extending a graph takes a whole
            # processor, which concurrent writes and searches would lack.
            if is_written_to and tail < _TAIL_WHILE_WRITTEN:
                continue
            if compaction.wants_graph(snapshot.segments, part):
                return self._exchange(snapshot, i, i + 1, "graph built")
        return False

    def _exchange(self, snapshot: CollectionSnapshot, start: int, end: int, event: str) -> bool:
        """Replaces some segments by a better one; returns False if they are gone by then."""
        began = time.perf_counter()
        collection, before = snapshot.collection, snapshot.segments.parts[start:end]
        if event == "graph built":
            made = compaction.with_graph(before[0], collection, self._threads, self._ended.is_set)
            if made is None:
                return False
        else:
            made = compaction.rewritten(before, collection)

        def exchanged(snapshot: CollectionSnapshot) -> CollectionSnapshot:
            parts = snapshot.segments.parts
            now = parts[start:end]
            caught_up = compaction.caught_up(made, before, now, collection)
            rest: tuple[Segment, ...] = (*parts[:start], caught_up, *parts[end:])
            return replace(snapshot, segments=replace(snapshot.segments, parts=rest))

        # Only this thread changes the list of segments, apart from new ones at the end.
        if not self._change(collection.name, exchanged, snapshot.key):
            return False
        logger.info(
            event,
            extra={
                "collection": collection.name,
                "rows": made.size,
                "duration_ms": round((time.perf_counter() - began) * 1e3, 3),
            },
        )
        return True

    def _change(
        self,
        name: str,
        change: Callable[[CollectionSnapshot], CollectionSnapshot],
        key: int | None = None,
    ) -> bool:
        with self._writing:
            state = self._current()
            snapshot = state.collections.get(name)
            if snapshot is None or (key is not None and snapshot.key != key):
                return False
            self._publish(state.with_collection(change(snapshot)))
            return True


def _rows(state: State) -> int:
    return sum(snapshot.segments.row_count for snapshot in state.collections.values())


def _first_stage(search: Search) -> Search:
    """Returns the search for candidates alone, since a graph has no part in ranking them again."""
    first = replace(search, view=View.IDS, exact=False)
    if search.rerank is None:
        return first
    k = min(search.rerank.candidates, MOST_FROM_GRAPH)
    return replace(first, k=k, rerank=None, distinct_products=False, max_distance=None)


def _share(found: Answer, true: Answer) -> float:
    (found_result,), (true_result,) = found.results, true.results
    expected = true_result.neighbors.distances
    if not expected:
        return 1.0
    # Compared by distance: items at the same distance are equally good.
    good = sum(distance <= expected[-1] for distance in found_result.neighbors.distances)
    return min(1.0, good / len(expected))
