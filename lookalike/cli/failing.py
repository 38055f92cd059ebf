"""Photos that failed: which would fail all others too, and the list of those that would not."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grpc import StatusCode

from lookalike.errors import LookalikeError
from lookalike.files import replacing

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


@dataclass(frozen=True)
class Failure:
    """A photo that could not be done, and why.

    Attributes:
        id: The photo's id.
        reason: Machine-readable, for example `INVALID_IMAGE`.
        message: For people.
    """

    id: str
    reason: str
    message: str


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


def write_failures(target: Path, failures: Sequence[Failure]) -> None:
    """Lists failures in a CSV of id, reason, message; removes an older list if there are none."""
    if not failures:
        target.unlink(missing_ok=True)
        return
    with (
        replacing(target) as aside,
        # A file's name may be no UTF-8; it is then shown as Python writes it.
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("id", "reason", "message"))
        writer.writerows((each.id, each.reason, each.message) for each in failures)


def by_reason(failures: Sequence[Failure]) -> dict[str, int]:
    """Counts failures by reason, the most frequent first."""
    return dict(Counter(failure.reason for failure in failures).most_common())
