"""Which served figures have a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality as benchmark
from demo import quality
from demo.quality import KnownPhoto, Served
from lookalike import CataloguePhoto


def measured(monkeypatch: pytest.MonkeyPatch, figures: dict[str, float], photos: int) -> Any:
    """What is reported where these figures are served, by name."""
    photo = KnownPhoto(CataloguePhoto("a1", "a"), Path("a1.jpg"), "bytes", "test")
    monkeypatch.setattr(benchmark, "prepare", lambda *_: None)
    monkeypatch.setattr(benchmark, "known_photos", lambda *_: [photo] * photos)
    monkeypatch.setattr(benchmark, "_served", lambda *_: Served(photos, "blend", figures))
    monkeypatch.setattr(benchmark, "_offline", lambda *_: {})
    found = benchmark.measure(quick=False, data=Path(), bundle=Path())
    return {figure.name.removeprefix("served: "): figure for figure in found}


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        (quality.RECALL_5, 0.58, True),
        (quality.RECALL_5, 0.57, False),
        (quality.LIKENESS_ERROR, 0.06, False),
        (quality.PRICE_COVERAGE, 0.8, True),
        (quality.PRICE_COVERAGE, 0.76, False),
        (quality.PRICE_COVERAGE, 0.84, False),
        (quality.PRICE_ERROR, 0.9, None),
    ],
)
def test_figure_of_enough_photos_is_held_to_its_target(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, holds: bool | None
) -> None:
    assert measured(monkeypatch, {name: value}, 1000)[name].holds is holds
    assert measured(monkeypatch, {name: value}, 999)[name].holds is None
