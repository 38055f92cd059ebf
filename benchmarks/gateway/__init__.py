"""What the gateway and the client add to the services behind them.

A query over the gateway is measured beside the two calls that it is made of, in turns within one
run, because a machine's speed drifts. Callers run on the same machine and take their part of it.
"""

from __future__ import annotations

from benchmarks.gateway.rounds import measure

__all__ = ["measure"]
