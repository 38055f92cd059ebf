"""Checks words before they become fields of messages."""

from __future__ import annotations

from lookalike.errors import InvalidArgumentError


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
