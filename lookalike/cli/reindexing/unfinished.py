"""What is still to be brought over after a switch, in a file until it is."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lookalike.cli.console import CommandError, say
from lookalike.cli.reindexing.copying import Catalogue, Copied
from lookalike.files import write_json

_KIND = "lookalike reindex"


@dataclass(frozen=True)
class Window:
    """The time from the last pass to the switch, in which the old collection may have got more.

    Attributes:
        old: The collection that was copied.
        source: What it had at the last pass.
        lacking: Ids of what could not be copied.
        since: When the last pass was, for people.
    """

    old: str
    source: Catalogue
    lacking: Sequence[str]
    since: str


class Unfinished:
    """The file of one switch; there is one only while something may be missing.

    Args:
        file: Where it is.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def keep(self, old: str, copied: Copied) -> None:
        """Writes what the collection `old` had at the last pass; to be called before the switch."""
        content = {
            "unfinished": _KIND,
            "old": old,
            "since": datetime.datetime.fromtimestamp(copied.began).isoformat(" ", "seconds"),
            "lacking": sorted(copied.lacking),
            "source": dict(copied.source),
        }
        write_json(self._file, content)

    def read(self) -> Window | None:
        """Returns what is unfinished; None if nothing is.

        Raises:
            CommandError: The file is damaged.
        """
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if content.pop("unfinished") != _KIND:
                raise ValueError(_KIND)
            return Window(**content)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CommandError(
                f"{self._file}: is damaged; it told what the old collection had before the switch. "
                "Ingest what came about then once more, and remove it"
            ) from None

    @contextmanager
    def finishing(self, new: str) -> Iterator[Window]:
        """Yields the window for what brings it over into `new`; if that fails, says what lacks."""
        window = self.read()
        if window is None:
            raise CommandError(f"{self._file}: was removed meanwhile")
        try:
            yield window
        except BaseException:
            say(
                f"what was written to {window.old} between {window.since} and the switch may be "
                f"missing in {new}: the same command brings it over, and {self._file} tells it what"
            )
            raise
        self._file.unlink(missing_ok=True)
