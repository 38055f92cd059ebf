"""Listings written, found by all that can be asked, listed and deleted, with a real stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from lookalike.errors import (
    IndexRecoveringError,
    ItemNotFoundError,
    LookalikeError,
    NearDuplicateError,
    RequestIdReusedError,
    UnknownFilterFieldError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.index.v1 import index_pb2
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack, ServiceProcess
from tests.running_gateway import TIMEOUT_S

DrawPhoto = Callable[..., bytes]
Start = Callable[..., ServiceProcess]
Connect = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]
OtherGateway = Callable[..., GatewayServiceStub]

# Photo, listing, category, price, place; the number of the photo is its seed.
LISTINGS = [
    ("lamp-1", "lamp", "home", 10, "Basel"),
    ("lamp-2", "lamp", "home", 10, "Basel"),
    ("chair-3", "chair", "home", 40, "Bern"),
    ("bike-4", "bike", "sport", 200, "Basel"),
    ("ball-5", "ball", "sport", None, "Bern"),
]


def seed_of(item_id: str) -> int:
    return int(item_id.rpartition("-")[2])


@pytest.fixture(scope="module")
def own_stack(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("catalogue")
    with LocalStack(
        bundle=tiny_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as own_stack:
        yield own_stack


@pytest.fixture(scope="module")
def stub(own_stack: LocalStack, draw_photo: DrawPhoto) -> Iterator[GatewayServiceStub]:
    """The gateway of a catalogue that tests read; what they write they delete."""
    with grpc.insecure_channel(own_stack.address("gateway")) as channel:
        stub = GatewayServiceStub(channel)
        requests = [
            pb.StreamIngestListingsRequest(
                id=item_id,
                request=pb.IngestListingRequest(
                    photo=pb.CataloguePhoto(
                        item_id=item_id,
                        product_id=product_id,
                        category=category,
                        price=price,
                        location=location,
                    ),
                    image=draw_photo(seed_of(item_id)),
                ),
            )
            for item_id, product_id, category, price, location in LISTINGS
        ]
        bad = pb.StreamIngestListingsRequest(id="bad")
        bad.request.photo.CopyFrom(pb.CataloguePhoto(item_id="bad", product_id="bad"))
        bad.request.image = b"<html>"
        answers = {
            answer.id: answer
            for answer in stub.StreamIngestListings(iter([*requests, bad]), timeout=TIMEOUT_S)
        }
        assert answers.pop("bad").error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert {answer.WhichOneof("result") for answer in answers.values()} == {"response"}
        assert len(answers) == len(LISTINGS)
        yield stub


def find(stub: GatewayServiceStub, **request: Any) -> pb.FindSimilarListingsResponse:
    return stub.FindSimilarListings(pb.FindSimilarListingsRequest(**request), timeout=TIMEOUT_S)


def products(found: pb.FindSimilarListingsResponse) -> set[str]:
    return {similar.photo.product_id for similar in found.listings}


def ingest(
    stub: GatewayServiceStub, item_id: str, product_id: str, image: bytes, request_id: str = ""
) -> pb.IngestListingResponse:
    photo = pb.CataloguePhoto(item_id=item_id, product_id=product_id)
    return stub.IngestListing(
        pb.IngestListingRequest(photo=photo, image=image, request_id=request_id),
        timeout=TIMEOUT_S,
    )


def delete(stub: GatewayServiceStub, **target: str) -> pb.DeleteListingResponse:
    return stub.DeleteListing(pb.DeleteListingRequest(**target), timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({}, {"lamp", "chair", "bike", "ball"}),
        ({"categories": ["sport"]}, {"bike", "ball"}),
        ({"min_price": 10, "max_price": 40}, {"lamp", "chair"}),
        ({"locations": ["Bern"]}, {"chair", "ball"}),
        ({"product_ids": ["lamp", "ball"]}, {"lamp", "ball"}),
        ({"exclude_product_ids": ["lamp"]}, {"chair", "bike", "ball"}),
        ({"categories": ["sport"], "locations": ["Basel"]}, {"bike"}),
        ({"near_duplicates": True}, set()),
    ],
)
def test_filters_hold_for_searches_and_for_lists(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, only: dict[str, Any], expected: set[str]
) -> None:
    listing_filter = pb.ListingFilter(**only)
    found = find(stub, image=draw_photo(9), filter=listing_filter)
    assert products(found) == expected
    request = pb.ListListingsRequest(filter=listing_filter)
    listed = stub.ListListings(request, timeout=TIMEOUT_S)
    assert {photo.product_id for photo in listed.photos} == expected


def test_every_photo_a_distance_and_a_number(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    found = find(stub, image=draw_photo(1), every_photo=True, exact=True)
    assert len(found.listings) == len(LISTINGS)
    assert (found.exact, found.candidates_scanned) == (True, len(LISTINGS))
    assert found.applied_seq > 0
    second = found.listings[1].distance
    near = find(stub, image=draw_photo(1), every_photo=True, max_distance=second / 2)
    assert [similar.photo.item_id for similar in near.listings] == ["lamp-1"]
    assert near.shortfall
    assert len(find(stub, image=draw_photo(1), k=2).listings) == 2


def test_several_photos_are_searched_for_by_their_mean(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    images = pb.Images(images=[draw_photo(1), draw_photo(2)])
    found = find(stub, images=images, every_photo=True)
    vectors = [
        stub.ClassifyImage(pb.ClassifyImageRequest(image=image, include_vector=True))
        for image in images.images
    ]
    mean = [sum(pair) / 2 for pair in zip(*(v.vector for v in vectors), strict=True)]
    space = found.classification.embedding_space
    by_vector = find(stub, vector=pb.Vector(values=mean, embedding_space=space), every_photo=True)
    assert not by_vector.HasField("classification")
    distances = [similar.distance for similar in by_vector.listings]
    assert [similar.distance for similar in found.listings] == pytest.approx(distances, abs=1e-4)
    assert len(found.classification.scores) == 13


def test_write_can_be_waited_for(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, refusal: Refusal
) -> None:
    written = ingest(stub, "new-6", "new", draw_photo(6))
    found = find(stub, image=draw_photo(6), min_seq=written.seq)
    assert found.listings[0].photo.item_id == "new-6"
    assert found.applied_seq >= written.seq
    error = refusal(lambda: find(stub, item_id="lamp-1", min_seq=written.seq + 1000))
    assert isinstance(error, IndexRecoveringError)
    assert delete(stub, item_id="new-6").deleted == 1


def test_listing_is_returned_listed_and_deleted(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, refusal: Refusal
) -> None:
    for number in (10, 11):
        ingest(stub, f"sofa-{number}", "sofa", draw_photo(number))
    get = stub.GetListing
    photos = get(pb.GetListingRequest(product_id="sofa"), timeout=TIMEOUT_S).photos
    assert [photo.item_id for photo in photos] == ["sofa-10", "sofa-11"]
    (photo,) = get(pb.GetListingRequest(item_id="sofa-11"), timeout=TIMEOUT_S).photos
    assert photo.product_id == "sofa"
    assert delete(stub, item_id="sofa-10").deleted == 1
    gone = delete(stub, product_id="sofa")
    assert (gone.deleted, gone.degraded) == (1, "")
    assert gone.timings.search_ns > 0
    assert delete(stub, product_id="sofa").deleted == 0
    for request in (
        pb.GetListingRequest(product_id="sofa"),
        pb.GetListingRequest(item_id="sofa-10"),
    ):
        error = refusal(lambda request=request: get(request, timeout=TIMEOUT_S))
        assert isinstance(error, ItemNotFoundError)


def test_pages_go_through_the_whole_catalogue(stub: GatewayServiceStub) -> None:
    ids: list[str] = []
    request = pb.ListListingsRequest(page_size=2)
    while True:
        page = stub.ListListings(request, timeout=TIMEOUT_S)
        ids += [photo.item_id for photo in page.photos]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sorted(ids) == sorted(item_id for item_id, *_ in LISTINGS)


def test_same_photo_of_another_listing_is_flagged_and_can_be_filtered_for(
    stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    copied = ingest(stub, "copy-1", "copy", draw_photo(1))
    (near,) = copied.near_duplicates
    assert (near.item_id, near.product_id, near.linked) == ("lamp-1", "lamp", False)
    assert near.kind == pb.NEAR_DUPLICATE_KIND_IDENTICAL
    only = pb.ListingFilter(near_duplicates=True)
    (similar,) = find(stub, image=draw_photo(9), filter=only).listings
    assert similar.photo.item_id == "copy-1"
    assert similar.photo.near_duplicate == near
    assert delete(stub, product_id="copy").deleted == 1


@pytest.fixture
def other_gateway(
    own_stack: LocalStack, start_service: Start, open_channel: Connect
) -> Callable[..., GatewayServiceStub]:
    """Starts another gateway of the same upstreams, with other settings."""

    def start(**settings: object) -> GatewayServiceStub:
        gateway = start_service(
            "gateway",
            embedder=own_stack.address("embedder_service"),
            index=own_stack.address("index_service"),
            **settings,
        )
        return GatewayServiceStub(open_channel(gateway.address))

    return start


def test_same_photo_sent_twice_at_once_is_written_once_where_the_policy_is_to_refuse(
    stub: GatewayServiceStub,
    other_gateway: OtherGateway,
    draw_photo: DrawPhoto,
) -> None:
    refusing = other_gateway(near_duplicate_policy="refuse")

    def outcome(number: int) -> str:
        try:
            ingest(refusing, f"twin-{number}", f"twin {number}", draw_photo(20))
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, range(8)))
    assert sorted(outcomes) == ["ALREADY_EXISTS"] * 7 + ["OK"]
    delete(stub, product_id=f"twin {outcomes.index('OK')}")


def test_refused_photo_names_what_it_looks_like_and_linked_ones_say_so(
    stub: GatewayServiceStub,
    other_gateway: OtherGateway,
    draw_photo: DrawPhoto,
    refusal: Refusal,
) -> None:
    refusing = other_gateway(
        near_duplicate_policy="refuse",
        near_duplicate_distance=1e6,
    )
    error = refusal(lambda: ingest(refusing, "other-21", "other", draw_photo(21)))
    assert isinstance(error, NearDuplicateError)
    assert error.metadata.keys() == {"item_id", "product_id", "distance"}
    assert isinstance(refusal(lambda: find(stub, item_id="other-21")), ItemNotFoundError)
    linking = other_gateway(near_duplicate_policy="link")
    (near,) = ingest(linking, "linked-4", "linked", draw_photo(4)).near_duplicates
    assert (near.item_id, near.linked) == ("bike-4", True)
    delete(stub, product_id="linked")


def test_retry_is_answered_as_before_and_changes_nothing(
    stub: GatewayServiceStub, draw_photo: DrawPhoto, refusal: Refusal
) -> None:
    first = ingest(stub, "once-30", "once", draw_photo(30), "key 30")
    ingest(stub, "twice-30", "twice", draw_photo(30))
    again = ingest(stub, "once-30", "once", draw_photo(30), "key 30")
    assert (again.seq, again.replaced) == (first.seq, False)
    error = refusal(lambda: ingest(stub, "once-30", "once", draw_photo(31), "key 30"))
    assert isinstance(error, RequestIdReusedError)
    for product_id in ("once", "twice"):
        delete(stub, product_id=product_id)


def test_plain_collection_of_the_name_goes_on_working_without_the_new_filters(
    own_stack: LocalStack,
    other_gateway: OtherGateway,
    tiny_bundle: Bundle,
    draw_photo: DrawPhoto,
    refusal: Refusal,
) -> None:
    channel = grpc.insecure_channel(own_stack.address("index_service"))
    index = IndexServiceStub(channel)
    space = tiny_bundle.manifest.embedding_space
    plain = index_pb2.Collection(name="plain", embedding_space=space, dimension=13)
    index.CreateCollection(index_pb2.CreateCollectionRequest(collection=plain))
    gateway = other_gateway(collection="plain")
    ingest(gateway, "lamp-1", "lamp", draw_photo(1))
    assert products(find(gateway, image=draw_photo(2))) == {"lamp"}
    only = pb.ListingFilter(locations=["Basel"])
    error = refusal(lambda: find(gateway, image=draw_photo(2), filter=only))
    assert isinstance(error, UnknownFilterFieldError)
    assert error.field == "filter"
    aliases = index.ListAliases(index_pb2.ListAliasesRequest()).aliases
    assert "plain" not in {alias.name for alias in aliases}
    channel.close()


def test_gateways_that_write_first_at_the_same_time_make_one_collection(
    stub: GatewayServiceStub,
    other_gateway: OtherGateway,
    draw_photo: DrawPhoto,
) -> None:
    gateways = [other_gateway(collection="shared") for _ in range(2)]
    photos = [draw_photo(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(ingest, gateways[i % 2], f"photo-{i}", f"listing {i}", photo)
            for i, photo in enumerate(photos)
        ]
    assert not any(call.result().replaced for call in calls)
    (status,) = {str(g.GetStatus(pb.GetStatusRequest()).index.photos) for g in gateways}
    assert status == "8"
