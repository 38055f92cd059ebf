"""The sample marketplace: its raw format, its flaws, and that it is written whole or not at all."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from lookalike.catalogue.categories import CATEGORIES
from sample import drawings, marketplace
from sample.drawings import KINDS, draw_photo, kinds_of, make_look
from sample.marketplace import (
    FEWEST_LISTINGS,
    SampleError,
    SampleExistsError,
    SampleSummary,
    category_slug,
    write_sample,
)
from sample.words import WORDS

LISTINGS = 60
SEED = 3
Row = dict[str, str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleSummary]:
    out = tmp_path_factory.mktemp("sample") / "marketplace"
    return out, write_sample(out, listings=LISTINGS, seed=SEED)


@pytest.fixture(scope="module")
def sample(written: tuple[Path, SampleSummary]) -> Path:
    return written[0]


@pytest.fixture(scope="module")
def summary(written: tuple[Path, SampleSummary]) -> SampleSummary:
    return written[1]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves photos empty, where files and tables are tested: drawing them takes all the time."""
    monkeypatch.setattr(marketplace, "draw_photo", lambda *_: Image.new("RGB", (64, 48)))


def read_table(path: Path) -> list[Row]:
    # the csv module refuses bare carriage returns, so they are hidden from it
    text = path.read_bytes().decode().replace("\r", "\0cr")
    records = list(csv.reader(text.removesuffix("\n").split("\n")))
    return [
        {name: field.replace("\0cr", "\r") for name, field in zip(records[0], record, strict=True)}
        for record in records[1:]
    ]


def photo_files(sample: Path) -> list[Path]:
    return sorted((sample / "images").iterdir())


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_tables_have_the_exports_headers_and_line_feeds_between_records(sample: Path) -> None:
    products = (sample / "Products.csv").read_bytes()
    images = (sample / "Images.csv").read_bytes()

    assert products.startswith(b",id,product_name,category,product_description,price,location\n")
    assert images.startswith(b",id,product_id\n")
    assert b"\r\n" not in products + images
    assert products.count(b"\n") == LISTINGS + 1


def test_some_unquoted_descriptions_hold_bare_carriage_returns(sample: Path) -> None:
    lines = (sample / "Products.csv").read_bytes().split(b"\n")
    rows = read_table(sample / "Products.csv")

    assert sum("\r" in row["product_description"] for row in rows) > LISTINGS // 10
    unquoted = [line for line in lines if b"\r" in re.sub(rb'"[^"]*"', b"", line)]
    assert len(unquoted) > LISTINGS // 20


def test_fields_with_commas_and_quotes_survive_the_quoting(sample: Path) -> None:
    rows = read_table(sample / "Products.csv")

    assert any('"as seen"' in row["product_description"] for row in rows)
    complete = [row for row in rows if row["location"] not in ("", "NaN", "N/A")]
    assert all(row["location"].count(",") == 1 for row in complete)


def test_rows_look_like_the_exports(sample: Path) -> None:
    rows = read_table(sample / "Products.csv")
    numbers = [int(row[""]) for row in rows]
    uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

    assert numbers == sorted(set(numbers))
    assert numbers[-1] >= LISTINGS, "running numbers have gaps"
    assert all(re.fullmatch(uuid4, row["id"]) for row in rows)
    assert len({row["id"] for row in rows}) == LISTINGS
    assert all(re.fullmatch(r".+ \| in .+, .+ \| Gumtree", row["product_name"]) for row in rows)
    prices = [row["price"] for row in rows if row["price"] not in ("", "NaN", "N/A")]
    assert all(re.fullmatch(r"£\d{1,3}(,\d{3})*\.\d\d", price) for price in prices)


def test_some_descriptions_leak_their_subcategory(sample: Path) -> None:
    rows = read_table(sample / "Products.csv")
    leaking = [row for row in rows if "Posted by " in row["product_description"]]

    assert 1 <= len(leaking) <= LISTINGS // 10
    for row in leaking:
        levels = ", ".join(row["category"].split(" / ")[1:])
        assert f" in {levels} in " in row["product_description"]


def test_all_categories_occur_with_two_or_three_levels(sample: Path) -> None:
    rows = read_table(sample / "Products.csv")
    paths = [row["category"].split(" / ") for row in rows]
    known = [path for path in paths if path[0] in CATEGORIES]

    assert len(CATEGORIES) == 13
    assert {path[0] for path in known} == set(CATEGORIES)
    assert {len(path) for path in known} == {2, 3}


