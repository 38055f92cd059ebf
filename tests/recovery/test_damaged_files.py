"""Files that were truncated or changed: the cache is left aside, a snapshot or a store refused."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from index_service.native.disk import snapshot
from lookalike.errors import LookalikeError, StartupError, StoreCorruptedError
from tests.recovery import native, small_index
from tests.recovery.processes import command, serving
from tests.recovery.small_index import DATABASE, Content

Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path: Path, bit: int | None = None) -> None:
    """Flips one bit: one of the path's own, so that a failure can be repeated."""
    content = bytearray(path.read_bytes())
    if content:
        bit = random.Random(path.name).randrange(8 * len(content)) if bit is None else bit
        content[bit // 8] ^= 1 << bit % 8
    else:
        content = bytearray(b"x")
    path.unlink()  # a snapshot's file may be a second name of the cache's
    path.write_bytes(content)


DAMAGES: tuple[Damage, ...] = (truncate, empty, remove, append, flip)


@pytest.fixture(scope="module")
def folder(fast_folder: Path) -> Path:
    """A folder with `data`, a closed index, and `snapshot`, one of it."""
    small_index.write(fast_folder / "data")
    shutil.copytree(fast_folder / "data", fast_folder / "other")
    with native.opened(fast_folder / "other") as backend:
        taken = asyncio.run(backend.create_snapshot())
    (fast_folder / "other" / "snapshots" / taken.name).rename(fast_folder / "snapshot")
    return fast_folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> Content:
    copy = folder / "expected"
    shutil.copytree(folder / "data", copy)
    return small_index.read(copy)


@pytest.fixture
def copies(folder: Path, fast_path: Path) -> Callable[[str], Path]:
    """Makes fresh copies of what is in the folder; each call removes the one before."""

    def copy(name: str) -> Path:
        shutil.rmtree(fast_path / name, ignore_errors=True)
        shutil.copytree(folder / name, fast_path / name)
        return fast_path / name

    return copy


Copies = Callable[[str], Path]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cache_is_left_aside_with_a_line_in_the_log(
    damage: Damage,
    folder: Path,
    expected: Content,
    copies: Copies,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = sorted(path.name for path in (folder / "data" / "cache").iterdir())
    assert any(name.endswith(".graph") for name in names)
    for name in names:
        data_dir = copies("data")
        damage(data_dir / "cache" / name)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert small_index.read(data_dir) == expected, name
        if name != "manifest.json":  # without one, there is no cache; changed, it may do as well
            (record,) = caplog.records
            assert name in record.__dict__["error"]


def test_no_flipped_bit_of_the_caches_manifest_changes_an_answer(
    folder: Path, expected: Content, copies: Copies
) -> None:
    length = (folder / "data" / "cache" / "manifest.json").stat().st_size
    for bit in random.Random(1).sample(range(8 * length), 60):
        data_dir = copies("data")
        flip(data_dir / "cache" / "manifest.json", bit)
        assert small_index.read(data_dir) == expected, f"bit {bit}"


@pytest.mark.parametrize("number", ["seq", "next_key"])
@pytest.mark.parametrize("change", [-5, 5, 1000])
def test_changed_number_in_the_caches_manifest_changes_no_answer(
    number: str, change: int, expected: Content, copies: Copies
) -> None:
    data_dir = copies("data")
    path = data_dir / "cache" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, number: manifest[number] + change}))
    assert small_index.read(data_dir) == expected


def test_store_that_is_older_than_its_cache_is_refused(fast_path: Path) -> None:
    data_dir, old = fast_path / "data", fast_path / DATABASE
    small_index.write(data_dir)
    shutil.copy(data_dir / DATABASE, old)
    expected = small_index.read(data_dir)
    with native.opened(data_dir) as backend:
        asyncio.run(small_index.upsert(backend, "exact", range(50, 90)))
        asyncio.run(backend.delete_items("graph", ["graph-1"], []))
    shutil.copy(old, data_dir / DATABASE)  # as somebody might who has only a copy of the store
    with pytest.raises(StoreCorruptedError, match="delete the cache to go on"):
        small_index.read(data_dir)
    shutil.rmtree(data_dir / "cache")
    assert small_index.read(data_dir) == expected


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_snapshot_is_refused_naming_the_file(
    damage: Damage, folder: Path, copies: Copies, fast_path: Path
) -> None:
    names = [str(path.relative_to(folder / "snapshot")) for path in _files(folder / "snapshot")]
    assert {DATABASE, "manifest.json", "cache/manifest.json"} <= set(names)
    for name in names:
        path = copies("snapshot")
        damage(path / name)
        with pytest.raises(StartupError) as caught:
            snapshot.restore(path, fast_path / "restored")
        # A manifest that can be read says that some other file is wrong.
        assert str(path / name) in str(caught.value) or name.endswith("manifest.json")
        assert not list(fast_path.glob("restored*")), name
        with pytest.raises((LookalikeError, StartupError)), native.opened(path, read_only=True):
            pass


def test_no_flipped_bit_of_a_snapshots_manifests_changes_what_is_restored(
    folder: Path, expected: Content, copies: Copies, fast_path: Path
) -> None:
    dice = random.Random(1)
    for name in ("manifest.json", "cache/manifest.json"):
        length = (folder / "snapshot" / name).stat().st_size
        for bit in dice.sample(range(8 * length), 30):
            path, restored = copies("snapshot"), fast_path / "restored"
            flip(path / name, bit)
            with suppress(StartupError):
                snapshot.restore(path, restored)
                assert small_index.read(restored) == expected, f"bit {bit} of {name}"
                shutil.rmtree(restored)


def test_command_to_restore_says_in_one_line_what_is_wrong(copies: Copies, fast_path: Path) -> None:
    path = copies("snapshot")
    truncate(path / DATABASE)
    done = command("restore", path, fast_path / "restored")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(path / DATABASE) in line
    assert not (fast_path / "restored").exists()


def test_restored_snapshot_is_served_and_so_is_the_snapshot_itself(
    folder: Path, expected: Content, fast_path: Path
) -> None:
    done = command("restore", folder / "snapshot", fast_path / "restored")
    assert (done.returncode, done.stderr) == (0, "")
    assert small_index.read(fast_path / "restored") == expected
    again = command("restore", folder / "snapshot", fast_path / "restored")
    assert again.returncode == 1
    assert "holds an index already" in again.stderr
    log = fast_path / "index_service.log"
    with serving(folder / "snapshot", log, read_only="true"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "serving" in {line.get("event") for line in lines}
    snapshot.verify(folder / "snapshot")  # serving it changed nothing


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
