"""The embedder beside the same engine in a loop, and beside other servers with the same engine.

All rates are taken in turns within one run, because a machine's speed drifts; the ratio of two
neighbours is what to compare, and its median over the rounds what is reported. Callers run on the
same machine and take their part of it.
"""

from __future__ import annotations

from benchmarks.embedder.rounds import measure

__all__ = ["measure"]