def test_incomplete_rows_hold_each_marker_of_a_missing_value(
    sample: Path, summary: SampleSummary
) -> None:
    markers = Counter(
        field
        for row in read_table(sample / "Products.csv")
        for field in row.values()
        if field in ("", "NaN", "N/A")
    )

    assert set(markers) == {"", "NaN", "N/A"}
    assert sum(markers.values()) == summary.incomplete


def test_listings_have_two_photos_one_or_none(sample: Path, summary: SampleSummary) -> None:
    products = {row["id"] for row in read_table(sample / "Products.csv")}
    images = read_table(sample / "Images.csv")
    photos = Counter(row["product_id"] for row in images)

    assert set(photos) <= products
    assert set(photos.values()) == {1, 2}
    assert sum(count == 2 for count in photos.values()) > len(photos) / 2
    assert len(products) - len(photos) == summary.without_photo > 0
    assert len(images) == len({row["id"] for row in images}) == summary.photos


def test_only_the_photos_counted_as_missing_have_no_file(
    sample: Path, summary: SampleSummary
) -> None:
    listed = {f"{row['id']}.jpg" for row in read_table(sample / "Images.csv")}
    stored = {path.name for path in photo_files(sample)}

    assert stored <= listed
    assert len(listed - stored) == summary.oddities["missing"] == 1
    assert len(stored) == summary.files


def test_odd_files_are_there_as_often_as_the_summary_says(
    sample: Path, summary: SampleSummary
) -> None:
    found: Counter[str] = Counter()
    for path in photo_files(sample):
        data = path.read_bytes()
        if not data:
            found["empty"] += 1
        elif data.startswith(b"<html>"):
            found["text"] += 1
        else:
            with Image.open(path) as photo:
                try:
                    photo.load()
                except OSError:
                    found["truncated"] += 1
                    continue
                found["png_with_alpha"] += photo.format == "PNG" and photo.mode == "RGBA"
                found["cmyk"] += photo.mode == "CMYK"
                found["grayscale"] += photo.mode == "L"
                found["exif_rotated"] += photo.getexif().get(0x0112) == 6
                found["very_small"] += max(photo.size) < 64
    same = Counter(path.read_bytes() for path in photo_files(sample))
    found["byte_identical_pairs"] = sum(count == 2 for count in same.values())
    found["missing"] = summary.oddities["missing"]

    assert all(found.values())
    assert dict(found) == summary.oddities


def test_every_listing_with_photos_keeps_a_readable_one(sample: Path) -> None:
    readable: dict[str, bool] = {}
    for row in read_table(sample / "Images.csv"):
        path = sample / "images" / f"{row['id']}.jpg"
        try:
            with Image.open(path) as photo:
                photo.load()
        except OSError:
            readable.setdefault(row["product_id"], False)
        else:
            readable[row["product_id"]] = True

    assert all(readable.values())


def test_exif_rotated_photo_displays_in_a_size_the_others_have(sample: Path) -> None:
    sizes: set[tuple[int, int]] = set()
    turned: list[tuple[int, int]] = []
    for path in photo_files(sample):
        if path.read_bytes().startswith(b"\xff\xd8"):
            with Image.open(path) as photo:
                if photo.getexif().get(0x0112) == 6:
                    turned.append(ImageOps.exif_transpose(photo).size)
                else:
                    sizes.add(photo.size)

    assert len(turned) == 1
    assert set(turned) <= sizes


def test_identical_photos_belong_to_two_listings_of_one_category(sample: Path) -> None:
    roots = {
        row["id"]: row["category"].split(" / ")[0] for row in read_table(sample / "Products.csv")
    }
    owners: dict[bytes, list[str]] = {}
    for row in read_table(sample / "Images.csv"):
        path = sample / "images" / f"{row['id']}.jpg"
        if path.exists():
            owners.setdefault(path.read_bytes(), []).append(row["product_id"])
    shared = [pair for pair in owners.values() if len(pair) > 1]

    assert len(shared) == 1
    first, second = shared[0]
    assert first != second
    assert roots[first] == roots[second]


def test_each_category_has_a_query_photo_of_its_own(sample: Path, summary: SampleSummary) -> None:
    answers = json.loads((sample / "queries" / "queries.json").read_text())
    listed = {path.read_bytes() for path in photo_files(sample)}

    assert [answer["category"] for answer in answers] == list(CATEGORIES)
    assert summary.queries == len(CATEGORIES)
    for answer in answers:
        path = sample / "queries" / answer["file"]
        assert path.stem == category_slug(answer["category"])
        assert path.read_bytes() not in listed
        with Image.open(path) as photo:
            photo.load()


