"""Converts errors to problem details (RFC 9457); the only module that maps them to HTTP statuses.

A problem has `type`, `title`, `status`, `detail` and, beyond the standard, `reason` (as over gRPC),
`field` and `metadata` where the error has them. Titles are fixed, details say what to do.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lookalike.errors import (
    InternalError,
    LookalikeError,
    UnauthenticatedError,
    WordsUnavailableError,
)
from lookalike.serving.telemetry import note_dropped, note_refusal

MEDIA_TYPE = "application/problem+json"

# By gRPC code, as in Google's table, except FAILED_PRECONDITION: the server's state must change
# first, not the request.
_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
_STATUS_OF_REASON = {"IMAGE_TOO_LARGE": 413, "STORAGE_FULL": 507}
# Maps fields of the proto, which the use cases name, to those that HTTP callers know.
_FIELDS = {
    "images.images": "image",
    "images": "image",
    "mix.parts": "mix",
    "vector.values": "vector",
    "vector.features": "features",
    "vector.embedding_space": "embedding_space",
    "categories": "category",
    "locations": "location",
    "product_ids": "product_id",
    "exclude_product_ids": "exclude_product_id",
}
_MOST_REPORTED = 5
# Of what is refused before a use case sees it, what is not about the request's content.
_REFUSALS = {401, 403, 408, 429, 503}
_TITLES = {499: "Client Closed Request"}


class HttpProblemError(Exception):
    """An error in a request's HTTP, before it reaches a use case.

    Args:
        status: HTTP status code.
        reason: A reason like those of `lookalike.errors`.
        detail: Says what is wrong, the limit and the value, and what to do.
        field: Name of the part, parameter or header at fault.
        headers: Headers that the status calls for.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        field: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})


@contextmanager
def naming_words(*sent: str) -> Iterator[None]:
    """Makes errors about a listing's words name a field that was sent.

    The embedder names the title where nothing can be read, also where only a description was sent,
    and no field where it reads no words at all.
    """
    try:
        yield
    except LookalikeError as error:
        about_words = error.field in {"title", "description"}
        lacking = isinstance(error, WordsUnavailableError) and not error.field
        if (about_words and len(sent) == 1) or (lacking and sent):
            error.field = sent[0]
        raise


def status_of(error: LookalikeError) -> int:
    """Returns the HTTP status of an error with a gRPC code."""
    return _STATUS_OF_REASON.get(error.reason) or _STATUS.get(error.code.name, 500)


def response_to(error: Exception) -> JSONResponse:
    """Returns the answer to a failed request; unknown exceptions reveal no details.

    Counts the request if it was refused.
    """
    note_refusal(error)
    match error:
        case LookalikeError():
            return _response_to_ours(error)
        case HttpProblemError():
            if error.status in _REFUSALS:
                note_dropped(error.reason)
            return _problem(
                error.status,
                error.reason,
                error.detail,
                field=error.field,
                headers=error.headers,
            )
        case RequestValidationError():
            return _response_to_invalid(error.errors())
        case HTTPException():
            reason = HTTPStatus(error.status_code).name
            return _problem(
                error.status_code, reason, str(error.detail), headers=error.headers or {}
            )
        case _:
            return _response_to_ours(
                InternalError("internal error; the gateway's log has the details")
            )


def _response_to_ours(error: LookalikeError) -> JSONResponse:
    headers = {}
    if error.retry_after_ms is not None:
        # The header takes whole seconds.
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_ms / 1000)))
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    metadata = dict(error.metadata)
    if error.resource:
        metadata |= {"resource_type": error.resource[0], "resource_name": error.resource[1]}
    return _problem(
        status_of(error),
        error.reason if error.reason != "FOREIGN" else error.code.name,
        error.message,
        field=_http_field(error.field),
        metadata=metadata,
        headers=headers,
    )


def _http_field(field: str) -> str:
    name = field.removeprefix("photo.").removeprefix("filter.").partition("[")[0]
    return _FIELDS.get(name, name)


def _response_to_invalid(errors: Any) -> JSONResponse:
    """Returns the answer about values of the wrong type: a sentence each, and the first's field."""
    sentences = [
        f"{_name(error['loc'])}: {error['msg'].removeprefix('Value error, ')}"
        + (f" (it is {_shown(error['input'])})" if error["type"] != "missing" else "")
        for error in errors[:_MOST_REPORTED]
    ]
    return _problem(
        400,
        "INVALID_ARGUMENT",
        "; ".join(sentences),
        field=_name(errors[0]["loc"]) if errors else "",
    )


def _name(location: tuple[int | str, ...]) -> str:
    # The first step is the place: query, path, header or body.
    steps = location[1:] if location and location[0] in {"query", "path", "header"} else location
    return ".".join(str(step) for step in steps) or "body"


def _shown(value: object) -> str:
    # Truncated: a value may be as large as a request.
    text = repr(value[:80]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _problem(
    status: int,
    reason: str,
    detail: str,
    *,
    field: str = "",
    metadata: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": _encodable(detail),
        "reason": reason,
    }
    if field:
        body["field"] = _encodable(field)
    if metadata:
        body["metadata"] = dict(metadata)
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
