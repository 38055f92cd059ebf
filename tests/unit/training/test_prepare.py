"""Preparing a whole catalogue: the report, resuming, and what a second run leaves alone."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import training.prepare
from lookalike.catalogue.categories import CATEGORIES
from lookalike.files import FileError
from sample.oddities import ODD_FILES, encode_jpeg
from training.errors import TrainingError
from training.images import CheckedPhoto, prepare_photo
from training.prepare import load_prepared, prepare

SIZE = 32
HEADER = ",id,product_name,category,product_description,price,location\n"


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Six listings with two photos each, the second one of each odd, broken or missing."""
    folder = tmp_path / "catalogue"
    (folder / "images").mkdir(parents=True)
    products, images = [HEADER], [",id,product_id\n"]
    oddities = ["empty", "truncated", "text", "cmyk", "exif_rotated", "missing"]
    for number, oddity in enumerate(oddities):
        category = CATEGORIES[number]
        quoted = f'"{category} / Things"' if "," in category else f"{category} / Things"
        products.append(f"{number},listing-{number},Thing,{quoted},Text,£{number + 1},Leeds\n")
        picture = Image.new("RGB", (60, 40), (40 * number, 90, 200))
        images += [f"0,good-{number},listing-{number}\n", f"0,{oddity},listing-{number}\n"]
        (folder / f"images/good-{number}.jpg").write_bytes(encode_jpeg(picture))
        if oddity in ODD_FILES:
            (folder / f"images/{oddity}.jpg").write_bytes(ODD_FILES[oddity](picture))
    products.append('9,incomplete,Thing,"Home & Garden / Things",Text,N/A,Leeds\n')
    images.append("0,of-incomplete,incomplete\n")
    (folder / "Products.csv").write_text("".join(products))
    (folder / "Images.csv").write_text("".join(images))
    return folder


