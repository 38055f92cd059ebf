"""Spells words as they are read, for models and for the index of words alike."""

from __future__ import annotations

import unicodedata

_KEPT_INVISIBLE = "\u200d\ufe0f"  # which join an emoji's parts


def plain(text: str) -> str:
    """Returns a text in plain letters, without what cannot be seen.

    Letters of mathematical and other display alphabets, of full width and joined ones become plain
    ones (Unicode's NFKC). Marks of direction, soft hyphens and spaces without width vanish, control
    characters become spaces.
    """
    return "".join(_visible(letter) for letter in unicodedata.normalize("NFKC", text))


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in _KEPT_INVISIBLE:
        return letter
    return "" if unicodedata.category(letter) in ("Cf", "Cs", "Co", "Cn") else " "
