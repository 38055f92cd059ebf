"""Photos of a catalogue: which are kept and how, which are rejected and why, and the threads."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.catalogue.photo_files import photo_path
from lookalike.files import FileError
from sample.oddities import ODD_FILES, encode_jpeg
from training.images import CheckedPhoto, in_threads, prepare_photo

SIZE = 64
Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """The raw photos' folder, and the prepared ones'."""
    source, target = tmp_path / "raw", tmp_path / "prepared"
    source.mkdir()
    target.mkdir()
    return source, target


@pytest.fixture
def photo() -> Image.Image:
    """Lying on its side it would be blue above: red left, blue right, twice as wide as high."""
    picture = Image.new("RGB", (200, 100), (220, 30, 30))
    picture.paste((30, 30, 220), (100, 0, 200, 100))
    return picture


def put(folders: Folders, content: bytes, image_id: str = "photo") -> CheckedPhoto:
    (folders[0] / f"{image_id}.jpg").write_bytes(content)
    return prepare_photo(image_id, *folders, SIZE)


def pixels_of(folders: Folders, checked: CheckedPhoto) -> np.ndarray:
    with Image.open(folders[1] / f"{checked.sha256}.jpg") as prepared:
        assert prepared.mode == "RGB"
        assert prepared.size == (SIZE, SIZE)
        return np.asarray(prepared).astype(int)


def assert_shows_the_photo(pixels: np.ndarray) -> None:
    left, right, above = pixels[32, 10], pixels[32, 54], pixels[4, 32]
    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]
    assert above.max() < 20, "letterboxed on black"


def test_a_photo_is_stored_letterboxed_and_named_by_its_content(
    folders: Folders, photo: Image.Image
) -> None:
    content = encode_jpeg(photo)
    checked = put(folders, content)

    assert checked == CheckedPhoto("photo", sha256=hashlib.sha256(content).hexdigest())
    assert [file.stem for file in folders[1].iterdir()] == [checked.sha256]
    assert_shows_the_photo(pixels_of(folders, checked))


@pytest.mark.parametrize("oddity", ["cmyk", "exif_rotated", "png_with_alpha"])
def test_odd_photos_are_kept_upright_and_rgb(
    folders: Folders, photo: Image.Image, oddity: str
) -> None:
    assert_shows_the_photo(pixels_of(folders, put(folders, ODD_FILES[oddity](photo))))


def test_transparent_corners_become_white(folders: Folders, photo: Image.Image) -> None:
    pixels = pixels_of(folders, put(folders, ODD_FILES["png_with_alpha"](photo)))

    assert pixels[17, 0].min() > 200


def test_a_grey_photo_becomes_rgb_and_a_tiny_one_is_enlarged(
    folders: Folders, photo: Image.Image
) -> None:
    grey = pixels_of(folders, put(folders, ODD_FILES["grayscale"](photo), "grey"))
    tiny = pixels_of(folders, put(folders, ODD_FILES["very_small"](photo), "tiny"))

    assert np.ptp(grey, axis=2).max() == 0
    assert grey[32, 10].max() > 50
    assert tiny[32, 10, 0] > 150


@pytest.mark.parametrize(
    ("oddity", "reason"),
    [
        ("empty", "image is empty (0 bytes)"),
        ("truncated", "image cannot be decoded"),
        ("text", "image is not one of JPEG, PNG"),
    ],
)
def test_a_broken_file_is_rejected_by_name_and_reason_and_leaves_nothing(
    folders: Folders, photo: Image.Image, oddity: str, reason: str
) -> None:
    checked = put(folders, ODD_FILES[oddity](photo))

    assert checked.sha256 == ""
    assert checked.problem.startswith(f"photo.jpg: {reason}")
    assert list(folders[1].iterdir()) == []


def test_a_photo_without_a_file_is_rejected(folders: Folders) -> None:
    assert prepare_photo("gone", *folders, SIZE).problem == "gone.jpg: no such file"


@pytest.mark.parametrize("image_id", ["folder", "long" * 100])
def test_what_cannot_be_read_is_rejected_with_the_systems_reason(
    folders: Folders, image_id: str
) -> None:
    (folders[0] / "folder.jpg").mkdir()
    problem = prepare_photo(image_id, *folders, SIZE).problem

    assert problem.startswith(f"{image_id}.jpg: ")
    assert problem.endswith(("Is a directory", "File name too long"))


def test_a_photo_of_the_right_size_is_copied_and_not_encoded_again(
    folders: Folders, photo: Image.Image
) -> None:
    content = encode_jpeg(photo.resize((SIZE, SIZE)))
    checked = put(folders, content)

    assert (folders[1] / f"{checked.sha256}.jpg").read_bytes() == content


@pytest.mark.parametrize("why", ["png", "grey", "turned"])
def test_a_photo_of_the_right_size_but_another_form_is_encoded(
    folders: Folders, photo: Image.Image, why: str
) -> None:
    square = photo.resize((SIZE, SIZE))
    stream = io.BytesIO()
    match why:
        case "png":
            square.save(stream, "PNG")
        case "grey":
            square.convert("L").save(stream, "JPEG")
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = 6
            square.save(stream, "JPEG", exif=exif)
    checked = put(folders, stream.getvalue())

    with Image.open(folders[1] / f"{checked.sha256}.jpg") as prepared:
        assert (prepared.format, prepared.mode) == ("JPEG", "RGB")
        assert prepared.getexif().get(0x0112, 1) == 1


def test_two_photos_of_one_content_share_a_file_that_is_written_once(
    folders: Folders, photo: Image.Image
) -> None:
    first = put(folders, encode_jpeg(photo), "first")
    written = [(file, file.stat().st_mtime_ns) for file in folders[1].iterdir()]
    second = put(folders, encode_jpeg(photo), "second")

    assert first.sha256 == second.sha256
    assert [(file, file.stat().st_mtime_ns) for file in folders[1].iterdir()] == written


@pytest.mark.parametrize(
    "image_id", ["", "../x", "a/b", "/etc/passwd", ".", "..", ".hidden", "x/../../y", "a\0b"]
)
def test_an_id_that_leads_out_of_the_folder_is_refused(folders: Folders, image_id: str) -> None:
    with pytest.raises(FileError, match="cannot be the name of a file"):
        photo_path(folders[0], image_id)
    with pytest.raises(FileError, match="cannot be the name of a file"):
        prepare_photo(image_id, *folders, SIZE)


def test_a_full_or_read_only_disk_is_no_fault_of_the_photo(
    folders: Folders, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode_jpeg(photo)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(FileError, match=r"\.jpg: cannot be written: No space left on device"):
        put(folders, content)

    assert list(folders[1].iterdir()) == []


def test_threads_answer_in_order_whatever_ends_first() -> None:
    release = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert release.wait(10)
        else:
            release.set()
        return number * number

    assert list(in_threads(work, range(20), ahead=4)) == [n * n for n in range(20)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_threads_answer_every_item_once(count: int) -> None:
    items = [f"item {n}" for n in range(count)]

    assert list(in_threads(str.upper, items, ahead=4)) == [item.upper() for item in items]


def test_threads_work_no_further_ahead_than_told() -> None:
    started: list[int] = []
    furthest = 0
    for asked, _ in enumerate(in_threads(started.append, range(50), ahead=5)):
        furthest = max(furthest, len(started) - asked)

    assert len(started) == 50
    assert furthest <= 5


@pytest.mark.parametrize("ahead", [2, 64])
def test_an_exception_in_a_thread_comes_out_in_its_turn(ahead: int) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise RuntimeError("the fourth")
        return number

    answers = in_threads(work, range(100), ahead=ahead)

    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="the fourth"):
        next(answers)
