"""Converts gRPC errors to the errors that users see, which name the service and its address."""

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

# gRPC cancels calls that a stopping server has not started.
LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

# grpc.aio's message, instead of the status, after a write to a stream that has just ended:
# https://github.com/grpc/grpc/issues/36066
_ENDED_MEANWHILE = "Internal error from Core"


def cancelled_call() -> aio.AioRpcError:
    """Returns an error for a call cancelled from outside, for which grpc.aio has none."""
    empty = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.CANCELLED, empty, empty, "the call was cancelled")


def failure(
    rpc_error: grpc.RpcError, service: str, target: str, timeout_s: float | None = None
) -> LookalikeError:
    """Returns the service's own error unchanged, or describes the error of the connection.

    Args:
        rpc_error: The error that gRPC raised.
        service: `gateway`, `embedder` or `index`.
        target: Its address.
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
