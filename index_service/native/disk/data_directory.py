"""Locks the data directory for one process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import StartupError


@contextmanager
def exclusive(path: Path, variable: str) -> Iterator[None]:
    """Creates the directory if it is missing and locks it until the context or the process ends.

    Args:
        path: The directory.
        variable: The setting that names it, for the error message.

    Raises:
        StartupError: It cannot be written, or another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Never deleted: otherwise a process could lock a file that no longer has a name.
        lock = (path / "lock").open("ab")
    except OSError as error:
        raise StartupError(
            f"cannot write to the data directory {path} ({error.strerror}); set {variable}"
        ) from None
    with lock:
        try:
            # The kernel releases it with the process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(
                f"another process is using the data directory {path}; stop it or set {variable}"
            ) from None
        yield
