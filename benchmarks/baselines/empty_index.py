"""An index service without an index: what gRPC and the messages cost by themselves.

python -m benchmarks.baselines.empty_index, with RESPONSE, a file, in the environment
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from grpc import aio

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import (
    IndexServiceServicer,
    add_IndexServiceServicer_to_server,
)


class EmptyServicer(IndexServiceServicer):
    """Answers every query with the same message, serialised anew as any answer is."""

    def __init__(self, response: pb.FindNeighborsResponse) -> None:
        self._response = response

    async def FindNeighbors(
        self, request: pb.FindNeighborsRequest, context: Any
    ) -> pb.FindNeighborsResponse:
        return self._response


async def _serve(response: pb.FindNeighborsResponse) -> None:
    server = aio.server()
    servicer = EmptyServicer(response)  # type: ignore[abstract]  # all else is refused
    add_IndexServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"event": "serving", "address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    content = Path(os.environ["RESPONSE"]).read_bytes()
    asyncio.run(_serve(pb.FindNeighborsResponse.FromString(content)))
