"""`lookalike classify`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.cli import classify
from lookalike.errors import InvalidArgumentError, QueueFullError
from tests.command_line import Run
from tests.unit.lookalike.cli.conftest import SPACE, Gateway, unix


def test_a_photo_is_a_row_of_the_table(run: Run, gateway: Gateway, photos: Path) -> None:
    ended = run("classify", photos / "a.jpg")
    assert (ended.code, ended.err) == (0, "")
    row = next(line for line in ended.out.splitlines() if "a.jpg" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:] == ["Home & Garden", "70 %", "Appliances 20 %, Other Goods 10 %"]


def test_a_folder_is_all_its_photos_in_order(run: Run, gateway: Gateway, photos: Path) -> None:
    (photos / "d.png").unlink()
    ended = run("classify", photos, "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["photo"] for line in lines] == ["a.jpg", "b.JPG", "c.jpeg", "more/e.jpg"]
    assert {line["category"] for line in lines} == {"Home & Garden"}
    assert len(gateway.requests["ClassifyImage"]) == 4
    assert ended.code == 0


def test_json_holds_scores_and_space(run: Run, gateway: Gateway, photos: Path) -> None:
    answer = run("classify", photos / "a.jpg", "--json", "--top", "2").json
    assert answer["embedding_space"] == SPACE
    assert [score["category"] for score in answer["scores"]] == ["Home & Garden", "Appliances"]
    assert answer["probability"] == pytest.approx(0.7)


def test_a_bad_photo_among_good_ones_is_named_and_the_status_is_3(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("classify", photos, "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 3
    assert [line["photo"] for line in lines if "error" in line] == ["d.png"]
    assert lines[3]["error"]["reason"] == "INVALID_IMAGE"
    assert "lookalike: d.png: image is not one of JPEG (INVALID_IMAGE)" in ended.err
    assert "1 photo of 5 failed" in ended.err


def test_a_bad_photo_alone_is_status_1(run: Run, gateway: Gateway, photos: Path) -> None:
    ended = run("classify", photos / "d.png")
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1


@unix
@pytest.mark.parametrize("listing", [(), ("--listing",)])
def test_an_entry_that_cannot_be_used_is_named_and_the_rest_goes_on(
    run: Run, gateway: Gateway, photos: Path, unusable: list[str], listing: tuple[str, ...]
) -> None:
    (photos / "d.png").unlink()
    ended = run("classify", photos, *listing)
    assert ended.code == 3
    assert "\\udcff.jpg': the name is not UTF-8; rename it (UNREADABLE_FILE)" in ended.err
    assert "secret: Permission denied (UNREADABLE_FILE)" in ended.err
    assert "2 photos of 6 failed" in ended.err
    lines = [json.loads(line) for line in run("classify", photos, "--json").out.splitlines()]
    assert [line["photo"] for line in lines if "error" in line] == unusable
    assert len(lines) == 6


def test_standard_input_is_a_photo(
    run: Run, gateway: Gateway, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    photo = (photos / "a.jpg").read_bytes()
    give(photo)
    assert run("classify", "-", "--json").json["photo"] == "-"
    give(photo)
    assert run("classify", "-", photos / "b.JPG", "--listing", "--json").json["category"]
    give(photo)
    assert run("similar", "-", "--json").json["query"] == "-"
    give(photo)
    assert run("ingest", "-", "--listing", "l", "--item", "i").code == 0
    assert gateway.ingested["i"].image == photo
    assert run("ingest", "-", "--listing", "l").code == 2
    give(b"")
    ended = run("classify", "-")
    assert (ended.code, "standard input: is empty" in ended.err) == (1, True)


def test_a_gateway_that_refuses_everybody_is_asked_no_more(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    gateway.answers["ClassifyImage"] = QueueFullError("full")
    ended = run("classify", photos / "a.jpg", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["error"] == {"reason": "QUEUE_FULL", "message": "full"}


def test_what_was_done_is_shown_though_a_later_photo_ends_it(
    run: Run, gateway: Gateway, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classified = classify.each_classified

    def interrupted(*arguments: Any) -> Iterator[Any]:
        for number, found in enumerate(classified(*arguments), 1):
            yield found
            if number == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(classify, "each_classified", interrupted)
    ended = run("classify", photos)
    assert ended.code == 130
    assert "a.jpg" in ended.out
    assert "b.JPG" in ended.out


def test_the_photos_of_a_listing_have_one_answer(run: Run, gateway: Gateway, photos: Path) -> None:
    (photos / "d.png").unlink()
    ended = run("classify", photos, "--listing")
    assert (ended.code, ended.err) == (0, "")
    row = next(line for line in ended.out.splitlines() if "4 photos" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:3] == ["Home & Garden", "70 %"]
    (request,) = gateway.requests["ClassifyListing"]
    assert len(request.images) == 4
    assert request.allow_partial
    assert "ClassifyImage" not in gateway.requests


def test_photos_of_a_listing_that_cannot_be_used_are_named_and_the_others_answer(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    (photos / "a.jpg").write_bytes(b"")
    ended = run("classify", photos, "--listing", "--json")
    assert ended.code == 3
    assert ended.err.splitlines() == [
        f"lookalike: a.jpg: {photos / 'a.jpg'}: is empty (UNREADABLE_FILE)",
        "lookalike: d.png: image is not one of JPEG (INVALID_IMAGE)",
        "2 photos of 5 failed",
    ]
    answer = ended.json
    assert answer["category"] == "Home & Garden"
    told = {photo["photo"]: photo for photo in answer["photos"]}
    assert list(told) == ["a.jpg", "b.JPG", "c.jpeg", "d.png", "more/e.jpg"]
    assert told["b.JPG"]["category"] == "Home & Garden"
    assert told["a.jpg"]["error"]["reason"] == "UNREADABLE_FILE"
    assert told["d.png"]["error"]["reason"] == "INVALID_IMAGE"


def test_a_listing_without_a_photo_that_can_be_used_is_status_1(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    (photos / "a.jpg").write_bytes(b"")
    assert run("classify", photos / "a.jpg", "--listing").code == 1
    assert "ClassifyListing" not in gateway.requests
    ended = run("classify", photos / "d.png", "--listing")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"lookalike: {photos / 'd.png'}: image is not one of JPEG (INVALID_IMAGE)\n"


@pytest.mark.parametrize("json_lines", [True, False])
def test_photos_of_a_listing_are_all_named_where_none_can_be_used(
    run: Run, gateway: Gateway, photos: Path, json_lines: bool
) -> None:
    (photos / "a.jpg").write_bytes(b"")
    (photos / "b.JPG").write_bytes(b"<html>")
    files = [photos / name for name in ("a.jpg", "b.JPG", "d.png")]
    ended = run("classify", *files, "--listing", *["--json"] * json_lines)
    assert ended.code == 1
    assert ended.err.splitlines() == [
        f"lookalike: {files[0]}: {files[0]}: is empty (UNREADABLE_FILE)",
        f"lookalike: {files[1]}: image is not one of JPEG (INVALID_IMAGE)",
        f"lookalike: {files[2]}: image is not one of JPEG (INVALID_IMAGE)",
        "3 photos of 3 failed",
    ]
    if not json_lines:
        assert ended.out == ""
        return
    told = ended.json["photos"]
    assert [photo["photo"] for photo in told] == [str(file) for file in files]
    reasons = [photo["error"]["reason"] for photo in told]
    assert reasons == ["UNREADABLE_FILE", "INVALID_IMAGE", "INVALID_IMAGE"]


def test_what_is_no_fault_of_a_photo_of_a_listing_names_none(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    gateway.answers["ClassifyListing"] = InvalidArgumentError("too many", field="images")
    ended = run("classify", photos, "--listing")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "lookalike: too many (INVALID_ARGUMENT)\n"


def test_a_listing_of_too_many_photos_is_refused_with_how_many_it_may_have(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    for number in range(20):
        (photos / f"{number}.jpg").write_bytes(b"\xff\xd8")
    ended = run("classify", photos, "--listing")
    assert ended.code == 2
    assert "a listing has 16 photos at most, and there are 25" in ended.err
    assert gateway.requests == {}
