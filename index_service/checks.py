"""Checks a request's fields against the limits in the proto; errors name the field and the limit.

A path is passed in two parts: in a large batch, joining them would cost more than the check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence, Sized

from lookalike.errors import InvalidArgumentError

MAX_ID = 128
MAX_QUERIES = 1_000
MAX_NEIGHBORS = 100_000
MAX_RANKED = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def name(text: str, path: str) -> str:
    """Checks the name of a collection or an alias, and returns it."""
    if not _NAME.fullmatch(text):
        raise InvalidArgumentError(
            f"{path} is '{text}'; it must be 1 to 64 of a-z, 0-9, _ and -, starting with a letter",
            field=path,
        )
    return text


def length(text: str, maximum: int, path: str, end: str = "", *, minimum: int = 1) -> None:
    """Checks a string's number of characters."""
    if not minimum <= len(text) <= maximum:
        raise InvalidArgumentError(
            f"{path}{end} has {len(text)} characters; the limits are {minimum} and {maximum}",
            field=path + end,
        )


def count(entries: Sized, low: int, high: int, path: str, end: str = "") -> None:
    """Checks the number of entries."""
    if not low <= len(entries) <= high:
        raise InvalidArgumentError(
            f"{path}{end} has {len(entries)} entries; the limits are {low} and {high}",
            field=path + end,
        )


def in_range(value: float, low: float, high: float, path: str) -> None:
    """Checks a number; NaN is in no range."""
    if not low <= value <= high:
        raise InvalidArgumentError(
            f"{path} is {value}; the limits are {low} and {high}", field=path
        )


def finite(value: float, path: str) -> float:
    """Checks that a number is neither NaN nor infinite, and returns it."""
    if not math.isfinite(value):
        raise InvalidArgumentError(f"{path} is {value}; it must be finite", field=path)
    return value


def queries(number: int, k: int, path: str) -> None:
    """Checks the number of queries, and of the neighbours that they ask for together."""
    if not 1 <= number <= MAX_QUERIES:
        raise InvalidArgumentError(
            f"{path} has {number} entries; the limits are 1 and {MAX_QUERIES}", field=path
        )
    if number * k > MAX_NEIGHBORS:
        raise InvalidArgumentError(
            f"{number} queries of k = {k} ask for {number * k} neighbours; the limit is "
            f"{MAX_NEIGHBORS}",
            field="k",
        )


def ranked(number: int, each: int, path: str) -> None:
    """Checks how many items several queries rank together by features; one may rank any number."""
    if number > 1 and number * each > MAX_RANKED:
        raise InvalidArgumentError(
            f"{number} queries rank {each} items each, {number * each} together; the limit is "
            f"{MAX_RANKED}: send fewer queries at once",
            field=path,
        )


def ids(values: Iterable[str], path: str) -> None:
    """Checks each id's length."""
    for i, value in enumerate(values):
        length(value, MAX_ID, path, f"[{i}]")


def unique(values: Sequence[str], path: str, end: str = "") -> None:
    """Checks that no value occurs twice."""
    if len(set(values)) == len(values):
        return
    first: dict[str, int] = {}
    for i, value in enumerate(values):
        if (earlier := first.setdefault(value, i)) != i:
            raise InvalidArgumentError(
                f"{path}[{i}]{end} '{value}' is that of {path}[{earlier}] too; send each once",
                field=f"{path}[{i}]{end}",
            )
