"""Photos on disk: found by folder, and by the id of an item."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lookalike.catalogue import photo_files
from lookalike.catalogue.photo_files import STDIN, PhotoFolder, find_photos, read_photo
from lookalike.cli.console import emit
from lookalike.cli.failing import Failure, write_failures
from lookalike.files import FileError


@pytest.mark.parametrize(
    "name", ["1.jpg", "1.JPG", "1.jpeg", "1.png", "1.heic", "1.avif", "1.WEBP"]
)
def test_an_items_photo_has_any_photos_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert PhotoFolder(tmp_path).find("1") == tmp_path / name


@pytest.mark.parametrize(
    "item_id", ["", ".", "..", "../1", "a/b", "/etc/passwd", ".1", "a\0b", "a\\b", "x" * 5000, "2"]
)
def test_an_id_leads_nowhere_else(tmp_path: Path, item_id: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "1.jpg").write_bytes(b"x")
    (folder / ".1.jpg").write_bytes(b"x")
    (folder / "2.jpg").mkdir()
    assert PhotoFolder(folder).find(item_id) is None


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(FileError, match=r"pipe\.jpg: is not a regular file"):
        read_photo(tmp_path / "pipe.jpg")
    with pytest.raises(FileError, match=r"pipe\.jpg: is not a regular file"):
        find_photos([tmp_path / "pipe.jpg"])
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert [photo.id for photo in find_photos([tmp_path]).photos] == ["a.jpg"]


def test_no_more_is_read_than_any_photo_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_files, "MAX_PHOTO_BYTES", 10)
    (tmp_path / "a.jpg").write_bytes(b"0123456789")
    assert read_photo(tmp_path / "a.jpg") == b"0123456789"
    (tmp_path / "b.jpg").write_bytes(b"01234567890")
    with pytest.raises(FileError, match=r"b\.jpg: has more than 10 bytes"):
        read_photo(tmp_path / "b.jpg")
    with open("/dev/zero") as endless:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", endless)
        with pytest.raises(FileError, match="standard input: has more than 10 bytes"):
            read_photo(STDIN)


def test_a_link_that_leads_nowhere_is_left_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(FileError, match="no photos"):
        find_photos([tmp_path])


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    try:
        (tmp_path / name).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(FileError, match=r"udcff\.jpg': the name is not UTF-8") as refused:
            find_photos([path])
        str(refused.value).encode()


def test_failures_and_json_of_such_a_name_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "failures.csv"
    write_failures(listed, [Failure("\udcff", "NO_FILE", "\udcff: no such file")])
    assert "\\udcff,NO_FILE" in listed.read_text(encoding="utf-8")
    emit({"photo": "\udcff"})
    assert capsys.readouterr().out == '{"photo": "\\udcff"}\n'
