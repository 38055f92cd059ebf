"""`lookalike reindex` on a real index: what is copied, what is refused, and the way back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookalike.catalogue.schema import TEXT_ATTRIBUTES
from lookalike.cli.reindexing import aliases
from lookalike.errors import InvalidImageError
from lookalike.index.v1 import index_pb2 as pb
from tests.command_line import Ended, Run
from tests.fake_services import vector_of
from tests.reindexing import (
    NEW,
    NEW_SPACE,
    OLD,
    OLD_SPACE,
    PHOTOS,
    Index,
    NewModel,
    item,
    made_alike,
    photo,
)


def test_everything_is_copied_and_the_alias_switched(
    reindex: Callable[..., Ended], index: Index
) -> None:
    ended = reindex("--yes")
    assert ended.code == 0
    assert index.aliases() == {"listings": NEW, "listings-previous": OLD}
    for number, key in enumerate(PHOTOS):
        copied = index.items(NEW)[key]
        assert list(copied.vector.values) == [*vector_of(photo(number)), 1.0]
        assert copied.vector.embedding_space == NEW_SPACE
    assert made_alike(index)
    request = pb.GetCollectionRequest(name=NEW)
    collection = index.stub.GetCollection(request).collection
    assert collection.metric == pb.METRIC_COSINE
    assert list(collection.indexed_attributes) == ["location", "near_duplicate"]
    assert (collection.dimension, collection.exact_up_to) == (3, 77)
    assert "of 10 found, found by both" in ended.out
    assert f"'listings' leads to {NEW} now; `lookalike reindex --rollback` undoes it" in ended.err


def test_nothing_is_switched_without_consent(reindex: Callable[..., Ended], index: Index) -> None:
    ended = reindex()
    assert ended.code == 1
    assert "--yes switches without asking" in ended.err
    assert reindex("--dry-run").code == 0
    assert index.aliases() == {"listings": OLD}


def test_json_tells_the_comparison(reindex: Callable[..., Ended]) -> None:
    answer = reindex("--yes", "--json", "--sample", "5").json
    assert answer["switched"] is True
    assert (answer["photos"], answer["embedded"], answer["failed"]) == (12, 12, 0)
    assert answer["comparison"]["queries"] == 5
    assert answer["comparison"]["several"] == 5
    assert 0 <= answer["comparison"]["agreement"] <= 1
    assert answer["comparison"]["old"]["own_category"] == 1


def test_what_was_copied_is_not_embedded_again(
    reindex: Callable[..., Ended], model: NewModel
) -> None:
    reindex("--dry-run")
    model.received.clear()
    answer = reindex("--yes", "--json").json
    assert not model.received
    assert (answer["embedded"], answer["kept"]) == (0, 12)


def test_a_copy_that_broke_off_goes_on(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    def change(_: bytes) -> None:
        if len(model.received) > 4:
            model.space = "another"

    model.limits.max_stream_in_flight = 1
    model.at = change
    ended = reindex("--yes")
    assert ended.code == 1
    assert "the embedder changed its model" in ended.err
    done = len(index.items(NEW))
    assert 0 < done < 12

    model.at, model.space = (lambda _: None), NEW_SPACE
    model.received.clear()
    assert reindex("--yes").code == 0
    assert len(model.received) == 12 - done
    assert made_alike(index)


def test_writes_and_deletions_meanwhile_are_brought_over(
    reindex: Callable[..., Ended], index: Index, model: NewModel, images: Path
) -> None:
    moments = iter(
        [
            lambda: index.write(item("new", photo(20))),
            lambda: index.delete("p3"),
            lambda: index.write(item("p4", photo(4), price=9)),
            lambda: index.write(item("p5", photo(30))),  # another photo, all else as before
        ]
    )
    (images / "new.jpg").write_bytes(photo(20))
    model.limits.max_stream_in_flight = 1

    def disturb(image: bytes) -> None:
        if moment := next(moments, None):
            (images / "p5.jpg").write_bytes(photo(30))
            moment()

    model.at = disturb
    assert reindex("--yes").code == 0
    assert made_alike(index)
    copied = index.items(NEW)
    assert "p3" not in copied
    assert copied["p4"].price == 9
    assert list(copied["p5"].vector.values) == [*vector_of(photo(30)), 1.0]
    assert list(copied["new"].vector.values) == [*vector_of(photo(20)), 1.0]


def test_what_comes_during_the_switch_is_brought_over_and_nothing_newer_is_undone(
    reindex: Callable[..., Ended], index: Index, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "late.jpg").write_bytes(photo(40))
    switch = aliases.switch

    def disturbed(*arguments: Any) -> None:
        index.write(item("late", photo(40)))
        index.delete("p0")
        switch(*arguments)
        new = item("p1", b"", vector=pb.Vector(values=[7, 7, 7], embedding_space=NEW_SPACE))
        index.write(new, collection="listings")

    monkeypatch.setattr(aliases, "switch", disturbed)
    ended = reindex("--yes")
    assert ended.code == 0
    assert "brought over what came during the switch: 1 written, 1 deleted" in ended.err
    copied = index.items(NEW)
    assert "late" in copied
    assert "p0" not in copied
    assert list(copied["p1"].vector.values) == [7, 7, 7]


def test_missing_photos_are_listed_and_prevent_the_switch(
    reindex: Callable[..., Ended], index: Index, model: NewModel, images: Path
) -> None:
    (images / "p2.jpg").unlink()
    model.refuse[photo(3)] = InvalidImageError("truncated")
    ended = reindex("--yes")
    assert ended.code == 1
    assert "not switched: 2 photos would be lost; --allow-missing" in ended.err
    with Path(f"{NEW}.failures.csv").open(newline="") as stream:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(stream)}
    assert reasons == {"p2": "NO_FILE", "p3": "INVALID_IMAGE"}
    assert index.aliases() == {"listings": OLD}

    assert reindex("--yes", "--allow-missing").code == 3
    assert index.aliases()["listings"] == NEW
    assert sorted(index.items(NEW)) == sorted(PHOTOS.keys() - {"p2", "p3"})


def test_too_little_agreement_prevents_the_switch(
    reindex: Callable[..., Ended], index: Index, model: NewModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five listings of others: each of ten found by both, so that agreement is 1.
    assert reindex("--yes", "--min-agreement", "1").code == 0
    index.stub.SetAlias(pb.SetAliasRequest(name="listings", collection=OLD))
    many = {f"q{number}": number for number in range(40)}
    index.write(*(item(key, photo(n), product_id=key) for key, n in many.items()))
    for key, number in many.items():
        (Path("images") / f"{key}.jpg").write_bytes(photo(200 - 4 * number))
    ended = reindex("--yes", "--min-agreement", "0.9")
    assert ended.code == 1
    assert "not switched: agreement is 0." in ended.err
    assert index.aliases()["listings"] == OLD


def test_rolling_back_is_one_command_and_forward_again_too(
    run: Run, reindex: Callable[..., Ended], index: Index
) -> None:
    reindex("--yes")
    ended = run("reindex", "--rollback", "--json")
    assert ended.code == 0
    assert ended.json == {"alias": "listings", "collection": OLD, "previous": NEW}
    assert index.aliases() == {"listings": OLD, "listings-previous": NEW}
    assert run("reindex", "--rollback").code == 0
    assert index.aliases() == {"listings": NEW, "listings-previous": OLD}


def test_without_a_switch_there_is_nothing_to_roll_back(run: Run, index: Index) -> None:
    ended = run("reindex", "--rollback")
    assert ended.code == 1
    assert "nothing to roll back to: 'listings-previous' leads nowhere" in ended.err
    index.stub.SetAlias(pb.SetAliasRequest(name="listings-previous", collection=OLD))
    assert f"leads to {OLD}, which is served" in run("reindex", "--rollback").err


def test_a_collection_without_an_alias_is_refused_with_what_to_do(
    reindex: Callable[..., Ended], index: Index
) -> None:
    ended = reindex("--collection", OLD)
    assert ended.code == 1
    assert f"'{OLD}' is a collection, not an alias" in ended.err
    assert "SetAlias" in ended.err
    assert len(ended.err.splitlines()) == 1
    other = reindex("--collection", "shoes")
    assert other.code == 1
    assert "the index has no alias 'shoes'; it has listings" in other.err


def test_the_model_that_is_served_is_nothing_to_do(
    reindex: Callable[..., Ended], model: NewModel, index: Index
) -> None:
    model.space = OLD_SPACE
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["switched"]) == (0, False)
    assert "is of that model already" in ended.err
    assert index.aliases() == {"listings": OLD}


def test_a_collection_in_the_way_is_refused(reindex: Callable[..., Ended], index: Index) -> None:
    other = pb.Collection(
        name=NEW, embedding_space=NEW_SPACE, dimension=5, text_attributes=TEXT_ATTRIBUTES
    )
    index.stub.CreateCollection(pb.CreateCollectionRequest(collection=other))
    ended = reindex("--yes")
    assert ended.code == 1
    assert "has another dimension: 5, not 3; delete it first" in ended.err


@pytest.mark.parametrize("has", [True, False])
def test_features_are_copied_where_the_new_model_has_them(
    run: Run, index: Index, model: NewModel, images: Path, has: bool
) -> None:
    model.features = has
    index.clear()
    collection = pb.Collection(
        name=OLD, embedding_space=OLD_SPACE, dimension=2, features_dimension=1
    )
    index.stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))
    index.stub.SetAlias(pb.SetAliasRequest(name="listings", collection=OLD))
    index.write(item("p0", photo(0), features=[1.5]))
    ended = run("reindex", "--images", images, "--yes")
    assert ended.code == 0
    features = list(index.items(NEW)["p0"].features)
    assert features == ([*vector_of(photo(0)), 2.0, 3.0] if has else [])
    assert ("no output 'features'" in ended.err) != has


def test_an_empty_catalogue_is_switched_too(
    run: Run, index: Index, model: NewModel, images: Path
) -> None:
    index.delete(*PHOTOS)
    assert run("reindex", "--images", images, "--yes").code == 0
    assert index.aliases()["listings"] == NEW
