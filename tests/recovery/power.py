"""Cuts a process's power at one of its operations on files, and loses what was not synced by then.

Of a file that was written and not synced, half is lost. Of a new directory, the names that it got
since it was synced are lost; of older ones none is, as that is worse: a directory that was moved to
its place is there, and what should be in it may not be. Sees what Python does to files, but nothing
of SQLite's own writes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}

Stamp = tuple[int, int]
"""When a file was changed last, and its length."""


class Power:
    """The power of this process, which has one thread that works on files.

    Args:
        folder: Whose files are watched.
        left_out: Names in it that are not.
        cut_at: The operation, counted from 1, instead of which the power is cut.
    """

    def __init__(self, folder: Path, *, left_out: frozenset[str], cut_at: int) -> None:
        self._folder = folder
        self._left_out = left_out
        self._cut_at = cut_at
        self._count = 0
        self._on = False
        self._synced_files: dict[int, Stamp] = {}
        self._synced_names: dict[int, set[str]] = {}
        self._older: set[int] = set()

    def watch(self) -> None:
        """Begins to count; what is there now is safe."""
        for path in self._watched():
            self._note(path)
        self._older = set(self._synced_names)
        sync: Callable[[Any], None] = os.fsync

        def fsync(file: Any) -> None:
            self._operation()
            sync(file)
            number = file if isinstance(file, int) else file.fileno()
            self._note(Path(f"/proc/self/fd/{number}").readlink())

        os.fsync = fsync  # type: ignore[assignment]
        self._on = True
        sys.addaudithook(self._audit)

    def cut(self) -> None:
        """Ends the process now."""
        self._on = False
        for path in self._watched():
            if not path.exists():
                continue  # went with its directory
            status = path.stat()
            if path.is_dir():
                if status.st_ino in self._older:
                    continue
                safe = self._synced_names.get(status.st_ino, set())
                for name in {entry.name for entry in path.iterdir()} - safe:
                    self._lose(path / name)
            elif self._synced_files.get(status.st_ino) != (status.st_mtime_ns, status.st_size):
                os.truncate(path, status.st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in _EVENTS:
            return
        if event == "open" and not arguments[2] & _WRITING:
            return
        if any(self._is_watched(each) for each in arguments[:2]):
            self._operation()

    def _operation(self) -> None:
        if self._on:
            self._count += 1
            if self._count == self._cut_at:
                self.cut()

    def _is_watched(self, path: object) -> bool:
        if not isinstance(path, (str, os.PathLike)):
            return False
        folder = Path(path)
        return folder.is_relative_to(self._folder) and folder.name not in self._left_out

    def _watched(self) -> list[Path]:
        """Returns all that is in the folder, what is deepest first."""
        found = sorted(self._folder.rglob("*"), key=lambda path: -len(path.parts))
        return [path for path in found if path.name not in self._left_out]

    def _note(self, path: Path) -> None:
        status = path.stat()
        if path.is_dir():
            self._synced_names[status.st_ino] = {entry.name for entry in path.iterdir()}
        else:
            self._synced_files[status.st_ino] = (status.st_mtime_ns, status.st_size)

    def _lose(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
