"""Directories that are complete or absent; the data directory that is one process's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from index_service.native.disk.data_directory import exclusive
from index_service.native.disk.directories import (
    DirectoryError,
    read_manifest,
    replace_directory,
    write_file,
)
from lookalike.errors import StartupError


def write(directory: Path, value: int) -> None:
    with replace_directory(directory) as (folder, files):
        write_file(folder / "numbers.bin", np.full(5, value), files)
        files.manifest = {"value": value}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_directory_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for value in (1, 2):
        write(tmp_path / "x", value)
        assert read_manifest(tmp_path / "x")["value"] == value
        assert np.fromfile(tmp_path / "x" / "numbers.bin", int).tolist() == [value] * 5
        assert names(tmp_path) == ["x"]


def test_failure_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "x", 1)
    with suppress(ZeroDivisionError), replace_directory(tmp_path / "x") as (folder, files):
        write_file(folder / "other.bin", np.zeros(1), files)
        raise ZeroDivisionError
    assert read_manifest(tmp_path / "x")["value"] == 1
    assert names(tmp_path) == ["x"]


def test_failure_while_it_is_moved_brings_the_one_before_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x", 1)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "x.new":
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input"):
        write(tmp_path / "x", 2)
    assert read_manifest(tmp_path / "x")["value"] == 1
    assert names(tmp_path) == ["x"]


def test_what_an_ended_process_left_is_cleared_away(tmp_path: Path) -> None:
    for leftover in ("x.new", "x.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "file").write_text("left")
    write(tmp_path / "x", 1)
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated"),
        (b"\1" * 40, "was changed"),
        (None, "cannot be read: No such file"),
    ],
)
def test_file_that_is_not_as_it_was_written_is_named(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "x", 1)
    path = tmp_path / "x" / "numbers.bin"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DirectoryError, match=rf"numbers.bin.* {message}"):
        read_manifest(tmp_path / "x")


def test_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x", 1)
    manifest = tmp_path / "x" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("numbers.bin", "../numbers.bin"))
    with pytest.raises(DirectoryError, match=r"manifest\.json was changed"):
        read_manifest(tmp_path / "x")


def test_data_directory_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"
    refused = pytest.raises(StartupError, match=r"another process .* stop it or set DATA_DIR")
    with exclusive(path, "DATA_DIR"), refused:
        exclusive(path, "DATA_DIR").__enter__()
    with exclusive(path, "DATA_DIR"):
        assert names(path) == ["lock"]


def test_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartupError, match="cannot write to the data directory"):
        exclusive(tmp_path / "data", "DATA_DIR").__enter__()
