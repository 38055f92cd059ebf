"""The page asks for a token where the gateway wants one, and shows pictures with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lookalike import Client
from lookalike.client import CataloguePhoto
from lookalike.model.bundle import Bundle
from tests.page.conftest import search
from tests.secured import TOKENS, Secured, secured_services


@pytest.fixture(scope="module")
def secured(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, draw_photo: Callable[..., bytes]
) -> Iterator[Secured]:
    """Services with TLS and tokens, of which browsers show no certificate, and one photo."""
    folder = tmp_path_factory.mktemp("signed-in")
    with secured_services(tiny_bundle, folder, TLS_CLIENT_CA="") as secured:
        with Client(secured.gateway.address, tls=secured.tls, token=TOKENS["all"]) as client:
            client.ingest(CataloguePhoto("photo-1", "listing-1", title="Thing"), draw_photo(1))
        yield secured


def test_the_page_asks_for_a_token_once_and_shows_pictures_with_it(
    secured: Secured, open_at: Callable[..., Page], photos: Callable[..., list[Path]]
) -> None:
    page = open_at(secured.http, ignore_https_errors=True)
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    dialog.get_by_label("This server wants a token").fill("guessed")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("the token is not known here")
    dialog.get_by_label("This server wants a token").fill(TOKENS["read"])
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    search(page, photos(1))
    picture = page.locator(".card img").first
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0
    assert TOKENS["read"] not in str(page.evaluate("[document.cookie, {...sessionStorage}]"))
    page.goto(f"{secured.http}/#/status")
    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()


def test_whoever_cancels_is_told_and_not_asked_again(
    secured: Secured, open_at: Callable[..., Page], photos: Callable[..., list[Path]]
) -> None:
    page = open_at(secured.http, ignore_https_errors=True)
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.set_input_files("#pick", photos(1))
    expect(page.locator("#notices")).to_contain_text("You are not signed in.")
    expect(dialog).to_have_count(0)
