"""Fills the index through the gateway, photo by photo, several at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grpc import aio
from rich.progress import Progress

from lookalike.channel import open_channel
from lookalike.errors import InvalidArgumentError, StartupError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.status import from_rpc_error
from training.categories import CATEGORIES
from training.embed import catalogue_photos
from training.images import photo_path

if TYPE_CHECKING:
    from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceAsyncStub

IN_FLIGHT = 16


@dataclass
class Filled:
    """What a fill did: photos written, and those refused with the reason."""

    written: int = 0
    refused: list[str] = field(default_factory=list)


def fill(gateway: str, marketplace: Path) -> Filled:
    """Ingests every photo of a raw catalogue; bad photos are refused and listed."""
    try:
        return asyncio.run(_fill(gateway, marketplace))
    except ExceptionGroup as group:  # photos in flight fail together, and alike
        raise group.exceptions[0] from None


def is_filled(marker: Path, wanted: dict[str, str]) -> bool:
    """Whether `mark_filled` was called with the same facts."""
    try:
        return bool(json.loads(marker.read_text()) == wanted)
    except (OSError, ValueError):
        return False  # never filled, or interrupted while saying so


def mark_filled(marker: Path, facts: dict[str, str]) -> None:
    """Remembers what an index was filled with."""
    marker.write_text(json.dumps(facts) + "\n")


async def _fill(gateway: str, marketplace: Path) -> Filled:
    filled = Filled()
    requests = list(_requests(marketplace))
    async with open_channel(gateway) as channel:
        stub = GatewayServiceStub(channel)
        with Progress() as progress:
            bar = progress.add_task("Ingesting photos", total=len(requests))
            pending = iter(requests)

            async def work() -> None:
                for request, file in pending:
                    await _ingest(stub, request, file, filled)
                    progress.advance(bar)

            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(work())
    return filled


async def _ingest(
    stub: GatewayServiceAsyncStub, request: pb.IngestListingRequest, file: Path, filled: Filled
) -> None:
    try:
        request.image = await asyncio.to_thread(file.read_bytes)
        await stub.IngestListing(request, timeout=30)
        filled.written += 1
    except FileNotFoundError:
        filled.refused.append(f"{file.name}: no such file")
    except OSError as os_error:
        filled.refused.append(f"{file.name}: {os_error.strerror or os_error}")
    except aio.AioRpcError as rpc_error:
        error = from_rpc_error(rpc_error)
        if not isinstance(error, InvalidArgumentError):
            raise StartupError(f"the gateway refused {file.name}: {error.message}") from None
        filled.refused.append(f"{file.name}: {error.message}")


def _requests(marketplace: Path) -> Iterator[tuple[pb.IngestListingRequest, Path]]:
    for row in catalogue_photos(marketplace, CATEGORIES).to_dict("records"):
        listing = pb.Listing(
            item_id=row["image_id"],
            product_id=row["product_id"],
            category=row["category"],
            title=row["title"],
            price=row["price"],
            location=row["location"],
        )
        yield (
            pb.IngestListingRequest(listing=listing),
            photo_path(marketplace / "images", row["image_id"]),
        )
