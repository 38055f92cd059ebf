"""Several photos of one thing: shown, sent, named where they are of no use, refused in words."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from gateway.http.bodies import MAX_PHOTOS
from gateway.http.page import STATIC
from tests.page.conftest import OpenPage, search
from tests.page.stub import Stub, answer, similar

LIKELY = "probably the same item"


def noise(file: Path, side: int = 700) -> Path:
    """A photo that no compression makes small."""
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file


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
    stub.answer = answer([similar(2, 0.7, LIKELY)], classification=None)
    page.get_by_label("Like this, but", exact=True).fill("blue")
    page.keyboard.press("Enter")  # words beside photos need all of these: the letter is left out
    expect(page.locator("#results a.card")).to_contain_text("Thing 2")
    assert stub.asked[-1].files == ["side 0.jpg", "side 1.jpg"]


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
