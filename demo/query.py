"""Asks the gateway about one photo and shows the answer."""

from __future__ import annotations

from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lookalike.errors import StartupError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.status import from_rpc_error


def ask(gateway: str, photo: Path, k: int = 5) -> pb.FindSimilarListingsResponse:
    """Returns the category of a photo and the `k` most similar listings."""
    request = pb.FindSimilarListingsRequest(image=photo.read_bytes(), k=k)
    with grpc.insecure_channel(gateway) as channel:
        try:
            return GatewayServiceStub(channel).FindSimilarListings(request, timeout=30)
        except grpc.RpcError as error:
            raise StartupError(f"the gateway: {from_rpc_error(error).message}") from None


def show(answer: pb.FindSimilarListingsResponse, photo: Path) -> None:
    """Prints the answer as a table."""
    console = Console()
    best = answer.classification.scores[0]
    console.print(Text(f"\n{photo}"))
    console.print(Text.assemble("category   ", (best.category, "bold")))
    console.print(f"confidence [bold]{best.probability:.0%}[/bold]\n")
    table = Table("", "similar listing", "category", "price", "distance", title_justify="left")
    for column in (table.columns[3], table.columns[4]):
        column.justify = "right"
    for rank, hit in enumerate(answer.listings, 1):
        listing = hit.listing
        price = f"£{listing.price:,.2f}" if listing.HasField("price") else ""
        words = (Text(listing.title), Text(listing.category))  # they may hold [markup]
        table.add_row(str(rank), *words, price, f"{hit.distance:.3f}")
    console.print(table)
