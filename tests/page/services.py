"""Real services with thumbnails and a small catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from tests.conftest import LABELS

LISTINGS = 30


@contextmanager
def filled_services(
    bundle: Bundle, folder: Path, draw_photo: Callable[..., bytes]
) -> Iterator[LocalStack]:
    """Runs the services; each third listing of the catalogue has two photos."""
    with LocalStack(
        bundle=bundle.path,
        index_dir=folder / "index",
        log_dir=folder / "logs",
        thumbnails=folder / "thumbnails",
    ) as stack:
        with grpc.insecure_channel(stack.address("gateway")) as channel:
            stub = GatewayServiceStub(channel)
            for number in range(LISTINGS):
                for photo in range(2 if number % 3 == 0 else 1):
                    listing = pb.CataloguePhoto(
                        item_id=f"photo/{number}-{photo}",
                        product_id=f"listing {number}",
                        title=f"Thing {number}",
                        category=LABELS[number % 3],
                        price=number,
                        location="Leeds",
                    )
                    image = draw_photo(100 * number + photo)
                    stub.IngestListing(pb.IngestListingRequest(photo=listing, image=image))
        yield stack
