"""`lookalike reindex` on a real index: words for a catalogue that finds none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookalike.catalogue.schema import TEXT_ATTRIBUTES
from lookalike.index.v1 import index_pb2 as pb
from tests.command_line import Ended
from tests.fake_services import vector_of
from tests.reindexing import OLD, OLD_SPACE, PHOTOS, Index, NewModel, item, photo

WORDS = f"{OLD}-features"  # the next name that is free


@pytest.fixture
def model(model: NewModel) -> NewModel:
    """The model that the old collection is of already."""
    model.space = OLD_SPACE
    return model


@pytest.fixture
def index(index: Index) -> Index:
    """The same photos with descriptions, in a collection from before words were found."""
    index.clear()
    collection = pb.Collection(name=OLD, embedding_space=OLD_SPACE, dimension=3)
    index.stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))
    index.stub.SetAlias(pb.SetAliasRequest(name="listings", collection=OLD))
    for number, key in enumerate(PHOTOS):
        values = [*vector_of(photo(number)), 1.0]
        about = {"title": f"Lamp {key}", "description": f"For an oak table, {key}."}
        vector = pb.Vector(values=values, embedding_space=OLD_SPACE)
        index.write(item(key, b"", vector=vector, attributes=about))
    return index


def found(index: Index, words: str) -> list[str]:
    request = pb.FindNeighborsRequest(collection="listings", queries=[pb.Query(words=words)], k=100)
    return [near.item.id for near in index.stub.FindNeighbors(request).results[0].neighbors]


def test_a_catalogue_that_finds_no_words_does_afterwards_by_descriptions_too(
    reindex: Callable[..., Ended], index: Index
) -> None:
    ended = reindex("--yes")
    assert ended.code == 0, ended.err
    assert f"the model is the same; {OLD} finds no words" in ended.err
    assert index.aliases() == {"listings": WORDS, "listings-previous": OLD}
    described = index.stub.GetCollection(pb.GetCollectionRequest(name=WORDS)).collection
    assert tuple(described.text_attributes) == TEXT_ATTRIBUTES
    for key in PHOTOS:
        assert index.items(WORDS)[key].attributes["description"] == f"For an oak table, {key}."
    assert sorted(found(index, "oak")) == sorted(PHOTOS)
    assert found(index, "p7") == ["p7"]


def test_once_it_finds_them_there_is_nothing_to_do(
    reindex: Callable[..., Ended], index: Index, model: NewModel
) -> None:
    assert reindex("--yes").code == 0
    model.received.clear()
    ended = reindex("--yes", "--json")
    assert (ended.code, ended.json["switched"]) == (0, False)
    assert not model.received
