"""Where the claims of operations are executed: a fleet of the tests' tiny bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.operations.fleet import Fleet
from benchmarks.report import Figure
from lookalike.model.bundle import Bundle
from tests.conftest import DrawPhoto


@pytest.fixture
def fleet(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tiny_bundle.path, tmp_path) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def photos(draw_photo: DrawPhoto) -> Sequence[bytes]:
    return [draw_photo(seed) for seed in range(16)]


@pytest.fixture(scope="session")
def counted() -> Callable[[Sequence[Figure]], dict[str, float]]:
    """Returns what was counted, which is what tests hold; what was timed is for people."""

    def counted(figures: Sequence[Figure]) -> dict[str, float]:
        units = {"calls", "writes", "photos"}
        return {figure.name.strip(): figure.value for figure in figures if figure.unit in units}

    return counted
