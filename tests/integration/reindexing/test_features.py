"""`lookalike reindex` on a real index: features for a catalogue that has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lookalike.catalogue.schema import TEXT_ATTRIBUTES, collection_name
from lookalike.cli.reindexing import aliases
from lookalike.client import IndexClient
from lookalike.client.index import Rerank
from lookalike.embedder.v1 import embedder_pb2
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
    photo,
)

FEATURES = f"{OLD}-features"
RANKING = embedder_pb2.Ranking(output="style", vector_weight=0.25, candidates=50)


@pytest.fixture
def model(model: NewModel) -> NewModel:
    """The model that the old collection is of already; it has features, and the collection none."""
    model.space = OLD_SPACE
    model.features = True
    return model


@pytest.fixture
def index(index: Index) -> Index:
    """The same dozen photos, their vectors as long as the model's."""
    index.clear()
    create(index, OLD, dimension=3)
    index.stub.SetAlias(pb.SetAliasRequest(name="listings", collection=OLD))
    index.write(
        *(
            item(key, b"", vector=pb.Vector(values=three(number), embedding_space=OLD_SPACE))
            for number, key in enumerate(PHOTOS)
        )
    )
    return index


def create(index: Index, name: str, **fields: Any) -> None:
    usual = {"embedding_space": OLD_SPACE, "text_attributes": TEXT_ATTRIBUTES}
    collection = pb.Collection(name=name, **{**usual, **fields})
    index.stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))


def describe(index: Index, name: str) -> pb.Collection:
    return index.stub.GetCollection(pb.GetCollectionRequest(name=name)).collection


def three(number: int) -> list[float]:
    return [*vector_of(photo(number)), 1.0]


def test_a_catalogue_without_features_gets_them_from_the_model_that_is_served(
    reindex: Callable[..., Ended], index: Index
) -> None:
    ended = reindex("--yes")
    assert ended.code == 0
    assert f"the model is the same; {OLD} lacks its features" in ended.err
    assert "serve the new model" not in ended.err
    assert index.aliases() == {"listings": FEATURES, "listings-previous": OLD}
    assert (describe(index, FEATURES).dimension, describe(index, FEATURES).features_dimension) == (
        3,
        4,
    )
    for number, key in enumerate(PHOTOS):
        copied = index.items(FEATURES)[key]
        assert list(copied.vector.values) == three(number)
        assert list(copied.features) == [*vector_of(photo(number)), 2.0, 3.0]


def test_once_it_has_them_there_is_nothing_to_do(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    assert reindex("--yes").code == 0
    model.received.clear()
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["switched"]) == (0, False)
    assert not model.received
    assert index.aliases()["listings"] == FEATURES


def test_photos_that_were_written_without_get_their_features_in_place(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    assert reindex("--yes").code == 0
    before = index.items(FEATURES)
    for key in ("p1", "p7"):
        bare = pb.Item()
        bare.CopyFrom(before[key])
        bare.ClearField("features")
        index.write(bare, collection=FEATURES)
    model.received.clear()
    assert reindex("--dry-run").code == 0
    assert not model.received
    ended = reindex("--json")
    assert (ended.code, ended.json["features_added"], ended.json["failed"]) == (0, 2, 0)
    assert "2 photos got their features" in ended.err
    assert len(model.received) == 2
    assert index.items(FEATURES) == before
    assert "features_added" not in reindex("--json").json


def test_photo_that_is_replaced_while_it_gets_features_stays_replaced(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    assert reindex("--yes").code == 0
    bare = index.items(FEATURES)["p1"]
    bare.ClearField("features")
    index.write(bare, collection=FEATURES)
    newer = pb.Item()
    newer.CopyFrom(bare)
    newer.price = 99
    model.at = lambda _: index.write(newer, collection=FEATURES)
    assert reindex("--json").json["features_added"] == 0
    assert index.items(FEATURES)["p1"].price == 99


def test_the_way_back_and_forth_needs_no_other_model(
    reindex: Callable[..., Ended], run: Run, index: Index, model: NewModel
) -> None:
    assert reindex("--yes").code == 0
    ended = run("reindex", "--rollback")
    assert ended.code == 0
    assert f"'listings' leads to {OLD} again, not to {FEATURES}" in ended.err
    assert "serve the earlier model" not in ended.err
    assert index.aliases() == {"listings": OLD, "listings-previous": FEATURES}

    model.received.clear()
    assert reindex("--yes").code == 0
    assert not model.received, "all is there"
    assert index.aliases() == {"listings": FEATURES, "listings-previous": OLD}


def test_listings_of_the_time_with_features_are_not_deleted_unasked(
    reindex: Callable[..., Ended], run: Run, index: Index
) -> None:
    assert reindex("--yes").code == 0
    vector = pb.Vector(values=[7, 7, 7], embedding_space=OLD_SPACE)
    index.write(item("fresh", b"", vector=vector), collection="listings")
    assert run("reindex", "--rollback").code == 0
    ended = reindex("--yes")
    assert ended.code == 1
    assert f"{FEATURES} was served before, and alone has 1 photo" in ended.err


def test_a_model_without_features_leaves_it_as_it_is(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    model.features = False
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["switched"]) == (0, False)
    assert index.aliases() == {"listings": OLD}


def test_the_output_that_the_model_is_ranked_by_is_what_is_kept(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    model.output, model.ranking = "style", RANKING
    assert reindex("--yes").code == 0
    assert describe(index, FEATURES).features_dimension == 4


def test_the_new_collection_is_compared_by_what_the_gateway_will_rank_by(
    reindex: Callable[..., Ended], model: NewModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbors, asked = IndexClient.neighbors, []

    def seen(self: Any, collection: str, *arguments: Any, **options: Any) -> Any:
        asked.append((collection, options["rerank"]))
        return neighbors(self, collection, *arguments, **options)

    monkeypatch.setattr(IndexClient, "neighbors", seen)
    model.output, model.ranking = "style", RANKING
    ended = reindex("--dry-run", "--json")
    assert ended.json["comparison"]["queries"] == len(PHOTOS)
    assert "comparing … the new one ranks by features too" in ended.err
    rerank = Rerank(candidates=50, vector_weight=0.25)
    assert asked == [(OLD, None)] * 2 + [(FEATURES, rerank)] * 2


def test_a_new_model_brings_features_to_a_catalogue_that_had_none(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    model.space = NEW_SPACE
    assert reindex("--yes").code == 0
    assert index.aliases()["listings"] == NEW
    assert describe(index, NEW).features_dimension == 4


def test_a_collection_of_the_new_model_without_features_is_left_and_one_is_made_beside_it(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    model.space = NEW_SPACE
    create(index, NEW, embedding_space=NEW_SPACE, dimension=3)
    assert reindex("--yes").code == 0
    assert index.aliases()["listings"] == f"{NEW}-features"


def test_a_name_with_features_is_never_too_long() -> None:
    longest = collection_name("a" * 51, NEW_SPACE)
    assert len(longest) == 64
    name = aliases.beside(longest, aliases.WITH_FEATURES)
    assert len(name) == 64
    assert name.endswith("-features")
    assert name.startswith("a" * 51)
