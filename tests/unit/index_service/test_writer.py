"""The one thread that writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from index_service.native import changes
from index_service.native import writer as writer_module
from index_service.native.changes import Operation
from index_service.native.memory.state import State
from index_service.native.store.database import Store
from index_service.native.store.transaction import Transaction
from index_service.native.writer import Writer
from index_service.records import Metric, Search, Upserted
from lookalike.errors import DrainingError, InvalidArgumentError, QueueFullError, StorageFullError
from tests.indexes import LISTINGS, Index, photo, vector

Submit = Callable[[str], "Future[Upserted]"]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "index.sqlite3") as store:
        index = Index(store)
        index.create()
        yield index


@dataclass
class Held:
    """An operation that says when it runs, and waits."""

    running: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, write: Transaction, state: State) -> tuple[State, int]:
        self.running.set()
        assert self.go_on.wait(30)
        return state, write.seq


def make(index: Index, waiting: int = 100) -> Writer:
    return Writer(
        index.store,
        current=lambda: index.state,
        publish=index.publish,
        writing=index.writing,
        waiting=waiting,
    )


@pytest.fixture
def writer(index: Index) -> Iterator[Writer]:
    with make(index) as writer:
        yield writer


@contextmanager
def busy(writer: Writer) -> Iterator[None]:
    """Keeps the writer in a commit of its own, so that what is submitted meanwhile waits."""
    held = Held()
    done = writer.submit(held)
    assert held.running.wait(30)
    yield
    held.go_on.set()
    assert done.result(30)


def count_commits(index: Index, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets the newest seq of every commit that is published."""
    published: list[int] = []
    publish = index.publish

    def note(state: State) -> None:
        published.append(state.seq)
        publish(state)

    monkeypatch.setattr(index, "publish", note)
    return published


def fail(write: Transaction, state: State) -> tuple[State, int]:
    write.set_alias("shop", 1)
    raise InvalidArgumentError("bad")


def crash(write: Transaction, state: State) -> tuple[State, int]:
    raise ZeroDivisionError


def test_answer_comes_when_it_is_on_disk_and_readers_see_it(index: Index, writer: Writer) -> None:
    answer = writer.submit(index.upserting(photo("a", "x", 0, 0))).result(30)
    assert answer == Upserted(2, 1, 0)
    assert (index.state.seq, index.store.seq(), len(index.segments())) == (2, 2, 1)


