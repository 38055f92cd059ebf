"""The index beside calls that do nothing, FAISS in process, and another server.

Everything that is compared is measured in turns within one run, because a machine's speed drifts;
the ratio of two neighbours is what to compare, and its median over the rounds what is reported.
Callers run on the same machine and take their part of it.
"""

from __future__ import annotations

from benchmarks.index.rounds import measure

__all__ = ["measure"]
