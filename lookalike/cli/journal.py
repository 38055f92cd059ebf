"""Remembers which photos a catalogue has acknowledged, so that an interrupted ingest goes on.

A file of JSON lines: first the catalogue that it is about, then a line a photo. Lines are appended
and flushed; one that is cut off at the end is taken as not written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from lookalike.cli.console import CommandError

_BEGINNING = '{"journal": "lookalike ingest"'


def forget(path: Path) -> None:
    """Removes a journal, one about another catalogue or a damaged one too.

    Raises:
        CommandError: It is no journal, or cannot be removed.
    """
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(_BEGINNING))
        if not _BEGINNING.encode().startswith(begins):
            raise CommandError(f"{path}: is there, and is no journal of `lookalike ingest`")
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None


class Journal:
    """The acknowledged photos of one catalogue; use it as a context manager.

    Args:
        path: The file.
        about: What must not change between two runs: the gateway, the collection, the space.
    """

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        self.path = path
        self.newest_seq = 0
        self._about = dict(about)
        self._done: dict[str, str] = {}
        self._stream: IO[str] | None = None

    def open(self) -> None:
        """Reads what is there, and is ready to add to it.

        Raises:
            CommandError: It is about another catalogue, is no journal, or cannot be written.
        """
        try:
            whole = self._read()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a" if whole else "w", encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"{self.path}: {error.strerror or error}; --journal says where else to keep it"
            ) from None
        if not whole:
            self._write({"journal": "lookalike ingest", **self._about})
            for item_id, content in self._done.items():
                self._write({"id": item_id, "content": content, "seq": self.newest_seq})

    def has(self, item_id: str, content: str) -> bool:
        """Says whether a photo with this content was acknowledged."""
        return self._done.get(item_id) == content

    def __len__(self) -> int:
        """Returns how many photos were acknowledged."""
        return len(self._done)

    def add(self, item_id: str, content: str, seq: int) -> None:
        """Notes that a photo is on disk over there."""
        self._done[item_id] = content
        self.newest_seq = max(self.newest_seq, seq)
        self._write({"id": item_id, "content": content, "seq": seq})

    def close(self, *, whole: bool) -> None:
        """Closes it; removes it where all is done, because nothing would then be left to go on."""
        if self._stream:
            self._stream.close()
        if whole:
            self.path.unlink(missing_ok=True)

    def _write(self, entry: Mapping[str, object]) -> None:
        assert self._stream is not None
        try:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise CommandError(f"{self.path}: {error.strerror or error}") from None

    def _read(self) -> bool:
        """Returns whether there was a journal that ends well; one that does not is rewritten."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return False
        *lines, last = lines
        foreign = CommandError(f"{self.path}: is there, and is no journal of `lookalike ingest`")
        if not lines:
            if last and not _BEGINNING.startswith(last[:20]):
                raise foreign
            return False
        try:
            header, *entries = (json.loads(line) for line in lines)
            if header.pop("journal") != "lookalike ingest":
                raise foreign
            self._done = {entry["id"]: entry["content"] for entry in entries}
            self.newest_seq = max((entry["seq"] for entry in entries), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise foreign from None
        for key, mine in self._about.items():
            if header.get(key) != mine:
                raise CommandError(
                    f"{self.path}: its {key} is {header.get(key)}, now it is {mine}; "
                    "--restart sends every photo again"
                )
        return not last

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream:
            self._stream.close()
