"""Upserts that are done as one do what they do one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_service.native import changes, joining
from index_service.native.changes import Operation, Upsert
from index_service.native.joining import as_one, runs
from index_service.native.memory.segments import Segments
from index_service.native.store.database import Store
from index_service.records import Upserted
from lookalike.errors import NonFiniteVectorError
from tests.examples import examples
from tests.indexes import LISTINGS, Index, Photo, batch, photo

LAMPS = replace(LISTINGS, name="lamps", indexed_attributes=("colour",))
NAN = float("nan")


def opened(folder: Path) -> Iterator[Index]:
    """Two collections, and an alias `shop` of the one named `listings`."""
    with Store(folder / "index.sqlite3") as store:
        index = Index(store)
        index.create()
        index.create(LAMPS)
        index.apply(changes.set_alias("shop", "listings"))
        yield index


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    yield from opened(tmp_path)


def described(index: Index) -> dict[str, object]:
    """All that is kept of the items, in the store and in memory."""
    kept: dict[str, object] = {"seq": index.state.seq}
    for table in ("writes", "products", "items"):
        rows = index.store._writer.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        kept[table] = rows
    kept["tombstones"] = index.store.tombstones(0)
    for name, snapshot in index.state.collections.items():
        columns = [part.live().arrays() for part in snapshot.segments.parts]
        kept[name] = [{k: array.tobytes() for k, array in each.items()} for each in columns]
        kept[f"{name}'s codes"] = [codes.values() for codes in snapshot.codes]
    return kept


def upsert(name: str, *photos: Photo) -> Upsert:
    return Upsert(name, batch(photos))


def sizes(*operations: Operation[Any]) -> list[int]:
    """How many operations each run has."""
    found = list(runs(operations))
    assert [each for run in found for each in run] == list(operations)
    return [len(run) for run in found]


photos = st.builds(
    lambda name, product, colour, x: photo(
        name, product, x, 1, category=colour, price=x, attributes={"colour": colour}
    ),
    st.sampled_from("abcdefgh"),
    st.sampled_from("xyz"),
    st.sampled_from(["red", "green", "blue"]),
    st.integers(0, 9),
)
upserts = st.builds(
    lambda name, sent: upsert(name, *sent),
    st.sampled_from(["listings", "listings", "shop", "lamps"]),
    st.lists(photos, min_size=1, max_size=3, unique_by=lambda each: each.item.id),
)


@settings(max_examples=examples(17), deadline=None)
@given(operations=st.lists(upserts, max_size=20))
def test_runs_do_and_answer_what_their_operations_would_one_by_one(
    operations: Sequence[Upsert], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for alone in opened(tmp_path_factory.mktemp("alone")):
        for together in opened(tmp_path_factory.mktemp("together")):
            expected = [alone.apply(operation) for operation in operations]
            answers = [a for run in runs(operations) for a in together.apply(as_one(run))]
            assert answers == expected
            assert described(together) == described(alone)
            assert described(Index(together.store)) == described(Index(alone.store))


def test_numbers_follow_each_other_and_each_counts_what_it_replaced(index: Index) -> None:
    index.upsert(photo("a", "x", 0, 0), photo("c", "x", 0, 0))
    run = [
        upsert("listings", photo("b", "x", 1, 0), photo("a", "y", 1, 0)),
        upsert("listings", photo("d", "y", 1, 0)),
        upsert("listings", photo("c", "x", 1, 0)),
    ]
    assert sizes(*run) == [3]
    assert index.apply(as_one(run)) == [Upserted(5, 1, 1), Upserted(6, 1, 0), Upserted(7, 0, 1)]
    assert (index.state.seq, index.store.seq(), len(index.segments())) == (7, 7, 4)
    assert index.upsert(photo("e", "x", 0, 0)).seq == 8


def test_run_that_fails_leaves_nothing_of_it(index: Index) -> None:
    index.upsert(photo("a", "x", 0, 0))
    before = described(index)
    run = [
        upsert("listings", photo("a", "y", 1, 0)),
        upsert("listings", photo("b", "y", NAN, 0)),
    ]
    with pytest.raises(NonFiniteVectorError):
        index.apply(as_one(run))
    assert described(index) == before == described(Index(index.store))


def test_many_upserts_take_the_statements_and_appends_of_one(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[int] = []
    with_rows = Segments.with_rows
    monkeypatch.setattr(
        Segments, "with_rows", lambda self, new: appended.append(len(new)) or with_rows(self, new)
    )
    statements: list[str] = []
    index.store._writer.set_trace_callback(statements.append)
    counts = []
    for first, count in ((0, 1), (100, 64)):
        numbers = range(first, first + count)
        (run,) = runs([upsert("listings", photo(f"{i}", f"{i}", i, 0)) for i in numbers])
        statements.clear()
        index.apply(as_one(run))
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert appended == [1, 64]


def test_item_that_comes_again_begins_another_run() -> None:
    one, other, again = (upsert("listings", photo(each, "x", 0, 0)) for each in "aba")
    assert sizes(one, other, again, other) == [2, 2]


def test_only_neighbours_of_one_name_are_done_as_one() -> None:
    lamps, shop = (upsert(name, photo("l", "x", 0, 0)) for name in ("lamps", "shop"))
    a, b, c, d = (upsert("listings", photo(each, "x", 0, 0)) for each in "abcd")
    assert sizes(a, lamps, b, c, shop, d) == [1, 1, 2, 1, 1]
    assert sizes(a, b, changes.delete_items("listings", ["a"], []), c, d) == [2, 1, 2]
    assert sizes(a, changes.set_alias("listings", "lamps"), b) == [1, 1, 1]
    assert sizes(a, changes.once(b, "request-1", b"same", Upserted), c) == [1, 1, 1]
    assert sizes() == []


def test_large_batches_stay_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_MOST_ITEMS", 4)
    names = iter("abcdefghijklmnopqrstuvwxyz")

    def of(count: int) -> Upsert:
        return upsert("listings", *[photo(next(names), "x", 0, 0) for _ in range(count)])

    assert sizes(of(1), of(3), of(1), of(4), of(5), of(1), of(2)) == [2, 1, 1, 1, 2]
