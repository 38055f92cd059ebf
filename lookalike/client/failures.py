"""A failed call, as the error that users see: it names the service and where it was called."""

from __future__ import annotations

import grpc
from grpc import aio

from lookalike.errors import (
    DeadlineExceededError,
    ForeignError,
    LookalikeError,
    UpstreamUnavailableError,
)
from lookalike.status import from_rpc_error

# gRPC cancels calls that reach a stopping server before it takes them up.
LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

# grpc.aio puts this in place of a stream's status when it wrote to a stream that had just ended:
# https://github.com/grpc/grpc/issues/36066
_ENDED_MEANWHILE = "Internal error from Core"


def cancelled_call() -> aio.AioRpcError:
    """Returns the error of a call that was cancelled from outside, which grpc.aio has none for."""
    empty = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.CANCELLED, empty, empty, "the call was cancelled")


def failure(
    rpc_error: grpc.RpcError, service: str, target: str, timeout_s: float | None = None
) -> LookalikeError:
    """Returns the service's own error unchanged, or tells what gRPC says of the connection.

    Args:
        rpc_error: What gRPC raised.
        service: `gateway`, `embedder` or `index`.
        target: Where it was called.
        timeout_s: The call's deadline, if it had one.
    """
    error = from_rpc_error(rpc_error)
    if not isinstance(error, ForeignError):
        return error
    where = f"the {service} at {target}"
    if error.code in LOST or error.message == _ENDED_MEANWHILE:
        return UpstreamUnavailableError(
            f"{where} cannot be reached: {error.message}", metadata={"upstream": service}
        )
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout_s is not None:
        return DeadlineExceededError(f"no answer from {where} within {timeout_s:g} s (timeout)")
    return ForeignError(f"{where}: {error.message}", code=error.code)
