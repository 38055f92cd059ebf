"""What the index alone tells of itself: searches, sizes, recall, writes, its disk and snapshots.

All but the time of searches is read when it is asked for.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from index_service.native.disk.snapshot import DATABASE, SNAPSHOTS
from index_service.records import CollectionState, IndexState
from lookalike.serving.telemetry import Telemetry

# SQLite's files of one database.
_SUFFIXES = ("", "-wal", "-shm")


class IndexTelemetry:
    """The index's metrics.

    Args:
        telemetry: The process's.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._metrics = telemetry.metrics

    @property
    def searched(self) -> Callable[[float], None] | None:
        """Called with the seconds of each search; None if nobody measures."""
        if self._metrics is None:
            return None
        histogram = self._metrics.histogram(
            "index_search_seconds", "Seconds of a search, without converting its messages."
        )
        return histogram.observe

    def watch(
        self,
        state: Callable[[], IndexState | None],
        waiting_writes: Callable[[], int] | None,
        data_dir: Path | None,
    ) -> None:
        """Reads what there is when it is asked for, in another thread.

        Args:
            state: Returns the state of the collections; None if what stores them does not answer.
            waiting_writes: Returns how many writes wait; None if none can.
            data_dir: The store of record; None if another machine has it.
        """
        if self._metrics is None:
            return

        def collect() -> Iterator[Metric]:
            now = state()
            yield GaugeMetricFamily(
                "index_backend_up", "Whether what stores the items answers.", now is not None
            )
            if now is None:
                return
            yield from _of_collections(now)
            if waiting_writes is not None:
                yield GaugeMetricFamily(
                    "index_write_queue_depth",
                    "Writes that wait for the writer.",
                    waiting_writes(),
                )
            if data_dir is not None:
                # A cluster's are no count of writes but moments.
                yield GaugeMetricFamily(
                    "index_applied_seq", "The newest write that searches see.", now.applied_seq
                )
                yield from _of_disk(data_dir)
                if not now.read_only:
                    yield GaugeMetricFamily(
                        "index_snapshot_age_seconds",
                        "Since the newest snapshot; +Inf without any.",
                        _snapshot_age_s(data_dir / SNAPSHOTS),
                    )

        self._metrics.read(collect)


def _of_collections(state: IndexState) -> Iterator[Metric]:
    by_collection: dict[str, tuple[str, Callable[[CollectionState], float | None]]] = {
        "index_items": ("Items of a collection.", lambda each: each.items),
        "index_memory_bytes": (
            "Memory that a collection's vectors, features and graphs take.",
            lambda each: each.memory_bytes,
        ),
        "index_recall_target": (
            "Share of the true neighbours that searches of a collection are to find.",
            lambda each: each.target_recall,
        ),
    }
    for name, (text, value) in by_collection.items():
        gauge = GaugeMetricFamily(name, text, labels=["collection"])
        for each in state.collections:
            gauge.add_metric([each.name], value(each) or 0)
        yield gauge
    recall = GaugeMetricFamily(
        "index_recall",
        "Share of the true neighbours that approximate searches found, by the last check; "
        "nothing while all searches are exact.",
        labels=["collection", "embedding_space"],
    )
    info = GaugeMetricFamily(
        "index_collection_info",
        "The embedding space of a collection; always 1.",
        labels=["collection", "embedding_space"],
    )
    for each in state.collections:
        if each.recall is not None:
            recall.add_metric([each.name, each.embedding_space], each.recall)
        info.add_metric([each.name, each.embedding_space], 1)
    yield recall
    yield info


def _of_disk(data_dir: Path) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "index_disk_free_bytes",
        "Room on the disk of the data directory.",
        shutil.disk_usage(data_dir).free,
    )
    files = (data_dir / f"{DATABASE}{suffix}" for suffix in _SUFFIXES)
    yield GaugeMetricFamily(
        "index_store_bytes", "Size of the store of record.", sum(_size(file) for file in files)
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _snapshot_age_s(folder: Path) -> float:
    try:
        # The one that is being written has no number.
        times = [each.stat().st_mtime for each in folder.iterdir() if each.name[:1].isdigit()]
    except FileNotFoundError:
        times = []
    return max(0.0, time.time() - max(times)) if times else math.inf
