"""`lookalike similar`: which listings look like it?"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookalike.catalogue.photo_files import PhotoFolder
from lookalike.cli import findings, options
from lookalike.cli.asking import Asked, Given, asked, described, short
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    UsageError,
    emit,
    per_cent,
    say,
    show_line,
)
from lookalike.cli.thumbnails import Thumbnails
from lookalike.limits import MAX_WORDS_LENGTH

if TYPE_CHECKING:
    from lookalike.client import CategoryScore, SearchResult

_MIX = "A mix"
_NARROWER = "Which listings count"
_ANSWER = "What is told of them"
_FORMATS = (".png", ".jpg", ".jpeg", ".webp")  # of a contact sheet


def command(
    *,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO...|WORDS",
            help="A photo, or - for standard input; several are of one thing, and their mean is "
            "looked for. Or words: whatever is no file, and has neither a photo's suffix nor a "
            "separator of folders, such as 'green velvet armchair'.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Instead: words, even if they look like a file."),
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(
            "--item",
            "--item-id",
            metavar="ID",
            help="Instead: the id of a photo of the catalogue.",
        ),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS|PHOTO",
            help="Mix in what leads towards it; 'blue^0.5' counts half. May be repeated.",
            rich_help_panel=_MIX,
        ),
    ] = None,
    less: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS|PHOTO",
            help="Mix in what leads away from it; likewise.",
            rich_help_panel=_MIX,
        ),
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
    min_likeness: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Not less likely the same item: 0.8 or 80%.",
            rich_help_panel=_NARROWER,
        ),
    ] = None,
    ranking: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(findings.RANKED_BY),
            help="By what they are ranked.  \\[default: the best that model and catalogue allow]",
            show_default=False,
            autocompletion=lambda: list(findings.RANKED_BY),
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    fair_price: Annotated[
        bool,
        typer.Option("--price", help="Also say what such a thing costs.", rich_help_panel=_ANSWER),
    ] = False,
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
    cert: options.Cert = None,
    token: options.Token = None,
) -> int:
    """Find listings that look like a photo, or that words describe.

    Of a photo it says how likely they show the same item. --more and --less find what is like a
    photo and still another: similar sofa.jpg --more 'blue^0.5' --less damaged.
    """
    from lookalike.client import ListingFilter

    options.check_finite(min_price=min_price, max_price=max_price, max_distance=max_distance)
    least = _share(min_likeness)
    if ranking is not None and ranking not in findings.RANKED_BY:
        known = ", ".join(findings.RANKED_BY)
        raise UsageError(f"--ranking is '{ranking}'; it must be one of {known}")
    folder = PhotoFolder(images) if images else None
    thumbnails = Thumbnails(http, token, ca=ca, cert=cert) if http and sheet else None
    if sheet and sheet.suffix.lower() not in _FORMATS:
        raise UsageError(f"{sheet}: the sheet's name must end in one of {' '.join(_FORMATS)}")
    query = asked(photos or (), text=text, item_id=item, more=more or (), less=less or ())
    partial = len(query.photos) > 1 and not query.mixed
    where = ListingFilter(categories=category or (), min_price=min_price, max_price=max_price)
    with options.open_client(
        gateway=gateway, timeout=timeout, tls=options.encryption(tls, ca, cert), token=token
    ) as client:
        answer = client.similar(
            **_sent(query),
            k=k,
            where=where,
            max_distance=max_distance,
            ranking=ranking,
            min_likeness=least,
            include_price=fair_price,
            allow_partial=partial,
        )
    if partial and answer.degraded and not answer.hits:
        raise CommandError(answer.degraded)  # the index is away
    for failure in answer.failures:
        name = query.base[failure.photo].name
        say(f"lookalike: {name}: {failure.error.message} ({failure.error.reason})")
    code = ExitCode.SOME_FAILED if answer.failures else ExitCode.OK

    def picture(item_id: str) -> Path | bytes | None:
        found = folder.find(item_id) if folder else None
        return found or (thumbnails.find(item_id) if thumbnails else None)

    if sheet:
        _draw(answer, query, picture, sheet)
    if json:
        extra = {"sheet": str(sheet)} if sheet else {}
        parts = [_part_as_json(each) for each in query.parts]
        emit({"query": query.about, "parts": parts, **findings.as_json(answer), **extra})
        return code
    if query.words or query.mixed:
        show_line(f"looked for {short(query.about, MAX_WORDS_LENGTH)}")
    findings.show(answer, priced=fair_price)
    if sheet:
        say(f"contact sheet: {sheet}")
    return code


def _sent(query: Asked) -> dict[str, Any]:
    """Returns the client's arguments that say what to look for."""
    from lookalike.client import Part

    if not query.mixed:
        return {"photo": query.photos or None, "text": query.words, "item_id": query.item_id}
    parts = [
        Part(image=each.image, text=each.text, item_id=each.item_id, weight=each.weight)
        for each in query.parts
    ]
    return {"mix": parts}


def _part_as_json(part: Given) -> dict[str, Any]:
    kind = "text" if part.text is not None else "item_id" if part.item_id is not None else "photo"
    return {kind: part.name, "weight": part.weight}


def _share(text: str | None) -> float | None:
    """Reads `0.8` or `80%`."""
    if text is None:
        return None
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if rest or not 0 <= share <= 1:
        raise UsageError(f"--min-likeness is '{text}'; it must be 0 to 1, or 0% to 100%")
    return share


def _draw(
    answer: SearchResult,
    query: Asked,
    picture: Callable[[str], Path | bytes | None],
    out: Path,
) -> None:
    from lookalike.catalogue.sheets import Card, draw_contact_sheet

    best = answer.classification.scores[0] if answer.classification else None
    category = best.category if best else ""
    cards = [
        findings.card(hit, picture(hit.photo.item_id), category, answer.ranking)
        for hit in answer.hits
    ]
    things = query.base or [each for each in query.mixed if each.weight > 0]
    words = ", ".join(each.name for each in things if each.text is not None)
    photos = [
        picture(each.item_id) if each.item_id is not None else each.image
        for each in things
        if each.text is None
    ]
    names = ", ".join(each.name for each in things if each.text is None)
    lines = [*_confidence(best), *(described(each) for each in query.mixed)]
    about = Card(photos, category or names, lines, words=words)
    note = "Nearest listings first" + ("; green: of the category found" if category else "")
    draw_contact_sheet(about, cards, out, note=note)


def _confidence(best: CategoryScore | None) -> list[str]:
    return [f"{per_cent(best.probability)} confidence"] if best else []
