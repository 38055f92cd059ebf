"""The web page in a real browser, on real services: what a person does with it, and how it looks.

The other files of this folder have answers that these services do not give.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from tests.conftest import LABELS
from tests.page.services import filled_services

DrawPhoto = Callable[..., bytes]


@pytest.fixture(scope="module")
def services(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, draw_photo: DrawPhoto
) -> Iterator[LocalStack]:
    """Services with thumbnails and a small catalogue."""
    with filled_services(reading_bundle, tmp_path_factory.mktemp("page"), draw_photo) as stack:
        yield stack


@pytest.fixture
def origin(services: LocalStack) -> str:
    return f"http://{services.http_address}"


@pytest.fixture
def open_page(origin: str, open_at: Callable[..., Page]) -> Callable[..., Page]:
    """Opens the page of the real services."""
    return lambda path="/", **options: open_at(origin, path, **options)


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


@pytest.fixture
def photo(tmp_path: Path, draw_photo: DrawPhoto) -> Path:
    """The bytes of the photo `photo/5-0`."""
    file = tmp_path / "mine.jpg"
    file.write_bytes(draw_photo(500))
    return file


def pick(page: Page, photo: Path) -> None:
    page.set_input_files("#pick", photo)
    expect(page.locator("#results a.card").first).to_be_visible()


def test_first_view_is_small_and_complete(browser: Browser, origin: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    sizes: dict[str, int] = {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(origin)
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Drop a photo of something for sale")).to_be_visible()
    assert f"{origin}/" in sizes
    assert sum(sizes.values()) < 40_000, sizes
    context.close()


def test_picked_photo_is_classified_and_has_neighbours(page: Page, photo: Path) -> None:
    pick(page, photo)
    expect(page.locator(".bars li")).to_have_count(13)
    best = page.locator(".bars li").first
    expect(page.locator("#query-title")).to_have_text(best.locator(".label").inner_text())
    expect(page.locator("#results a.card")).to_have_count(12)
    first = page.locator("#results a.card").first
    expect(first).to_contain_text("Thing 5")
    expect(first).to_contain_text("5.00")
    expect(first).not_to_contain_text("distance")
    expect(first).to_contain_text(LABELS[2])
    loaded = "image => image.complete && image.naturalWidth > 0"
    page.wait_for_function(loaded, arg=first.locator("img").element_handle())
    expect(page.locator("#summary")).to_contain_text("12 listings")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_dropped_and_pasted_photos_are_searched_by(page: Page, photo: Path, event: str) -> None:
    send = """([event, encoded]) => {
      const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "mine.jpg", {type: "image/jpeg"}));
      const how = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
      const events = event === "drop"
        ? ["dragenter", "dragover", "drop"].map((name) => new DragEvent(name, how))
        : [new ClipboardEvent("paste", how)];
      for (const made of events) document.querySelector("#drop").dispatchEvent(made);
    }"""
    page.evaluate(send, [event, base64.b64encode(photo.read_bytes()).decode()])
    expect(page.locator("#results a.card").first).to_contain_text("Thing 5")
    expect(page.locator("#veil")).to_be_hidden()
    expect(page.locator("#shown img")).to_be_visible()


def test_click_on_a_result_searches_by_it_and_back_returns(page: Page, photo: Path) -> None:
    pick(page, photo)
    second = page.locator("#results a.card").nth(1)
    name = second.locator(".name").inner_text()
    second.click()
    expect(page.locator("#query-title")).to_have_text("Listings like this one")
    expect(page.locator("#shown .name")).to_have_text(name)
    expect(page.locator("#results a.card").first).to_be_visible()
    expect(page.locator("#results .name", has_text=f"{name}$")).to_have_count(0)
    page.reload()  # the address says it all
    expect(page.locator("#shown .name")).to_have_text(name)
    page.go_back()
    expect(page.locator("#notices")).to_contain_text("That photo is gone")  # it was reloaded


def test_back_returns_to_the_photo(page: Page, photo: Path) -> None:
    pick(page, photo)
    page.locator("#results a.card").nth(1).click()
    expect(page.locator("#query-title")).to_have_text("Listings like this one")
    page.go_back()
    expect(page.locator(".bars li").first).to_be_visible()
    expect(page.locator("#results a.card").first).to_contain_text("Thing 5")


def test_other_photos_of_a_listing_are_shown(page: Page, open_page: Callable[..., Page]) -> None:
    page = open_page("/#/similar?item=photo%2F3-0&listing=listing+3")
    others = page.locator(".strip a")
    expect(others).to_have_count(1)
    others.first.click()
    expect(page.locator("#results a.card").first).to_be_visible()
    assert "item=photo%2F3-1" in page.url


def test_filters_narrow_and_can_be_cleared(page: Page, photo: Path) -> None:
    pick(page, photo)
    page.select_option("[name=category]", LABELS[1])
    expect(page.locator("#results a.card")).to_have_count(10)
    for card in page.locator("#results a.card").all():
        expect(card).to_contain_text(LABELS[1])
    page.fill("[name=max_price]", "7")
    page.press("[name=max_price]", "Enter")
    expect(page.locator("#results a.card")).to_have_count(3)
    expect(page.locator("#summary")).to_contain_text("3 listings")
    page.fill("[name=min_price]", "100")
    page.fill("[name=max_price]", "")
    page.press("[name=max_price]", "Enter")
    expect(page.locator("#summary")).to_contain_text("No listings — ")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#results a.card")).to_have_count(12)
    page.select_option("[name=k]", "24")
    expect(page.locator("#results a.card")).to_have_count(24)


def test_filter_that_makes_no_sense_is_explained(page: Page, photo: Path) -> None:
    pick(page, photo)
    page.fill("[name=min_price]", "cheap")
    page.press("[name=min_price]", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("min_price")


def test_file_that_is_no_photo_is_explained(page: Page, photo: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("dear sir")
    page.set_input_files("#pick", text)
    expect(page.get_by_role("alert")).to_contain_text("image is not one of JPEG")
    expect(page.locator("#results a.card")).to_have_count(0)
    pick(page, photo)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_photo_above_the_limit_is_not_even_sent(page: Page, tmp_path: Path) -> None:
    page.wait_for_load_state("networkidle")
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate((12 << 20) + 1)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.set_input_files("#pick", large)
    expect(page.get_by_role("alert")).to_contain_text("the limit is 12 MiB")
    assert sent == []


def test_map_shows_points_and_leads_to_a_search(page: Page) -> None:
    page.get_by_role("link", name="Map", exact=True).click()
    expect(page.locator(".legend li")).to_have_count(3)
    expect(page.locator("#map")).to_contain_text("40 photos, laid out by")
    page.locator("#map canvas").focus()
    expect(page.locator(".tip .name")).to_be_visible()
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "+", "ArrowRight"):
        page.keyboard.press(key)
    name = page.locator(".tip .name").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#shown .name")).to_have_text(name)
    expect(page.locator("#results a.card").first).to_be_visible()


def test_map_is_for_the_mouse_too(page: Page, open_page: Callable[..., Page]) -> None:
    page = open_page("/#/map")
    canvas = page.locator("#map canvas")
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box
    page.locator(".legend button").first.click()
    expect(page.locator(".legend button").first).to_have_attribute("aria-pressed", "false")
    page.locator(".legend button").first.click()
    canvas.dispatch_event("pointerdown")  # which the browser may take for itself, to scroll
    canvas.dispatch_event("pointercancel")
    columns = range(int(box["x"]) + 20, int(box["x"] + box["width"]) - 60, 9)
    spots = [(x, int(box["y"]) + y) for y in range(20, int(box["height"]), 40) for x in columns]
    for x, y in spots:
        page.mouse.move(x, y)
        if page.locator(".tip").is_visible():
            break
    name = page.locator(".tip .name").inner_text()
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#shown .name")).to_have_text(name)


def test_status_tells_of_model_and_catalogue(page: Page, services: LocalStack) -> None:
    expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
    page.get_by_role("link", name="Status").click()
    expect(page.locator(".panel")).to_have_count(3)
    status = page.locator("#status")
    expect(status).to_contain_text("tiny 1")
    expect(status).to_contain_text(services.address("embedder_service"))
    expect(page.locator("dt:text('Photos') + dd").first).to_have_text("40")


def test_link_to_a_photo_alone_shows_it_with_its_listing(open_page: Callable[..., Page]) -> None:
    page = open_page("/#/similar?item=photo%2F3-0")
    shown = page.locator("#shown")
    expect(shown.locator(".name")).to_have_text("Thing 3")
    expect(shown).to_contain_text("3.00, Leeds")
    expect(shown).to_contain_text(LABELS[0])
    loaded = "image => image.complete && image.naturalWidth > 0"
    page.wait_for_function(loaded, arg=shown.locator(".picture img").first.element_handle())
    expect(page.locator(".strip a")).to_have_count(1)
    expect(page.locator("#results a.card").first).to_be_visible()


def test_link_to_a_photo_that_is_gone_says_so(open_page: Callable[..., Page]) -> None:
    page = open_page("/#/similar?item=nobody")
    expect(page.locator("#shown")).to_contain_text("There is no such photo in the catalogue.")
    expect(page.get_by_role("alert")).to_contain_text("That photo is not in the catalogue.")


def test_several_photos_are_answered_together(
    page: Page, tmp_path: Path, draw_photo: DrawPhoto
) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(2)]
    for number, file in enumerate(files):
        file.write_bytes(draw_photo(300 + number))
    letter = tmp_path / "letter.txt"
    letter.write_text("dear sir")
    page.set_input_files("#pick", [files[0], letter, files[1]])
    expect(page.locator("#results a.card").first).to_contain_text("Thing 3")
    expect(page.locator("#shown .picture")).to_have_count(3)
    expect(page.locator("#notices")).to_contain_text("letter.txt: ")
    expect(page.locator(".failed")).to_have_count(1)
    expect(page.locator(".bars li")).to_have_count(13)


def test_words_find_listings_and_change_what_a_photo_finds(page: Page, photo: Path) -> None:
    page.fill("#text", "green velvet armchair")
    page.press("#text", "Enter")
    expect(page.locator("#results a.card")).to_have_count(12)
    expect(page.locator(".bars li")).to_have_count(13)
    expect(page.locator("#query-title")).to_have_text("“green velvet armchair”")
    pick(page, photo)
    expect(page.locator("#results a.card").first).to_contain_text("Thing 5")
    page.get_by_label("Like this, but", exact=True).fill("green")
    page.get_by_label("and less", exact=True).fill("oak")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("with your words")
    expect(page.locator(".way")).to_have_count(3)
    page.fill("#text", "of no known word")  # of which the model knows no more than that
    page.press("#text", "Enter")
    expect(page.locator("#query-title")).to_have_text("“of no known word”")


def test_view_that_was_left_while_it_loaded_does_not_begin(page: Page) -> None:
    expect(page.locator("#health")).to_have_attribute("aria-label", "all is well")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/static/status.js", hold)
    with page.expect_request("**/static/status.js"):
        page.get_by_role("link", name="Status").click()
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#search")).to_be_visible()
    held[0].continue_()
    page.evaluate("import('/static/status.js')")
    expect(page.locator("#status > *")).to_have_count(0)


def test_keyboard_alone_is_enough(page: Page, photo: Path) -> None:
    page.on("filechooser", lambda chooser: chooser.set_files(photo))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id === 'pick'"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#results a.card").first).to_be_visible()
    expect(page.locator("#query-title")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#results a.card')"):
            break
    name = page.evaluate("document.activeElement.querySelector('.name').textContent")
    page.keyboard.press("Enter")
    expect(page.locator("#shown .name")).to_have_text(name)


def test_escape_stops_a_search(page: Page, photo: Path) -> None:
    page.route("**/v1/similar", lambda route: None)  # never answered
    page.set_input_files("#pick", photo)
    expect(page.locator("#summary")).to_have_text("Looking…")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#summary")).to_have_text("Stopped.")
    expect(page.locator("#results li")).to_have_count(0)


def test_degraded_answer_and_lost_server_are_told(page: Page, photo: Path) -> None:
    score = {"category": "tools", "index": 0, "probability": 1.0}
    answer = {
        "listings": [],
        "classification": {"scores": [score]},
        "shortfall": "",
        "cached": False,
        "degraded": "the index is away",
        "timings_ms": {"total": 1.0},
    }
    page.route("**/v1/similar", lambda route: route.fulfill(json=answer))
    page.set_input_files("#pick", photo)
    expect(page.locator("#notices")).to_contain_text("the index is away")
    expect(page.locator(".bars li").first).to_be_visible()
    page.unroute("**/v1/similar")
    page.route("**/v1/similar", lambda route: route.abort())
    page.set_input_files("#pick", photo)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")


@pytest.mark.parametrize("path", ["/", "/#/map", "/#/status", "/docs"])
def test_phone_width_needs_no_sideways_scroll(open_page: Callable[..., Page], path: str) -> None:
    page = open_page(path, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_phone_shows_results_and_offers_the_camera(
    open_page: Callable[..., Page], photo: Path
) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    expect(page.get_by_text("Take a photo")).to_be_visible()
    expect(page.locator("#camera")).to_have_attribute("capture", "environment")
    pick(page, photo)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator(".bars li:visible")).to_have_count(3)
    page.get_by_role("button", name="All 13 categories").click()
    expect(page.locator(".bars li:visible")).to_have_count(13)


def test_description_of_the_api_is_read_by_people(
    open_page: Callable[..., Page], origin: str
) -> None:
    page = open_page("/docs")
    operation = page.locator("details", has_text="/v1/similar")
    operation.locator("summary").click()
    expect(operation).to_contain_text("max_distance")
    expect(operation).to_contain_text("curl -s")
    assert page.locator("details").count() == 21
    expect(operation).to_contain_text("In JSON also")
    text = page.locator("details", has_text="/predict/text")
    assert text.locator("pre").text_content() == f"curl -s {origin}/predict/text -F text=…"
