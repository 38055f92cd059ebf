"""The index of words is in step with the items, and built again from them where it is damaged."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from index_service.config import IndexSettings
from index_service.native import changes
from index_service.native.backend import open_native
from index_service.native.search import by_words
from index_service.native.store import words
from index_service.native.store.database import Store
from index_service.native.store.salvage import salvage
from index_service.native.store.splitting import split
from index_service.native.store.word_reader import DamagedWordsError, WordReader
from index_service.records import Collection, Metric, Query, QueryAnswer, Search
from lookalike.errors import StoreCorruptedError
from tests.indexes import SPACE, Index, Photo, photo

TEXTS = Collection("listings", SPACE, 2, Metric.SQUARED_L2, text_attributes=("title", "text"))
PLAIN = Collection("plain", SPACE, 2, Metric.SQUARED_L2)
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


def titled(item_id: str, title: str, text: str = "") -> Photo:
    return photo(item_id, f"p-{item_id}", 0, 0, attributes={"title": title, "text": text})


def fill(path: Path, count: int = 40) -> None:
    """Writes lamps, of which one in four is red, and deletes the first."""
    with Store(path) as store:
        index = Index(store)
        index.create(TEXTS)
        index.create(PLAIN)
        index.upsert(*[titled(f"{i:03}", f"lamp {i}", "red" * (i % 4 == 0)) for i in range(count)])
        index.upsert(photo("x", "x", 0, 0), name="plain")
        index.delete("000")


def asked(index: Index, text: str, k: int = 100) -> QueryAnswer:
    return index.find(Query(None, (), text), Search(k))


def found(index: Index, text: str) -> list[str]:
    return [item.id for item in asked(index, text).neighbors.items]


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)


def check(path: Path) -> None:
    """Opens the store; all words must be found."""
    with Store(path) as store:
        index = Index(store)
        assert found(index, "red") == [f"{i:03}" for i in range(4, 40, 4)]
        assert len(found(index, "lamp")) == 39
        index.upsert(titled("004", "sofa"))
        assert found(index, "red") == [f"{i:03}" for i in range(8, 40, 4)]
        assert found(index, "sofa") == ["004"]


def pages_of(path: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT pgoffset FROM dbstat WHERE name = ?", (table,)).fetchall()
    return [offset for (offset,) in rows]


def test_text_is_split_as_the_index_does() -> None:
    assert split("Red-Armchairs, CAFÉ 5 red") == ["5", "armchairs", "cafe", "red"]
    assert split("\0 ?! \u202e") == []


def test_collection_without_texts_has_no_index(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path)) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    assert {name for name in names if name == words.table(1)}
    assert not {name for name in names if name.startswith(words.table(2))}


def test_deleting_a_collection_drops_its_index(path: Path) -> None:
    fill(path)
    with Store(path) as store:
        Index(store).apply(changes.delete_collection("listings"))
    with closing(sqlite3.connect(path)) as db:
        assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name GLOB 'words_*'").fetchall()


def test_write_that_fails_leaves_the_words_as_they_were(path: Path) -> None:
    fill(path)
    with Store(path) as store:
        index = Index(store)
        write = index.upserting(titled("new", "sofa"), titled("004", "sofa"))
        with suppress(ZeroDivisionError), store.transaction() as transaction:
            with suppress(ZeroDivisionError), transaction.operation():
                write(transaction, index.state)
                raise ZeroDivisionError
            with transaction.operation():
                write(transaction, index.state)
            raise ZeroDivisionError
    check(path)


DAMAGE: dict[str, str] = {
    "the index is gone": "DROP TABLE words_1",
    "a part of it is gone": "DROP TABLE words_1_data",
    "another part of it is gone": "DROP TABLE words_1_idx",
    "which items it has is gone": "DROP TABLE words_1_docsize",
    "its settings are gone": "DELETE FROM words_1_config",
    "it lacks an item": "DELETE FROM words_1_docsize WHERE id = 7",
    "it has one too many": "INSERT INTO words_1_docsize VALUES (999, x'0000')",
    "it is of other items": "UPDATE words_1_docsize SET id = 777 WHERE id = 7",
    "its structure is no structure": "UPDATE words_1_data SET block = x'ff' WHERE id = 10",
    "it has other columns": "DROP TABLE words_1; CREATE VIRTUAL TABLE words_1 USING fts5(text0)",
    "it was built by other rules": (
        "DROP TABLE words_1; CREATE VIRTUAL TABLE words_1 USING fts5(text0, text1, content='');"
        "INSERT INTO words_1 (rowid, text0, text1) SELECT key, attributes ->> 'title',"
        " attributes ->> 'text' FROM items WHERE collection = 1"
    ),
}


@pytest.mark.parametrize("sql", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_index_is_built_again_at_the_next_start(
    path: Path, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(path)
    change(path, sql)
    check(path)
    (record,) = [r for r in caplog.records if "built again" in r.message]
    assert record.levelno == logging.WARNING


def test_good_index_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(path)
    check(path)
    assert not caplog.records


def test_overwritten_pages_of_words_cost_no_item(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(path, 2000)
    pages = pages_of(path, "words_1_data")
    content = path.read_bytes()
    for offset in random.Random(1).sample(pages, min(4, len(pages))):
        damaged = bytearray(content)
        damaged[offset : offset + PAGE] = b"\xff" * PAGE
        path.write_bytes(damaged)
        with Store(path) as store:
            index = Index(store)
            assert len(found(index, "lamp")) == 100
            assert asked(index, "lamp").words_matched == 1999
            assert asked(index, "red").words_matched == 499
    assert "damaged words were taken out" in caplog.text


def test_damaged_record_is_refused_though_words_are_damaged_too(path: Path) -> None:
    fill(path, 2000)
    damaged = bytearray(path.read_bytes())
    for offset in (pages_of(path, "words_1_data")[0], pages_of(path, "items")[3]):
        damaged[offset : offset + PAGE] = b"\xff" * PAGE
    path.write_bytes(damaged)
    with pytest.raises(StoreCorruptedError, match="salvage"), Store(path):
        pass
    done = salvage(path)
    with Store(path) as store:
        assert asked(Index(store), "lamp").words_matched == done.kept["items"] - 1  # one is plain


def test_salvage_builds_words_of_the_items_kept(path: Path) -> None:
    fill(path)
    change(path, "UPDATE items SET category = 'changed' WHERE id = '008'; DROP TABLE words_1")
    assert salvage(path).dropped == 1
    with Store(path) as store:
        assert found(Index(store), "red") == [f"{i:03}" for i in range(4, 40, 4) if i != 8]


Write = Callable[[Index], object]
WRITES: dict[str, Write] = {
    "upsert": lambda index: index.upsert(titled("new", "sofa")),
    "replace": lambda index: index.upsert(titled("005", "sofa")),
    "delete": lambda index: index.delete("005"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_write_that_meets_a_damaged_index_builds_it_again(
    path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    fill(path)
    with Store(path) as store:
        index = Index(store)
        store._writer.execute("DROP TABLE words_1")
        write(index)
        assert "built again" in caplog.text
        assert (
            len(found(index, "lamp"))
            == {"upsert": 39, "replace": 38, "delete": 38}[
                next(name for name, each in WRITES.items() if each is write)
            ]
        )


def test_read_that_meets_a_damaged_index_builds_it_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    fill(tmp_path / "data" / "index.sqlite3")

    async def ask() -> QueryAnswer:
        with open_native(IndexSettings(data_dir=tmp_path / "data")) as backend:
            backend._store._writer.execute("DELETE FROM words_1_data WHERE id > 10")
            answer = await backend.find_neighbors(
                "listings", [Query(None, (), "red")], Search(10), 0
            )
            return answer.results[0]

    assert asyncio.run(ask()).words_matched == 9


def test_damaged_words_that_may_not_be_built_again_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "index.sqlite3")
    with open_native(IndexSettings(data_dir=tmp_path)) as backend:
        taken = asyncio.run(backend.create_snapshot())

    def damaged(reader: WordReader, terms: Sequence[str]) -> object:
        raise DamagedWordsError(f"no {terms[0]}")

    monkeypatch.setattr(WordReader, "having", damaged)
    settings = IndexSettings(data_dir=tmp_path / "snapshots" / taken.name, read_only=True)
    with open_native(settings) as served, pytest.raises(StoreCorruptedError, match="no red"):
        asyncio.run(served.find_neighbors("listings", [Query(None, (), "red")], Search(10)))


def test_words_of_a_store_that_may_not_be_changed_are_read(path: Path) -> None:
    fill(path)
    before = path.read_bytes()
    with Store(path, read_only=True) as store:
        assert len(found(Index(store), "red")) == 9
    assert path.read_bytes() == before


@pytest.fixture
def index(path: Path) -> Index:
    fill(path, 60)
    store = Store(path)
    store.open()
    return Index(store)


def test_common_words_beside_rare_ones_are_counted_but_need_no_score(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = asked(index, "lamp 17 23", 2)
    monkeypatch.setattr(by_words, "_MOST_SCORED", 5)
    monkeypatch.setattr(by_words.fusion, "MOST_PLACES", 1)
    answer = asked(index, "lamp 17 23", 2)
    assert answer == full
    assert (answer.words_matched, answer.complete) == (59, True)
    # All that has none of the rare words comes behind, in the order of writing.
    many = asked(index, "lamp 17 23", 5)
    assert [item.id for item in many.neighbors.items] == ["017", "023", "001", "002", "003"]
    assert not many.complete


def test_common_word_alone_is_answered_in_part_and_says_so(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_words, "_MOST_SCORED", 5)
    monkeypatch.setattr(by_words.fusion, "MOST_PLACES", 1)
    answer = asked(index, "lamp", 3)
    assert (len(answer.neighbors.items), answer.words_matched) == (3, 59)
    assert not answer.complete
    assert asked(index, "lamp").words_matched == 59


def test_of_many_words_the_rarest_are_scored(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_words, "_MOST_SCORED", 5)
    monkeypatch.setattr(by_words, "_MOST_WORDS", 2)
    monkeypatch.setattr(by_words.fusion, "MOST_PLACES", 1)
    answer = asked(index, "lamp red 17 23", 2)
    assert [item.id for item in answer.neighbors.items] == ["017", "023"]
    assert not answer.complete


def test_words_and_memory_are_of_the_same_write(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that overtakes a search shows whole or not at all."""
    opened, overtakes = index.store.at_one_write, iter(["lamp", "lamp", "sofa"])

    def overtaken() -> object:
        if title := next(overtakes, None):
            index.upsert(titled("017", title))
        return opened()

    monkeypatch.setattr(index.store, "at_one_write", overtaken)
    answer = index.finder.find("listings", [Query(None, (), "lamp sofa")], Search(100))
    assert len(answer.results[0].neighbors.items) == 59
    assert answer.applied_seq == index.state.seq


def test_search_goes_on_as_it_began_while_items_are_replaced(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = index.store.words(1, 2)
    with index.store.at_one_write() as seq:
        before = reader.having(["lamp"]).tolist()
        index_of_writer = [titled(f"{i:03}", "sofa") for i in range(1, 60)]
        index.upsert(*index_of_writer)
        assert reader.having(["lamp"]).tolist() == before
        assert seq == index.state.seq - 1
    assert found(index, "lamp") == []
