"""Looks words up in the index of a collection's words.

Users' words are never FTS5's query language: they are split by `splitting.py`, quoted one by one,
and joined by OR or AND.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from index_service.native.store import words

Keys = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

# A word in the first attribute counts as much as three in the next, and so on.
_WEIGHT = 3
# BM25's k1 in FTS5, by which no word of a text counts more than k1 + 1 times its weight.
_MOST_OF_A_WORD = 1.2 + 1
# FTS5's weight of a word that is in half of all texts or more.
_LEAST_WEIGHT = 1e-6
# Scores come as whole numbers, which SQLite writes ten times faster than it does fractions.
_UNITS = 1e12


class DamagedWordsError(Exception):
    """The index of a collection's words is damaged; it can be built again from the items."""


class Word(NamedTuple):
    """A word that is looked for.

    Attributes:
        text: As `split` returned it.
        items: How many items have it.
        most: Upper bound of what it adds to an item's score.
    """

    text: str
    items: int
    most: float


class WordReader:
    """Reads one collection's index of words.

    Args:
        reading: Opens the connection of this thread.
        collection: Key of the collection.
        attributes: How many text attributes it has.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sqlite3.Connection]],
        collection: int,
        attributes: int,
    ) -> None:
        self._reading = reading
        self._table = words.table(collection)
        weights = [str(_WEIGHT**i) for i in reversed(range(attributes))]
        self._bm25 = f"bm25({self._table}, {', '.join(weights)})"

    def having(self, terms: Sequence[str]) -> Keys:
        """Returns the keys of all items that have one of the words, ascending."""
        return self._matching(_any_of(terms))

    def titled(self, terms: Sequence[str], *, all_of_them: bool) -> Keys:
        """Returns the keys of all items that have words in their first attribute, ascending.

        Args:
            terms: The words.
            all_of_them: Whether all of the words must be there; else one is enough.
        """
        expression = " AND ".join(map(_quoted, terms)) if all_of_them else _any_of(terms)
        return self._matching(f"{words.column(0)} : ({expression})")

    def known(self, terms: Sequence[str]) -> list[Word]:
        """Returns those of the words that items have, rarest first."""
        ((total,),) = self._read(f"SELECT count(*) FROM {self._table}_docsize")
        sql = f"SELECT count(*) FROM {self._table} WHERE {self._table} MATCH ?"
        counts = [(number_of, term) for term in terms if (number_of := self._count(sql, term))]
        return [Word(term, count, _most(count, total)) for count, term in sorted(counts)]

    def scores(
        self, terms: Sequence[str], first: int, last: int, among: Keys | None = None
    ) -> tuple[Keys, Scores]:
        """Returns the items that have one of the words, by key, and how well each fits them.

        By BM25 (Robertson and Zaragoza, 2009) with FTS5's k1 = 1.2 and b = 0.75.

        Args:
            terms: The words.
            first: Least key of an item.
            last: Greatest key of an item.
            among: Only these items; None for all.
        """
        table, limit = self._table, ""
        parameters: list[str | int] = [_any_of(terms), first, last]
        if among is not None:
            # With `+`, as FTS5 would otherwise search once for each key.
            limit = "AND +rowid IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(among.tolist()))
        # In one step of SQLite: between steps the thread would have to get the interpreter back.
        # The limit keeps SQLite from merging both SELECTs, as bm25() cannot be aggregated.
        sql = (
            f"SELECT group_concat(key), group_concat(score) FROM (SELECT rowid AS key,"
            f" CAST({self._bm25} * -{_UNITS:.0f} AS INTEGER) AS score FROM {table}"
            f" WHERE {table} MATCH ? AND rowid BETWEEN ? AND ? {limit} LIMIT -1)"
        )
        ((keys, scores),) = self._read(sql, *parameters)
        return _numbers(keys), _numbers(scores) / _UNITS

    def _matching(self, expression: str) -> Keys:
        sql = f"SELECT group_concat(rowid) FROM {self._table} WHERE {self._table} MATCH ?"
        ((found,),) = self._read(sql, expression)
        return _numbers(found)

    def _count(self, sql: str, term: str) -> int:
        ((count,),) = self._read(sql, _any_of([term]))
        return int(count)

    def _read(self, sql: str, *parameters: str | int) -> list[Any]:
        with self._reading() as db:
            try:
                return db.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                if not words.is_damage(error):
                    raise
                raise DamagedWordsError(f"words '{self._table}': {error}") from error


def _any_of(terms: Sequence[str]) -> str:
    return " OR ".join(map(_quoted, terms))


def _quoted(term: str) -> str:
    return f'"{term}"'


def _most(count: int, total: int) -> float:
    """Returns the greatest score of a word; for its weight see the documentation of bm25()."""
    weight = np.log((total - count + 0.5) / (count + 0.5))
    return float(max(weight, _LEAST_WEIGHT)) * _MOST_OF_A_WORD


def _numbers(text: str | None) -> Keys:
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)
