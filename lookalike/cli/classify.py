"""`lookalike classify`: which category is it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from grpc import StatusCode

from lookalike.cli import options
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    counted,
    emit,
    has_room,
    progress_bar,
    say,
    show_table,
)
from lookalike.cli.failing import Failures
from lookalike.cli.photo_files import PhotoFile, find_photos, read_photo
from lookalike.errors import LookalikeError

if TYPE_CHECKING:
    from lookalike.client import Classified, Client

_IN_FLIGHT = 16


def command(
    *,
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="Photos, or folders of photos.")
    ],
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many categories of each photo to show.  [default: 3, or 1 if it is narrow]",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    gateway: options.Gateway = options.DEFAULT_GATEWAY,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    token: options.Token = None,
) -> int:
    """Tell the category of photos.

    With --json, one line a photo.
    """
    files = find_photos(photos)
    top = top or (3 if json or has_room(110) else 1)
    failures = Failures()
    rows: list[tuple[str, ...]] = []
    bars = progress_bar("Classifying", total=len(files))
    client = options.open_client(gateway=gateway, timeout=timeout, tls=tls, ca=ca, token=token)
    try:
        with client, bars as bar:
            for file, outcome in _classified(client, files):
                bar.advance()
                if isinstance(outcome, LookalikeError) and outcome.code is StatusCode.UNAVAILABLE:
                    raise outcome  # tried often enough; the next photo would meet the same
                if isinstance(outcome, Exception):
                    failures.add(file.id, outcome)
                    failure = failures.items[-1]
                    if json:
                        error = {"reason": failure.reason, "message": failure.message}
                        emit({"photo": file.id, "error": error})
                    say(f"lookalike: {file.id}: {failure.message} ({failure.reason})")
                    continue
                failures.succeeded()
                if json:
                    emit({"photo": file.id, **_as_json(outcome, top)})
                first, *others = outcome.scores[:top]
                also = ", ".join(f"{score.category} {score.probability:.0%}" for score in others)
                rows.append((file.id, first.category, f"{first.probability:.0%}", also))
    finally:
        if rows and not json:  # also where a later photo ended it
            shown = ("photo", "category", "confidence", "then")[: 3 + (top > 1)]
            show_table(shown, [row[: len(shown)] for row in rows], right=(2,))
    if not failures.items:
        return ExitCode.OK
    if len(files) > 1:
        say(f"{counted(len(failures.items), 'photo')} of {len(files):,} failed")
    return ExitCode.SOME_FAILED if rows else ExitCode.FAILED


def _classified(
    client: Client, files: Sequence[PhotoFile]
) -> Iterator[tuple[PhotoFile, Classified | Exception]]:
    """Yields each photo's outcome in order, several on their way at once."""

    def work(file: PhotoFile) -> Classified | Exception:
        try:
            return client.classify(read_photo(file.path))
        except (CommandError, LookalikeError, OSError) as error:
            return error

    pending: list[tuple[PhotoFile, Future[Classified | Exception]]] = []
    rest = iter(files)
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        try:
            pending += [(file, pool.submit(work, file)) for file in islice(rest, _IN_FLIGHT)]
            while pending:
                file, future = pending.pop(0)
                yield file, future.result()
                pending += [(file, pool.submit(work, file)) for file in islice(rest, 1)]
        finally:
            for _, future in pending:
                future.cancel()


def _as_json(answer: Classified, top: int) -> dict[str, Any]:
    return {
        "category": answer.category,
        "probability": answer.probability,
        "scores": [
            {"category": score.category, "index": score.index, "probability": score.probability}
            for score in answer.scores[:top]
        ],
        "embedding_space": answer.embedding_space,
        "cached": answer.cached,
        "degraded": answer.degraded,
    }
