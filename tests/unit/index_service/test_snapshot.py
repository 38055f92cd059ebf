"""Snapshots: complete, verified, and served or restored anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from index_service.native.disk import cache, snapshot
from index_service.native.store.database import Store
from index_service.records import Search, Snapshot
from lookalike.errors import StartupError
from tests.indexes import Index, photo, vector


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def index(data_dir: Path) -> Iterator[Index]:
    with Store(data_dir / snapshot.DATABASE) as store:
        index = Index(store)
        index.create()
        index.upsert(*[photo(f"{i}", "x", i, 0) for i in range(50)])
        yield index


@pytest.fixture
def made(index: Index, data_dir: Path) -> Path:
    """A snapshot whose cache is of an earlier write than its store."""
    cache.save(data_dir / snapshot.CACHE, index.state)
    index.upsert(photo("later", "y", 0, 0))
    index.delete("1")
    return data_dir / snapshot.SNAPSHOTS / snapshot.create(data_dir, index.store).name


def found(directory: Path, *, read_only: bool = False) -> list[str]:
    with Store(directory / snapshot.DATABASE, read_only=read_only) as store:
        return Index(store, directory / snapshot.CACHE).found(vector(0, 0), Search(4))


def test_snapshot_is_named_by_its_newest_write_and_told_of(index: Index, data_dir: Path) -> None:
    made = snapshot.create(data_dir, index.store)
    folder = data_dir / "snapshots" / "000000000002"
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert made == Snapshot("000000000002", 2, size)
    assert snapshot.create(data_dir, index.store).name == "000000000002-2"
    assert snapshot.verify(folder) == 2
    names = sorted(path.name for path in (data_dir / "snapshots").iterdir())
    assert names == ["000000000002", "000000000002-2"]


def test_snapshot_is_served_as_it_is_and_is_not_changed(index: Index, made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert found(made, read_only=True) == ["0", "later", "2", "3"]
    index.delete("0")
    assert found(made, read_only=True) == ["0", "later", "2", "3"]
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_restored_index_answers_as_the_first_did_and_goes_on(
    index: Index, made: Path, tmp_path: Path
) -> None:
    index.delete("0")
    assert snapshot.restore(made, tmp_path / "restored") == 4
    assert found(tmp_path / "restored") == ["0", "later", "2", "3"]
    assert not (tmp_path / "restored" / "manifest.json").exists()
    with Store(tmp_path / "restored" / snapshot.DATABASE) as store:
        restored = Index(store, tmp_path / "restored" / snapshot.CACHE)
        assert restored.upsert(photo("new", "z", 0, 0)).seq == 5
    assert found(made, read_only=True) == ["0", "later", "2", "3"]
    snapshot.verify(made)


@pytest.mark.parametrize("harm", ["changed", "truncated", "missing"])
@pytest.mark.parametrize("name", ["index.sqlite3", "manifest.json", "cache/1-0-vectors.bin"])
def test_damaged_snapshot_is_refused_and_leaves_nothing_behind(
    harm: str, name: str, made: Path, tmp_path: Path
) -> None:
    path = made / name
    content = path.read_bytes()
    path.unlink()  # files may be linked
    if harm != "missing":
        path.write_bytes(content[:-7] if harm == "truncated" else content[:-1] + b"?")
    with pytest.raises(StartupError, match="is no good snapshot"):
        snapshot.restore(made, tmp_path / "restored")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_restoring_over_an_index_is_refused(made: Path, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="holds an index already"):
        snapshot.restore(made, data_dir)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(StartupError, match="is not empty"):
        snapshot.restore(made, other)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]
    with pytest.raises(StartupError, match="is no good snapshot"):
        snapshot.restore(tmp_path / "nothing", tmp_path / "restored")


def test_directory_that_a_service_made_and_left_empty_can_be_restored_to(
    made: Path, tmp_path: Path
) -> None:
    target = tmp_path / "restored"
    target.mkdir()
    (target / "lock").touch()
    snapshot.restore(made, target)
    assert found(target) == ["0", "later", "2", "3"]


def test_snapshot_that_cannot_be_finished_leaves_nothing(
    index: Index, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "copy_to", full)
    with pytest.raises(OSError, match="No space"):
        snapshot.create(data_dir, index.store)
    assert list((data_dir / "snapshots").iterdir()) == []
    monkeypatch.undo()
    assert snapshot.create(data_dir, index.store).seq == 2
