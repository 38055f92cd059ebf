"""Lets an embedder take up another model bundle."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from lookalike.channel import TLS, open_blocking_channel
from lookalike.embedder.v1.admin_pb2 import ReloadModelRequest
from lookalike.embedder.v1.admin_pb2_grpc import EmbedderAdminServiceStub
from lookalike.status import from_rpc_error


@dataclass(frozen=True)
class Reload:
    """An embedder that is to serve the bundle in its directory.

    Args:
        target: The embedder's admin port.
        timeout_s: Longest that it may take; None for two minutes.
        tls: How to encrypt; None for plaintext.
        token: Of the scope admin; None for none.
    """

    target: str
    timeout_s: float | None = None
    tls: TLS | None = None
    token: str | None = None

    def run(self) -> str:
        """Reloads it, and returns the embedding space that it serves then."""
        metadata = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        with open_blocking_channel(self.target, retries=0, tls=self.tls) as channel:
            stub = EmbedderAdminServiceStub(channel)
            try:
                answer = stub.ReloadModel(
                    ReloadModelRequest(), timeout=self.timeout_s or 120.0, metadata=metadata
                )
            except grpc.RpcError as rpc_error:
                raise from_rpc_error(rpc_error) from None
        return str(answer.model.embedding_space)