def test_same_parameters_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again", listings=LISTINGS, seed=SEED)

    assert content_of(tmp_path / "again") == content_of(sample)


@pytest.mark.usefixtures("undrawn")
def test_another_seed_gives_other_listings(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "other", listings=LISTINGS, seed=SEED + 1, queries=0)
    folders = (sample, tmp_path / "other")
    first, other = ({row["id"] for row in read_table(f / "Products.csv")} for f in folders)
    assert not first & other


@pytest.mark.usefixtures("undrawn")
def test_a_new_kind_leaves_the_listings_of_other_kinds_as_they_were(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = tuple(kind for kind in KINDS if kind.name != "toaster")
    monkeypatch.setattr(drawings, "KINDS", fewer)
    write_sample(tmp_path / "fewer", listings=LISTINGS, seed=SEED, queries=0)
    before = read_table(sample / "Products.csv")
    after = read_table(tmp_path / "fewer" / "Products.csv")
    moved = [old for old, new in zip(before, after, strict=True) if old != new]

    assert moved
    assert all("toaster" in row["product_name"].lower() for row in moved)


def test_a_sample_with_the_same_parameters_is_reused(sample: Path, summary: SampleSummary) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}
    again = write_sample(sample, listings=LISTINGS, seed=SEED)

    assert again.reused
    assert not summary.reused
    assert again.oddities == summary.oddities
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_another_sample_in_the_directory_is_refused_and_kept(sample: Path) -> None:
    before = content_of(sample)
    with pytest.raises(SampleExistsError) as refusal:
        write_sample(sample, listings=LISTINGS, seed=SEED + 1)

    assert str(sample) in str(refusal.value)
    assert f"seed {SEED} there, {SEED + 1} asked for" in str(refusal.value)
    assert content_of(sample) == before


@pytest.mark.parametrize("note", [None, "not JSON", "[]", '{"parameters": {}}'])
def test_a_directory_that_is_no_sample_is_refused_and_kept(
    tmp_path: Path, note: str | None
) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    if note is not None:
        (tmp_path / "sample.json").write_text(note)
    before = content_of(tmp_path)
    with pytest.raises(SampleExistsError, match=re.escape(str(tmp_path))):
        write_sample(tmp_path)

    assert content_of(tmp_path) == before


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("keep me")
    with pytest.raises(SampleExistsError, match="is a file"):
        write_sample(taken)

    assert taken.read_text() == "keep me"


@pytest.mark.usefixtures("undrawn")
def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, listings=FEWEST_LISTINGS, queries=0)

    assert not summary.reused
    assert len(read_table(tmp_path / "Products.csv")) == FEWEST_LISTINGS


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "parent" / "out", listings=FEWEST_LISTINGS, progress=stop)

    assert list((tmp_path / "parent").iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_progress_counts_every_photo_up_to_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    summary = write_sample(
        tmp_path / "out",
        listings=FEWEST_LISTINGS,
        queries=2,
        progress=lambda done, total: seen.append((done, total)),
    )

    total = summary.photos + summary.queries
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert summary.queries == 2 * len(CATEGORIES)


def test_flaws_grow_gently_with_the_listings() -> None:
    # the plan alone tells, so that no thousand photos need drawing
    from sample.marketplace import _plan

    flaws = Counter(listing.oddity for listing in _plan(1000, SEED) if listing.oddity)

    assert set(flaws.values()) == {3}


@pytest.mark.parametrize(("listings", "queries"), [(FEWEST_LISTINGS - 1, 1), (60, -1)])
def test_impossible_sizes_are_refused(tmp_path: Path, listings: int, queries: int) -> None:
    with pytest.raises(SampleError, match="the least is"):
        write_sample(tmp_path / "out", listings=listings, queries=queries)

    assert not (tmp_path / "out").exists()


def test_each_category_has_at_least_three_kinds_and_each_kind_its_words() -> None:
    assert {kind.name for kind in KINDS} == set(WORDS)
    assert {kind.category for kind in KINDS} == set(CATEGORIES)
    assert all(len(kinds_of(category)) >= 3 for category in CATEGORIES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_two_views_show_one_object_differently(kind: drawings.Kind) -> None:
    look = make_look("one object")
    first = draw_photo(kind, look, "first view", (120, 90))
    again = draw_photo(kind, look, "first view", (120, 90))
    second = draw_photo(kind, look, "second view", (120, 90))

    assert first.size == (120, 90)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != second.tobytes()
