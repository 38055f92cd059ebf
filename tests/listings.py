"""What tests of bad input to the index share: a service with a little in it, and requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

SPACE = "space-1"
NAN, INF = float("nan"), float("inf")


class Index(NamedTuple):
    """A service that holds `lamp-1` and `sofa-1` in `listings`, to which `shop` leads."""

    process: ServiceProcess
    stub: IndexServiceStub

    def newest_write(self) -> int:
        """Returns the number of the newest write."""
        return self.stub.GetIndex(pb.GetIndexRequest()).applied_seq


@contextmanager
def index_with_listings(folder: Path) -> Iterator[Index]:
    """Starts the service, and stops it at the end."""
    environment = {
        "LOOKALIKE_INDEX_PORT": "0",
        "LOOKALIKE_INDEX_DATA_DIR": str(folder / "data"),
        # So that what has too many entries is refused for their number, not for its bytes.
        "LOOKALIKE_INDEX_MAX_MESSAGE_BYTES": str(64 << 20),
    }
    with (
        ServiceProcess("index_service", environment, folder / "index_service.log") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        stub = IndexServiceStub(channel)
        stub.CreateCollection(create())
        stub.SetAlias(pb.SetAliasRequest(name="shop", collection="listings"))
        stub.BatchUpsertItems(upsert(item(), item(id="sofa-1", product_id="sofa")))
        yield Index(process, stub)


def create(**changes: Any) -> pb.CreateCollectionRequest:
    """Returns a good request, but for the changes."""
    fields = {
        "name": "listings",
        "embedding_space": SPACE,
        "dimension": 2,
        "features_dimension": 2,
        "indexed_attributes": ["colour"],
        **changes,
    }
    return pb.CreateCollectionRequest(collection=pb.Collection(**fields))


def item(**changes: Any) -> pb.Item:
    """Returns `lamp-1`, but for the changes."""
    fields = {
        "id": "lamp-1",
        "product_id": "lamp",
        "vector": vector(1, 2),
        "features": [3, 4],
        **changes,
    }
    return pb.Item(**fields)


def vector(*values: float, space: str = SPACE) -> pb.Vector:
    """Returns a vector."""
    return pb.Vector(values=values, embedding_space=space)


def upsert(*items: pb.Item, **changes: Any) -> pb.BatchUpsertItemsRequest:
    """Returns a good request if the items are, but for the changes."""
    return pb.BatchUpsertItemsRequest(**{"collection": "listings", "items": items, **changes})


def find(**changes: Any) -> pb.FindNeighborsRequest:
    """Returns a good request, but for the changes."""
    fields = {
        "collection": "listings",
        "queries": [pb.Query(vector=vector(1, 2))],
        "k": 1,
        **changes,
    }
    return pb.FindNeighborsRequest(**fields)
