"""Translates the errors that pymilvus raises into this project's."""

from __future__ import annotations

import logging
from typing import Any

from lookalike.errors import (
    CollectionNotFoundError,
    InternalError,
    LookalikeError,
    NotSupportedError,
    QueueFullError,
    StorageFullError,
    UpstreamUnavailableError,
)

_log = logging.getLogger(__name__)

_RETRY_AFTER_MS = 1_000
_NO_CONNECTION = 2
_RATE_LIMIT = 8
_DENIED = 9  # writes are off: disk or memory over the quota
_NOT_FOUND = 100
_NOT_LOADED = 101
_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class NotLoadedError(LookalikeError):
    """Milvus has a collection on disk, not in memory; handled within this package."""


def translated(error: Exception, method: str, timeout_s: float) -> LookalikeError:
    """Returns this project's error for one that pymilvus raised.

    Args:
        error: What the call raised.
        method: The call.
        timeout_s: Its time limit.
    """
    code, status, text = _details(error)
    known: LookalikeError | None = None
    if code == _NOT_FOUND or "can't find collection" in text:
        known = CollectionNotFoundError("there is no such collection any more")
    elif code == _NOT_LOADED or "not loaded" in text:
        known = NotLoadedError(text)
    elif status == "UNIMPLEMENTED" or "Received UNIMPLEMENTED" in text:
        known = NotSupportedError(f"this release of Milvus has no {method}")
    elif code == _RATE_LIMIT or status == "RESOURCE_EXHAUSTED":
        known = QueueFullError(
            "Milvus takes no more for now: its rate limit is reached",
            retry_after_ms=_RETRY_AFTER_MS,
        )
    elif code == _DENIED:
        known = StorageFullError("Milvus refuses writes: its disk or memory quota is used up")
    elif code == _NO_CONNECTION or status in _AWAY or "Retry timeout" in text:
        known = UpstreamUnavailableError(
            f"Milvus did not answer {method} within {timeout_s:g} s "
            "(LOOKALIKE_INDEX_MILVUS_TIMEOUT_S)",
            retry_after_ms=_RETRY_AFTER_MS,
        )
    if known is None:
        _log.error("Milvus refused %s: %s", method, error)
        known = InternalError(f"Milvus refused {method}")
    return known


def _details(error: Exception) -> tuple[int, str, str]:
    """Returns Milvus's code, gRPC's status, and the message of an error.

    The status comes with an error of gRPC, or in place of the code in an error of pymilvus.
    """
    code: Any = getattr(error, "code", None)
    code = code() if callable(code) else code
    text = str(getattr(error, "message", "") or error)
    return (code if isinstance(code, int) else -1), str(getattr(code, "name", "")), text
