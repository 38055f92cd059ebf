"""`lookalike similar`, and its contact sheet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lookalike.catalogue import sheets
from lookalike.cli import findings
from lookalike.gateway.v1 import gateway_pb2 as pb
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


def rows(out: str) -> list[list[str]]:
    """The cells of the table's header and rows."""
    lines = [line.replace("┃", "│") for line in out.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_table_has_category_listing_price_and_likeness(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("similar", photos / "a.jpg", "-k", "4")
    assert ended.code == 0
    assert ended.out.startswith(
        "category Home & Garden, confidence 70 %\n"
        "ranked by blend: what tells items apart and what tells categories apart\n"
    )
    header, *cells = rows(ended.out)
    assert header[3:] == ["price", "same item", "distance", "photo id"]
    assert [row[3:] for row in cells] == [
        ["", "97 %  almost certainly the same item", "0.000", "photo-0"],
        ["£1,250.00", "60 %  probably the same item", "0.333", "photo-1"],
        ["CHF 2,500.00", "20 %  possibly the same item", "0.667", "photo-2"],
        ["3,750.00", "5 %  another item", "1.000", "photo-3"],
    ]


@pytest.mark.parametrize(
    ("width", "header", "likeness"),
    [
        (80, "price, same item", "60 %"),
        (120, "price, same item, photo id", "60 %  probably the same item"),
        (140, "price, same item, distance, photo id", "60 %  probably the same item"),
    ],
)
@pytest.mark.usefixtures("gateway")
def test_a_narrow_terminal_gets_per_cent_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int, header: str, likeness: str
) -> None:
    monkeypatch.setattr(findings, "has_room", lambda wanted: width >= wanted)
    first, _, third = rows(run("similar", "--item", "x", "-k", "2").out)
    assert ", ".join(first[3:]) == header
    assert third[4] == likeness


def test_without_a_calibration_the_distance_is_shown_instead(
    run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "has_room", lambda _: False)
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        listings=[pb.SimilarListing(photo=pb.CataloguePhoto(item_id="x"), distance=0.25)],
        ranking=pb.RANKING_METHOD_CATEGORY,
    )
    ended = run("similar", "--item", "x")
    assert ended.out.startswith("ranked by category: what tells categories apart\n")
    assert [row[3:] for row in rows(ended.out)] == [["price", "distance"], ["", "0.250"]]


@pytest.mark.parametrize("ranking", ["blend", "features", "category", "hybrid", "words"])
def test_the_ranking_is_sent_and_said(run: Run, gateway: Gateway, ranking: str) -> None:
    ended = run("similar", "--item", "x", "--ranking", ranking)
    assert ended.out.startswith(f"ranked by {ranking}: ")
    (request,) = gateway.requests["FindSimilarListings"]
    assert request.ranking == pb.RankingMethod.Value(f"RANKING_METHOD_{ranking.upper()}")


def test_an_unknown_ranking_is_refused_with_those_there_are(run: Run, gateway: Gateway) -> None:
    ended = run("similar", "--item", "x", "--ranking", "best")
    assert ended.code == 2
    assert (
        "--ranking is 'best'; it must be one of blend, features, category, hybrid, words"
        in ended.err
    )


@pytest.mark.parametrize("text", ["0.8", "80%", " 80 % "])
def test_a_least_likeness_is_a_share_or_per_cent(run: Run, gateway: Gateway, text: str) -> None:
    assert run("similar", "--item", "x", "--min-likeness", text).code == 0
    (request,) = gateway.requests["FindSimilarListings"]
    assert request.min_likeness == pytest.approx(0.8)


@pytest.mark.parametrize("text", ["80", "-1%", "101%", "much", "8%0", "nan", ""])
def test_what_is_no_likeness_is_refused(run: Run, gateway: Gateway, text: str) -> None:
    ended = run("similar", "--item", "x", "--min-likeness", text)
    assert ended.code == 2
    assert f"--min-likeness is '{text}'; it must be 0 to 1, or 0% to 100%" in ended.err


PRICE = pb.PriceEstimate(
    median=119.6,
    low=60.2,
    high=240,
    coverage=0.8,
    listings=7,
    currency="GBP",
    outliers=[
        pb.PriceOutlier(item_id="x", product_id="p", price=9999),
        pb.PriceOutlier(item_id="y", product_id="q", price=0.5),
    ],
)


