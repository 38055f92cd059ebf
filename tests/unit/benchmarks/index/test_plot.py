from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.index.plot import draw, short
from benchmarks.index.sizes import Cost


def test_picture_is_drawn_with_and_without_the_largest_sizes(tmp_path: Path) -> None:
    costs = [
        Cost(10**power, approximate, 10.0 ** (power - 5), 100, 150, 90 + 100 * approximate)
        for power in (4, 5, 6)
        for approximate in (False, True)
    ]
    for number, some in enumerate((costs[:4], [*costs, Cost(10**7, False, 30, 110, 140, 95)])):
        file = tmp_path / f"{number}.png"
        draw(some, 0.4, file)
        with Image.open(file) as image:
            assert image.size == (1440, 662)


def test_numbers_are_short() -> None:
    assert [short(number) for number in (10, 10_000, 100_000, 10_000_000)] == [
        "10",
        "10 k",
        "100 k",
        "10 M",
    ]
