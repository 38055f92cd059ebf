"""Runs the index service: `python -m index_service`. Wiring only."""

from __future__ import annotations

from contextlib import ExitStack

from index_service.catalog import Catalog
from index_service.config import PREFIX, IndexSettings
from index_service.data_directory import exclusive
from index_service.servicer import NAME, IndexServicer
from index_service.store import Store
from index_service.workers import Workers
from lookalike.cpu import available_cores
from lookalike.errors import LookalikeError, StartupError
from lookalike.index.v1.index_pb2_grpc import add_IndexServiceServicer_to_server
from lookalike.server import GrpcServer, run


async def serve(settings: IndexSettings) -> None:
    """Serves until SIGTERM or SIGINT."""
    server = GrpcServer(settings, PREFIX)
    server.bind()
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(settings.data_dir, f"{PREFIX}DATA_DIR"))
            store = stack.enter_context(Store(settings.data_dir / "index.sqlite3"))
            catalog = Catalog(store)
            catalog.load()
        except LookalikeError as error:
            raise StartupError(error.message) from error
        reads = stack.enter_context(
            Workers(
                "reads",
                threads=settings.search_threads or available_cores(),
                waiting=settings.max_waiting_reads,
            )
        )
        # One thread: SQLite takes one writer at a time anyway, and so they wait in one order.
        writes = stack.enter_context(
            Workers("writes", threads=1, waiting=settings.max_waiting_writes)
        )
        servicer = IndexServicer(catalog, reads, writes)
        server.add(add_IndexServiceServicer_to_server, servicer, NAME)
        await server.start()
        await server.set_ready(True)
        await server.wait_for_stop()


if __name__ == "__main__":
    run("index_service", IndexSettings, PREFIX, serve)
