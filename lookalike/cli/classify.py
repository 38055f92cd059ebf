"""`lookalike classify`: which category is it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from grpc import StatusCode

from lookalike.catalogue.photo_files import FoundPhotos, PhotoFile, find_photos, read_photo
from lookalike.cli import options
from lookalike.cli.console import (
    ExitCode,
    UsageError,
    counted,
    emit,
    has_room,
    per_cent,
    progress_bar,
    say,
    show_table,
)
from lookalike.cli.failing import Failure, Failures, failure_of
from lookalike.errors import InvalidArgumentError, LookalikeError
from lookalike.files import FileError

if TYPE_CHECKING:
    from lookalike.client import Classification, Classified, Client

MOST_OF_A_LISTING = 16
_IN_FLIGHT = 16


def command(
    *,
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO...", help="Photos, or folders of photos; - for standard input."
        ),
    ],
    listing: Annotated[
        bool,
        typer.Option(
            "--listing",
            help=f"All photos, at most {MOST_OF_A_LISTING}, are of one listing: one answer.",
        ),
    ] = False,
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
    token: options.Token = None,
) -> int:
    """Tell the category of photos, or of the listing that they are of.

    With --json, one line a photo; with --listing one line.
    """
    found = find_photos(photos)
    top = top or (3 if json or has_room(110) else 1)
    client = options.open_client(gateway=gateway, timeout=timeout, tls=tls, ca=ca, token=token)
    if listing:
        with client:
            return _classify_listing(client, found, top, json=json)
    return _classify_each(client, found, top, json=json)


def _classify_each(client: Client, found: FoundPhotos, top: int, *, json: bool) -> ExitCode:
    files, total = found.photos, len(found.photos) + len(found.unusable)
    failures = Failures()
    rows: list[tuple[str, ...]] = []

    def fail(name: str, error: Exception) -> None:
        failures.add(name, error)
        failure = failures.items[-1]
        if json:
            emit(_photo_as_json(name, failure))
        _tell(failure)

    for name, error in found.unusable.items():
        fail(name, error)
    bars = progress_bar("Classifying", total=len(files))
    try:
        with client, bars as bar:
            for file, outcome in _classified(client, files):
                bar.advance()
                if isinstance(outcome, LookalikeError) and outcome.code is StatusCode.UNAVAILABLE:
                    raise outcome  # tried often enough; the next photo would meet the same
                if isinstance(outcome, Exception):
                    fail(file.id, outcome)
                    continue
                failures.succeeded()
                if json:
                    emit({"photo": file.id, **_as_json(outcome, top)})
                rows.append(_row(file.id, outcome, top))
    finally:
        if rows and not json:  # also where a later photo ended it
            _show("photo", rows, top)
    if not failures.items:
        return ExitCode.OK
    if total > 1:
        say(f"{counted(len(failures.items), 'photo')} of {total:,} failed")
    return ExitCode.SOME_FAILED if rows else ExitCode.FAILED


def _classify_listing(client: Client, found: FoundPhotos, top: int, *, json: bool) -> ExitCode:
    files, names_of_all = found.photos, [*found.unusable, *(file.id for file in found.photos)]
    if len(files) > MOST_OF_A_LISTING:
        raise UsageError(
            f"--listing takes {MOST_OF_A_LISTING} photos at most, and there are {len(files):,}"
        )
    failed: dict[str, Failure] = {}

    def fail(name: str, error: Exception) -> None:
        failed[name] = failure_of(name, error)
        _tell(failed[name])

    for name, unusable in found.unusable.items():
        fail(name, unusable)
    images: dict[str, bytes] = {}
    for file in files:
        try:
            images[file.id] = read_photo(file.path)
        except FileError as error:
            fail(file.id, error)
    readable = [file for file in files if file.id in images]
    answer = _by_all(client, readable, list(images.values()), fail)
    if answer is None:
        if json:
            emit({"photos": [_photo_as_json(name, failed[name]) for name in names_of_all]})
        if len(names_of_all) > 1:
            say(f"{counted(len(failed), 'photo')} of {len(names_of_all):,} failed")
        return ExitCode.FAILED
    names = list(images)
    for failure in answer.failures:
        fail(names[failure.photo], failure.error)
    if json:
        seen = dict(zip(names, answer.photos or (), strict=False))
        photos = [_photo_as_json(each, failed.get(each), seen.get(each)) for each in names_of_all]
        emit({**_as_json(answer, top), "photos": photos})
    else:
        used = counted(len(names_of_all) - len(failed), "photo")
        _show("listing", [_row(used, answer, top)], top)
    if answer.degraded:
        say(answer.degraded)
    if not failed:
        return ExitCode.OK
    say(f"{counted(len(failed), 'photo')} of {len(names_of_all):,} failed")
    return ExitCode.SOME_FAILED


def _by_all(
    client: Client,
    files: Sequence[PhotoFile],
    images: Sequence[bytes],
    fail: Callable[[str, Exception], None],
) -> Classified | None:
    """Returns the answer by all photos; None if none can be used, and says so of each."""
    try:
        return client.classify(images, allow_partial=True) if images else None
    except InvalidArgumentError as error:
        if not error.field.startswith("images["):
            raise  # no photo is at fault
        # The gateway names the first alone; asked about each, it says what is wrong with each.
        for file, outcome in _classified(client, files):
            fail(file.id, outcome if isinstance(outcome, Exception) else error)
        return None


def _tell(failure: Failure) -> None:
    say(f"lookalike: {failure.id}: {failure.message} ({failure.reason})")


def _row(name: str, answer: Classified, top: int) -> tuple[str, ...]:
    first, *others = answer.scores[:top]
    also = ", ".join(f"{score.category} {per_cent(score.probability)}" for score in others)
    return name, first.category, per_cent(first.probability), also


def _show(what: str, rows: Sequence[Sequence[str]], top: int) -> None:
    shown = (what, "category", "confidence", "then")[: 3 + (top > 1)]
    show_table(shown, [row[: len(shown)] for row in rows], right=(2,))


def _classified(
    client: Client, files: Sequence[PhotoFile]
) -> Iterator[tuple[PhotoFile, Classified | Exception]]:
    """Yields each photo's outcome in order, several on their way at once."""

    def work(file: PhotoFile) -> Classified | Exception:
        try:
            return client.classify(read_photo(file.path))
        except (FileError, LookalikeError, OSError) as error:
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


def _photo_as_json(
    name: str, failure: Failure | None, seen: Classification | None = None
) -> dict[str, Any]:
    """Returns what became of one photo: why it failed, or what it says by itself."""
    if failure:
        return {"photo": name, "error": {"reason": failure.reason, "message": failure.message}}
    best = {"category": seen.category, "probability": seen.probability} if seen else {}
    return {"photo": name, **best}


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
