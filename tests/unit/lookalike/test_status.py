"""Errors on their way to the client and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from lookalike import errors
from lookalike.errors import (
    ForeignError,
    InternalError,
    InvalidImageError,
    LookalikeError,
    QueueFullError,
    UnknownOutputError,
)
from lookalike.status import MAX_MESSAGE_BYTES, from_rpc_error, from_status, to_status


def subclasses(cls: type[LookalikeError]) -> Iterator[type[LookalikeError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


CLASSES = sorted(set(subclasses(LookalikeError)) - {ForeignError}, key=lambda c: c.__name__)


def facts(error: LookalikeError) -> tuple[Any, ...]:
    return (
        type(error),
        error.code,
        error.reason,
        error.message,
        error.field,
        error.metadata,
        error.resource,
        error.retry_after_ms,
    )


@pytest.mark.parametrize("error_class", CLASSES)
def test_error_with_all_details_comes_back_as_it_went(error_class: type[LookalikeError]) -> None:
    error = error_class(
        "the limit is 4 × 1",
        field="items[3].id",
        metadata={"a": "1", "b": "ü"},
        resource=("item", "lamp-1"),
        retry_after_ms=1500,
    )
    assert facts(from_status(to_status(error))) == facts(error)


@pytest.mark.parametrize("error_class", CLASSES)
def test_error_without_details_comes_back_as_it_went(error_class: type[LookalikeError]) -> None:
    error = error_class("no")
    status = to_status(error)
    assert len(status.details) == 1, "only ErrorInfo"
    assert facts(from_status(status)) == facts(error)


def test_reasons_are_unique_and_documented() -> None:
    reasons = [error_class.reason for error_class in CLASSES]
    assert len(set(reasons)) == len(reasons)
    for error_class in CLASSES:
        line = [x for x in (errors.__doc__ or "").splitlines() if f" {error_class.__name__} " in x]
        assert len(line) == 1, error_class
        assert line[0].endswith(f" {error_class.reason}")
        assert error_class.code is not grpc.StatusCode.UNKNOWN


def test_status_has_the_details_that_its_error_names() -> None:
    status = to_status(
        QueueFullError("full", field="image", resource=("item", "x"), retry_after_ms=100)
    )
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    info, bad_request, resource, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.ResourceInfo(),
        error_details_pb2.RetryInfo(),
    )
    for detail, message in zip(status.details, (info, bad_request, resource, retry), strict=True):
        assert detail.Unpack(message)
    assert (info.reason, info.domain) == ("QUEUE_FULL", "lookalike")
    (violation,) = bad_request.field_violations
    assert (violation.field, violation.description) == ("image", "full")
    assert (resource.resource_type, resource.resource_name) == ("item", "x")
    assert retry.retry_delay.ToMilliseconds() == 100


def test_unknown_exception_becomes_a_fixed_message_that_leaks_nothing() -> None:
    status = to_status(KeyError("secret"))
    assert status.code == code_pb2.INTERNAL
    assert b"secret" not in status.SerializeToString()
    assert b"KeyError" not in status.SerializeToString()
    assert isinstance(from_status(status), InternalError)
    assert status.message == to_status(ValueError("other")).message


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_foreign_status_keeps_its_code_and_message_both_ways(code: grpc.StatusCode) -> None:
    error = from_status(status_pb2.Status(code=code.value[0], message="theirs"))
    assert (type(error), error.code, error.message) == (ForeignError, code, "theirs")
    assert facts(from_status(to_status(error))) == facts(error)


def test_same_reason_of_another_domain_is_foreign() -> None:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="theirs")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INVALID_IMAGE", domain="other"))
    assert isinstance(from_status(status), ForeignError)


def test_unknown_code_and_unknown_reason_do_not_break_the_client() -> None:
    status = status_pb2.Status(code=99, message="newer")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="NEWER", domain="lookalike"))
    error = from_status(status)
    assert (type(error), error.code) == (ForeignError, grpc.StatusCode.UNKNOWN)


def test_long_texts_of_a_client_are_cut_so_that_the_status_fits_into_trailers() -> None:
    long = "name\u2603" * 100_000
    error = UnknownOutputError(
        f"no output '{long}'", field=long, metadata={"given": long}, resource=("item", long)
    )
    status = to_status(error)
    assert len(status.SerializeToString()) < 6000  # clients take trailers of 8 KiB
    back = from_status(status)
    assert isinstance(back, UnknownOutputError)
    assert back.message.startswith("no output 'name")
    assert MAX_MESSAGE_BYTES - 5 < len(back.message.encode()) <= MAX_MESSAGE_BYTES
    assert back.message.endswith("…")


def rpc_error(
    code: grpc.StatusCode, details: str, trailers: tuple[tuple[str, bytes], ...] = ()
) -> aio.AioRpcError:
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailers), details)


def test_failed_call_is_read_from_its_trailers() -> None:
    status = rpc_status.to_status(to_status(InvalidImageError("no photo", field="image")))
    error = from_rpc_error(rpc_error(status.code, status.details, status.trailing_metadata))
    assert isinstance(error, InvalidImageError)
    assert error.field == "image"


@pytest.mark.parametrize(
    "trailer",
    [
        status_pb2.Status(code=code_pb2.NOT_FOUND, message="other").SerializeToString(),
        b"\xff\xff no protobuf",
        status_pb2.Status(
            code=code_pb2.UNAVAILABLE,
            message="down",
            details=[any_pb2.Any(type_url="x/google.rpc.ErrorInfo", value=b"\xff\xff")],
        ).SerializeToString(),
    ],
    ids=["contradiction", "no status", "broken detail"],
)
def test_trailers_that_contradict_or_break_leave_code_and_message(trailer: bytes) -> None:
    call = rpc_error(grpc.StatusCode.UNAVAILABLE, "down", (("grpc-status-details-bin", trailer),))
    error = from_rpc_error(call)
    assert (type(error), error.code, error.message) == (
        ForeignError,
        grpc.StatusCode.UNAVAILABLE,
        "down",
    )


def test_failed_call_without_trailers_is_foreign() -> None:
    error = from_rpc_error(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    assert (type(error), error.code) == (ForeignError, grpc.StatusCode.DEADLINE_EXCEEDED)
