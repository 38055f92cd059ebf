"""What the page makes of answers: likeness, prices, rankings, several photos, links to items."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gateway.http.bodies import MAX_PHOTOS
from gateway.http.page import STATIC
from tests.page.conftest import OpenPage
from tests.page.stub import Stub, answer, listing, price, problem, similar

DrawPhoto = Callable[..., bytes]
LIKELY = "probably the same item"


@pytest.fixture
def photos(tmp_path: Path, draw_photo: DrawPhoto) -> Callable[..., list[Path]]:
    """Writes that many photos of a thing."""

    def write(count: int) -> list[Path]:
        files = [tmp_path / f"side {number}.jpg" for number in range(count)]
        for number, file in enumerate(files):
            file.write_bytes(draw_photo(number))
        return files

    return write


def search(page: Page, files: list[Path]) -> None:
    page.set_input_files("#pick", files)
    expect(page.locator("#summary")).to_contain_text("listing")


def noise(file: Path, side: int = 700) -> Path:
    """A photo that no compression makes small."""
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file


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
    page.locator("#results a.card").click()
    expect(page.locator("#shown .name")).to_have_text("Thing 1")
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


def test_photos_of_one_thing_are_shown_small_and_asked_about_together(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    search(page, photos(MAX_PHOTOS))
    (asked,) = stub.asked
    assert asked.files == [f"side {number}.jpg" for number in range(MAX_PHOTOS)]
    assert asked.fields["allow_partial"] == "true"
    pictures = page.locator("#shown .picture img")
    expect(pictures).to_have_count(MAX_PHOTOS)
    expect(pictures.nth(1)).to_have_attribute("alt", "Photo 2 of 16: side 1.jpg")
    expect(page.locator("#shown")).to_contain_text("16 photos of one thing")
    expect(page.locator("#notices > *")).to_have_count(0)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_several_photos_are_dropped_and_pasted(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]], event: str
) -> None:
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    send = """([event, encoded]) => {
      const data = new DataTransfer();
      for (const [place, text] of encoded.entries()) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        data.items.add(new File([bytes], `${place}.jpg`, {type: "image/jpeg"}));
      }
      const how = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
      const made = event === "drop" ? new DragEvent(event, how) : new ClipboardEvent(event, how);
      document.querySelector("#drop").dispatchEvent(made);
    }"""
    encoded = [base64.b64encode(file.read_bytes()).decode() for file in photos(3)]
    page.evaluate(send, [event, encoded])
    expect(page.locator("#summary")).to_contain_text("1 listing")
    expect(page.locator("#shown .picture")).to_have_count(3)
    assert stub.asked[-1].files == ["0.jpg", "1.jpg", "2.jpg"]


def test_photo_that_cannot_be_read_is_named_and_the_others_answer(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]], tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear sir")
    failure = {"photo": 1, "detail": "image is not one of JPEG, PNG", "reason": "INVALID_IMAGE"}
    stub.answer = answer([similar(1, 0.7, LIKELY)], failures=[failure])
    page = open_stub()
    first, last = photos(2)
    search(page, [first, letter, last])
    notice = page.locator("#notices")
    expect(notice).to_contain_text("1 photo could not be used; the answer is by the other 2.")
    expect(notice).to_contain_text("letter.txt: image is not one of JPEG, PNG")
    expect(page.locator("#shown .picture").nth(1)).to_contain_text("not used")
    page.select_option("[name=k]", "24")  # the answer is another, the failure the same
    expect(page).to_have_url(re.compile("k=24"))
    expect(page.locator("#results a.card")).to_have_count(1)
    expect(page.get_by_text("not used")).to_have_count(1)


def test_more_photos_than_a_search_takes_are_refused_in_words(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    page = open_stub()
    page.set_input_files("#pick", photos(MAX_PHOTOS + 1))
    expect(page.get_by_role("alert")).to_contain_text("You chose 17; a search takes at most 16")
    expect(page.locator("#intro")).to_be_visible()
    assert stub.asked == []


def test_page_knows_how_many_photos_the_server_takes() -> None:
    source = (STATIC / "photos.js").read_text(encoding="utf-8")
    assert f"const MAX_PHOTOS = {MAX_PHOTOS};" in source
    assert f"up to {MAX_PHOTOS} photos" in (STATIC / "index.html").read_text(encoding="utf-8")


def test_one_photo_above_the_limit_is_left_out_and_named(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]], tmp_path: Path
) -> None:
    stub.status["limits"]["max_image_bytes"] = 100_000
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
    search(page, [*photos(1), noise(tmp_path / "noise.png")])
    assert stub.asked[-1].files == ["side 0.jpg"]
    expect(page.locator("#notices")).to_contain_text("the answer is by the other one.")
    expect(page.locator("#notices")).to_contain_text("noise.png has 1.4 MiB; the limit is 98 KiB.")


def test_photos_that_are_too_large_together_are_sent_smaller(
    stub: Stub, open_stub: OpenPage, tmp_path: Path
) -> None:
    stub.status["limits"]["max_request_bytes"] = 3 << 20
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
    files = [noise(tmp_path / f"{number}.png") for number in range(3)]
    search(page, files)
    (asked,) = stub.asked
    assert asked.files == ["0.png", "1.png", "2.png"]
    assert sum(asked.sizes) < 3 << 20 < sum(file.stat().st_size for file in files)


def test_photos_that_no_browser_can_make_smaller_are_refused_in_words(
    stub: Stub, open_stub: OpenPage, tmp_path: Path
) -> None:
    stub.status["limits"]["max_request_bytes"] = 1 << 20
    page = open_stub()
    expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
    files = [tmp_path / f"{number}.heic" for number in range(2)]
    for file in files:
        file.write_bytes(bytes(700_000))
    page.set_input_files("#pick", files)
    expect(page.get_by_role("alert")).to_contain_text("2 photos have 1.3 MiB; the limit is 960 KiB")
    assert stub.asked == []


def test_link_to_a_photo_shows_it_with_what_is_known_of_it(stub: Stub, open_stub: OpenPage) -> None:
    stub.keep(listing(3), listing(3, item_id="photo/3-b"))
    stub.answer = answer([similar(1, 0.7, LIKELY)], classification=None, price=price())
    page = open_stub("/#/similar?item=photo%2F3")
    shown = page.locator("#shown")
    image = shown.locator(".picture img").first
    expect(image).to_have_attribute("alt", "Thing 3")
    loaded = "image => image.complete && image.naturalWidth > 0"
    page.wait_for_function(loaded, arg=image.element_handle())
    expect(shown.locator(".name")).to_have_text("Thing 3")
    expect(shown).to_contain_text("£30, Leeds")
    expect(shown).to_contain_text("Appliances")
    expect(page.locator(".strip a")).to_have_count(1)
    expect(page.locator("#price")).to_be_visible()


@pytest.mark.parametrize("thumbnail", [None, "/v1/thumbnails/unreadable"])
def test_link_to_a_photo_without_a_thumbnail_says_so_and_tells_the_rest(
    stub: Stub, open_stub: OpenPage, thumbnail: str | None
) -> None:
    stub.thumbnails["unreadable"] = b"no picture at all"
    stub.keep(listing(3, thumbnail=thumbnail))
    page = open_stub("/#/similar?item=photo%2F3")
    expect(page.locator("#shown .picture")).to_have_text("no picture")
    expect(page.locator("#shown .name")).to_have_text("Thing 3")
    expect(page.locator("#shown")).to_contain_text("£30")


def test_link_to_a_photo_that_is_not_there_says_so(stub: Stub, open_stub: OpenPage) -> None:
    stub.answer = problem(404, "ITEM_NOT_FOUND", "collection 'listings' has no item 'gone'")
    page = open_stub("/#/similar?item=gone")
    expect(page.locator("#shown")).to_contain_text("There is no such photo in the catalogue.")
    expect(page.locator("#shown")).to_contain_text("gone")
    expect(page.get_by_role("alert")).to_contain_text("That photo is not in the catalogue.")
    expect(page.locator("#results li")).to_have_count(0)


def test_photo_left_for_another_does_not_come_back_late(stub: Stub, open_stub: OpenPage) -> None:
    stub.keep(listing(1), listing(2))
    page = open_stub()
    with page.expect_request("**/v1/items/photo%2F1") as late:
        page.route("**/v1/items/photo%2F1", lambda route: None)
        page.goto(f"{stub.origin}/#/similar?item=photo%2F1")
    page.goto(f"{stub.origin}/#/similar?item=photo%2F2")
    expect(page.locator("#shown .name")).to_have_text("Thing 2")
    assert late.value
    page.unroute("**/v1/items/photo%2F1")
    page.go_back()
    expect(page.locator("#summary")).to_contain_text("No listings")


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
    stub.status |= {"ranking": "category", "lacking": ["12 photos have no features: run this."]}
    page = open_stub("/#/status")
    expect(page.locator("#status .notice")).to_contain_text("12 photos have no features: run this.")
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
