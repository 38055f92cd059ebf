"""Each service is restarted while it is called: no call fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.operations.fleet import Fleet, addresses, benchmark_fleet
from benchmarks.operations.load import Load, Outcome
from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess


def measure(*, quick: bool) -> list[Figure]:
    """Restarts each several times; once if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return restarted(fleet, photos, rounds=1 if quick else 5)


def restarted(fleet: Fleet, photos: Sequence[bytes], *, rounds: int) -> list[Figure]:
    """Restarts two embedders, the index and two gateways, one after the other, by SIGTERM."""
    embedders = [fleet.embedder() for _ in range(2)]
    index = fleet.index()
    gateways = [fleet.gateway(addresses(embedders), index.address) for _ in range(2)]
    figures = []
    with Load(addresses(gateways), photos) as load:
        for name, services in (
            ("two embedders", embedders),
            ("the index", [index]),
            ("two gateways", gateways),
        ):
            outcome = _during(load, services, rounds, _restart)
            told = f"{outcome}; {rounds * len(services)} restarts"
            figures += [
                Figure(f"{name} restarted: failed", len(outcome.failed), "calls", 0, note=told),
                Figure("  longest call", outcome.longest_s, "s"),
            ]
    return [*figures, Figure("  lost writes", len(load.lost()), "writes", at_most=0)]


def _restart(service: ServiceProcess) -> None:
    if service.stop() != 0:
        raise RuntimeError(f"{service.module} did not stop as it should: {service.log}")
    service.start()


def _during(
    load: Load,
    services: Sequence[ServiceProcess],
    rounds: int,
    work: Callable[[ServiceProcess], None],
) -> Outcome:
    moment = time.monotonic()
    for _ in range(rounds):
        for service in services:
            work(service)
            load.answered(20)
    return load.since(moment)