def test_all_that_waits_is_one_commit_and_keeps_its_order(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = count_commits(index, monkeypatch)
    with make(index) as writer:
        with busy(writer):
            waiting = [
                writer.submit(
                    index.upserting(photo("a", f"product-{i}", i, 0), photo(f"{i}", "x", 0, 0))
                )
                for i in range(20)
            ]
        answers = [each.result(30) for each in waiting]
    assert [answer.seq for answer in answers] == list(range(3, 23))
    assert [answer.replaced for answer in answers] == [0] + [1] * 19
    assert commits == [2, 22]
    assert (len(index.segments()), index.store.seq()) == (21, 22)
    assert index.catalog.item("listings", "a", 0)[0].item.product_id == "product-19"


def test_commit_takes_a_bounded_number_of_operations(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_MOST_TOGETHER", 8)
    commits = count_commits(index, monkeypatch)
    with make(index) as writer:
        with busy(writer):
            waiting = [writer.submit(index.upserting(photo(f"{i}", "x", 0, 0))) for i in range(20)]
        for each in waiting:
            each.result(30)
    assert commits == [2, 10, 18, 22]


@pytest.mark.parametrize(
    ("bad", "error"), [(fail, InvalidArgumentError), (crash, ZeroDivisionError)]
)
def test_bad_operation_fails_alone(
    index: Index, writer: Writer, bad: Operation[int], error: type[Exception]
) -> None:
    with busy(writer):
        first = writer.submit(index.upserting(photo("a", "x", 0, 0)))
        failing = writer.submit(bad)
        last = writer.submit(index.upserting(photo("b", "y", 0, 0)))
    assert isinstance(failing.exception(30), error)
    assert (first.result(30).inserted, last.result(30).inserted) == (1, 1)
    assert last.result().seq > first.result().seq
    assert index.store.aliases() == {}
    assert index.state.seq == index.store.seq() == last.result().seq
    assert [index.store.items([key])[key].id for key in (1, 2)] == ["a", "b"]
    assert len(index.segments()) == len(Index(index.store).segments()) == 2


def test_upsert_at_fault_among_some_that_are_done_as_one_fails_alone(
    index: Index, writer: Writer
) -> None:
    index.apply(changes.set_alias("shop", "listings"))
    ready = [index.upserting(photo(f"{i}", "x", i, i), name="shop") for i in range(5)]
    index.create(replace(LISTINGS, name="new", metric=Metric.COSINE))
    with busy(writer):
        writer.submit(changes.set_alias("shop", "new"))
        # The first has no direction, which only the collection that it now goes to minds.
        fine = [writer.submit(operation) for operation in ready[3:]]
        failing = writer.submit(ready[0])
        rest = [writer.submit(operation) for operation in ready[1:3]]
    assert isinstance(failing.exception(30), InvalidArgumentError)
    answers = [each.result(30) for each in (*fine, *rest)]
    assert answers == [Upserted(seq, 1, 0) for seq in range(6, 10)]
    assert (index.state.seq, index.store.seq()) == (9, 9)
    assert [index.store.items([key])[key].id for key in range(1, 5)] == ["3", "4", "1", "2"]
    assert len(index.segments("new")) == len(Index(index.store).segments("new")) == 4


def test_callers_of_upserts_that_are_done_as_one_have_their_own_answers(
    index: Index, writer: Writer
) -> None:
    index.upsert(photo("1", "x", 0, 0), photo("2", "x", 0, 0))
    with busy(writer):
        waiting = [
            writer.submit(index.upserting(photo(f"{i}", "x", i, 0), photo(f"{i}'", "x", i, 1)))
            for i in range(4)
        ]
        left = writer.submit(index.upserting(photo("left", "x", 0, 0)))
        assert left.cancel()
        again = writer.submit(index.upserting(photo("0", "x", 7, 0)))
    assert [each.result(30) for each in (*waiting, again)] == [
        Upserted(4, 2, 0),
        Upserted(5, 1, 1),
        Upserted(6, 1, 1),
        Upserted(7, 2, 0),
        Upserted(8, 0, 1),
    ]
    assert index.store.key(1, "left") is None
    assert index.found(vector(7, 0), Search(1)) == ["0"]


def test_full_queue_rejects_without_waiting_and_accepts_again_later(index: Index) -> None:
    with make(index, waiting=2) as writer:
        with busy(writer):
            accepted = [writer.submit(index.upserting(photo(f"{i}", "x", 0, 0))) for i in range(2)]
            with pytest.raises(QueueFullError, match="2 writes wait") as caught:
                writer.submit(index.upserting(photo("c", "x", 0, 0)))
            assert caught.value.retry_after_ms is not None
        assert [each.result(30).inserted for each in accepted] == [1, 1]
        assert writer.submit(index.upserting(photo("c", "x", 0, 0))).result(30).inserted == 1


def test_closing_answers_all_that_was_accepted_and_accepts_no_more(index: Index) -> None:
    held = Held()
    with make(index) as writer:
        writer.submit(held)
        assert held.running.wait(30)
        waiting = [writer.submit(index.upserting(photo(f"{i}", "x", 0, 0))) for i in range(100)]
        held.go_on.set()
    assert all(each.done() and each.result().inserted == 1 for each in waiting)
    with pytest.raises(DrainingError):
        writer.submit(held)


def test_operation_whose_caller_left_while_it_waited_is_not_done(
    index: Index, writer: Writer
) -> None:
    with busy(writer):
        left = writer.submit(index.upserting(photo("a", "x", 0, 0)))
        stays = writer.submit(index.upserting(photo("b", "x", 0, 0)))
        assert left.cancel()
    assert stays.result(30).inserted == 1
    assert index.store.key(1, "a") is None


def test_disk_that_is_full_for_a_group_fails_only_what_does_not_fit_alone(
    index: Index, writer: Writer
) -> None:
    large = photo("large", "x", 0, 0, attributes={"text": "x" * 500_000})
    (pages,) = index.store._writer.execute("PRAGMA page_count").fetchone()
    with busy(writer):
        small = [writer.submit(index.upserting(photo(f"{i}", "x", 0, 0))) for i in range(3)]
        failing = writer.submit(index.upserting(large))
        index.store._writer.execute(f"PRAGMA max_page_count = {pages + 8}")
    assert isinstance(failing.exception(30), StorageFullError)
    assert [each.result(30).inserted for each in small] == [1, 1, 1]
    assert index.store.key(1, "large") is None
    index.store._writer.execute("PRAGMA max_page_count = 1000000")
    assert writer.submit(index.upserting(large)).result(30).inserted == 1
    assert len(index.segments()) == 4


def test_commit_that_fails_leaves_readers_with_the_state_of_before(
    index: Index, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Transaction) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    before = index.state
    monkeypatch.setattr(Transaction, "finish", full)
    with busy_until_failed(writer):
        failing = [writer.submit(index.upserting(photo(f"{i}", "x", 0, 0))) for i in range(3)]
    assert all(isinstance(each.exception(30), StorageFullError) for each in failing)
    assert index.state is before
    monkeypatch.undo()
    assert writer.submit(index.upserting(photo("a", "x", 0, 0))).result(30) == Upserted(2, 1, 0)


@contextmanager
def busy_until_failed(writer: Writer) -> Iterator[None]:
    held = Held()
    done = writer.submit(held)
    assert held.running.wait(30)
    yield
    held.go_on.set()
    assert isinstance(done.exception(30), StorageFullError)
