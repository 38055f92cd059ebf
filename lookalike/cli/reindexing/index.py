"""The index service as re-indexing sees it. Errors are ours, never gRPC's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import grpc

from lookalike.channel import MAX_MESSAGE_BYTES
from lookalike.errors import CollectionExistsError, LookalikeError, UpstreamUnavailableError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.status import from_rpc_error

PAGE = 1000
PAGE_WITH_VECTORS = 250  # a page of vectors and features must fit into a message
# An attribute of each copied item: what it was made from. Other attributes are the catalogue's.
MADE_FROM = "reindexed_from"

_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # Every call here may be repeated.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Index:
    """One index service; use it as a context manager.

    Args:
        target: Its `host:port`.
        timeout_s: Longest that one call may take; None for a minute.
    """

    def __init__(self, target: str, timeout_s: float | None = None) -> None:
        self._target = target
        self._timeout_s = timeout_s or 60.0
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        self._stub = IndexServiceStub(self._channel)

    def aliases(self) -> dict[str, str]:
        """Returns where each alias leads."""
        with self._calling():
            answer = self._stub.ListAliases(pb.ListAliasesRequest(), timeout=self._timeout_s)
        return {alias.name: alias.collection for alias in answer.aliases}

    def collections(self) -> dict[str, pb.Collection]:
        """Returns all collections by name."""
        request = pb.ListCollectionsRequest()
        with self._calling():
            answer = self._stub.ListCollections(request, timeout=self._timeout_s)
        return {collection.name: collection for collection in answer.collections}

    def ensure(self, collection: pb.Collection) -> pb.Collection:
        """Creates a collection unless one of its name is there; returns the one that is."""
        try:
            with self._calling():
                create = pb.CreateCollectionRequest(collection=collection)
                self._stub.CreateCollection(create, timeout=self._timeout_s)
        except CollectionExistsError:
            pass
        with self._calling():
            request = pb.GetCollectionRequest(name=collection.name)
            return self._stub.GetCollection(request, timeout=self._timeout_s).collection

    def items(self, collection: str, view: pb.ItemView.ValueType) -> Iterator[pb.Item]:
        """Yields all items in the order of writing; twice what is written again meanwhile."""
        token = ""
        size = PAGE_WITH_VECTORS if view == pb.ITEM_VIEW_VECTORS else PAGE
        while True:
            request = pb.ListItemsRequest(
                collection=collection, page_size=size, page_token=token, view=view
            )
            with self._calling():
                answer = self._stub.ListItems(request, timeout=self._timeout_s)
            yield from answer.items
            if not (token := answer.next_page_token):
                return

    def upsert(self, collection: str, items: Sequence[pb.Item]) -> None:
        """Writes items."""
        request = pb.BatchUpsertItemsRequest(collection=collection, items=items)
        with self._calling():
            self._stub.BatchUpsertItems(request, timeout=self._timeout_s)

    def delete(self, collection: str, item_ids: Sequence[str]) -> None:
        """Deletes items; any number."""
        for start in range(0, len(item_ids), PAGE):
            request = pb.BatchDeleteItemsRequest(
                collection=collection, item_ids=item_ids[start : start + PAGE]
            )
            with self._calling():
                self._stub.BatchDeleteItems(request, timeout=self._timeout_s)

    def neighbors(
        self,
        collection: str,
        item_ids: Sequence[str],
        k: int,
        *,
        of_listings: bool,
        rerank: pb.Rerank | None = None,
    ) -> list[pb.QueryResult]:
        """Returns the neighbours of items.

        Args:
            collection: Where to look.
            item_ids: The queries.
            k: How many.
            of_listings: Each other listing once; else every photo, those of its own listing too.
            rerank: How candidates are ranked again; None for by vector alone.
        """
        request = pb.FindNeighborsRequest(
            collection=collection,
            queries=[pb.Query(item_id=item_id) for item_id in item_ids],
            k=k,
            distinct_products=of_listings,
            exclude_same_product=of_listings,
            rerank=rerank,
        )
        with self._calling():
            return list(self._stub.FindNeighbors(request, timeout=self._timeout_s).results)

    def set_alias(self, name: str, collection: str) -> None:
        """Lets a name lead to a collection, atomically."""
        request = pb.SetAliasRequest(name=name, collection=collection)
        with self._calling():
            self._stub.SetAlias(request, timeout=self._timeout_s)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            if error.code is grpc.StatusCode.UNAVAILABLE:
                raise UpstreamUnavailableError(
                    f"the index at {self._target} cannot be reached: {error.message}"
                ) from None
            raise error from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()


def reload_model(target: str, timeout_s: float | None = None) -> str:
    """Lets an embedder serve the bundle in its directory; returns the embedding space it serves.

    Args:
        target: The embedder's admin port.
        timeout_s: Longest that it may take; None for two minutes.
    """
    from lookalike.embedder.v1.admin_pb2 import ReloadModelRequest
    from lookalike.embedder.v1.admin_pb2_grpc import EmbedderAdminServiceStub

    with grpc.insecure_channel(target) as channel:
        stub = EmbedderAdminServiceStub(channel)
        try:
            answer = stub.ReloadModel(ReloadModelRequest(), timeout=timeout_s or 120.0)
        except grpc.RpcError as rpc_error:
            error: LookalikeError = from_rpc_error(rpc_error)
            raise error from None
    return str(answer.model.embedding_space)


def fingerprint(item: pb.Item) -> str:
    """Returns what changes when a listing is written anew with another text or another photo.

    Another photo has another vector, by the model that the old collection is of.
    """
    plain = pb.Item()
    plain.CopyFrom(item)
    plain.attributes.pop(MADE_FROM, None)
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()[:32]
