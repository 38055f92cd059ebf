"""What `lookalike similar` looks for: photos or words, and what leads towards it or away from it.

Tells words from files; asks nobody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lookalike.catalogue.photo_files import STDIN, SUFFIXES, read_photo
from lookalike.cli.console import UsageError
from lookalike.files import FileError

# As Lucene writes how much a term counts.
_BOOST = re.compile(r"(?P<what>.*)\^(?P<weight>[^\s^]*)", re.DOTALL)
_MOST_WEIGHT = 10.0
_QUERY = "a PHOTO, WORDS, --text or --item"


@dataclass(frozen=True)
class Given:
    """One thing to look for, as it was given.

    Attributes:
        name: What people know it by: a file, words, an id.
        image: Encoded photo; or
        text: words; or
        item_id: a photo of the catalogue.
        weight: How much it counts; below 0 it leads away.
    """

    name: str
    image: bytes | None = None
    text: str | None = None
    item_id: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Asked:
    """A query: the things that it begins with, and what is mixed with those."""

    base: Sequence[Given]
    mixed: Sequence[Given] = ()

    @property
    def photos(self) -> list[bytes]:
        """The photos that it begins with."""
        return [given.image for given in self.base if given.image is not None]

    @property
    def words(self) -> str | None:
        """The words that it begins with; None if it begins with something else."""
        return next((given.text for given in self.base if given.text is not None), None)

    @property
    def item_id(self) -> str | None:
        """The photo of the catalogue that it begins with; None likewise."""
        return next((given.item_id for given in self.base if given.item_id is not None), None)

    @property
    def about(self) -> str:
        """What is looked for, in one line."""
        names = [each.name if each.item_id is None else f"photo {each.name}" for each in self.base]
        return ", ".join([*names, *(described(each) for each in self.mixed)])

    @property
    def parts(self) -> list[Given]:
        """All of it as parts of a mix; several photos of one thing count like one."""
        share = 1 / max(1, len(self.base))
        return [*(replace(each, weight=share) for each in self.base), *self.mixed]


def asked(
    arguments: Sequence[str],
    *,
    text: str | None,
    item_id: str | None,
    more: Sequence[str],
    less: Sequence[str],
) -> Asked:
    """Returns what to look for.

    Args:
        arguments: Photos, or words.
        text: Words, whatever they look like.
        item_id: A photo of the catalogue.
        more: Photos or words that lead towards it, with their weights.
        less: Those that lead away from it.

    Raises:
        UsageError: They contradict each other, or there is nothing to look for.
        FileError: A photo cannot be read.
    """
    if bool(arguments) + (text is not None) + (item_id is not None) > 1:
        raise UsageError(f"give {_QUERY}, and one alone; --more and --less mix others with it")
    if text is not None:
        base = [_words(text)]
    elif item_id is not None:
        base = [Given(item_id, item_id=item_id)]
    else:
        base = _of_arguments(arguments)
    mixed = [_weighted(each, "--more", 1) for each in more]
    if not (base or mixed):
        only = "; --less alone does not say what to look for" if less else ""
        raise UsageError(f"give {_QUERY}{only}")
    return Asked(base, [*mixed, *(_weighted(each, "--less", -1) for each in less)])


def described(given: Given) -> str:
    """Returns one thing that is mixed in, with its weight: `less damaged`, `more blue^0.5`."""
    which, weight = "more" if given.weight > 0 else "less", abs(given.weight)
    return f"{which} {given.name}" + ("" if weight == 1 else f"^{weight:g}")


def is_photo(argument: str) -> bool:
    """Says whether an argument is of a file: there is one, or it is written like one's name."""
    if argument == str(STDIN) or argument.lower().endswith(SUFFIXES):
        return True
    separators = filter(None, (os.sep, os.altsep))
    return any(separator in argument for separator in separators) or _is_there(argument)


def _of_arguments(arguments: Sequence[str]) -> list[Given]:
    words = [each for each in arguments if not is_photo(each)]
    if words and len(words) < len(arguments):
        raise UsageError(
            f"'{short(words[0])}' is no file, and others are photos; --more "
            f"'{short(words[0])}' mixes words with photos"
        )
    if words:
        return [_words(" ".join(words))]
    return [Given(each, image=_read(each)) for each in arguments]


def _weighted(argument: str, option: str, sign: int) -> Given:
    boost = _BOOST.fullmatch(argument)
    what, weight = argument, 1.0
    if boost:
        what, weight = boost["what"], _weight(argument, boost["weight"], option)
    if is_photo(what):
        image = _read(what, "words have no '/' and no suffix of a photo")
        return Given(what, image=image, weight=sign * weight)
    return replace(_words(what), weight=sign * weight)


def _words(text: str) -> Given:
    text.encode()  # raises what the command line tells: some bytes are no letters
    return Given(text, text=text)


def _weight(argument: str, written: str, option: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= _MOST_WEIGHT:
        raise UsageError(
            f"{option} is '{short(argument)}'; its weight, after ^, must be a number above 0 and "
            f"at most {_MOST_WEIGHT:g}, as in 'blue^0.5'"
        )
    return weight


def _read(argument: str, for_words: str = "for words, say --text") -> bytes:
    path = Path(argument)
    try:
        return read_photo(path)
    except FileError as error:
        if path == STDIN or _is_there(argument):
            raise
        # Whoever meant words would not know why a file is looked for.
        reason = str(error).removeprefix(f"{path}: ")
        raise FileError(f"{short(argument)}: {reason}; {for_words}") from None


def short(text: str, most: int = 200) -> str:
    """Returns the beginning of a text, of so many characters, for a line that a person reads."""
    return text if len(text) <= most else text[:most] + "…"


def _is_there(argument: str) -> bool:
    try:
        return bool(argument) and Path(argument).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False
