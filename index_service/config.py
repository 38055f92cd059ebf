"""The index service's settings: environment variables with the prefix below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.settings import setting

PREFIX = "LOOKALIKE_INDEX_"


@dataclass(frozen=True, kw_only=True)
class IndexSettings(ServerSettings):
    """Settings of `python -m index_service`."""

    port: int = setting(50052, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
    metrics_port: int = setting(
        50072,
        "TCP port of Prometheus's metrics, /metrics, on the same host; 0 takes a free one, -1 "
        "measures nothing.",
        minimum=-1,
        maximum=65535,
    )
    admin_host: str = setting("127.0.0.1", "Address of the admin port.")
    admin_port: int = setting(
        -1,
        "TCP port that alone answers DeleteCollection, DeleteAlias and CreateSnapshot, and the "
        "others too; 0 takes a free one, -1 leaves everything to PORT.",
        minimum=-1,
        maximum=65535,
    )
    log_requests: bool = setting(
        False,
        "Log every request, rather than those alone that failed; a line takes as long as comparing "
        "10,000 vectors.",
    )
    backend: str = setting(
        "native",
        "native keeps and searches the vectors in this process, milvus in a Milvus cluster: see "
        "docs/scaling.md.",
        choices=("native", "milvus"),
    )
    data_dir: Path = setting(
        Path("var/index"), "Directory of the store of record; one process at a time may use it."
    )
    read_only: bool = setting(
        False,
        "Serve a snapshot, which DATA_DIR then names, and refuse writes; for more queries a second "
        "than one process answers.",
    )
    search_threads: int = setting(
        0,
        "Threads that search and read, 0 for one a CPU core; more than cores only adds switching.",
        minimum=0,
        maximum=256,
    )
    max_waiting_reads: int = setting(
        256,
        "Reads that may wait for a thread; each holds its request in memory and delays the next.",
        minimum=0,
    )
    max_cached_items: int = setting(
        100_000,
        "Items whose categories, prices and attributes are kept in memory once they were found; "
        "each takes about 1 KB, and those beyond are read from the disk.",
        minimum=0,
    )
    max_feature_bytes: int = setting(
        4 << 30,
        "Memory for each collection's features, a byte a value, counted by whole segments of 2^20 "
        "items; those beyond are read from the disk, and at most 200 candidates are ranked again.",
        minimum=0,
    )
    max_waiting_writes: int = setting(
        1024,
        "Writes that may wait for the writer; each holds its batch in memory and delays the next.",
        minimum=0,
    )
    milvus_uri: str = setting("", "Of Milvus, such as http://milvus:19530.")
    milvus_token: str = setting("", "`user:password` or an API key of Milvus; empty for none.")
    milvus_database: str = setting(
        "default", "Database of Milvus that holds our collections, and none of others."
    )
    milvus_index: str = setting(
        "FLAT",
        "Index of new collections in Milvus; FLAT is exact, HNSW quicker above a million items.",
        choices=("FLAT", "HNSW"),
    )
    milvus_search_effort: int = setting(
        128, "`ef` of HNSW in Milvus; more finds more and takes longer.", minimum=1, maximum=32768
    )
    milvus_strong: bool = setting(
        False,
        "Whether every read waits for all writes before it, some 200 ms, instead of every write "
        "until reads see it.",
    )
    milvus_timeout_s: float = setting(
        10.0,
        "How long a call of Milvus may take; a stuck one holds a thread so long.",
        minimum=0.1,
        maximum=3600,
    )
    milvus_max_batch_bytes: int = setting(
        4 << 20, "Largest batch; one message of Milvus's log must hold it.", minimum=1 << 10
    )
    milvus_threads: int = setting(
        16, "Calls of Milvus at once; each takes a thread.", minimum=1, maximum=256
    )

    def admin(self) -> Self:
        """Returns the settings of the admin port."""
        return self.of_port(self.admin_host, self.admin_port)
