"""Each service is restarted while it is called: no call fails."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.operations.fleet import Fleet, addresses, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess

# Of a log's lines, those that tell of calls; health checks are not among them.
_CALL = '"method": '
_FOUND_S = 60.0


def measure(*, quick: bool) -> list[Figure]:
    """Restarts each several times; once if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return restarted(fleet, photos, rounds=1 if quick else 5)


def restarted(fleet: Fleet, photos: Sequence[bytes], *, rounds: int) -> list[Figure]:
    """Restarts two embedders, the index and two gateways, one after the other, by SIGTERM."""
    embedders = [fleet.embedder() for _ in range(2)]
    index = fleet.index(log_requests="true")  # by which it is seen to be called again
    gateways = [fleet.gateway(addresses(embedders), index.address) for _ in range(2)]
    figures = []
    with Load(addresses(gateways), photos) as load:
        for name, services in (
            ("two embedders", embedders),
            ("the index", [index]),
            ("two gateways", gateways),
        ):
            moment = time.monotonic()
            found_s = max(_restart(service, load) for service in rounds * services)
            outcome = load.since(moment)
            told = f"{outcome}; {rounds * len(services)} restarts"
            figures += [
                Figure(
                    f"{name} restarted: failed", len(outcome.failed), "calls", at_most=0, note=told
                ),
                Figure("  longest call", outcome.longest_s, "s"),
                Figure("  longest until one was called again", found_s, "s"),
            ]
    return [*figures, Figure("  lost writes", len(load.lost()), "writes", at_most=0)]


def _restart(service: ServiceProcess, load: Load) -> float:
    """Returns the seconds from the start until a call came.

    The next one must not be stopped before: a client that still waits to connect again would have
    no server. An orchestrator waits for readiness and some seconds more.
    """
    if service.stop() != 0:
        raise RuntimeError(f"{service.module} did not stop as it should: {service.log}")
    service.start()
    started = time.monotonic()
    while _CALL not in service.log.read_text(errors="replace"):
        if time.monotonic() > started + _FOUND_S:
            raise RuntimeError(f"{service.module} has had no call for {_FOUND_S:g} s")
        load.answered(4)
    found_s = time.monotonic() - started
    load.answered(20)
    return found_s
