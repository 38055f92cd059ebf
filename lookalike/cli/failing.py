"""Tells a photo's own fault from what would fail every photo."""

from __future__ import annotations

from grpc import StatusCode

from lookalike.cli.files import Failure
from lookalike.errors import LookalikeError

# The next photo would meet the same.
_HOPELESS = {
    StatusCode.FAILED_PRECONDITION,
    StatusCode.NOT_FOUND,
    StatusCode.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED,
    StatusCode.UNIMPLEMENTED,
}
_HOPELESS_REASONS = {"STORAGE_FULL"}
_PHOTO_FAULTS = {StatusCode.INVALID_ARGUMENT, StatusCode.ALREADY_EXISTS}
_MOST_IN_A_ROW = 200


class Failures:
    """Collects photos that failed; raises what would fail all of them."""

    def __init__(self) -> None:
        self.items: list[Failure] = []
        self._in_a_row = 0

    def add(self, photo_id: str, error: Exception) -> None:
        """Notes a failure.

        Raises:
            LookalikeError: The given error, if going on makes no sense: no photo could succeed, or
                none of late did.
        """
        if isinstance(error, LookalikeError):
            if error.code in _HOPELESS or error.reason in _HOPELESS_REASONS:
                raise error
            self._in_a_row = 0 if error.code in _PHOTO_FAULTS else self._in_a_row + 1
            if self._in_a_row >= _MOST_IN_A_ROW:
                raise error
        self.items.append(failure_of(photo_id, error))

    def succeeded(self) -> None:
        """Notes that a photo went through."""
        self._in_a_row = 0


def failure_of(photo_id: str, error: Exception) -> Failure:
    """Returns what is listed of a failure."""
    if isinstance(error, LookalikeError):
        reason = error.code.name if error.reason == "FOREIGN" else error.reason
        return Failure(photo_id, reason, error.message)
    if isinstance(error, OSError):
        return Failure(photo_id, "UNREADABLE_FILE", error.strerror or str(error))
    return Failure(photo_id, "UNREADABLE_FILE", str(error))
