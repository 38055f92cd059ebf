"""Files that settings name: what is wrong with one, and reading them again when they change.

Knows nothing of what is in them. What cannot be used is not taken: what was read before stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from lookalike.errors import StartupError
from lookalike.files import signature

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class SettingFile:
    """A file and the variable that names it; as text it is both, for messages."""

    variable: str
    path: Path

    def __str__(self) -> str:
        return f"{self.path} ({self.variable})"

    def read(self) -> bytes:
        """Returns the content; raises OSError with a message that names the file."""
        with self._named():
            return self.path.read_bytes()

    def signature(self) -> tuple[int, ...]:
        """Returns facts that change with the content; raises OSError as `read` does."""
        with self._named():
            return signature(self.path)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(f"{self} cannot be read: {error.strerror or error}") from None


class Renewed(Generic[T]):
    """What files hold, read again when they change; safe to use from any thread.

    Args:
        what: What it is, in a word or two for logs and metrics.
        files: The files.
        read: Reads them all. Raises OSError if it cannot, ValueError if what they hold is no good.
        look_every_s: They are looked at no more often.
        clock: Seconds that only grow.

    Raises:
        StartupError: The files cannot be read, or what they hold is no good.
    """

    def __init__(
        self,
        what: str,
        files: Sequence[SettingFile],
        read: Callable[[], T],
        *,
        look_every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self._files = files
        self._read = read
        self._look_every_s = look_every_s
        self._clock = clock
        self._looked = clock()
        self._lock = threading.Lock()
        self._bad: list[tuple[int, ...]] = []
        self._said = ""  # what is wrong with the newest content; empty if it was taken
        try:
            self._taken = self._signatures()
            self.current = read()
        except (OSError, ValueError) as error:
            raise StartupError(str(error)) from None

    def latest(self) -> T:
        """Returns what the files hold, or held when they were good last."""
        with self._lock:
            now = self._clock()
            if now >= self._looked + self._look_every_s:
                self._looked = now
                self._look()
            return self.current

    def refused(self) -> bool:
        """Returns whether the newest content could not be used, when it was looked at last."""
        return bool(self._said)

    def _look(self) -> None:
        found: list[tuple[int, ...]] = []
        try:
            found = self._signatures()
            if found == self._bad:
                return
            if found != self._taken:
                self.current, self._taken = self._read(), found
                logger.info("%s replaced", self.what)
            self._said, self._bad = "", []
        except OSError as error:
            # It is tried again: who makes a file readable changes nothing of its content.
            if str(error) != self._said:
                self._refuse(str(error))
        except ValueError as error:  # half of a renewal, or a bad one
            self._bad = found
            self._refuse(str(error))

    def _signatures(self) -> list[tuple[int, ...]]:
        return [file.signature() for file in self._files]

    def _refuse(self, reason: str) -> None:
        self._said = reason
        logger.error("new %s refused", self.what, extra={"reason": reason})
