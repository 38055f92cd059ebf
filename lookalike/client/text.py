"""Checks a caller's strings before they become fields of messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from lookalike.errors import InvalidArgumentError

P = ParamSpec("P")
M = TypeVar("M")


def sendable(text: str, field: str) -> str:
    """Returns words as they are; services check their length.

    Raises:
        TypeError: It is no str.
        InvalidArgumentError: It holds half a pair of surrogates, which no message can.
    """
    if not isinstance(text, str):
        raise TypeError(f"{field} is a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"{field} cannot be written in UTF-8: character {error.start + 1} is "
            f"U+{ord(text[error.start]):04X}, half of a pair of surrogates",
            field=field,
        ) from None
    return text


def message(kind: Callable[P, M], within: str = "") -> Callable[P, M]:
    """Returns what makes messages of a kind, and names the field whose string is not `sendable`.

    Args:
        kind: The message's class.
        within: Field of the request that the message is for; empty for the request itself.
    """

    def make(*args: P.args, **fields: P.kwargs) -> M:
        try:
            return kind(*args, **fields)
        except UnicodeEncodeError:
            for name, value in fields.items():
                _check(value, f"{within}.{name}" if within else name)
            raise

    return make


def _check(value: object, field: str) -> None:
    if isinstance(value, str):
        sendable(value, field)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check(key, f"a key of {field}")
            _check(each, f"{field}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _check(each, f"{field}[{number}]")
