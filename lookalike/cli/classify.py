"""`lookalike classify`: which category is it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from grpc import StatusCode

from lookalike.catalogue.photo_files import FoundPhotos, find_photos
from lookalike.cli import options
from lookalike.cli.categories import as_json, each_classified, photo_as_json, row, show, tell
from lookalike.cli.console import (
    ExitCode,
    UsageError,
    counted,
    emit,
    has_room,
    progress_bar,
    say,
)
from lookalike.cli.failing import Failures
from lookalike.cli.one_listing import MOST_PHOTOS, Words, classify_listing
from lookalike.errors import LookalikeError

if TYPE_CHECKING:
    from lookalike.client import Client


def command(
    *,
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PHOTO...",
            help="Photos, or folders of photos; - for standard input.",
            show_default=False,
        ),
    ] = None,
    listing: Annotated[
        bool,
        typer.Option(
            "--listing",
            help=f"All photos, at most {MOST_PHOTOS}, are of one listing: one answer.",
        ),
    ] = False,
    title: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help="The listing's title: one answer by words and photos, if any; implies --listing.",
        ),
    ] = "",
    description: Annotated[
        str, typer.Option(metavar="WORDS", help="The listing's description; likewise.")
    ] = "",
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Categories of each answer to show.  \\[default: 3, or 1 if it is narrow]",
            show_default=False,
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
    """Tell the category of photos, or of a listing by its photos, its words, or both.

    With --json, one line a photo; of a listing one line.
    """
    words = Words(title, description)
    if not (photos or words):
        raise UsageError("give a PHOTO, --title or --description")
    found = find_photos(photos) if photos else FoundPhotos([], {})
    top = top or (3 if json or has_room(110) else 1)
    client = options.open_client(
        gateway=gateway, timeout=timeout, tls=options.encryption(tls, ca, cert), token=token
    )
    if listing or words:
        with client:
            return classify_listing(client, found, words, top, json=json)
    return _classify_each(client, found, top, json=json)


def _classify_each(client: Client, found: FoundPhotos, top: int, *, json: bool) -> ExitCode:
    files, total = found.photos, len(found.photos) + len(found.unusable)
    failures = Failures()
    rows: list[tuple[str, ...]] = []

    def fail(name: str, error: Exception) -> None:
        failures.add(name, error)
        failure = failures.items[-1]
        if json:
            emit(photo_as_json(name, failure))
        tell(failure)

    for name, error in found.unusable.items():
        fail(name, error)
    bars = progress_bar("Classifying", total=len(files))
    try:
        with client, bars as bar:
            for file, outcome in each_classified(client, files):
                bar.advance()
                if isinstance(outcome, LookalikeError) and outcome.code is StatusCode.UNAVAILABLE:
                    raise outcome  # tried often enough; the next photo would meet the same
                if isinstance(outcome, Exception):
                    fail(file.id, outcome)
                    continue
                failures.succeeded()
                if json:
                    emit({"photo": file.id, **as_json(outcome, top)})
                rows.append(row(file.id, outcome, top))
    finally:
        if rows and not json:  # also where a later photo ended it
            show("photo", rows, top)
    if not failures.items:
        return ExitCode.OK
    if total > 1:
        say(f"{counted(len(failures.items), 'photo')} of {total:,} failed")
    return ExitCode.SOME_FAILED if rows else ExitCode.FAILED
