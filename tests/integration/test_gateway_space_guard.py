"""Model and catalogue that do not belong together, and what the gateway says of itself."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from lookalike.errors import EmbeddingSpaceMismatchError, LookalikeError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.model.bundle import Bundle
from tests.running_gateway import Services, both_ready, calls_of, log_lines

DrawPhoto = Callable[..., bytes]
Connect = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]


def test_vectors_of_another_model_are_refused_naming_both_embedding_spaces(
    services: Services,
    open_channel: Connect,
    other_bundle: Bundle,
    refusal: Refusal,
    draw_photo: DrawPhoto,
) -> None:
    photo = draw_photo(1)
    (ours,) = {
        services.ingest(item_id, photo).classification.embedding_space for item_id in ("a", "b")
    }
    theirs = other_bundle.manifest.embedding_space
    assert ours != theirs
    embedder = services.start_service("embedder_service", bundle=other_bundle.path)
    gateway = services.start_service(
        "gateway",
        embedder=embedder.address,
        index=services.index.address,
        collection=services.collection,
    )
    stub = GatewayServiceStub(open_channel(gateway.address))
    listing = pb.CataloguePhoto(item_id="c", product_id="c")
    for call in (
        lambda: stub.IngestListing(pb.IngestListingRequest(photo=listing, image=photo)),
        lambda: stub.FindSimilarListings(pb.FindSimilarListingsRequest(image=photo)),
    ):
        error = refusal(call)
        assert isinstance(error, EmbeddingSpaceMismatchError)
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.field == "image"
        assert error.metadata == {
            "collection_embedding_space": ours,
            "vector_embedding_space": theirs,
        }
        collection = f"{services.collection}-{ours[:12]}"
        assert f"'{theirs}', but collection '{collection}' holds '{ours}'" in error.message
    found = stub.FindSimilarListings(pb.FindSimilarListingsRequest(item_id="a"))
    assert [similar.photo.item_id for similar in found.listings] == ["b"], "no vector was sent"
    response = stub.ClassifyImage(pb.ClassifyImageRequest(image=photo))
    assert response.classification.embedding_space == theirs


def test_embedder_that_returns_with_another_model_is_known_by_its_new_labels(
    services: Services, other_bundle: Bundle, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(1)
    old = services.ingest("a", photo).classification.embedding_space
    services.embedder.stop()
    services.wait(lambda status: not status.embedder.ready)
    services.bundle = other_bundle.path
    services.start_embedder_again()
    services.wait(lambda status: bool(status.mismatch))
    answer = services.classify(photo)
    new = answer.classification.embedding_space
    assert old != new == other_bundle.manifest.embedding_space
    assert not answer.cached, "the vector that is known is another model's"
    assert isinstance(refusal(lambda: services.ingest("b", photo)), EmbeddingSpaceMismatchError)
    told = services.status().mismatch
    assert old in told
    assert new in told
    lines = log_lines(services.gateway)
    assert [line["level"] for line in lines if line["event"] == "mismatch"] == ["warning"]
    embeds = calls_of(services.embedder, "EmbedImage")
    assert embeds == 1, "what is refused was not embedded first"


def test_mismatch_ends_when_the_alias_leads_to_a_catalogue_of_the_model(
    services: Services, other_bundle: Bundle, draw_photo: DrawPhoto, open_channel: Connect
) -> None:
    photo = draw_photo(1)
    services.ingest("a", photo)
    services.embedder.stop()
    services.bundle = other_bundle.path
    services.start_embedder_again()
    services.wait(lambda status: bool(status.mismatch))
    space = other_bundle.manifest.embedding_space
    index = IndexServiceStub(open_channel(services.index.address))
    new = f"{services.collection}-new"
    collection = index_pb2.Collection(name=new, embedding_space=space, dimension=13)
    index.CreateCollection(index_pb2.CreateCollectionRequest(collection=collection))
    index.SetAlias(index_pb2.SetAliasRequest(name=services.collection, collection=new))
    services.wait(lambda status: not status.mismatch)
    assert services.status().index.serving_collection == new
    assert services.ingest("b", photo).classification.embedding_space == space


def test_status_is_told_while_neither_upstream_is_there(
    services: Services, draw_photo: DrawPhoto, tiny_bundle: Bundle
) -> None:
    services.ingest("a", draw_photo(1))
    services.wait(both_ready)
    told = services.status()
    space = tiny_bundle.manifest.embedding_space
    assert (told.embedder.model_name, told.embedder.embedding_space) == ("tiny", space)
    assert (told.embedder.dimension, len(told.embedder.labels)) == (13, 13)
    assert (told.index.collection, told.index.backend) == (services.collection, "native")
    assert told.index.serving_collection == f"{services.collection}-{space[:12]}"
    assert (told.index.embedding_space, told.mismatch) == (space, "")
    assert (told.index.photos, told.index.listings, told.cache.misses) == (1, 1, 1)
    assert told.timings.total_ns > 0
    services.embedder.kill()
    services.index.kill()
    services.wait(lambda status: not status.embedder.ready and not status.index.ready)
    told = services.status()
    assert told.embedder.target == services.embedder.address
    assert told.index.target == services.index.address
    assert told.version
