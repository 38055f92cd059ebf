"""A likeness in words."""

from __future__ import annotations

import pytest

from lookalike.likeness import likeness_words


@pytest.mark.parametrize(
    ("likeness", "words"),
    [
        (1.0, "almost certainly the same item"),
        (0.9, "almost certainly the same item"),
        (0.8999, "probably the same item"),
        (0.5, "probably the same item"),
        (0.4999, "possibly the same item"),
        (0.1, "possibly the same item"),
        (0.0999, "another item"),
        (0.0, "another item"),
        (None, ""),
    ],
)
def test_each_likeness_has_its_words(likeness: float | None, words: str) -> None:
    assert likeness_words(likeness) == words
