"""The id that a request carries through all services, and into their logs."""

from __future__ import annotations

import uuid
from contextvars import ContextVar

HEADER = "x-request-id"

current: ContextVar[str] = ContextVar("request_id", default="")


def new() -> str:
    """Returns a fresh id of 32 hexadecimal digits."""
    return uuid.uuid4().hex
