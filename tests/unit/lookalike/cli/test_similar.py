"""`lookalike similar`, and its contact sheet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import Run
from tests.unit.lookalike.cli.conftest import DrawPhoto, Gateway


@pytest.fixture
def thumbnails(draw_photo: DrawPhoto) -> Iterator[str]:
    """An HTTP server with the thumbnail of photo-1 alone."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            found = self.path == "/v1/thumbnails/photo-1"
            self.send_response(200 if found else 404)
            self.end_headers()
            if found:
                self.wfile.write(draw_photo(1))

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_table_has_category_listing_price_and_distance(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("similar", photos / "a.jpg", "-k", "3")
    assert ended.code == 0
    assert ended.out.startswith("category Home & Garden, confidence 70%\n")
    row = next(line for line in ended.out.splitlines() if "photo-2" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[0] == "3"
    assert cells[2:] == ["Home & Garden", "£2,500.00", "0.667", "photo-2"]


def test_a_title_cannot_colour_or_ring_the_terminal(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("similar", photos / "a.jpg", "-k", "1")
    assert "Lamp 0 [bold] [31mof  brass" in ended.out
    assert not {"\x1b", "\x07"} & set(ended.out)


def test_filters_and_thresholds_are_sent(run: Run, gateway: Gateway, photos: Path) -> None:
    options = "--category A --category B --min-price 5 --max-price 9.5 --max-distance 2"
    assert run("similar", photos / "a.jpg", *options.split()).code == 0
    (request,) = gateway.requests["FindSimilarListings"]
    assert list(request.filter.categories) == ["A", "B"]
    assert (request.filter.min_price, request.filter.max_price) == (5, 9.5)
    assert request.max_distance == 2
    assert request.k == 10


def test_several_photos_are_one_query(run: Run, gateway: Gateway, photos: Path) -> None:
    assert run("similar", photos / "a.jpg", photos / "c.jpeg").code == 0
    (request,) = gateway.requests["FindSimilarListings"]
    assert len(request.images.images) == 2


def test_a_shortfall_is_said(run: Run, gateway: Gateway, photos: Path) -> None:
    assert "there are only 7" in run("similar", photos / "a.jpg", "-k", "9").err


def test_json_holds_the_listings(run: Run, gateway: Gateway) -> None:
    answer = run("similar", "--item", "photo-9", "-k", "2", "--json").json
    assert answer["category"] is None
    assert [hit["item_id"] for hit in answer["listings"]] == ["photo-0", "photo-1"]
    assert answer["listings"][0]["price"] is None
    assert answer["listings"][1]["distance"] == pytest.approx(1 / 3)


def test_an_unknown_item_is_one_line(run: Run, gateway: Gateway) -> None:
    ended = run("similar", "--item", "nope")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == ("lookalike: collection 'listings' has no item 'nope' (ITEM_NOT_FOUND)\n")


def test_what_is_no_photo_is_one_line(run: Run, gateway: Gateway, photos: Path) -> None:
    ended = run("similar", photos / "notes.txt")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "lookalike: image is not one of JPEG (INVALID_IMAGE)\n"


def test_a_sheet_shows_local_photos_thumbnails_and_empty_places(
    run: Run, gateway: Gateway, photos: Path, thumbnails: str, draw_photo: DrawPhoto
) -> None:
    (photos / "photo-0.jpg").write_bytes(draw_photo(7))
    sheet = photos / "made" / "sheet.png"
    ended = run(
        "similar", photos / "a.jpg", "--sheet", sheet, "--images", photos, "--http", thumbnails
    )
    assert ended.code == 0
    assert f"contact sheet: {sheet}" in " ".join(ended.err.split("\n"))
    with Image.open(sheet) as image:
        assert image.width > 1500


def test_a_sheet_of_an_item_needs_no_photo_at_all(
    run: Run, gateway: Gateway, tmp_path: Path
) -> None:
    ended = run("similar", "--item", "photo-9", "--sheet", tmp_path / "sheet.png", "--json")
    assert ended.code == 0
    assert ended.json["sheet"] == str(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_no_page_at_that_address_is_one_line(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    ended = run(
        "similar", "--item", "x", "--sheet", tmp_path / "s.png", "--http", "http://127.0.0.1:1"
    )
    assert ended.code == 1
    assert "no thumbnails to be had" in ended.err


def test_a_sheet_that_cannot_be_written_is_one_line(
    run: Run, gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "sheet.png").mkdir()
    ended = run("similar", "--item", "x", "--sheet", tmp_path / "sheet.png")
    assert ended.code == 1
    assert "cannot be written: Is a directory" in ended.err
