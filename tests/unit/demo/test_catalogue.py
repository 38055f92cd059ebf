"""Filling an index through a gateway, and remembering what it was filled with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from demo.catalogue import fill, is_filled, mark_filled
from lookalike.errors import (
    InvalidImageError,
    LookalikeError,
    StartupError,
    StoreCorruptedError,
)
from lookalike.files import FileError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import (
    GatewayServiceServicer,
    add_GatewayServiceServicer_to_server,
)
from lookalike.status import to_status

FACTS = {"embedding_space": "abc", "sample": "{}"}
LISTINGS = 30


class Gateway(GatewayServiceServicer):
    """Takes what is ingested, but for the photos that it has an error for."""

    def __init__(self) -> None:
        self.address = ""
        self.taken: dict[str, pb.IngestListingRequest] = {}
        self.errors: dict[str, LookalikeError] = {}
        self._lock = threading.Lock()

    def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        return pb.GetStatusResponse()

    def StreamIngestListings(
        self,
        request_iterator: Iterator[pb.StreamIngestListingsRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[pb.StreamIngestListingsResponse]:
        for sent in request_iterator:
            request = sent.request
            answer = pb.StreamIngestListingsResponse(id=sent.id)
            if (error := self.errors.get(request.photo.item_id)) is not None:
                answer.error.CopyFrom(to_status(error))
            else:
                with self._lock:
                    self.taken[request.photo.item_id] = request
                answer.response.SetInParent()
            yield answer


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    servicer = Gateway()
    server = grpc.server(ThreadPoolExecutor(4))
    add_GatewayServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(None).wait()


@pytest.fixture
def marketplace(tmp_path: Path) -> Path:
    """More photos than are in flight at once."""
    products = [",id,product_name,category,product_description,price,location"]
    images = [",id,product_id"]
    (tmp_path / "images").mkdir()
    for number in range(LISTINGS):
        products.append(f"0,{number},Oven {number},Appliances / Ovens,Hot.,£{number}.50,Leeds")
        images.append(f"0,photo-{number},{number}")
        (tmp_path / f"images/photo-{number}.jpg").write_bytes(f"pixels {number}".encode())
    (tmp_path / "Products.csv").write_text("\n".join(products) + "\n")
    (tmp_path / "Images.csv").write_text("\n".join(images) + "\n")
    return tmp_path


def test_every_photo_is_ingested_with_its_listing(gateway: Gateway, marketplace: Path) -> None:
    filled = fill(gateway.address, marketplace)

    assert (filled.written, filled.refused) == (LISTINGS, [])
    assert len(gateway.taken) == LISTINGS
    request = gateway.taken["photo-7"]
    assert request.image == b"pixels 7"
    assert request.photo == pb.CataloguePhoto(
        item_id="photo-7",
        product_id="7",
        category="Appliances",
        title="Oven 7",
        price=7.5,
        location="Leeds",
        currency="GBP",
    )


def test_photos_that_are_refused_or_missing_are_listed_and_the_others_written(
    gateway: Gateway, marketplace: Path
) -> None:
    gateway.errors["photo-3"] = InvalidImageError("image is empty (0 bytes)", field="image")
    (marketplace / "images/photo-5.jpg").unlink()
    filled = fill(gateway.address, marketplace)

    assert filled.written == LISTINGS - 2
    assert sorted(filled.refused) == [
        "photo-3.jpg: image is empty (0 bytes)",
        "photo-5.jpg: no such file",
    ]


def test_a_failure_of_the_gateway_ends_the_fill(gateway: Gateway, marketplace: Path) -> None:
    gateway.errors["photo-20"] = StoreCorruptedError("the store is damaged")
    with pytest.raises(StartupError) as caught:
        fill(gateway.address, marketplace)

    assert str(caught.value) == "the gateway refused photo-20.jpg: the store is damaged"


def test_a_gateway_that_fails_every_photo_is_told_by_one(
    gateway: Gateway, marketplace: Path
) -> None:
    for number in range(LISTINGS):
        gateway.errors[f"photo-{number}"] = StoreCorruptedError("the store is damaged")
    with pytest.raises(StartupError, match=r"refused photo-\d+\.jpg: the store is damaged"):
        fill(gateway.address, marketplace)

    assert gateway.taken == {}


def test_a_marketplace_that_is_not_there_is_named(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere/Products\.csv: cannot be read"):
        fill(gateway.address, tmp_path / "nowhere")


def test_an_index_is_filled_with_what_it_was_marked_with(tmp_path: Path) -> None:
    marker = tmp_path / "filled.json"
    assert not is_filled(marker, FACTS)
    mark_filled(marker, FACTS)

    assert is_filled(marker, dict(FACTS))


@pytest.mark.parametrize("name", FACTS)
def test_another_model_or_sample_is_not_what_it_was_filled_with(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "filled.json"
    mark_filled(marker, FACTS)

    assert not is_filled(marker, FACTS | {name: "other"})


@pytest.mark.parametrize("content", [b"", b'{"embedding_space": "abc", ', b"[]", b"\xff\xfe"])
def test_a_marker_that_was_not_written_to_its_end_does_not_count(
    tmp_path: Path, content: bytes
) -> None:
    marker = tmp_path / "filled.json"
    marker.write_bytes(content)

    assert not is_filled(marker, FACTS)


def test_marking_again_replaces_the_facts(tmp_path: Path) -> None:
    marker = tmp_path / "filled.json"
    mark_filled(marker, FACTS)
    mark_filled(marker, {"embedding_space": "def"})

    assert not is_filled(marker, FACTS)
    assert is_filled(marker, {"embedding_space": "def"})
