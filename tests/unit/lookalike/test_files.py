"""Files appear whole or not at all, and what cannot be written is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.files import FileError, read_json, replacing, whole_directory, write_json


def write_half(target: Path, error: BaseException | type[BaseException]) -> None:
    with replacing(target) as aside:
        aside.write_text("half")
        raise error


def test_a_file_appears_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep/er/table.parquet"
    with replacing(target) as aside:
        aside.write_text("half")
        assert aside.suffix == ".parquet"
        assert not target.exists()

    assert [file.name for file in target.parent.iterdir()] == ["table.parquet"]
    assert target.read_text() == "half"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing_aside(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "report.json"
    write_json(target, "old")
    with pytest.raises(error):
        write_half(target, error)

    assert read_json(target, "a report") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with pytest.raises(FileError, match=r"report\.json: cannot be written: No space left"):
        write_half(target, OSError(28, "No space left on device"))

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file/report.json"
    with pytest.raises(FileError) as refused:
        write_json(target, {})

    assert str(refused.value).startswith(f"{target}: cannot be written: ")


def test_a_directory_appears_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep/report"
    with whole_directory(target) as aside:
        (aside / "report.md").write_text("whole")
        assert not target.exists()

    assert [file.name for file in target.parent.iterdir()] == ["report"]
    assert (target / "report.md").read_text() == "whole"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_directory_leaves_nothing_aside(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def write_half() -> None:
        with whole_directory(tmp_path / "report") as aside:
            (aside / "report.md").write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_does_not_replace_another_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/precious.jpg").write_text("")
    expected = r"photos: cannot be written: Directory not empty"
    with (
        pytest.raises(FileError, match=expected),
        whole_directory(tmp_path / "photos") as aside,
    ):
        (aside / "report.md").write_text("whole")

    assert [file.name for file in tmp_path.rglob("*")] == ["photos", "precious.jpg"]


def test_a_directory_takes_the_place_of_another_once_it_is_whole(tmp_path: Path) -> None:
    for number in range(2):
        with whole_directory(tmp_path / "bundle", replace=True) as aside:
            (aside / f"{number}.txt").write_text("whole")

    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == [
        "bundle",
        "bundle/1.txt",
    ]


def test_json_keeps_other_letters_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"price": "£5"})

    assert "£5" in (tmp_path / "report.json").read_text("utf-8")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", None])
def test_unreadable_json_is_told_with_the_file_and_what_it_should_be(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "report.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(FileError, match=r"report\.json: not readable as a report: "):
        read_json(file, "a report")
