"""A new embedder behind a name gets calls within the connection age, and an old one may go.

As behind a headless Service of Kubernetes: clients learn of new addresses only when they connect
again, which servers make them do by ending connections of a certain age.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence

from benchmarks.gateway.services import calls_of
from benchmarks.operations.fleet import Fleet, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.operations.names import NameServer
from benchmarks.processes import free_port
from benchmarks.report import Figure
from lookalike import Client, Embedding
from lookalike.serving.local_stack import ServiceProcess

# gRPC makes each age up to a tenth longer; then names are resolved, not oftener than each 2 s.
_LONGER, _RESOLVING_S = 1.1, 2.0
_PHOTOS_A_SECOND = 10
_RPC = "EmbedImage"


def measure(*, quick: bool) -> list[Figure]:
    """Has connections of half a minute; of five seconds if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return joined(fleet, photos, age_s=5.0 if quick else 30.0)


def joined(fleet: Fleet, photos: Sequence[bytes], *, age_s: float) -> list[Figure]:
    """Starts a second embedder behind a name, then has it take the place of the first."""
    port = free_port()

    def pod(address: str) -> ServiceProcess:
        return fleet.embedder(host=address, port=port, max_connection_age_s=age_s)

    with NameServer() as names:
        names.addresses = ["127.0.0.2"]
        old, index = pod("127.0.0.2"), fleet.index()
        gateway = fleet.gateway(names.target(port), index.address)
        with Load(gateway.address, photos) as load, _Stream(names.target(port), photos) as stream:
            began = time.monotonic()
            before = _share(load, old, [old])
            new = pod("127.0.0.3")
            names.addresses = ["127.0.0.2", "127.0.0.3"]
            known = time.monotonic()
            while not calls_of(new, _RPC) and time.monotonic() < known + 10 * age_s + 60:
                load.answered(4)
            found_s = time.monotonic() - known
            load.answered(40)  # each of the gateway's connections is made by now
            after = _share(load, new, [old, new])
            names.addresses = ["127.0.0.3"]
            if old.stop() != 0:
                raise RuntimeError(f"the old embedder did not stop as it should: {old.log}")
            load.answered(40)
            outcome = load.since(began)
        last = _RESOLVING_S + _LONGER * age_s + 1  # one for the log to be read
        return [
            Figure(
                f"new embedder's first call, of an age of {age_s:g} s", found_s, "s", at_most=last
            ),
            Figure("  its share of calls before", 1 - before, "ratio"),
            Figure("  its share of calls after", after, "ratio", 0.6, 0.4),
            Figure(
                "  failed, with the old one's stop",
                len(outcome.failed),
                "calls",
                at_most=0,
                note=str(outcome),
            ),
            Figure(
                "  failed of a stream beside",
                len(stream.failed),
                "photos",
                at_most=0,
                note=f"of {stream.embedded + len(stream.failed)}",
            ),
        ]


def _share(load: Load, of: ServiceProcess, among: Sequence[ServiceProcess]) -> float:
    """Returns an embedder's share of the next calls."""
    before = {pod.pid: calls_of(pod, _RPC) for pod in among}
    load.answered(200)
    counts = {pod.pid: calls_of(pod, _RPC) - before[pod.pid] for pod in among}
    return counts[of.pid] / sum(counts.values())


class _Stream:
    """One run of the SDK's `embed_many`, for as long as the context lasts.

    Attributes:
        embedded: How many photos were.
        failed: What became of the others.
    """

    def __init__(self, embedders: str, photos: Sequence[bytes]) -> None:
        self._embedders = embedders
        self._photos = photos
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.embedded = 0
        self.failed: list[object] = []

    def _some(self) -> Iterator[tuple[int, bytes]]:
        for number, photo in enumerate(itertools.cycle(self._photos)):
            if self._stop.wait(1 / _PHOTOS_A_SECOND):
                return
            yield number, photo

    def _run(self) -> None:
        try:
            with Client(embedder=self._embedders) as client:
                for _, outcome in client.embed_many(self._some()):
                    if isinstance(outcome, Embedding):
                        self.embedded += 1
                    else:
                        self.failed.append(outcome)
        except Exception as error:  # whatever ended the run is what failed
            self.failed.append(error)

    def __enter__(self) -> _Stream:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
