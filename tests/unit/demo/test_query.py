"""What the demo prints and draws of an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from demo.query import ask, draw, show
from lookalike import CataloguePhoto
from lookalike.client import CategoryScore, Classification, SearchResult, SimilarListing
from lookalike.errors import StartupError

SEEN = Classification(
    (CategoryScore("Home & Garden", 0, 0.876), CategoryScore("Appliances", 1, 0.124)), "space"
)
LAMP = CataloguePhoto("i-1", "p-1", "Home & Garden", "Brass lamp", 1250.0, currency="GBP")
ANSWER = SearchResult((SimilarListing(LAMP, 0.25, 0.93, 0.1),), SEEN, "the only one")


def test_an_answer_is_shown_as_by_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    show(ANSWER, Path("photos/lamp.jpg"))
    written = capsys.readouterr()
    for words in ("photos/lamp.jpg", "Home & Garden, confidence 88 %", "Brass lamp", "£1,250"):
        assert words in written.out
    assert "93 %" in written.out
    assert "almost certainly the same item" in written.out
    assert "the only one" in written.err


def test_an_answer_is_drawn_beside_the_photo(tmp_path: Path) -> None:
    for name in ("query.jpg", "i-1.jpg"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
    draw(ANSWER, tmp_path / "query.jpg", tmp_path, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 600
        colours = sheet.convert("RGB").getcolors(1 << 24) or []
    assert max(count for count, colour in colours if colour == (254, 0, 0)) > 100_000


def test_a_gateway_that_is_away_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lamp.jpg").write_bytes(b"photo")
    with pytest.raises(StartupError) as caught:
        ask("127.0.0.1:1", tmp_path / "lamp.jpg")

    assert str(caught.value).startswith("the gateway: ")
    assert "\n" not in str(caught.value)
