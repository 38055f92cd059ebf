"""Spells text for FTS5, and splits it into words exactly as FTS5 does, by FTS5 itself."""

from __future__ import annotations

import sqlite3
import threading

from lookalike.letters import plain

RULES = "unicode61 remove_diacritics 2"
"""FTS5's: split at all that is neither letter nor digit, and mind neither case nor accents."""


class _Splitter(threading.local):
    """An index in memory for one text at a time, since connections are not for several threads."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        tokenizer = f"content='', tokenize='{RULES}'"
        self._db.execute(f"CREATE VIRTUAL TABLE asked USING fts5(text0, {tokenizer})")
        self._db.execute("CREATE VIRTUAL TABLE found USING fts5vocab(asked, row)")

    def split(self, text: str) -> list[str]:
        self._db.execute("INSERT INTO asked (rowid, text0) VALUES (1, ?)", (text,))
        terms = [term for (term,) in self._db.execute("SELECT term FROM found").fetchall()]
        self._db.execute("INSERT INTO asked (asked) VALUES ('delete-all')")
        return terms


_splitter = _Splitter()


def spelt(text: str) -> str:
    """Returns a text as it is indexed and looked for.

    FTS5 minds neither case nor accents, but knows no letters that look alike (a typed "fi" and a
    joined one), none that cannot be seen, and that "ß" is "ss".
    """
    return plain(text).casefold()


def split(text: str) -> list[str]:
    """Returns the different words of a text, before stemming; they hold no quotation marks."""
    return _splitter.split(spelt(text))
