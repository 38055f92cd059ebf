"""Links to a photo of the catalogue: what they show, and what is said where there is none."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.page.conftest import OpenPage
from tests.page.stub import Stub, answer, listing, price, problem, similar


def test_link_to_a_photo_shows_it_with_what_is_known_of_it(stub: Stub, open_stub: OpenPage) -> None:
    stub.keep(listing(3), listing(3, item_id="photo/3-b"))
    stub.answer = answer(
        [similar(1, 0.7, "probably the same item")], classification=None, price=price()
    )
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
    expect(page.locator(".strip a")).to_have_attribute("href", "#/similar?item=photo%2F3-b&k=12")
    expect(page.locator(".card")).to_have_attribute("href", "#/similar?item=photo%2F1&k=12")
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