def priced(run: Run, gateway: Gateway, estimate: pb.PriceEstimate | None) -> str:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(price=estimate)
    return run("similar", "--item", "x", "--price").out


def test_a_fair_price_is_said_with_its_range_and_what_was_left_out(
    run: Run, gateway: Gateway
) -> None:
    assert priced(run, gateway, PRICE).splitlines() == [
        "such things cost £120 (£60 to £240, 8 in 10), by 7 listings",
        "left out, as it is far from the others: £9,999.00 (photo x), £0.50 (photo y)",
    ]
    assert gateway.requests["FindSimilarListings"][0].include_price


def test_a_range_that_was_not_fitted_promises_nothing(run: Run, gateway: Gateway) -> None:
    estimate = pb.PriceEstimate(median=9.5, low=5, high=20, listings=1)
    assert priced(run, gateway, estimate) == "such things cost 9.50 (5.00 to 20 among 1 listing)\n"
    estimate = pb.PriceEstimate(median=9.5, low=5, high=20, listings=3, coverage=0.85)
    assert "85 in 100" in priced(run, gateway, estimate)


def test_no_price_among_what_is_similar_is_said_where_one_was_asked_for(
    run: Run, gateway: Gateway
) -> None:
    assert priced(run, gateway, None) == "no similar listing has a price\n"
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    assert run("similar", "--item", "x").out == ""


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


def test_of_several_photos_a_bad_one_is_named_and_the_others_answer(
    run: Run, gateway: Gateway, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"text")
    ended = run("similar", photos / "a.jpg", bad)
    assert ended.code == 3
    assert f"lookalike: {bad}: image is not one of JPEG (INVALID_IMAGE)" in ended.err
    assert "Lamp 0" in ended.out


def test_of_several_photos_nothing_is_found_while_the_index_is_away(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    gateway.index_away = True
    ended = run("similar", photos / "a.jpg", photos / "c.jpeg")
    assert (ended.code, ended.err) == (1, "lookalike: the index cannot be reached\n")


def test_a_shortfall_is_said(run: Run, gateway: Gateway, photos: Path) -> None:
    assert "there are only 7" in run("similar", photos / "a.jpg", "-k", "9").err


def test_json_holds_the_listings(run: Run, gateway: Gateway) -> None:
    answer = run("similar", "--item", "photo-9", "-k", "2", "--json").json
    assert answer["category"] is None
    assert [hit["item_id"] for hit in answer["listings"]] == ["photo-0", "photo-1"]
    assert answer["listings"][0]["price"] is None
    second = answer["listings"][1]
    assert second["distance"] == pytest.approx(1 / 3)
    assert second["ranked_by"] == pytest.approx(1 / 7)
    assert (second["likeness"], second["currency"]) == (0.6, "GBP")
    assert second["likeness_words"] == "probably the same item"
    assert (answer["ranking"], answer["price"]) == ("blend", None)
    assert (answer["candidates_scanned"], answer["candidates_ranked"]) == (1000, 200)


def test_json_holds_the_fair_price(run: Run, gateway: Gateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(price=PRICE)
    price = run("similar", "--item", "x", "--price", "--json").json["price"]
    assert (price["median"], price["coverage"], price["currency"]) == (119.6, 0.8, "GBP")
    assert price["outliers"][0] == {"item_id": "x", "product_id": "p", "price": 9999}


def test_a_card_of_the_sheet_says_how_alike_it_is(
    run: Run, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(sheets, "draw_contact_sheet", lambda *cards, **_: drawn.append(cards))
    run("similar", "--item", "x", "-k", "2", "--sheet", tmp_path / "sheet.png")
    (_, (_, second), _), *_ = drawn
    assert second.lines == ["Appliances", "£1,250.00", "60 %", "probably the same item"]


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


@pytest.mark.parametrize("name", ["sheet", "sheet.txt", "sheet.parquet"])
def test_a_sheet_whose_name_says_no_format_is_refused_before_anything_is_asked(
    run: Run, gateway: Gateway, photos: Path, name: str
) -> None:
    ended = run("similar", photos / "a.jpg", "--sheet", name)
    assert ended.code == 2
    assert f"{name}: the sheet's name must end in one of .png .jpg" in ended.err


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
