"""Runs the index service with its upkeep always at work, on data of any size.

`python -m tests.recovery.eager` compacts, makes graphs and writes the cache every few milliseconds,
each of which the service leaves for much larger numbers or the end.
"""

from __future__ import annotations

import runpy

from index_service.native import maintenance
from index_service.native.memory import compaction

compaction._FEW = 20
maintenance._INTERVAL_S = 0.005
maintenance._CACHE_AFTER_ROWS = 0
maintenance._CACHE_INTERVAL_S = 0.02

if __name__ == "__main__":
    runpy.run_module("index_service", run_name="__main__", alter_sys=True)
