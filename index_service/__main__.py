"""Runs the index service: `python -m index_service`.

python -m index_service                             serve
python -m index_service restore SNAPSHOT DIRECTORY  make a data directory of a snapshot
python -m index_service salvage DIRECTORY           keep what can be read of a damaged store
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from index_service.backend import Backend
from index_service.config import PREFIX, IndexSettings
from index_service.native.backend import NativeBackend, open_native
from index_service.native.disk import snapshot
from index_service.native.disk.data_directory import exclusive
from index_service.native.store import salvage
from index_service.records import IndexState
from index_service.servicer import NAME, SCOPES, IndexServicer
from index_service.telemetry import IndexTelemetry
from index_service.workers import Workers
from lookalike.errors import LookalikeError, StartupError
from lookalike.index.v1.index_pb2_grpc import add_IndexServiceServicer_to_server
from lookalike.serving.server import GrpcServer, run

# Searches and writes share the interpreter; in Python's default of 5 ms, fifty quick searches run.
_SWITCH_INTERVAL_S = 0.0005
# A cluster's answer to a scrape, of which Prometheus by default waits for 10 s.
_LONGEST_STATE_S = 3.0

logger = logging.getLogger(__name__)


async def serve(settings: IndexSettings) -> None:
    """Serves until SIGTERM or SIGINT."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    admin_elsewhere = f"{PREFIX}ADMIN_PORT" if settings.admin_port >= 0 else ""
    server = GrpcServer(settings, PREFIX, admin_elsewhere=admin_elsewhere)
    server.bind()
    admin = None
    if admin_elsewhere:
        admin = GrpcServer(settings.admin(), f"{PREFIX}ADMIN_", beside=server)
        admin.bind()
    with ExitStack() as stack:
        async with server.probed(NAME):
            try:
                backend = await asyncio.to_thread(stack.enter_context, _opened(settings))
            except LookalikeError as error:
                raise StartupError(error.message) from error
        conversions = stack.enter_context(
            Workers("conversions", threads=1, waiting=settings.max_waiting_reads)
        )
        telemetry = IndexTelemetry(server.telemetry)
        _watch(telemetry, backend, settings)
        # A cluster's items are new objects each time.
        cached = settings.max_cached_items if isinstance(backend, NativeBackend) else 0
        servicer = IndexServicer(backend, conversions, telemetry.searched, cached)
        for each in filter(None, (server, admin)):
            each.add(add_IndexServiceServicer_to_server, servicer, NAME, SCOPES)
        await server.start()
        await server.set_ready(True)
        await server.wait_for_stop()


def _watch(telemetry: IndexTelemetry, backend: Backend, settings: IndexSettings) -> None:
    if isinstance(backend, NativeBackend):
        waiting = None if settings.read_only else backend.waiting_writes
        telemetry.watch(backend.current_state, waiting, settings.data_dir)
        return
    loop = asyncio.get_running_loop()

    def state() -> IndexState | None:
        asked = asyncio.run_coroutine_threadsafe(backend.state(), loop)
        try:
            return asked.result(_LONGEST_STATE_S)
        except (LookalikeError, TimeoutError) as error:
            asked.cancel()
            logger.warning(
                "no state of the collections", extra={"reason": str(error) or "no answer"}
            )
            return None

    telemetry.watch(state, None, None)


@contextmanager
def _opened(settings: IndexSettings) -> Iterator[Backend]:
    if settings.backend == "milvus":
        if not settings.milvus_uri:
            raise StartupError(f"{PREFIX}MILVUS_URI is not set; the milvus backend needs it")
        try:  # pymilvus is an optional dependency
            from index_service.milvus.backend import open_milvus  # noqa: PLC0415
        except ImportError as error:
            raise StartupError(f"the milvus backend is not installed: {error}") from None
        with open_milvus(settings) as backend:
            yield backend
        return
    with ExitStack() as stack:
        if not settings.read_only:  # any number of processes may serve the same snapshot
            stack.enter_context(exclusive(settings.data_dir, f"{PREFIX}DATA_DIR"))
        yield stack.enter_context(open_native(settings))


def main(arguments: list[str]) -> None:
    """Runs one of the verbs above."""
    match arguments:
        case [] | ["--insecure"]:
            run("index_service", IndexSettings, PREFIX, serve)
        case ["restore", source, directory]:
            seq = snapshot.restore(Path(source), Path(directory))
            print(f"restored {source} to {directory}: all writes up to {seq}")  # noqa: T201
        case ["salvage", directory]:
            with exclusive(Path(directory), "DIRECTORY"):
                done = salvage.salvage(Path(directory) / snapshot.DATABASE)
            kept = ", ".join(f"{count} {table}" for table, count in done.kept.items())
            report = f"kept {kept}; {done.dropped} more were damaged; the old one is {done.damaged}"
            print(report)  # noqa: T201
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except StartupError as error:
        sys.exit(f"index_service: {error}")
