"""The index service and the empty one, each a process on loopback with a folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.index.clients import lone_caller, streamed
from benchmarks.processes import cpu_seconds, resident_bytes, wants_to_run
from lookalike.index.v1 import index_pb2 as pb
from lookalike.serving.local_stack import ServiceProcess

_START_S = 900
_GRAPH_S = 3600
_POLL_S = 0.005
_IDLE_S = 1.0
_LOOKS = 20


class IndexProcess:
    """`python -m index_service` on a data directory in a folder; use as a context manager.

    Args:
        folder: Of the data and the log; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._service = ServiceProcess(
            "index_service",
            {
                "LOOKALIKE_INDEX_DATA_DIR": str(self._data.resolve()),
                "LOOKALIKE_INDEX_PORT": "0",
            },
            folder / "index.log",
        )

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._service.address

    @property
    def resident_bytes(self) -> int:
        """Its resident memory."""
        return resident_bytes(self._service.pid)

    def start(self) -> float:
        """Starts it; returns the seconds until its health says that it is ready."""
        started = time.perf_counter()
        self._service.start(_START_S)
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            name = pb.DESCRIPTOR.services_by_name["IndexService"].full_name
            request = health_pb2.HealthCheckRequest(service=name)
            while health.Check(request).status != health_pb2.HealthCheckResponse.SERVING:
                if time.perf_counter() - started > _START_S:
                    raise RuntimeError(f"not ready after {_START_S} s: {self._service.log}")
                time.sleep(_POLL_S)
        return time.perf_counter() - started

    def stop(self) -> None:
        """Stops it; what it has on disk stays."""
        if status := self._service.stop(timeout_s=300):
            raise RuntimeError(f"index_service ended with {status}: {self._service.log}")

    def restart(self) -> float:
        """Stops it and returns what `start` does."""
        self.stop()
        return self.start()

    def restart_without_cache(self) -> float:
        """Likewise, with nothing to go by but the store of record.

        It is stopped after that, and the cache put back.
        """
        self.stop()
        cache, aside = self._data / "cache", self._data.with_name("cache-aside")
        cache.rename(aside)
        try:
            return self.start()
        finally:
            self._service.kill()  # a stop would wait for the cache that it writes
            shutil.rmtree(cache, ignore_errors=True)
            aside.rename(cache)

    def fill(
        self, collection: pb.CreateCollectionRequest, batches: Iterable[pb.BatchUpsertItemsRequest]
    ) -> float:
        """Creates a collection and writes to it; returns the seconds."""
        with lone_caller(self.address) as stub:
            stub.CreateCollection(collection)
        return streamed(self.address, in_stream(batches))

    def wait_for_graph(self, name: str) -> pb.CollectionState:
        """Returns a collection's state once its graph leads to all of its items.

        Or to most: a service that leaves the newest ones to be compared one by one has done what it
        will do when it no longer uses the processor.
        """
        deadline = time.monotonic() + _GRAPH_S
        with lone_caller(self.address) as stub:
            while time.monotonic() < deadline:
                idle = self._is_idle()
                states = stub.GetIndex(pb.GetIndexRequest()).collections
                state = next(state for state in states if state.name == name)
                if state.items_in_graph == state.items or (idle and state.items_in_graph):
                    return state
        raise RuntimeError(f"there is no graph of the items after {_GRAPH_S} s:\n{state}")

    def _is_idle(self) -> bool:
        """Watches for a second; on a busy machine work may get no time, but waits for it."""
        pid = self._service.pid
        before, waits = cpu_seconds(pid), 0
        for _ in range(_LOOKS):
            time.sleep(_IDLE_S / _LOOKS)
            waits += wants_to_run(pid)
        return waits <= 1 and cpu_seconds(pid) - before < 0.1 * _IDLE_S

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._service.stop()


@contextmanager
def empty_service(folder: Path, response: pb.FindNeighborsResponse) -> Iterator[str]:
    """Yields the address of a service that answers any query with this."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "response"
    file.write_bytes(response.SerializeToString())
    environment = {"RESPONSE": str(file.resolve())}
    module = "benchmarks.baselines.empty_index"
    with ServiceProcess(module, environment, folder / "empty.log") as service:
        yield service.address


def in_stream(
    batches: Iterable[pb.BatchUpsertItemsRequest],
) -> Iterator[pb.StreamUpsertItemsRequest]:
    """Yields batches as a stream wants them."""
    for number, batch in enumerate(batches):
        yield pb.StreamUpsertItemsRequest(id=str(number), request=batch)