def times(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_the_report_says_what_was_kept_dropped_and_why(catalogue: Path, tmp_path: Path) -> None:
    report = prepare(catalogue, tmp_path / "out", image_size=SIZE).report

    assert (report["listings"], report["listings_dropped"]) == (6, {"missing price": 1})
    assert (report["photos"], report["photos_of_dropped_listings"]) == (8, 1)
    reasons = dict(problem.split(": ", 1) for problem in report["photos_rejected"])
    assert list(reasons) == ["empty.jpg", "truncated.jpg", "text.jpg", "missing.jpg"]
    assert reasons["empty.jpg"] == "image is empty (0 bytes)"
    assert reasons["missing.jpg"] == "no such file"
    assert report["listings_without_photo"] == 0
    assert sum(report["photos_by_split"].values()) == 8
    assert [report["photos_by_category"][category] for category in CATEGORIES[:7]] == [
        *(1, 1, 1, 2, 2, 1, 0)
    ]


def test_the_tables_fit_together_and_every_photo_has_its_file(
    catalogue: Path, tmp_path: Path
) -> None:
    prepared = prepare(catalogue, tmp_path / "out", image_size=SIZE)

    assert prepared.categories == CATEGORIES
    names = json.loads((tmp_path / "out/categories.json").read_text())
    assert names["index_to_category"] == list(CATEGORIES)
    assert names["category_to_index"] == {name: i for i, name in enumerate(CATEGORIES)}
    labels = prepared.listings.set_index("product_id")["label"]
    assert (prepared.photos["label"] == prepared.photos["product_id"].map(labels)).all()
    for sha256 in prepared.photos["sha256"]:
        with Image.open(prepared.image_folder / f"{sha256}.jpg") as photo:
            assert (photo.size, photo.mode) == ((SIZE, SIZE), "RGB")
    assert not list((tmp_path / "out").rglob(".*")), "nothing is left aside"


def test_a_listing_whose_photos_are_all_broken_is_counted(catalogue: Path, tmp_path: Path) -> None:
    (catalogue / "images/good-0.jpg").write_bytes(b"")
    report = prepare(catalogue, tmp_path / "out", image_size=SIZE).report

    assert report["listings"] == 6
    assert report["listings_without_photo"] == 1


def test_an_interrupted_run_leaves_no_report_and_is_finished_by_the_next(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def interrupted(image_id: str, *arguments: object) -> CheckedPhoto:
        if image_id == "good-3":
            raise KeyboardInterrupt
        return prepare_photo(image_id, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training.prepare, "prepare_photo", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(catalogue, out, image_size=SIZE)
    assert not (out / "report.json").exists()
    with pytest.raises(FileError, match=r"report\.json: missing; expected a data set made by"):
        load_prepared(out)
    done = times(out / "images")
    assert [file for file in done if file.suffix == ".jpg"]

    monkeypatch.undo()
    prepared = prepare(catalogue, out, image_size=SIZE)
    fresh = prepare(catalogue, tmp_path / "fresh", image_size=SIZE)
    after = times(out / "images")
    assert {file: after[file] for file in done if file.is_file()} == {
        file: time for file, time in done.items() if file.is_file()
    }, "what was done is kept"
    pd.testing.assert_frame_equal(prepared.photos, fresh.photos)
    assert prepared.report == fresh.report


def test_an_interrupted_second_preparation_is_not_taken_for_the_first(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare(catalogue, out, image_size=SIZE)

    def interrupted(*_: object) -> CheckedPhoto:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.prepare, "prepare_photo", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(catalogue, out, image_size=2 * SIZE)

    with pytest.raises(FileError, match=r"report\.json: missing"):
        load_prepared(out)


def test_the_same_options_again_return_at_once_and_touch_nothing(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = prepare(catalogue, out, image_size=SIZE)
    before = times(out)
    monkeypatch.delattr(training.prepare, "in_threads")
    monkeypatch.delattr(training.prepare, "read_listings")
    again = prepare(catalogue, out, image_size=SIZE)

    assert again.report == first.report
    assert times(out) == before


def test_a_photo_that_is_replaced_under_its_name_is_prepared_again(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    before = prepare(catalogue, out, image_size=SIZE)
    assert capsys.readouterr().out.count("anew") == 0
    photo = catalogue / "images/good-3.jpg"
    photo.write_bytes(encode_jpeg(Image.new("RGB", (60, 40), "white")))
    after = prepare(catalogue, out, image_size=SIZE)

    assert "prepared anew, since photos in " in capsys.readouterr().out
    changed = before.photos["sha256"] != after.photos["sha256"]
    assert after.photos["image_id"][changed].tolist() == ["good-3"]
    assert before.identity != after.identity


def test_photos_that_were_only_touched_are_the_same_data(catalogue: Path, tmp_path: Path) -> None:
    before = prepare(catalogue, tmp_path / "out", image_size=SIZE)
    os.utime(catalogue / "images/good-3.jpg", (1, 1))
    after = prepare(catalogue, tmp_path / "out", image_size=SIZE)

    assert before.report["photos_state"] != after.report["photos_state"]
    assert before.identity == after.identity


def test_another_size_prepares_again_beside_the_first(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small = prepare(catalogue, out, image_size=SIZE)
    large = prepare(catalogue, out, image_size=2 * SIZE)

    assert load_prepared(out).report["options"]["image_size"] == 2 * SIZE
    assert large.image_folder != small.image_folder
    with Image.open(next(large.image_folder.iterdir())) as photo:
        assert photo.size == (2 * SIZE, 2 * SIZE)


def test_another_seed_or_catalogue_prepares_again(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(catalogue, out, image_size=SIZE)
    assert prepare(catalogue, out, image_size=SIZE, seed=8).report["options"]["seed"] == 8

    products = (catalogue / "Products.csv").read_text()
    (catalogue / "Products.csv").write_text(products.replace("listing-5,Thing", "listing-5,N/A"))
    report = prepare(catalogue, out, image_size=SIZE, seed=8).report
    assert report["listings_dropped"] == {"missing product_name": 1, "missing price": 1}


@pytest.mark.parametrize("image_id", ["../../good-0", "/good-0", ".good-0"])
def test_a_hostile_image_id_stops_it_before_a_report(
    catalogue: Path, tmp_path: Path, image_id: str
) -> None:
    with (catalogue / "Images.csv").open("a") as stream:
        stream.write(f"0,{image_id},listing-0\n")
    with pytest.raises(FileError, match=f"image id '{re.escape(image_id)}'"):
        prepare(catalogue, tmp_path / "out", image_size=SIZE)

    assert not (tmp_path / "out/report.json").exists()


def test_an_image_row_without_an_id_is_left_out(catalogue: Path, tmp_path: Path) -> None:
    with (catalogue / "Images.csv").open("a") as stream:
        stream.write("0,,listing-0\n")

    assert prepare(catalogue, tmp_path / "out", image_size=SIZE).report["photos"] == 8


@pytest.mark.parametrize("size", [0, -1])
def test_an_impossible_size_is_refused(catalogue: Path, tmp_path: Path, size: int) -> None:
    with pytest.raises(TrainingError, match=f"image size is {size}; it must be at least 1"):
        prepare(catalogue, tmp_path / "out", image_size=size)


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere/Products\.csv: cannot be read: No such file"):
        prepare(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.json", "{"),
        ("report.json", "{}"),
        ("report.json", "[]"),
        ("categories.json", "{}"),
        ("photos.parquet", "no table"),
        ("listings.parquet", None),
    ],
)
def test_a_damaged_data_set_is_refused_by_file(
    catalogue: Path, tmp_path: Path, name: str, content: str | None
) -> None:
    out = tmp_path / "out"
    prepare(catalogue, out, image_size=SIZE)
    (out / name).unlink()
    if content is not None:
        (out / name).write_text(content)
    with pytest.raises((TrainingError, FileError)) as refused:
        load_prepared(out)

    assert str(refused.value).startswith(f"{out / name}: ")
    assert "\n" not in str(refused.value)


def test_a_damaged_data_set_is_prepared_again(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = prepare(catalogue, out, image_size=SIZE)
    (out / "photos.parquet").write_text("no table")
    again = prepare(catalogue, out, image_size=SIZE)

    pd.testing.assert_frame_equal(again.photos, whole.photos)


def test_a_prepared_photo_that_went_missing_is_made_again_by_another_run(
    catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepared = prepare(catalogue, out, image_size=SIZE)
    shutil.rmtree(prepared.image_folder)
    (out / "report.json").unlink()

    assert len(list(prepare(catalogue, out, image_size=SIZE).image_folder.iterdir())) == 8


def test_a_catalogue_without_its_folder_of_photos_is_refused(
    catalogue: Path, tmp_path: Path
) -> None:
    shutil.rmtree(catalogue / "images")
    with pytest.raises(FileError, match=re.escape(f"{catalogue / 'images'}: no such folder")):
        prepare(catalogue, tmp_path / "out", image_size=SIZE)


def test_a_folder_with_none_of_the_photos_is_refused_by_name(
    catalogue: Path, tmp_path: Path
) -> None:
    for file in (catalogue / "images").iterdir():
        file.rename(file.with_name(f"other-{file.name}"))
    words = f"{catalogue / 'images'}: none of the 12 photos that Images.csv names can be used"
    with pytest.raises(TrainingError, match=re.escape(f"{words}; the first: good-0.jpg: no such")):
        prepare(catalogue, tmp_path / "out", image_size=SIZE)
    assert not (tmp_path / "out/report.json").exists()


def test_tables_without_a_photo_of_a_complete_listing_are_refused(
    catalogue: Path, tmp_path: Path
) -> None:
    (catalogue / "Images.csv").write_text("id,product_id\nx,incomplete\n")
    with pytest.raises(TrainingError, match="no photo of a complete listing to prepare"):
        prepare(catalogue, tmp_path / "out", image_size=SIZE)
