"""`lookalike similar`: which listings look like it?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookalike.cli import options
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    UsageError,
    emit,
    has_room,
    price,
    say,
    show_line,
    show_table,
)
from lookalike.cli.photo_files import PhotoFolder, read_photo
from lookalike.cli.sheet import Card, check_writable, draw_contact_sheet
from lookalike.cli.thumbnails import Thumbnails

if TYPE_CHECKING:
    from lookalike.client import SearchResult, SimilarListing

_NARROWER = "Which listings count"


def command(
    *,
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PHOTO...",
            help="A photo; several are of one thing, and their mean is looked for.",
            show_default=False,
        ),
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Instead: the id of a photo of the catalogue."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=1000, metavar="N", help="How many listings.")
    ] = 10,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only of this category; may be repeated.",
            rich_help_panel=_NARROWER,
        ),
    ] = None,
    min_price: Annotated[
        float | None, typer.Option(min=0, help="Not cheaper.", rich_help_panel=_NARROWER)
    ] = None,
    max_price: Annotated[
        float | None, typer.Option(min=0, help="Not dearer.", rich_help_panel=_NARROWER)
    ] = None,
    max_distance: Annotated[
        float | None, typer.Option(help="Not farther.", rich_help_panel=_NARROWER)
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw a contact sheet of what was found.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For the sheet: photos named <photo id>.jpg or the like."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            envvar="LOOKALIKE_HTTP",
            metavar="URL",
            help="For the sheet: the gateway's page, which has thumbnails.",
        ),
    ] = None,
    json: options.Json = False,
    gateway: options.Gateway = options.DEFAULT_GATEWAY,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    token: options.Token = None,
) -> int:
    """Find listings that look like a photo."""
    from lookalike.client import ListingFilter

    if bool(photos) == (item is not None):
        raise UsageError("give a PHOTO or --item, and not both")
    options.check_finite(min_price=min_price, max_price=max_price, max_distance=max_distance)
    folder = PhotoFolder(images) if images else None
    thumbnails = Thumbnails(http, token) if http and sheet else None
    if sheet:
        check_writable(sheet)
    query = [read_photo(path) for path in photos or ()]
    where = ListingFilter(categories=category or (), min_price=min_price, max_price=max_price)
    with options.open_client(
        gateway=gateway, timeout=timeout, tls=tls, ca=ca, token=token
    ) as client:
        answer = client.similar(
            query or None, item_id=item, k=k, where=where, max_distance=max_distance
        )

    def picture(item_id: str) -> Path | bytes | None:
        found = folder.find(item_id) if folder else None
        return found or (thumbnails.find(item_id) if thumbnails else None)

    asked = ", ".join(map(str, photos)) if photos else f"photo {item}"
    if sheet:
        _draw(answer, asked, query or [picture(item or "")], picture, sheet)
    if json:
        extra = {"sheet": str(sheet)} if sheet else {}
        emit({"query": asked, **_as_json(answer), **extra})
        return ExitCode.OK
    _show(answer)
    if sheet:
        say(f"contact sheet: {sheet}")
    return ExitCode.OK


def _show(answer: SearchResult) -> None:
    if answer.classification:
        best = answer.classification.scores[0]
        show_line(f"category {best.category}, confidence {best.probability:.0%}")
    wide = has_room(120)  # an id would crowd out the title on a narrow terminal
    header = ("", "similar listing", "category", "price", "distance", "photo id")
    rows = [
        (
            str(rank),
            hit.listing.title or hit.listing.product_id,
            hit.listing.category,
            price(hit.listing.price),
            f"{hit.distance:.3f}",
            hit.listing.item_id,
        )
        for rank, hit in enumerate(answer.hits, 1)
    ]
    columns = len(header) if wide else len(header) - 1
    if rows:
        show_table(header[:columns], [row[:columns] for row in rows], right=(0, 3, 4))
    for word in (answer.shortfall, answer.degraded):
        if word:
            say(word)


def _draw(
    answer: SearchResult,
    asked: str,
    query: Sequence[Path | bytes | None],
    picture: Callable[[str], Path | bytes | None],
    out: Path,
) -> None:
    best = answer.classification.scores[0] if answer.classification else None
    category = best.category if best else ""

    def card(hit: SimilarListing) -> Card:
        listing = hit.listing
        lines = [listing.category, price(listing.price), f"distance {hit.distance:.3f}"]
        return Card(
            [picture(listing.item_id)],
            listing.title or listing.product_id,
            [line for line in lines if line],
            agrees=bool(category) and listing.category == category,
        )

    about = Card(query, category or asked, [f"{best.probability:.0%} confidence"] if best else [])
    note = "Nearest listings first" + ("; green: of the category found" if category else "")
    try:
        draw_contact_sheet(about, [card(hit) for hit in answer.hits], out, note=note)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{out}: cannot be written: {reason}") from None


def _as_json(answer: SearchResult) -> dict[str, Any]:
    seen = answer.classification
    return {
        "category": seen.category if seen else None,
        "probability": seen.probability if seen else None,
        "listings": [
            {**dataclasses.asdict(hit.listing), "distance": hit.distance} for hit in answer.hits
        ],
        "shortfall": answer.shortfall,
        "exact": answer.exact,
        "cached": answer.cached,
        "degraded": answer.degraded,
    }
