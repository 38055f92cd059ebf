"""What goes on in the background: compaction, graphs, measured recall, and the cache.

One thread, which takes the writer's lock only to publish what it has made.
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
from index_service.native.memory.graph import LEAST_EFFORT, MOST_EFFORT
from index_service.native.memory.segments import Segment
from index_service.native.memory.state import Live, State
from index_service.native.search.second_stage import MOST_FROM_GRAPH
from index_service.native.store.database import Store
from index_service.records import Answer, Matrix, Method, Packed, Search, View
from lookalike.errors import LookalikeError

logger = logging.getLogger(__name__)

_INTERVAL_S = 0.5
# Rows behind a graph that wait for a pause between writes: a search compares them in 1 to 2 ms.
_TAIL_WHILE_WRITTEN = 300_000
# Rows or writes after which the cache is written again, and the least time between two.
_CACHE_AFTER_ROWS = 200_000
_CACHE_AFTER_WRITES = 20_000
_CACHE_INTERVAL_S = 60.0
_SAMPLE = 64
_SAMPLE_INTERVAL_S = 30.0


class Recall(NamedTuple):
    """How many of the true neighbours a sample of approximate answers had."""

    share: float
    samples: int


class _Question(NamedTuple):
    vector: Matrix
    wanted: Search


class Maintenance:
    """Use as a context manager.

    Args:
        store: The store of record; for what it may forget.
        finder: Answers the sample.
        directory: Of the cache.
        current: Returns what readers see.
        publish: Makes them see another state.
        writing: Held by whoever changes it.
        threads: How many a graph is built with.
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
        self.saving = threading.Lock()  # held while the cache is written, or copied
        self.recall: dict[str, Recall] = {}
        self._questions: dict[str, deque[_Question]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="index-maintenance")
        self._loaded = current()
        self._saved: State | None = None  # what the cache holds, if this process wrote it
        self._saved_at = time.monotonic()
        self._sampled_at = time.monotonic()
        self._seen = 0  # the newest write when graphs were last thought of

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends, and writes the cache if it is not of the newest write."""
        self._ended.set()
        self._thread.join()
        if self._current() is not self._saved:
            self.save()

    def observe(self, name: str, vector: Matrix, wanted: Search) -> None:
        """Keeps an approximately answered query for the sample, once in a while."""
        if random.random() < 0.05:
            questions = self._questions.setdefault(name, deque(maxlen=_SAMPLE))
            questions.append(_Question(vector, wanted))

    def save(self) -> None:
        """Writes the cache, and lets the store forget what the cache now knows."""
        with self.saving:
            state = self._current()
            started = time.perf_counter()
            try:
                cache.save(self._directory, state)
                with self._writing, self._store.transaction() as write:
                    write.forget_deaths(state.seq)
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
        """Does the most pressing thing, if there is any; returns whether there was."""
        state = self._current()
        is_written_to, self._seen = state.seq != self._seen, state.seq
        for live in state.live.values():
            if self._compact(live) or self._index(live, is_written_to=is_written_to):
                return True
        now = time.monotonic()
        if now - self._sampled_at > _SAMPLE_INTERVAL_S:
            self._sampled_at = now
            for name in list(self._questions):
                self.check_recall(name)
        if now - self._saved_at > _CACHE_INTERVAL_S and self._much_was_written():
            self.save()
        return False

    def _much_was_written(self) -> bool:
        saved, state = self._saved or self._loaded, self._current()
        rows = abs(_rows(state) - _rows(saved))
        return rows > _CACHE_AFTER_ROWS or state.seq - saved.seq > _CACHE_AFTER_WRITES

    def check_recall(self, name: str) -> None:
        """Compares approximate answers with exact ones; searches further where they fall short."""
        questions = list(self._questions.get(name, ()))
        live = self._current().live.get(name)
        if live is None or not questions:
            self._questions.pop(name, None)
            return
        shares: list[float] = []
        for vector, asked in questions:
            if self._ended.is_set():
                return
            query = Packed(vector, live.collection.embedding_space)
            wanted = _first_stage(asked)
            try:
                found = self._finder.find(name, query, wanted)
                if found.results[0].method is Method.EXACT:
                    continue
                true = self._finder.find(name, query, replace(wanted, exact=True))
            except LookalikeError:  # another collection has the name by now
                self._questions.pop(name, None)
                self.recall.pop(name, None)
                return
            shares.append(_share(found, true))
        if not shares:
            return
        recall = Recall(float(np.mean(shares)), len(shares))
        self.recall[name] = recall
        effort = live.effort
        if recall.share < live.collection.target_recall:
            effort = min(MOST_EFFORT, 2 * effort)
        elif recall.share == 1 and effort > LEAST_EFFORT:
            effort = max(LEAST_EFFORT, int(0.8 * effort))
        logger.info(
            "recall measured",
            extra={
                "collection": name,
                "recall": recall.share,
                "samples": recall.samples,
                "search_effort": effort,
            },
        )
        if effort != live.effort:
            self._change(name, lambda live: replace(live, effort=effort))

    def _work(self) -> None:
        # Not niced: whoever waits for an answer would wait for the interpreter, which a thread of
        # low priority holds on to while others have the processors.
        while not self._ended.is_set():
            try:
                if self.step():
                    continue
            except Exception:  # the next step may succeed; requests are not affected
                logger.exception("background work failed")
            self._ended.wait(_INTERVAL_S)

    def _compact(self, live: Live) -> bool:
        parts = live.segments.parts
        for i, part in enumerate(parts):
            if compaction.wants_rewriting(part):
                return self._exchange(live, i, i + 1, "segment compacted")
        if found := compaction.mergeable(live.segments):
            return self._exchange(live, *found, "segments merged")
        return False

    def _index(self, live: Live, *, is_written_to: bool) -> bool:
        for i, part in enumerate(live.segments.parts):
            tail = part.size - part.in_graph
            # What is behind a graph is soon compared; to add to graphs takes a whole processor,
            # which whoever writes and asks at the same time would miss.
            if is_written_to and tail < _TAIL_WHILE_WRITTEN:
                continue
            if compaction.wants_graph(live.segments, part):
                return self._exchange(live, i, i + 1, "graph built")
        return False

    def _exchange(self, live: Live, start: int, end: int, event: str) -> bool:
        """Puts a better segment in the place of some; returns False if they are gone by then."""
        began = time.perf_counter()
        collection, before = live.collection, live.segments.parts[start:end]
        if event == "graph built":
            made = compaction.with_graph(before[0], collection, self._threads, self._ended.is_set)
            if made is None:
                return False
        else:
            made = compaction.rewritten(before, collection)

        def exchanged(live: Live) -> Live:
            parts = live.segments.parts
            now = parts[start:end]
            caught_up = compaction.caught_up(made, before, now, collection)
            rest: tuple[Segment, ...] = (*parts[:start], caught_up, *parts[end:])
            return replace(live, segments=replace(live.segments, parts=rest))

        # Only this thread changes which segments there are, apart from new ones at the end.
        if not self._change(collection.name, exchanged, live.key):
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

    def _change(self, name: str, change: Callable[[Live], Live], key: int | None = None) -> bool:
        with self._writing:
            state = self._current()
            live = state.live.get(name)
            if live is None or (key is not None and live.key != key):
                return False
            self._publish(state.with_live(change(live)))
            return True


def _rows(state: State) -> int:
    return sum(live.segments.row_count for live in state.live.values())


def _first_stage(asked: Search) -> Search:
    """Returns what a graph is asked for; a second stage ranks without it."""
    wanted = replace(asked, view=View.IDS, exact=False)
    if asked.rerank is None:
        return wanted
    k = min(asked.rerank.candidates, MOST_FROM_GRAPH)
    return replace(wanted, k=k, rerank=None, distinct_products=False, max_distance=None)


def _share(found: Answer, true: Answer) -> float:
    (found_result,), (true_result,) = found.results, true.results
    expected = true_result.neighbors.distances
    if not expected:
        return 1.0
    # By distance: which of several at the same distance was found makes no difference.
    good = sum(distance <= expected[-1] for distance in found_result.neighbors.distances)
    return min(1.0, good / len(expected))
