"""A store of record that is damaged: the service refuses to start, and salvage keeps the rest."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lookalike.errors import LookalikeError, StartupError
from tests.logs import lines_for_people
from tests.recovery import small_index
from tests.recovery.processes import command, serving
from tests.recovery.small_index import DATABASE, Content

PAGE = 4096


@pytest.fixture(scope="module")
def data_dir(fast_folder: Path) -> Path:
    """A closed index."""
    small_index.write(fast_folder / "data")
    return fast_folder / "data"


@pytest.fixture(scope="module")
def expected(data_dir: Path) -> Content:
    copy = data_dir.with_name("expected")
    shutil.copytree(data_dir, copy)
    return small_index.read(copy)


@pytest.fixture(params=["with a cache", "without a cache"])
def copy(request: pytest.FixtureRequest, data_dir: Path, fast_path: Path) -> Callable[[], Path]:
    """Makes a fresh copy of the index; each call removes the one before."""

    def copy() -> Path:
        shutil.rmtree(fast_path / "data", ignore_errors=True)
        shutil.copytree(data_dir, fast_path / "data")
        if request.param == "without a cache":
            shutil.rmtree(fast_path / "data" / "cache")
        return fast_path / "data"

    return copy


Copy = Callable[[], Path]


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


@contextmanager
def refused_if_damaged(path: Path) -> Iterator[None]:
    """Lets the block do without an error, or with one that names the file."""
    try:
        yield
    except (LookalikeError, StartupError) as error:
        if str(path) not in str(error):
            raise


def pages_of(path: Path, table: str) -> list[int]:
    """Returns the offsets of a table's leaves: what salvage may lose."""
    with sqlite3.connect(path) as db:
        rows = db.execute(
            "SELECT pgoffset FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
        ).fetchall()
    db.close()
    return [offset for (offset,) in rows]


@pytest.mark.parametrize(
    "length", [0, 1, 100, PAGE, -PAGE, -1], ids=lambda length: f"to {length} bytes"
)
def test_truncated_store_is_refused_naming_the_file(
    length: int, copy: Copy, expected: Content
) -> None:
    path = copy() / DATABASE
    if length in {0, 1} and not (path.parent / "cache").exists():
        pytest.skip("a kill at the very first start leaves such a file")
    path.write_bytes(path.read_bytes()[:length])
    with refused_if_damaged(path):
        assert small_index.read(path.parent) == expected


def test_store_that_is_gone_is_missed(copy: Copy) -> None:
    path = copy() / DATABASE
    path.unlink()
    if not (path.parent / "cache").exists():
        pytest.skip("an empty directory is a new index")
    with pytest.raises((LookalikeError, StartupError), match=re.escape(str(path))):
        small_index.read(path.parent)


@pytest.mark.parametrize(
    ("table", "flips"),
    [
        ("items", 60),
        ("collections", 20),
        ("aliases", 20),
        ("products", 30),
        ("tombstones", 30),
        ("words_1_docsize", 20),
        ("words_1_idx", 10),
        ("words_1_config", 10),
    ],
)
def test_flipped_bits_are_found_or_change_nothing(
    table: str, flips: int, copy: Copy, data_dir: Path, expected: Content
) -> None:
    dice = random.Random(1)
    content = (data_dir / DATABASE).read_bytes()
    pages = pages_of(data_dir / DATABASE, table)
    # Most of the page of a small table is empty.
    used = [at for page in pages for at in range(page, page + PAGE) if content[at]]
    for _ in range(flips):
        path = copy() / DATABASE
        offset, bit = dice.choice(used), dice.randrange(8)
        overwrite(path, offset, bytes([content[offset] ^ 1 << bit]))
        with refused_if_damaged(path):
            assert small_index.read(path.parent) == expected, f"bit {bit} of byte {offset}"


@pytest.mark.parametrize("text", ["title of exact 016", "graph-58"])
def test_changed_text_of_an_item_is_found(text: str, copy: Copy, expected: Content) -> None:
    change(copy() / DATABASE, text, expected)


@pytest.mark.parametrize("text", ["exact-product-4", "shop"])
def test_changed_name_of_a_product_or_an_alias_is_found(
    text: str, copy: Copy, expected: Content
) -> None:
    change(copy() / DATABASE, text, expected)


def change(path: Path, text: str, expected: Content) -> None:
    """Changes the last letter of some text; AssertionError if that goes unnoticed."""
    content = path.read_bytes()
    assert text.encode() in content
    path.write_bytes(content.replace(text.encode(), text.encode()[:-1] + b"#"))
    with refused_if_damaged(path):
        assert small_index.read(path.parent) == expected


def test_overwritten_pages_are_found(copy: Copy, data_dir: Path) -> None:
    for table in ("items", "products", "collections", "sqlite_autoindex_items_1"):
        for offset in pages_of(data_dir / DATABASE, table)[:3]:
            path = copy() / DATABASE
            overwrite(path, offset, random.Random(offset).randbytes(PAGE))
            with pytest.raises((LookalikeError, StartupError), match="damaged"):
                small_index.read(path.parent)


@pytest.mark.parametrize("pages", [1, pytest.param(5, marks=pytest.mark.long)])
def test_salvage_keeps_what_can_be_read_and_says_how_much(
    pages: int, copy: Copy, data_dir: Path, expected: Content, fast_path: Path
) -> None:
    for offset in pages_of(data_dir / DATABASE, "items")[1 : 1 + pages]:
        path = copy() / DATABASE
        overwrite(path, offset, b"\xff" * PAGE)
        log = fast_path / "index_service.log"
        with pytest.raises(StartupError, match="salvage"), serving(path.parent, log):
            pass
        assert len(lines_for_people(log)) == 1
        done = command("salvage", path.parent)
        assert (done.returncode, done.stderr) == (0, "")
        kept = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", done.stdout)}
        content = small_index.read(path.parent)
        assert content.aliases == expected.aliases
        assert content.items.keys() == expected.items.keys()
        for name, items in content.items.items():
            known = {item.id: (item, vector) for item, vector in expected.items[name]}
            assert all(known[item.id] == (item, vector) for item, vector in items)
        number = sum(len(items) for items in content.items.values())
        assert kept["items"] == number
        assert 0 < sum(len(items) for items in expected.items.values()) - number < 60
        aside = [file.name for file in path.parent.glob(f"{DATABASE}.damaged-*")]
        assert len([name for name in aside if not name.endswith(("-wal", "-shm"))]) == 1
        with serving(path.parent, log):
            pass


def test_salvage_drops_an_item_that_was_changed(copy: Copy, expected: Content) -> None:
    path = copy() / DATABASE
    content = path.read_bytes()
    path.write_bytes(content.replace(b"title of exact 016", b"title of exact 01#"))
    done = command("salvage", path.parent)
    assert done.returncode == 0, done.stderr
    kept = small_index.read(path.parent)
    ids = {item.id for item, _ in expected.items["exact"]}
    assert {item.id for item, _ in kept.items["exact"]} == ids - {"exact-16"}


def test_salvage_of_what_is_no_database_says_so_and_leaves_it(copy: Copy) -> None:
    path = copy() / DATABASE
    path.write_bytes(b"\xff" * 8192)
    done = command("salvage", path.parent)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert path.read_bytes() == b"\xff" * 8192
