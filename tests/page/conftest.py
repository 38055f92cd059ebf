"""A real browser, and the page on a gateway that is made up."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.page.stub import Stub, serving

CHROMIUM = shutil.which("chromium")

OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips every test of this folder where there is no browser."""
    if CHROMIUM is None:
        for item in items:
            if item.path.parent.name == "page":
                item.add_marker(pytest.mark.skip(reason="there is no chromium on the PATH"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_at(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page of an origin in a fresh context.

    Requests to another origin and errors of scripts fail the test.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_at(origin: str, path: str = "/", **options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()

        def check(url: str) -> None:
            if not url.startswith((f"{origin}/", f"blob:{origin}/")):
                wrong.append(f"request to {url}")

        page.on("request", lambda request: check(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(origin + path)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def stub(draw_photo: Callable[..., bytes]) -> Iterator[Stub]:
    """A gateway that answers what a test says."""
    with serving(Stub(draw_photo(1))) as stub:
        yield stub


@pytest.fixture
def open_stub(stub: Stub, open_at: Callable[..., Page]) -> OpenPage:
    """Opens the page of the gateway that is made up, as the British see it."""
    return lambda path="/", **options: open_at(stub.origin, path, locale="en-GB", **options)


@pytest.fixture
def photos(tmp_path: Path, draw_photo: Callable[..., bytes]) -> Callable[..., list[Path]]:
    """Writes that many photos of a thing."""

    def write(count: int) -> list[Path]:
        files = [tmp_path / f"side {number}.jpg" for number in range(count)]
        for number, file in enumerate(files):
            file.write_bytes(draw_photo(number))
        return files

    return write


def search(page: Page, files: list[Path]) -> None:
    """Searches by photos, and waits for the answer."""
    page.set_input_files("#pick", files)
    expect(page.locator("#summary")).to_contain_text("listing")
