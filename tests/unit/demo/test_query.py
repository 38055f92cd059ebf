"""The table that the demo prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.query import ask, show
from lookalike.errors import StartupError
from lookalike.gateway.v1 import gateway_pb2 as pb


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def answer(*listings: pb.Listing) -> pb.FindSimilarListingsResponse:
    scores = [
        pb.CategoryScore(category="Home & Garden", probability=0.876),
        pb.CategoryScore(category="Appliances", probability=0.124),
    ]
    return pb.FindSimilarListingsResponse(
        classification=pb.Classification(scores=scores),
        listings=[
            pb.SimilarListing(listing=listing, distance=0.25 * number)
            for number, listing in enumerate(listings)
        ],
    )


def shown(capsys: pytest.CaptureFixture[str], *listings: pb.Listing) -> str:
    show(answer(*listings), Path("photos/lamp.jpg"))
    return capsys.readouterr().out


def row(text: str, number: int) -> list[str]:
    """The cells of a hit."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"│ {number} "))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_category_and_confidence_are_of_the_best_score(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)

    assert "photos/lamp.jpg" in text
    assert "category   Home & Garden\nconfidence 88%\n" in text
    assert "Appliances" not in text


def test_a_hit_is_a_row_with_its_rank_nearest_first(capsys: pytest.CaptureFixture[str]) -> None:
    lamp = pb.Listing(title="Brass lamp", category="Home & Garden", price=1250)
    oven = pb.Listing(title="Oven", category="Appliances", price=0.5)
    text = shown(capsys, lamp, oven)

    assert row(text, 1) == ["1", "Brass lamp", "Home & Garden", "£1,250.00", "0.000"]
    assert row(text, 2) == ["2", "Oven", "Appliances", "£0.50", "0.250"]


def test_a_price_of_nothing_is_told_and_one_that_is_missing_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, pb.Listing(title="Free", price=0), pb.Listing(title="Ask"))

    assert row(text, 1)[3] == "£0.00"
    assert row(text, 2)[3] == ""


@pytest.mark.parametrize(
    "title", ["Rug [red]", "[/] Sofa [bold]", "[/b] Desk", "Mug [link=x]", "C:\\", ":lamp: :smile:"]
)
def test_a_title_is_printed_as_it_is_written(
    capsys: pytest.CaptureFixture[str], title: str
) -> None:
    text = shown(capsys, pb.Listing(title=title, category=title))

    assert row(text, 1)[1:3] == [title, title]


def test_a_gateway_that_is_away_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lamp.jpg").write_bytes(b"photo")
    with pytest.raises(StartupError) as caught:
        ask("127.0.0.1:1", tmp_path / "lamp.jpg")

    assert str(caught.value).startswith("the gateway: ")
    assert "\n" not in str(caught.value)
