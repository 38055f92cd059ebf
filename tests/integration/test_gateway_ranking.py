"""Features from a real embedder into a real index and back: by what the gateway ranks.

The bundle has features and does not say how to rank by them, as one that was exported before.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest

from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    DimensionMismatchError,
    InvalidArgumentError,
    InvalidImageError,
    LookalikeError,
    RankingUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Architecture, Bundle, Output, Preprocessing
from lookalike.serving.local_stack import LocalStack, ServiceProcess
from lookalike.status import from_status
from tests.conftest import IMAGE_SIZE, LABELS
from tests.running_gateway import TIMEOUT_S

DrawPhoto = Callable[..., bytes]
Refusal = Callable[[Callable[[], object]], LookalikeError]
PHOTOS = range(1, 7)
SIZE = 8


@pytest.fixture(scope="module")
def bundle_with_features(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of random weights with the output `features`."""
    import openvino
    import torch
    from safetensors.torch import save_file

    from lookalike.model.engines.torch_network import Network
    from training.features import to_openvino

    architecture, preprocessing = Architecture(), Preprocessing(IMAGE_SIZE)
    outputs = (Output("category", len(LABELS), "logits"), Output("features", SIZE, "embedding"))
    folder = tmp_path_factory.mktemp("with-features")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Network(architecture, preprocessing, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = to_openvino(network, IMAGE_SIZE)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    save_file(network.state_dict(), folder / "model.safetensors")
    return bundles.write(
        folder / "bundle",
        name="tiny",
        version="1",
        labels=LABELS,
        architecture=architecture,
        preprocessing=preprocessing,
        outputs=outputs,
        metrics={},
        files={
            bundles.WEIGHTS: folder / "model.safetensors",
            bundles.OPENVINO_MODEL: folder / "model.xml",
            bundles.OPENVINO_WEIGHTS: folder / "model.bin",
        },
    )


@pytest.fixture(scope="module")
def own_stack(
    bundle_with_features: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("ranking")
    with LocalStack(
        bundle=bundle_with_features.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as own_stack:
        yield own_stack


@pytest.fixture(scope="module")
def stub(own_stack: LocalStack, draw_photo: DrawPhoto) -> Iterator[GatewayServiceStub]:
    """The gateway of a catalogue of six listings."""
    with grpc.insecure_channel(own_stack.address("gateway")) as channel:
        stub = GatewayServiceStub(channel)
        for number in PHOTOS:
            ingest(stub, number, draw_photo(number))
        yield stub


@pytest.fixture(scope="module")
def index(own_stack: LocalStack) -> Iterator[IndexServiceStub]:
    with grpc.insecure_channel(own_stack.address("index_service")) as channel:
        yield IndexServiceStub(channel)


def ingest(stub: GatewayServiceStub, number: int, image: bytes) -> None:
    photo = pb.CataloguePhoto(
        item_id=f"photo-{number}",
        product_id=f"listing-{number}",
        price=10 * number,
        currency="GBP",
    )
    request = pb.IngestListingRequest(photo=photo, image=image)
    stub.IngestListing(request, timeout=TIMEOUT_S)


def find(stub: GatewayServiceStub, **request: Any) -> pb.FindSimilarListingsResponse:
    return stub.FindSimilarListings(pb.FindSimilarListingsRequest(**request), timeout=TIMEOUT_S)


def cosine_distance(one: Sequence[float], other: Sequence[float]) -> float:
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    lengths = math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))
    return 1 - product / lengths


@pytest.fixture(scope="module")
def features(own_stack: LocalStack, draw_photo: DrawPhoto) -> dict[str, Sequence[float]]:
    """The features of each photo, from the embedder."""
    with grpc.insecure_channel(own_stack.address("embedder_service")) as channel:
        embedder = EmbedderServiceStub(channel)
        requests = {
            f"photo-{number}": embedder_pb2.EmbedImageRequest(
                image=draw_photo(number), outputs=["features"]
            )
            for number in PHOTOS
        }
        return {
            item_id: list(embedder.EmbedImage(request, timeout=TIMEOUT_S).embeddings[0].values)
            for item_id, request in requests.items()
        }


def test_photos_are_kept_with_their_features(
    stub: GatewayServiceStub, index: IndexServiceStub, features: dict[str, Sequence[float]]
) -> None:
    collection = index.GetCollection(index_pb2.GetCollectionRequest(name="listings")).collection
    assert collection.features_dimension == SIZE
    for item_id, expected in features.items():
        request = index_pb2.GetItemRequest(collection="listings", item_id=item_id)
        item = index.GetItem(request).item
        assert list(item.features) == pytest.approx(expected, abs=0.01)
        assert item.attributes["currency"] == "GBP"


@pytest.mark.parametrize("by", ["image", "item_id"])
def test_listings_are_ranked_by_the_cosine_of_their_features(
    stub: GatewayServiceStub,
    draw_photo: DrawPhoto,
    features: dict[str, Sequence[float]],
    by: str,
) -> None:
    query: dict[str, Any] = {"image": draw_photo(1)} if by == "image" else {"item_id": "photo-1"}
    found = find(stub, ranking=pb.RANKING_METHOD_FEATURES, **query)
    assert found.ranking == pb.RANKING_METHOD_FEATURES
    distances = {
        item_id: cosine_distance(values, features["photo-1"])
        for item_id, values in features.items()
        if by == "image" or item_id != "photo-1"
    }
    told = {each.photo.item_id: each.ranked_by for each in found.listings}
    assert told == pytest.approx(distances, abs=0.01)
    assert list(told.values()) == sorted(told.values())
    assert found.candidates_ranked >= len(distances)
    assert found.exact
    assert not any(each.HasField("likeness") for each in found.listings)


def test_bundle_that_does_not_say_how_to_rank_is_ranked_by_category_and_told_of(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, refusal: Refusal
) -> None:
    found = find(stub, image=draw_photo(1))
    assert (found.ranking, found.candidates_ranked) == (pb.RANKING_METHOD_CATEGORY, 0)
    distances = [each.distance for each in found.listings]
    assert distances == sorted(distances) == [each.ranked_by for each in found.listings]
    for fields in ({"ranking": pb.RANKING_METHOD_BLEND}, {"min_likeness": 0.5}):
        error = refusal(lambda fields=fields: find(stub, image=draw_photo(1), **fields))
        assert isinstance(error, RankingUnavailableError)
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "python -m training export" in error.message
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    assert status.ranking == pb.RANKING_METHOD_CATEGORY
    assert status.embedder.features_dimension == SIZE
    assert status.index.photos_with_features == len(PHOTOS)
    sentence, of_words = status.lacking
    assert "python -m training export" in sentence
    assert "reads no words" in of_words


def test_price_is_told_in_the_currency_of_the_listings(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    found = find(stub, image=draw_photo(1), k=1, include_price=True)
    assert len(found.listings) == 1
    assert found.listings[0].photo.currency == found.price.currency == "GBP"
    assert (found.price.listings, found.price.coverage) == (len(PHOTOS), 0)
    assert 10 <= found.price.low <= found.price.median <= found.price.high <= 60


def test_photos_of_a_listing_answer_together_and_a_bad_one_is_named(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, refusal: Refusal
) -> None:
    images = [draw_photo(1), b"<html>", draw_photo(2)]
    classify = pb.ClassifyListingRequest(images=images)
    for call in (
        lambda: stub.ClassifyListing(classify, timeout=TIMEOUT_S),
        lambda: find(stub, images=pb.Images(images=images)),
    ):
        error = refusal(call)
        assert isinstance(error, InvalidImageError)
        assert error.field.endswith("images[1]")
    classify.allow_partial = True
    told = stub.ClassifyListing(classify, timeout=TIMEOUT_S)
    found = find(stub, images=pb.Images(images=images), allow_partial=True)
    for failures in (told.failures, found.failures):
        assert [failure.photo for failure in failures] == [1]
        assert isinstance(from_status(failures[0].error), InvalidImageError)
    assert [len(photo.scores) for photo in told.photos] == [13, 0, 13]
    assert [s.category for s in told.classification.scores] == [
        s.category for s in found.classification.scores
    ]


def test_bad_input_is_refused_with_its_reason_and_field(
    stub: GatewayServiceStub,
    refusal: Refusal,
    bundle_with_features: Bundle,
    draw_photo: DrawPhoto,
) -> None:
    vector = pb.Vector(
        values=[0.5] * 13,
        embedding_space=bundle_with_features.manifest.embedding_space,
        features=[0.5] * (SIZE + 1),
    )
    many = pb.ClassifyListingRequest(images=[draw_photo(1)] * 17)
    photo = pb.CataloguePhoto(item_id="a", product_id="a", currency="pounds")
    for call, error_class, field in (
        (lambda: find(stub, item_id="photo-1", ranking=99), InvalidArgumentError, "ranking"),
        (
            lambda: find(stub, item_id="photo-1", min_likeness=2),
            InvalidArgumentError,
            "min_likeness",
        ),
        (
            lambda: find(stub, item_id="photo-1", min_likeness=math.nan),
            InvalidArgumentError,
            "min_likeness",
        ),
        (lambda: find(stub, vector=vector), DimensionMismatchError, "vector.features"),
        (lambda: stub.ClassifyListing(many), InvalidArgumentError, "images"),
        (
            lambda: stub.IngestListing(pb.IngestListingRequest(photo=photo)),
            InvalidArgumentError,
            "photo.currency",
        ),
    ):
        error = refusal(call)
        assert (type(error), error.field) == (error_class, field)


def test_catalogue_without_features_goes_on_as_it_was(
    own_stack: LocalStack,
    stub: GatewayServiceStub,
    index: IndexServiceStub,
    *,
    start_service: Callable[..., ServiceProcess],
    open_channel: Callable[[str], grpc.Channel],
    bundle_with_features: Bundle,
    draw_photo: DrawPhoto,
    refusal: Refusal,
) -> None:
    space = bundle_with_features.manifest.embedding_space
    plain = index_pb2.Collection(name="plain", embedding_space=space, dimension=13)
    index.CreateCollection(index_pb2.CreateCollectionRequest(collection=plain))
    process = start_service(
        "gateway",
        embedder=own_stack.address("embedder_service"),
        index=own_stack.address("index_service"),
        collection="plain",
    )
    gateway = GatewayServiceStub(open_channel(process.address))
    for number in (1, 2):
        ingest(gateway, number, draw_photo(number))
    item = index.GetItem(index_pb2.GetItemRequest(collection="plain", item_id="photo-1")).item
    assert not item.features
    for query in ({"image": draw_photo(2)}, {"item_id": "photo-1"}):
        found = find(gateway, **query)
        assert found.listings[0].photo.item_id == "photo-2"
        assert found.ranking == pb.RANKING_METHOD_CATEGORY
        error = refusal(
            lambda query=query: find(gateway, ranking=pb.RANKING_METHOD_FEATURES, **query)
        )
        assert isinstance(error, RankingUnavailableError)
        assert "lookalike reindex" in error.message
    status = gateway.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    assert any("keeps no features" in sentence for sentence in status.lacking)
