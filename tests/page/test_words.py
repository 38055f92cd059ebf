"""Words on the page: what is searched for, and what should differ from a photo."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.page.conftest import OpenPage, search
from tests.page.stub import Stub, answer, classification, listing, problem, similar

LIKELY = "probably the same item"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_typed_words_find_listings_and_stand_in_the_address(
    stub: Stub, open_stub: OpenPage
) -> None:
    stub.answer = answer([similar(1, None, "")], ranking="hybrid")
    page = open_stub()
    box = page.get_by_role("searchbox", name="Describe what you look for")
    box.press("Enter")  # nothing was typed
    expect(page.locator("#intro")).to_be_visible()
    box.fill("  كنبة <b>blue</b> 🛋️ ")
    box.press("Enter")
    expect(page.locator("#summary")).to_contain_text("best match of words and meaning first")
    expect(page.locator("#query-title")).to_have_text("“كنبة <b>blue</b> 🛋️”")
    expect(page.locator("#query-title")).to_be_focused()
    expect(page.locator("#bars h2")).to_have_text("Category of your words")
    expect(page.locator("#refine")).to_be_hidden()
    assert stub.asked[-1].fields["text"] == "كنبة <b>blue</b> 🛋️"
    page.get_by_label("Rank").select_option("By words alone")
    expect(page).to_have_url(re.compile("ranking=words"))
    page.reload()
    expect(box).to_have_value("كنبة <b>blue</b> 🛋️")
    expect(page.locator("#summary")).to_contain_text("1 listing")
    assert stub.asked[-1].fields["ranking"] == "words"
    # A result is looked for by its photo, which has no words to be ranked by.
    stub.keep(listing(1))
    page.locator("#results a.card").click()
    expect(page.locator("#shown .name")).to_have_text("Thing 1")
    expect(page.get_by_label("Rank")).to_have_value("")
    expect(box).to_have_value("")
    assert "ranking" not in stub.asked[-1].fields
    assert "text" not in stub.asked[-1].fields


def test_words_beside_a_photo_lead_towards_and_away(
    stub: Stub, open_stub: OpenPage, photos: Callable[..., list[Path]]
) -> None:
    stub.answer = answer([similar(1, 0.7, LIKELY)])
    page = open_stub()
    search(page, photos(1))
    assert not {"like", "unlike", "text"} & stub.asked[-1].fields.keys()
    assert stub.asked_to_classify == []
    stub.answer = answer([similar(2, 0.7, LIKELY)], classification=None)
    stub.classified = {
        **classification(0.1, 0.6, 0.3),
        "photos": [classification(0.9, 0.1, 0.0)],
        "words": {**classification(0.0, 0.2, 0.8), "tokens": 64, "truncated": True},
    }
    page.get_by_label("Like this, but", exact=True).fill("blue")
    page.get_by_label("How much “Like this, but …” counts").select_option("above all")
    page.get_by_label("and less", exact=True).fill("damaged^2")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("with your words")
    expect(page.locator("#results a.card")).to_contain_text("Thing 2")
    asked = stub.asked[-1]
    assert (asked.fields["like"], asked.fields["unlike"]) == ("blue^2", "damaged^2^1")
    assert asked.files == ["side 0.jpg"]
    assert stub.asked_to_classify[-1].fields["title"] == "blue"
    ways = page.locator(".way")
    expect(ways).to_contain_text(["Photo and words", "Photo alone", "Words alone"])
    expect(ways.nth(1)).to_contain_text("Appliances90 %")
    expect(page.locator(".bars .best")).to_contain_text("Home & Garden60 %")
    ways.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".bars .best")).to_contain_text("Sports, Leisure & Travel80 %")
    expect(ways.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#bars")).to_contain_text("Only the first 64 tokens")
    expect(page).to_have_url(re.compile(r"like=blue%5E2&unlike=damaged%5E2%5E1"))
    with page.expect_response("**/v1/similar"):
        page.get_by_role("button", name="Clear words").click()
    expect(page).not_to_have_url(re.compile("like="))
    expect(page.get_by_label("Like this, but", exact=True)).to_be_focused()
    assert not {"like", "unlike"} & stub.asked[-1].fields.keys()


def test_listing_of_the_catalogue_takes_words_beside_it_from_the_address(
    stub: Stub, open_stub: OpenPage
) -> None:
    stub.keep(listing(1))
    stub.answer = answer([similar(2, 0.7, LIKELY)], classification=None)
    page = open_stub("/#/similar?item=photo%2F1&unlike=old%5E0.5")
    expect(page.locator("#summary")).to_contain_text("with your words")
    expect(page.get_by_label("and less", exact=True)).to_have_value("old")
    expect(page.get_by_label("How much “and less …” counts")).to_have_value("0.5")
    assert stub.asked[-1].fields["unlike"] == "old^0.5"
    assert stub.asked[-1].fields["item_id"] == "photo/1"
    expect(page.locator("#bars")).to_be_hidden()


@pytest.mark.parametrize(
    ("reads", "finds", "said"),
    [
        (True, True, None),
        (True, False, "Found by what your words mean; this catalogue does not look them up"),
        (False, True, "the model here does not read what they mean"),
        (False, False, "Words cannot be searched here"),
    ],
)
def test_what_words_lack_is_said_where_they_are_typed(
    stub: Stub, open_stub: OpenPage, said: str | None, *, reads: bool, finds: bool
) -> None:
    stub.status["embedder"]["text_encoder"] = "a language model" if reads else ""
    stub.status["index"]["finds_words"] = finds
    stub.keep(listing(1))
    page = open_stub("/#/similar?item=photo%2F1")
    expect(page.locator("#summary")).to_contain_text("No listings")
    note = page.locator("#text-note")
    if said:
        expect(note).to_contain_text(said)
    else:
        expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
        expect(note).to_be_hidden()
    box = page.get_by_role("searchbox")
    (expect(box).to_be_enabled if reads or finds else expect(box).to_be_disabled)()
    beside = page.get_by_label("Like this, but", exact=True)
    expect(beside).to_be_visible(visible=reads)
    expect(page.locator("#refine-note")).to_be_visible(visible=not reads)


def test_words_that_are_refused_are_explained(stub: Stub, open_stub: OpenPage) -> None:
    why = "model tiny 1 has no text tower; train one"
    stub.answer = problem(409, "WORDS_UNAVAILABLE", why)
    page = open_stub("/#/similar?text=sofa")
    expect(page.get_by_role("alert")).to_contain_text("Words are not read here.")
    expect(page.get_by_role("alert")).to_contain_text(why)


def test_titles_and_descriptions_are_text_in_any_script_and_fit_a_phone(
    stub: Stub, open_stub: OpenPage
) -> None:
    odd = "<img src=x onerror=alert(1)>\n\n& more"
    listings = [
        similar(1, 0.7, LIKELY, description=odd),
        similar(2, 0.7, LIKELY, title="كرسي", description="أزرق"),
        similar(3, 0.7, LIKELY, description="x" * 8192),
    ]
    stub.answer = answer(listings)
    stub.keep(listing(3, description="word " * 1000))
    page = open_stub("/#/similar?text=chair", **PHONE)
    abouts = page.locator(".card .about")
    expect(abouts).to_have_count(3)
    expect(abouts.first).to_have_text("<img src=x onerror=alert(1)> & more")
    direction = "element => getComputedStyle(element).direction"
    assert [each.evaluate(direction) for each in abouts.all()[:2]] == ["ltr", "rtl"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(f"{stub.origin}/#/similar?item=photo%2F3")
    page.locator("#shown summary").click()
    expect(page.locator("#shown .said p")).to_contain_text("word word")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("like", "“Like this, but …”: the words say nothing"),
        ("unlike", "“and less …”: the words say nothing"),
        ("item_id", "this listing's photo: the words say nothing"),
        ("image", "photo 2: the words say nothing"),
    ],
)
def test_the_part_of_a_mix_is_called_what_the_page_calls_it(
    stub: Stub, open_stub: OpenPage, field: str, said: str
) -> None:
    stub.keep(listing(1))
    why = "part 2 of the mix: the words say nothing"
    stub.answer = problem(400, "INVALID_ARGUMENT", why, field)
    page = open_stub("/#/similar?item=photo%2F1&like=%3Cb%3E%5E1")
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("alert")).not_to_contain_text("of the mix")


def test_a_heading_as_long_as_words_may_be_leaves_room_for_the_answer(
    stub: Stub, open_stub: OpenPage
) -> None:
    stub.answer = answer([similar(1, None, "")], ranking="hybrid")
    page = open_stub(f"/#/similar?text={'w' * 1024}")
    expect(page.locator("#summary")).to_contain_text("1 listing")
    box = page.locator("#query-title").bounding_box()
    assert box is not None
    assert box["height"] < 120
