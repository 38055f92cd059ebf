"""What is claimed of running the services, executed: each claim is a module with its `measure`."""

from __future__ import annotations

from benchmarks.operations.rounds import CLAIMS, measure

__all__ = ["CLAIMS", "measure"]
