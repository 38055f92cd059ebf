"""Asks for the categories of photos, several at once, and shows them as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from lookalike.catalogue.photo_files import PhotoFile, read_photo
from lookalike.cli.console import per_cent, say, show_table
from lookalike.cli.failing import Failure
from lookalike.errors import LookalikeError
from lookalike.files import FileError

if TYPE_CHECKING:
    from lookalike.client import Classification, Classified, Client

_IN_FLIGHT = 16


def tell(failure: Failure) -> None:
    """Says what is wrong with a photo."""
    say(f"lookalike: {failure.id}: {failure.message} ({failure.reason})")


def row(name: str, answer: Classification, top: int) -> tuple[str, ...]:
    """Returns the table's row of one answer."""
    first, *others = answer.scores[:top]
    also = ", ".join(f"{score.category} {per_cent(score.probability)}" for score in others)
    return name, first.category, per_cent(first.probability), also


def show(what: str, rows: Sequence[Sequence[str]], top: int) -> None:
    """Writes answers as a table; `what` heads their names."""
    shown = (what, "category", "confidence", "then")[: 3 + (top > 1)]
    show_table(shown, [row[: len(shown)] for row in rows], right=(2,))


def each_classified(
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


def photo_as_json(
    name: str, failure: Failure | None, seen: Classification | None = None
) -> dict[str, Any]:
    """Returns what became of one photo: why it failed, or what it says by itself."""
    if failure:
        return {"photo": name, "error": {"reason": failure.reason, "message": failure.message}}
    best = {"category": seen.category, "probability": seen.probability} if seen else {}
    return {"photo": name, **best}


def as_json(answer: Classified, top: int) -> dict[str, Any]:
    """Returns what `--json` tells of an answer."""
    return {
        **scores_as_json(answer, top),
        "embedding_space": answer.embedding_space,
        "cached": answer.cached,
        "degraded": answer.degraded,
    }


def scores_as_json(answer: Classification, top: int) -> dict[str, Any]:
    """Returns the categories of an answer, most likely first."""
    return {
        "category": answer.category,
        "probability": answer.probability,
        "scores": [
            {"category": score.category, "index": score.index, "probability": score.probability}
            for score in answer.scores[:top]
        ],
    }
