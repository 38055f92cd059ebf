"""Classifies one listing by all of its photos, its words, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.catalogue.photo_files import FoundPhotos, PhotoFile, read_photo
from lookalike.cli.categories import (
    as_json,
    each_classified,
    photo_as_json,
    row,
    scores_as_json,
    show,
    tell,
)
from lookalike.cli.console import ExitCode, UsageError, counted, emit, say
from lookalike.cli.failing import Failure, failure_of
from lookalike.errors import InvalidArgumentError
from lookalike.files import FileError

if TYPE_CHECKING:
    from lookalike.client import Classification, Classified, Client, ReadWords

MOST_PHOTOS = 16


@dataclass(frozen=True)
class Words:
    """A listing's title and description, either of which may be empty."""

    title: str = ""
    description: str = ""

    def __bool__(self) -> bool:
        """Says whether there are any."""
        return bool(self.title or self.description)


def classify_listing(
    client: Client, found: FoundPhotos, words: Words, top: int, *, json: bool
) -> ExitCode:
    """Shows one answer by all photos that can be used and by the words; returns the exit code.

    Args:
        client: Asks the gateway.
        found: The listing's photos, if any.
        words: Its words, if any.
        top: How many categories of each answer to show.
        json: As JSON rather than as a table.
    """
    files, names_of_all = found.photos, [*found.unusable, *(file.id for file in found.photos)]
    if len(files) > MOST_PHOTOS:
        raise UsageError(
            f"a listing has {MOST_PHOTOS} photos at most, and there are {len(files):,}"
        )
    failed: dict[str, Failure] = {}

    def fail(name: str, error: Exception) -> None:
        failed[name] = failure_of(name, error)
        tell(failed[name])

    for name, unusable in found.unusable.items():
        fail(name, unusable)
    images: dict[str, bytes] = {}
    for file in files:
        try:
            images[file.id] = read_photo(file.path)
        except FileError as error:
            fail(file.id, error)
    readable = [file for file in files if file.id in images]
    answer = _by_all(client, readable, list(images.values()), words, fail)
    if answer is None:
        if json:
            emit({"photos": [photo_as_json(name, failed[name]) for name in names_of_all]})
        if len(names_of_all) > 1:
            say(f"{counted(len(failed), 'photo')} of {len(names_of_all):,} failed")
        return ExitCode.FAILED
    names = list(images)
    for failure in answer.failures:
        fail(names[failure.photo], failure.error)
    seen = {name: photo for name, photo in zip(names, answer.photos or (), strict=False) if photo}
    if json:
        photos = [photo_as_json(each, failed.get(each), seen.get(each)) for each in names_of_all]
        read = {"words": _words_as_json(answer.words, top)} if answer.words else {}
        emit({**as_json(answer, top), "photos": photos, **read})
    else:
        _show(answer, seen, top)
    _tell_what_lacks(answer)
    if not failed:
        return ExitCode.OK
    say(f"{counted(len(failed), 'photo')} of {len(names_of_all):,} failed")
    return ExitCode.SOME_FAILED


def _show(answer: Classified, seen: Mapping[str, Classification], top: int) -> None:
    """Writes the table: of photos alone one row, with words what each says by itself too."""
    if not answer.words:
        show("listing", [row(counted(len(seen), "photo"), answer, top)], top)
        return
    rows = [row(name, photo, top) for name, photo in seen.items()]
    rows.append(row("words", answer.words, top))
    if seen:
        rows.append(row("together", answer, top))
    show("listing by", rows, top)


def _tell_what_lacks(answer: Classified) -> None:
    if answer.words and answer.words.truncated:
        say(f"of the words the first {answer.words.tokens:,} tokens were read, and no more")
    if answer.degraded:
        say(answer.degraded)


def _by_all(
    client: Client,
    files: Sequence[PhotoFile],
    images: Sequence[bytes],
    words: Words,
    fail: Callable[[str, Exception], None],
) -> Classified | None:
    """Returns the answer by all photos and words; None if there are none that can be used.

    It says of each photo why it cannot be used.
    """
    title, description = words.title, words.description
    try:
        if images:
            return client.classify(images, title=title, description=description, allow_partial=True)
    except InvalidArgumentError as error:
        if not error.field.startswith("images["):
            raise  # no photo is at fault
        # The gateway names the first alone; asked about each, it says what is wrong with each.
        for file, outcome in each_classified(client, files):
            fail(file.id, outcome if isinstance(outcome, Exception) else error)
    return client.classify(title=title, description=description) if words else None


def _words_as_json(words: ReadWords, top: int) -> dict[str, Any]:
    """Returns what the words say by themselves."""
    return {
        **scores_as_json(words, top),
        "tokens": words.tokens,
        "truncated": words.truncated,
    }
