"""Remembers which items of a piece of work are done, so that it goes on after an interruption.

A journal is a file of JSON lines: the first says which work it is of and from what, then there is
one for each item, with what the item was made from. Lines are appended and flushed; one that is cut
off at the end counts as not written. There is a journal only while something is left to do: what is
remembered for longer hides a change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from lookalike.files import FileError

_RESTARTED = "restarted"


class Journal:
    """The items of one piece of work that are done; a context manager.

    Args:
        path: The file.
        work: What the work is called, such as `lookalike ingest`.
        made_from: What must be the same in every run for its items to go together, by name.
        changed: What to do when that has changed, or a line is damaged, for the refusal to tell; if
            empty, a journal of something else is replaced.
        unwritable: What to do when the file cannot be written, likewise.
        restart: Forget what is there, a journal of something else or a damaged one too.

    Attributes:
        restarted: Whether this run, or the one that it goes on with, was told to restart.
    """

    def __init__(
        self,
        path: Path,
        work: str,
        made_from: Mapping[str, str],
        *,
        changed: str = "",
        unwritable: str = "",
        restart: bool = False,
    ) -> None:
        self.path = path
        self.restarted = restart
        self._work = work
        self._made_from = dict(made_from)
        self._changed = changed
        self._unwritable = unwritable
        self._done: dict[str, str] = {}
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Reads what is there, and is ready to add to it.

        Raises:
            FileError: It is of other work, is no journal, or cannot be written.
        """
        try:
            size = self._read()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if size:
                os.truncate(self.path, size)  # without what was cut off
            self._stream = self.path.open("ab" if size else "wb")
        except OSError as error:
            raise self._failed(error) from None
        if not size:
            first = {"journal": self._work, **self._made_from}
            self._write({**first, _RESTARTED: True} if self.restarted else first)
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the file for the next run, if there is anything in it to go on with."""
        self._close()
        if self._stream and not self._done and not self.restarted:
            self.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        """Returns how many items are done."""
        return len(self._done)

    def has(self, item_id: str, content: str = "") -> bool:
        """Says whether an item is done, and of the same content."""
        return self._done.get(item_id) == content

    def add(self, item_id: str, content: str = "", **results: Any) -> None:
        """Notes that an item is done.

        Args:
            item_id: The item.
            content: What it was made from.
            results: What else to remember of it, as JSON.
        """
        self._done[item_id] = content
        self._write({"id": item_id, "content": content, **results})

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yields what was added, in that order: `id`, `content`, and the results."""
        with self.path.open("rb") as stream:
            next(stream)
            yield from map(json.loads, stream)

    def remove(self) -> None:
        """Removes the file: all is done, and nothing is left to go on with."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._stream:
            with suppress(OSError):  # of a full disk, which `add` has told already
                self._stream.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._stream is not None
        try:
            self._stream.write(json.dumps(line).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> FileError:
        advice = f"; {self._unwritable}" if self._unwritable else ""
        return FileError(f"{self.path}: cannot be written: {error.strerror or error}{advice}")

    def _read(self) -> int:
        """Returns the size of the lines that are whole; 0 if there is no journal to go on with."""
        begins = json.dumps({"journal": self._work})[:-1].encode()
        size = 0
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            return 0
        with stream:
            for number, line in enumerate(stream):
                if not number:
                    if not line.startswith(begins) and not begins.startswith(line):
                        raise FileError(
                            f"{self.path}: is there, and is no journal of `{self._work}`"
                        )
                    if self.restarted:
                        return 0
                if not line.endswith(b"\n"):
                    break
                size += len(line)
                try:
                    content = json.loads(line)
                    if number:
                        self._done[content["id"]] = content["content"]
                    elif not self._is_of_this(content):
                        return 0
                except (ValueError, KeyError, TypeError):
                    advice = self._changed or "remove it to begin anew"
                    raise FileError(
                        f"{self.path}: line {number + 1} is damaged; {advice}"
                    ) from None
        return size

    def _is_of_this(self, first: Mapping[str, Any]) -> bool:
        for name, mine in self._made_from.items():
            if first.get(name) != mine:
                if not self._changed:
                    return False
                raise FileError(
                    f"{self.path}: its {name} is {first.get(name)}, now it is {mine}; "
                    f"{self._changed}"
                )
        self.restarted = _RESTARTED in first
        return True
