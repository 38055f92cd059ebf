"""The switch of `lookalike reindex` on a real index: what came meanwhile, and what broke off."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookalike.cli.reindexing import aliases, copying
from lookalike.cli.reindexing import run as running
from lookalike.cli.reindexing.reloading import Reload
from lookalike.client import IndexClient
from lookalike.client.index import calls
from lookalike.errors import InvalidImageError, UpstreamUnavailableError
from lookalike.index.v1 import index_pb2 as pb
from tests.command_line import Ended, Run
from tests.fake_services import vector_of
from tests.reindexing import NEW, NEW_SPACE, OLD, PHOTOS, Index, NewModel, item, made_alike, photo

UNFINISHED = Path(f"{NEW}.unfinished.json")


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has something done right before the switch, and right after it."""

    def set_up(before: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
        switch = aliases.switch

        def disturbed(*arguments: Any) -> None:
            before()
            switch(*arguments)
            after()
            monkeypatch.setattr(aliases, "switch", switch)

        monkeypatch.setattr(aliases, "switch", disturbed)

    return set_up


def newer(item_id: str, **changes: Any) -> pb.Item:
    """What the gateway writes into the new collection."""
    vector = pb.Vector(values=[7, 7, 7], embedding_space=NEW_SPACE)
    return item(item_id, b"", vector=vector, **changes)


def write_late(index: Index) -> None:
    Path("images", "late.jpg").write_bytes(photo(40))
    index.write(item("late", photo(40)))
    index.delete("p0")


def test_a_failed_reload_does_not_keep_back_what_came_meanwhile(
    reindex: Callable[..., Ended], index: Index, during: Callable[..., None]
) -> None:
    during(lambda: write_late(index))
    ended = reindex("--yes", "--reload", "127.0.0.1:1")
    assert ended.code == 1
    assert "1 written, 1 deleted" in ended.err
    assert made_alike(index)
    assert not UNFINISHED.exists()


def test_a_reload_that_serves_another_model_is_told(
    reindex: Callable[..., Ended], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reload, "run", lambda _: "space-of-another")
    ended = reindex("--yes", "--reload", "127.0.0.1:1")
    assert ended.code == 1
    assert f"serves space-of-another, not {NEW_SPACE}: put the new bundle into its" in ended.err
    assert "or go back with --rollback" in ended.err
    assert made_alike(index)


@pytest.mark.parametrize("error", [UpstreamUnavailableError("away"), KeyboardInterrupt()])
def test_what_was_not_brought_over_is_told_and_the_same_command_does_it(
    reindex: Callable[..., Ended],
    index: Index,
    during: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    during(lambda: write_late(index))
    with monkeypatch.context() as broken:
        broken.setattr(copying.Copy, "catch_up", fail)
        ended = reindex("--yes")
    assert ended.code in {1, 130}
    assert f"what was written to {OLD} between 20" in ended.err
    assert "the same command brings it over" in ended.err
    assert "late" not in index.items(NEW)

    again = reindex("--yes", "--json")
    assert (again.code, again.json["late"]) == (0, 2)
    assert made_alike(index)
    assert not UNFINISHED.exists()
    assert "late" not in reindex("--yes", "--json").json


def test_a_damaged_note_of_what_is_unfinished_is_no_success(reindex: Callable[..., Ended]) -> None:
    assert reindex("--yes").code == 0
    UNFINISHED.write_text("{")
    ended = reindex("--yes")
    assert ended.code == 1
    assert f"{UNFINISHED}: is damaged" in ended.err


def test_what_is_newer_in_the_new_collection_stays(
    reindex: Callable[..., Ended], index: Index, during: Callable[..., None]
) -> None:
    def before() -> None:
        index.write(item("p1", photo(1), price=8), item("p2", photo(2), price=8))
        index.write(item("p5", photo(5), price=8))
        index.delete("p3", "p4")

    def after() -> None:
        index.write(newer("p1"), newer("p3"), collection="listings")
        request = pb.BatchDeleteItemsRequest(collection=NEW, item_ids=["p2"])
        index.stub.BatchDeleteItems(request)

    during(before, after)
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["late"]) == (0, 2)
    copied = index.items(NEW)
    assert list(copied["p1"].vector.values) == list(copied["p3"].vector.values) == [7, 7, 7]
    assert not {"p2", "p4"} & copied.keys()
    assert copied["p5"].price == 8


def test_what_came_while_a_person_thought_is_copied_before_the_switch(
    reindex: Callable[..., Ended], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed(_: Any) -> bool:
        write_late(index)
        return True

    monkeypatch.setattr(running.Run, "_agreed", agreed)
    ended = reindex("--json")
    assert (ended.code, ended.json["late"], ended.json["embedded"]) == (0, 0, 13)
    assert made_alike(index)


def test_what_fails_while_a_person_thought_prevents_the_switch(
    reindex: Callable[..., Ended], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed(_: Any) -> bool:
        index.write(item("unseen", photo(40)))
        return True

    monkeypatch.setattr(running.Run, "_agreed", agreed)
    ended = reindex()
    assert ended.code == 1
    assert "not switched: 1 photo would be lost" in ended.err
    assert index.aliases() == {"listings": OLD}


def test_failures_during_the_switch_are_listed_and_counted(
    reindex: Callable[..., Ended],
    index: Index,
    model: NewModel,
    images: Path,
    during: Callable[..., None],
) -> None:
    (images / "p2.jpg").unlink()
    model.refuse[photo(40)] = InvalidImageError("truncated")
    during(lambda: write_late(index))
    ended = reindex("--yes", "--allow-missing", "--json")
    assert (ended.code, ended.json["failed"]) == (3, 2)
    assert "1 photo that came during the switch failed" in ended.err
    with Path(f"{NEW}.failures.csv").open(newline="") as stream:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(stream)}
    assert reasons == {"p2": "NO_FILE", "late": "INVALID_IMAGE"}


def test_an_item_that_is_listed_twice_is_copied_as_it_is_last(
    reindex: Callable[..., Ended],
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "PAGE_SIZE_WITH_VECTORS", 5)
    items = IndexClient.items
    written: list[str] = []

    def disturbed(self: Any, collection: str, **options: Any) -> Any:
        for number, found in enumerate(items(self, collection, **options)):
            yield found
            if collection == OLD and number == 2 and not written:
                written.append("p1")
                index.write(item("p1", photo(1), price=9))

    monkeypatch.setattr(IndexClient, "items", disturbed)
    assert reindex("--yes").code == 0
    assert written
    assert made_alike(index)
    assert index.items(NEW)["p1"].price == 9


def test_a_late_item_that_is_listed_twice_is_brought_over_as_it_is_last(
    reindex: Callable[..., Ended],
    index: Index,
    during: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = IndexClient.items
    monkeypatch.setattr(calls, "PAGE_SIZE_WITH_VECTORS", 5)

    def disturbed(self: Any, collection: str, **options: Any) -> Any:
        for number, found in enumerate(items(self, collection, **options)):
            yield found
            if collection == OLD and number == 8:
                index.write(item("p1", photo(1), price=9))

    def before() -> None:
        for number in range(1, 5):  # these four are at the end of the list then
            index.write(item(f"p{number}", photo(number), price=8))
        monkeypatch.setattr(IndexClient, "items", disturbed)

    during(before)
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["late"]) == (0, 4)
    assert index.items(NEW)["p1"].price == 9


def test_a_copy_of_what_a_photo_no_longer_is_does_not_stay(
    reindex: Callable[..., Ended], index: Index, images: Path
) -> None:
    assert reindex("--dry-run").code == 0
    index.write(item("p2", photo(50)))
    (images / "p2.jpg").unlink()
    assert reindex("--yes", "--allow-missing").code == 3
    assert sorted(index.items(NEW)) == sorted(PHOTOS.keys() - {"p2"})


def test_listings_that_the_new_collection_alone_has_are_not_deleted_unasked(
    reindex: Callable[..., Ended], run: Run, index: Index
) -> None:
    assert reindex("--yes").code == 0
    index.write(newer("fresh"), newer("p1"), collection="listings")
    assert run("reindex", "--rollback").code == 0
    ended = reindex("--yes")
    assert ended.code == 1
    assert f"{NEW} was served before, and alone has 1 photo that came then, such as fresh" in (
        ended.err
    )
    assert "fresh" in index.items(NEW)
    assert index.aliases()["listings"] == OLD

    assert reindex("--yes", "--discard").code == 0
    assert "fresh" not in index.items(NEW)
    assert list(index.items(NEW)["p1"].vector.values) == [*vector_of(photo(1)), 1.0]


def test_an_item_that_is_deleted_during_the_comparison_ends_nothing(
    reindex: Callable[..., Ended], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbors = IndexClient.neighbors
    gone: list[str] = []

    def disturbed(self: Any, *arguments: Any, **options: Any) -> Any:
        if not gone:
            gone.append("p7")
            index.delete("p7")
        return neighbors(self, *arguments, **options)

    monkeypatch.setattr(IndexClient, "neighbors", disturbed)
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["comparison"]["queries"]) == (0, 11)
    assert made_alike(index)


def test_the_timeout_is_the_indexs_and_the_reloads_too(
    reindex: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    begin = IndexClient.__init__

    def seen(self: Any, *arguments: Any, timeout: float, **options: Any) -> None:
        told.append(timeout)
        begin(self, *arguments, timeout=timeout, **options)

    def reload(self: Reload) -> str:
        told.append(self.timeout_s)
        return NEW_SPACE

    monkeypatch.setattr(IndexClient, "__init__", seen)
    monkeypatch.setattr(Reload, "run", reload)
    assert reindex("--yes", "--reload", "127.0.0.1:1", "--timeout", "33").code == 0
    assert told == [33, 33]
