"""A sample marketplace of photos half as wide and high, which take a third as long to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sample import marketplace


def write_small_sample(out: Path, *, listings: int = marketplace.FEWEST_LISTINGS) -> None:
    """Writes one without queries."""
    draw = marketplace.draw_photo

    def draw_small(*of: Any) -> Image.Image:
        *what, (width, height) = of
        return draw(*what, (width // 2, height // 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marketplace, "draw_photo", draw_small)
        marketplace.write_sample(out, listings=listings, queries=0)
