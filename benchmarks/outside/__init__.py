"""What the outside world may send: the costliest photos, others' photos beside them, and a million.

The costliest permitted photos are searched for, not guessed.
"""

from __future__ import annotations

from benchmarks.outside.rounds import measure

__all__ = ["measure"]
