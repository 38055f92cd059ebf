"""Another process that writes as fast as it can, while this one asks.

In a process of its own because its Python would otherwise hold up the caller that is timed.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from benchmarks.index import messages
from benchmarks.index.clients import streamed
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import in_stream

_START_S = 120


class Ingest:
    """Writes new items to a collection over one stream; use as a context manager.

    Args:
        address: Of the service.
        name: Of the collection.
        photos: What is written.
        first: Number of the first block.
        blocks: How many.
    """

    def __init__(self, address: str, name: str, photos: Photos, first: int, blocks: int) -> None:
        spawn = multiprocessing.get_context("spawn")  # gRPC cannot be forked
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_write,
            args=(theirs, address, name, photos),
            kwargs={"first": first, "blocks": blocks},
        )
        self._blocks = blocks

    def begin(self) -> None:
        """Starts to write; everything is serialised by then."""
        self._connection.send(None)

    def going(self) -> bool:
        """Whether there still is something to write."""
        return self._process.is_alive() and not self._connection.poll()

    def rate(self) -> float:
        """Returns the items written a second, at the end."""
        return self._blocks * BLOCK / float(self._connection.recv())

    def __enter__(self) -> Self:
        self._process.start()
        if not self._connection.poll(_START_S):
            raise RuntimeError("the process that writes did not start")
        self._connection.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error:
            self._process.kill()
        self._process.join()


def _write(
    connection: Connection, address: str, name: str, photos: Photos, *, first: int, blocks: int
) -> None:
    made = messages.batches(photos, name, blocks * BLOCK, first=first)
    batches = [batch.SerializeToString() for batch in in_stream(made)]
    connection.send(None)
    connection.recv()
    connection.send(streamed(address, batches))
