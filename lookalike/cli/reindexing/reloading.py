"""Lets an embedder take up another model bundle."""

from __future__ import annotations

import grpc

from lookalike.embedder.v1.admin_pb2 import ReloadModelRequest
from lookalike.embedder.v1.admin_pb2_grpc import EmbedderAdminServiceStub
from lookalike.status import from_rpc_error


def reload_model(target: str, timeout_s: float | None = None) -> str:
    """Lets an embedder serve the bundle in its directory; returns the embedding space it serves.

    Args:
        target: The embedder's admin port.
        timeout_s: Longest that it may take; None for two minutes.
    """
    with grpc.insecure_channel(target) as channel:
        stub = EmbedderAdminServiceStub(channel)
        try:
            answer = stub.ReloadModel(ReloadModelRequest(), timeout=timeout_s or 120.0)
        except grpc.RpcError as rpc_error:
            raise from_rpc_error(rpc_error) from None
    return str(answer.model.embedding_space)
