"""Each service is killed while it is called: what fails, for how long, and that nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.operations.fleet import Fleet, addresses, benchmark_fleet
from benchmarks.operations.load import Load, Outcome
from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess

# Longer than calls wait for an upstream.
AWAY_S = 10.0


def measure(*, quick: bool) -> list[Figure]:
    """Kills each several times; once if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return killed(fleet, photos, rounds=1 if quick else 5, away_s=0.0 if quick else AWAY_S)


def killed(
    fleet: Fleet, photos: Sequence[bytes], *, rounds: int, away_s: float = 0.0
) -> list[Figure]:
    """Kills, by SIGKILL, one of two embedders, one of two gateways and the index.

    Args:
        fleet: Where they are started.
        photos: What is sent.
        rounds: How often each is killed, and started again at once.
        away_s: How long the index stays away at last; 0 leaves that out.
    """
    embedders = [fleet.embedder() for _ in range(2)]
    index = fleet.index()
    gateways = [fleet.gateway(addresses(embedders), index.address) for _ in range(2)]
    figures = []
    with Load(addresses(gateways), photos) as load:

        def during(service: ServiceProcess, away_s: float = 0.0) -> Outcome:
            moment = time.monotonic()
            service.kill()
            time.sleep(away_s)
            service.start()
            load.answered(20)
            return load.since(moment)

        for name, service in (
            ("one of two embedders", embedders[0]),
            ("the index", index),
            ("one of two gateways", gateways[0]),
        ):
            outcomes = [during(service) for _ in range(rounds)]
            figures += _figures(f"{name} killed and started", outcomes, at_most=0)
        if away_s:
            outcome = during(index, away_s)
            figures += _figures(f"the index killed and away for {away_s:g} s", [outcome])
    written = len(load.acknowledged)
    lost = Figure("lost writes", len(load.lost()), "writes", 0, note=f"of {written} acknowledged")
    return [*figures, lost]


def _figures(name: str, outcomes: Sequence[Outcome], at_most: float | None = None) -> list[Figure]:
    """Returns what failed, until when after the kill, and the longest call."""
    told = "; ".join(str(outcome) for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)

    def most(of: Callable[[Outcome], float]) -> float:
        return max(of(outcome) for outcome in outcomes)

    figures = [Figure(f"{name}: failed", failed, "calls", at_most, note=told)]
    if failed:
        figures.append(Figure("  last failure after", most(lambda one: one.failing_s), "s"))
    return [*figures, Figure("  longest call", most(lambda one: one.longest_s), "s")]
