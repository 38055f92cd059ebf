"""What the index service can be told, by environment variables with the prefix below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lookalike.server import ServerSettings
from lookalike.settings import setting

PREFIX = "LOOKALIKE_INDEX_"


@dataclass(frozen=True, kw_only=True)
class IndexSettings(ServerSettings):
    """Settings of `python -m index_service`."""

    port: int = setting(50052, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
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
    max_waiting_writes: int = setting(
        1024,
        "Writes that may wait for the writer; each holds its batch in memory and delays the next.",
        minimum=0,
    )
