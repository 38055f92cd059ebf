"""Converts errors to `google.rpc.Status` and back.

Reasons and details follow Google's AIP-193: https://google.aip.dev/193
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from lookalike.errors import ForeignError, InternalError, LookalikeError

DOMAIN = "lookalike"
# A status is sent in trailers, up to three times over, and clients accept 8 KiB of them: a larger
# one would reach the caller as an error of gRPC's own, without code or reason.
MAX_MESSAGE_BYTES = 1024
MAX_DETAIL_BYTES = 256


def to_status(error: BaseException) -> status_pb2.Status:
    """Returns the status for an error; unknown exceptions become INTERNAL with a fixed message.

    Long texts, such as a name that the caller sent, are truncated.
    """
    if not isinstance(error, LookalikeError):
        error = InternalError("internal error; the service's log has the details")
    message = _cut(error.message, MAX_MESSAGE_BYTES)
    metadata = {key: _cut(value, MAX_DETAIL_BYTES) for key, value in error.metadata.items()}
    status = status_pb2.Status(code=error.code.value[0], message=message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    )
    if error.field:
        bad_request = error_details_pb2.BadRequest()
        field = _cut(error.field, MAX_DETAIL_BYTES)
        bad_request.field_violations.add(field=field, description=message)
        status.details.add().Pack(bad_request)
    if error.resource:
        kind, name = (_cut(text, MAX_DETAIL_BYTES) for text in error.resource)
        status.details.add().Pack(
            error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name)
        )
    if error.retry_after_ms is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(error.retry_after_ms)
        status.details.add().Pack(retry)
    return status


def from_status(status: status_pb2.Status) -> LookalikeError:
    """Returns the error that a status was made from, as far as the status describes it."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    resource, retry = error_details_pb2.ResourceInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad_request, resource, retry):
            with contextlib.suppress(DecodeError):  # a broken detail: the code must do
                detail.Unpack(message)
    error_class = _by_reason().get(info.reason) if info.domain == DOMAIN else None
    if error_class is None:
        code = next((c for c in grpc.StatusCode if c.value[0] == status.code), None)
        return ForeignError(status.message, code=code or grpc.StatusCode.UNKNOWN)
    violations = bad_request.field_violations
    return error_class(
        status.message,
        field=violations[0].field if violations else "",
        metadata=info.metadata,
        resource=(resource.resource_type, resource.resource_name)
        if resource.resource_name
        else None,
        retry_after_ms=retry.retry_delay.ToMilliseconds()
        if retry.HasField("retry_delay")
        else None,
    )


def from_rpc_error(error: grpc.RpcError) -> LookalikeError:
    """Returns the error behind a failed call, sync or asyncio."""
    assert isinstance(error, (grpc.Call, aio.AioRpcError))
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        status = None  # the details contradict the code or are broken: a proxy wrote one of them
    if status is None:
        code: int = error.code().value[0]
        status = status_pb2.Status(code=code, message=error.details() or "")
    return from_status(status)


def _cut(text: str, limit: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode(errors="ignore") + "…"


@functools.cache
def _by_reason() -> dict[str, type[LookalikeError]]:
    classes = {cls.reason: cls for cls in _subclasses(LookalikeError)}
    del classes[ForeignError.reason]
    return classes


def _subclasses(cls: type[LookalikeError]) -> Iterator[type[LookalikeError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
