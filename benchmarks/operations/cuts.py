"""The network between the gateway and an upstream is cut: what fails, how soon, and for how long.

Packets are dropped without a word, as by a broken switch: no connection is told of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.operations.fleet import EMBEDDER, GATEWAY, INDEX, Fleet, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.operations.networks import Networks, NotPossibleError
from benchmarks.report import Figure

CUT_S = 10.0
# Of each call.
DEADLINE_S = 2.0
_NAMES = {EMBEDDER: "embedder", INDEX: "index", GATEWAY: "gateway"}


def measure(*, quick: bool) -> list[Figure]:
    """Cuts for ten seconds; for three if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        try:
            with Networks(list(_NAMES.values())) as networks:
                return cut(fleet, photos, networks, seconds=3.0 if quick else CUT_S)
        except NotPossibleError as error:
            return [Figure("network cut", float("nan"), "calls", note=f"not run here: {error}")]


def cut(
    fleet: Fleet, photos: Sequence[bytes], networks: Networks, *, seconds: float
) -> list[Figure]:
    """Cuts off the embedder and then the index, each from all others; stops the services."""

    def where(module: str) -> dict[str, object]:
        name = _NAMES[module]
        host, within = networks.address(name), networks.within(name)
        return {"host": host, "within": within, "insecure": "true"}

    try:
        embedder, index = fleet.embedder(**where(EMBEDDER)), fleet.index(**where(INDEX))
        gateway = fleet.gateway(embedder.address, index.address, **where(GATEWAY))
        figures = []
        with Load(gateway.address, photos, timeout_s=DEADLINE_S, retries=0) as load:
            for name in ("embedder", "index"):
                moment = time.monotonic()
                with networks.cut_off(name):
                    time.sleep(seconds)
                joined = time.monotonic()
                load.answered(100)
                outcome = load.since(moment)
                back_s = max((call.ended - joined for call in outcome.failed), default=0.0)
                figures += [
                    Figure(
                        f"{name} cut off for {seconds:g} s: failed",
                        len(outcome.failed),
                        "calls",
                        note=str(outcome),
                    ),
                    Figure(
                        f"  longest call, of a deadline of {DEADLINE_S:g} s",
                        outcome.longest_s,
                        "s",
                        at_most=DEADLINE_S + 0.5,
                    ),
                    Figure("  last failure after its end", max(0.0, back_s), "s"),
                ]
        written = len(load.acknowledged)
        lost = Figure("lost writes", len(load.lost()), "writes", 0, note=f"of {written}")
        return [*figures, lost]
    finally:
        fleet.stop()  # before the namespaces go
