"""The names in a catalogue."""

from __future__ import annotations

import pytest

from lookalike.catalogue.schema import collection_name


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("84e46878a5b8c0ffee", "photos-84e46878a5b8"),
        ("Space 1", "photos-space-1"),
        ("ü/1", "photos---1"),
    ],
)
def test_collection_is_named_after_alias_and_space(space: str, name: str) -> None:
    assert collection_name("photos", space) == name
