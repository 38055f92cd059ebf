"""Two embedders, an index with listings in it, and gateways: each a process on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import numpy as np

from lookalike.index.v1 import index_pb2 as index
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

COLLECTION, ALIAS = "listings-bench", "listings"
_DIMENSION = 13


class Services:
    """Use as a context manager; all that was started is stopped with it.

    Args:
        bundle: What the embedders serve, in int8.
        folder: For data and logs.
    """

    def __init__(self, bundle: Path, folder: Path) -> None:
        self._bundle = bundle.resolve()
        self._folder = folder
        self._stack = ExitStack()

    def embedder(self, name: str) -> ServiceProcess:
        """Starts an embedder."""
        settings = {
            "BUNDLE": self._bundle,
            "PRECISION": "int8",
            "ADMIN_PORT": 0,
            "COMPILE_CACHE": self._folder / "compiled",
        }
        return self._start("embedder_service", "EMBEDDER", settings, name)

    def empty_index(self) -> str:
        """Starts an index; returns its address."""
        settings = {"DATA_DIR": self._folder / "index"}
        return self._start("index_service", "INDEX", settings, "index").address

    def index(self, embedding_space: str, listings: int) -> str:
        """Starts an index with so many listings of random vectors; returns its address."""
        address = self.empty_index()
        collection = index.Collection(
            name=COLLECTION, embedding_space=embedding_space, dimension=_DIMENSION
        )
        vectors = np.random.default_rng(7).normal(size=(listings, _DIMENSION)).tolist()
        items = [
            index.Item(
                id=f"photo-{number}",
                product_id=f"listing-{number // 2}",
                category="Home & Garden",
                price=number,
                vector=index.Vector(values=vector, embedding_space=embedding_space),
            )
            for number, vector in enumerate(vectors)
        ]
        with grpc.insecure_channel(address) as channel:
            stub = IndexServiceStub(channel)
            stub.CreateCollection(index.CreateCollectionRequest(collection=collection))
            for start in range(0, listings, 1000):
                some = items[start : start + 1000]
                request = index.BatchUpsertItemsRequest(collection=COLLECTION, items=some)
                stub.BatchUpsertItems(request)
            stub.SetAlias(index.SetAliasRequest(name=ALIAS, collection=COLLECTION))
        return address

    def gateway(self, embedders: str, index_address: str, name: str) -> ServiceProcess:
        """Starts a gateway in front of the embedders and the index."""
        settings = {"EMBEDDER": embedders, "INDEX": index_address, "HTTP_PORT": 0}
        return self._start("gateway", "GATEWAY", settings, name)

    def _start(
        self, module: str, prefix: str, settings: Mapping[str, object], name: str
    ) -> ServiceProcess:
        environment = {"PORT": "0", **settings}
        variables = {f"LOOKALIKE_{prefix}_{key}": str(v) for key, v in environment.items()}
        service = ServiceProcess(module, variables, self._folder / f"{name}.log")
        return self._stack.enter_context(service)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def calls_of(service: ServiceProcess, method: str) -> int:
    """Returns how many calls of a method the service's log tells of."""
    count = 0
    for line in service.log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            count += str(json.loads(line).get("method", "")).endswith(f"/{method}")
    return count
