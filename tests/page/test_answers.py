"""What the page makes of answers: likeness, prices, rankings, the map, the status."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from lookalike.cli.console import per_cent
from tests.page.conftest import OpenPage, search
from tests.page.stub import Stub, answer, listing, price, problem, similar

LIKELY = "probably the same item"


def test_likeness_is_said_in_per_cent_and_in_words(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    said = [
        (0.9999, "almost certainly the same item", "> 99 %", True),
        (0.97, "almost certainly the same item", "97 %", True),
        (0.5, LIKELY, "50 %", True),
        (0.12, "possibly the same item", "12 %", False),
        (0.0001, "another item", "< 1 %", False),
    ]
    stub.answer = answer([similar(n, *likeness[:2]) for n, likeness in enumerate(said)])
    page = open_stub()
    search(page, photos(1))
    expect(page.locator("#summary")).to_contain_text("5 listings, best match first")
    for card, (_, words, shown, strong) in zip(page.locator(".card").all(), said, strict=True):
        expect(card.locator(".chance")).to_have_text(shown)
        expect(card.locator(".words")).to_have_text(words)
        expect(card.locator(".strong")).to_have_count(2 if strong else 0)
        expect(card).not_to_contain_text("16.296")


def test_page_and_command_line_say_the_same_per_cent(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    shares = [0.0, 0.0099, 0.01, 0.014, 0.5, 0.984, 0.99, 0.9901, 0.9949, 0.995, 1.0]
    stub.answer = answer([similar(n, share, LIKELY) for n, share in enumerate(shares)])
    page = open_stub()
    search(page, photos(1))
    expect(page.locator(".chance")).to_have_count(len(shares))
    shown = [re.sub("([<>]) ", r"\1", text) for text in page.locator(".chance").all_inner_texts()]
    assert shown == [per_cent(share) for share in shares]


def test_without_likeness_the_ranking_is_named_and_no_figure_is_made_up(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.answer = answer([similar(1, None, ""), similar(2, None, "")], ranking="category")
    page = open_stub()
    search(page, photos(1))
    expect(page.locator("#summary")).to_contain_text("2 listings, ranked by category")
    expect(page.locator(".chance, .words")).to_have_count(0)
    expect(page.locator("#results")).not_to_contain_text("null")
    expect(page.locator("#results")).not_to_contain_text("16.296")


def test_prices_carry_their_currency(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    said = [
        (1234.5, "GBP", "£1,234.50"),
        (50, "GBP", "£50"),
        (50, "EUR", "€50"),
        (1200, "JPY", "JP¥1,200"),
        (50, "XYZ", "XYZ 50"),
        (50, "pounds", "50.00"),
        (50, "", "50.00"),
        (50, None, "50.00"),
        (0, "GBP", "£0"),
        (None, "GBP", "no price"),
    ]
    stub.answer = answer(
        [
            similar(n, 0.7, LIKELY, price=amount, currency=currency)
            for n, (amount, currency, _) in enumerate(said)
        ]
    )
    page = open_stub()
    search(page, photos(1))
    expect(page.locator(".card b")).to_have_text([shown for _, _, shown in said])


def test_fair_price_is_a_sentence(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    said: list[tuple[dict[str, Any], str]] = [
        ({}, "Such things cost about £120; 8 in 10 cost £60 to £240."),
        ({}, "By the prices of 37 similar listings."),
        ({"coverage": 0.0}, "about £120; most cost £60 to £240."),
        ({"coverage": 0.75}, "about £120; 75 % cost £60 to £240."),
        ({"currency": ""}, "about 120; 8 in 10 cost 60 to 240."),
        ({"median": 4.5, "low": 2.25, "high": 9}, "about £4.50; 8 in 10 cost £2.25 to £9."),
        ({"low": 120.2, "high": 120.4}, "Such things cost about £120."),
        ({"listings": 1}, "By the price of one similar listing."),
    ]
    page = open_stub()
    for changes, sentence in said:
        stub.answer = answer([similar(1, 0.7, LIKELY)], price=price(**changes))
        search(page, photos(1))
        expect(page.locator("#price")).to_contain_text(sentence)
        expect(page.locator("#price details")).to_have_count(0)
    assert stub.asked[-1].fields["include_price"] == "true"


def test_without_a_fair_price_nothing_is_said_of_one(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.answer = answer([similar(1, 0.7, LIKELY)], price=price())
    page = open_stub()
    search(page, photos(1))
    expect(page.locator("#price")).to_be_visible()
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    search(page, photos(2))
    expect(page.locator("#price")).to_be_hidden()


def test_prices_that_were_left_out_are_named_on_demand(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.keep(listing(8, title="Gold tap"))
    outliers = [
        {"item_id": "photo/8", "product_id": "listing 8", "price": 9000.0},
        {"item_id": "photo/9", "product_id": "listing 9", "price": 1.0},
    ]
    stub.answer = answer([similar(1, 0.7, LIKELY)], price=price(outliers=outliers))
    page = open_stub()
    search(page, photos(1))
    details = page.locator("#price details")
    expect(details).to_contain_text("2 listings left out")
    expect(details.locator("a").first).to_be_hidden()
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(details.locator("li").first).to_have_text("Gold tap £9,000")
    expect(details.locator("li").last).to_have_text("photo/9 £1")  # its name cannot be told
    details.locator("a").first.click()
    expect(page.locator("#shown .name")).to_have_text("Gold tap")


def test_ranking_is_chosen_and_kept_in_the_address(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.keep(listing(1), listing(2))
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    search(page, photos(1))
    assert "ranking" not in stub.asked[-1].fields
    stub.answer = answer([similar(1, 0.7, LIKELY)], ranking="features")
    page.get_by_label("Rank").select_option("By item")
    expect(page.locator("#summary")).to_contain_text("ranked by the item alone")
    assert stub.asked[-1].fields["ranking"] == "features"
    expect(page).to_have_url(re.compile("ranking=features"))
    stub.answer = answer([similar(2, 0.7, LIKELY)], ranking="features")
    page.locator("#results a.card").click()
    expect(page.locator("#shown .name")).to_have_text("Thing 1")
    expect(page.locator("#results a.card")).to_contain_text("Thing 2")
    expect(page.get_by_label("Rank")).to_have_value("features")
    assert stub.asked[-1].fields["item_id"] == "photo/1"
    assert stub.asked[-1].fields["ranking"] == "features"
    page.reload()
    expect(page.locator("#summary")).to_contain_text("ranked by the item alone")
    assert stub.asked[-1].fields["ranking"] == "features"


def test_ranking_that_there_is_not_is_the_best(stub: Stub, open_stub: OpenPage) -> None:
    stub.keep(listing(1))
    page = open_stub("/#/similar?item=photo%2F1&ranking=alphabet&k=7")
    expect(page.locator("#summary")).to_contain_text("No listings")
    expect(page.get_by_label("Rank")).to_have_value("")
    assert "ranking" not in stub.asked[-1].fields
    assert stub.asked[-1].fields["k"] == "12"


def test_ranking_that_the_catalogue_does_not_allow_is_explained(
    stub: Stub, open_stub: OpenPage
) -> None:
    stub.keep(listing(1))
    why = "the catalogue has no features; run `lookalike reindex`"
    stub.answer = problem(400, "RANKING_UNAVAILABLE", why)
    page = open_stub("/#/similar?item=photo%2F1&ranking=features")
    expect(page.get_by_role("alert")).to_contain_text("cannot be ranked that way")
    expect(page.get_by_role("alert")).to_contain_text(why)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"neighbors_kept": 0.421, "explained": None},
            "of the 10 most like a photo, 4.2 are among",
        ),
        ({"neighbors_kept": None, "explained": 0.57}, "this plane shows 57 % of what tells"),
        ({"neighbors_kept": 0.4, "explained": None, "left_out": 2}, "2 photos without features"),
    ],
)
def test_map_says_how_it_is_laid_out(
    stub: Stub, open_stub: OpenPage, how: dict[str, Any], said: str
) -> None:
    points = [{**listing(n), "x": n / 10, "y": n / 10} for n in range(10)]
    stub.map = {"points": points, "left_out": 0, **how}
    page = open_stub("/#/map")
    expect(page.locator("#map")).to_contain_text(said)
    page.locator("#map canvas").focus()
    expect(page.locator(".tip")).to_contain_text("£")


def test_status_says_what_would_make_answers_better(stub: Stub, open_stub: OpenPage) -> None:
    lacking = ["the bundle does not say how: export it", "12 of 40 photos have no features"]
    stub.status |= {"ranking": "category", "lacking": lacking}
    page = open_stub("/#/status")
    said = ["The bundle does not say how: export it.", "12 of 40 photos have no features."]
    expect(page.locator("#status .notice li")).to_have_text(said)
    expect(page.locator("dt:text('Ranks by') + dd")).to_have_text("category")
    expect(page.locator("dt:text('Photos with features') + dd")).to_have_text("40")


def test_phone_width_holds_photos_prices_and_long_names(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]], tmp_path: Path
) -> None:
    long = "x" * 120
    outlier = {"item_id": long, "product_id": long, "price": 1e9}
    listings = [similar(n, 0.7, LIKELY, title=long, category=long) for n in range(4)]
    stub.answer = answer(listings, price=price(outliers=[outlier], high=1e9))
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = open_stub(**phone)
    named = tmp_path / f"{long}.jpg"
    named.write_bytes(photos(1)[0].read_bytes())
    for files in ([named], [named, *photos(5)]):
        search(page, files)
        page.locator("#price summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
