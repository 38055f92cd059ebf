"""What tests of a re-indexing share: a catalogue of photos in an old space, and a new model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike.catalogue.schema import REINDEXED_FROM
from lookalike.embedder.v1 import embedder_pb2
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.fake_services import FakeEmbedder, vector_of

OLD_SPACE, NEW_SPACE = "01d5bace" * 4, "ab54ace0" * 4
OLD, NEW = "listings-01d5bace01d5", "listings-ab54ace0ab54"
PHOTOS = {f"p{number}": f"listing-{number // 2}" for number in range(12)}


class NewModel(FakeEmbedder):
    """The new model: three floats, and features; may be told what to do at a photo.

    Attributes:
        at: Called with each photo before its answer.
        features: Whether it has that output.
        output: Its name.
        ranking: How it is told that listings are ranked by both outputs, if it is.
    """

    def __init__(self) -> None:
        super().__init__(NEW_SPACE)
        self.at: Callable[[bytes], None] = lambda _: None
        self.features = False
        self.output = "features"
        self.ranking: embedder_pb2.Ranking | None = None

    def GetModel(self, request: Any, context: Any) -> embedder_pb2.GetModelResponse:
        answer = super().GetModel(request, context)
        answer.model.outputs[0].dimension = 3
        if self.features:
            answer.model.outputs.add(name=self.output, dimension=4, kind="embedding")
        if self.ranking:
            answer.model.ranking.CopyFrom(self.ranking)
        return answer

    def _response(self, request: Any) -> embedder_pb2.EmbedImageResponse:
        self.at(request.image)
        answer = super()._response(request)
        for embedding in answer.embeddings:
            embedding.values.extend([1.0] if embedding.output == "category" else [2.0, 3.0])
        return answer


def photo(number: int) -> bytes:
    return b"photo" + bytes([number]) * (number + 1)


def item(item_id: str, image: bytes, **changes: Any) -> pb.Item:
    fields = {
        "id": item_id,
        "product_id": PHOTOS.get(item_id, "another"),
        "category": "lamps",
        "price": 5,
        "attributes": {"title": f"Lamp {item_id}", "location": "Leeds"},
        "vector": pb.Vector(values=vector_of(image), embedding_space=OLD_SPACE),
        **changes,
    }
    return pb.Item(**fields)


class Index:
    """The index, and what a test asks of it."""

    def __init__(self, stub: IndexServiceStub) -> None:
        self.stub = stub

    def write(self, *items: pb.Item, collection: str = OLD) -> None:
        self.stub.BatchUpsertItems(pb.BatchUpsertItemsRequest(collection=collection, items=items))

    def delete(self, *ids: str) -> None:
        self.stub.BatchDeleteItems(pb.BatchDeleteItemsRequest(collection=OLD, item_ids=ids))

    def items(self, collection: str) -> dict[str, pb.Item]:
        request = pb.ListItemsRequest(
            collection=collection, page_size=1000, view=pb.ITEM_VIEW_VECTORS
        )
        return {item.id: item for item in self.stub.ListItems(request).items}

    def aliases(self) -> dict[str, str]:
        listed = self.stub.ListAliases(pb.ListAliasesRequest()).aliases
        return {alias.name: alias.collection for alias in listed}

    def clear(self) -> None:
        for name in self.aliases():
            self.stub.DeleteAlias(pb.DeleteAliasRequest(name=name))
        for collection in self.stub.ListCollections(pb.ListCollectionsRequest()).collections:
            self.stub.DeleteCollection(pb.DeleteCollectionRequest(name=collection.name))


def made_alike(index: Index) -> bool:
    """Whether the new collection has the old one's items, but for their vectors."""

    def plain(item: pb.Item) -> pb.Item:
        item.attributes.pop(REINDEXED_FROM, None)
        item.ClearField("vector")
        return item

    old, new = (index.items(name) for name in (OLD, NEW))
    return {k: plain(v) for k, v in old.items()} == {k: plain(v) for k, v in new.items()}
