"""Files and directories that are there whole or not at all, and JSON in them.

What is written goes aside and is moved into place.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class FileError(Exception):
    """A file cannot be read, written or understood: one line that names it, printed as it is."""


def signature(file: Path) -> tuple[int, int, int]:
    """Returns facts that change when a file is written, or another is moved to its place."""
    facts = file.stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; moves it there if the block ends well.

    The path keeps the target's suffix, because many writers choose the format by it.
    """
    aside = _beside(target, target.suffix)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with suppress(OSError):
            aside.unlink()


@contextmanager
def whole_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields an empty directory beside `target`; moves it there if the block ends well.

    Args:
        target: The directory.
        replace: Take the place of a directory that is there; else that must be an empty one.
    """
    aside = _beside(target)
    try:
        aside.mkdir(parents=True)
        yield aside
        if replace and target.exists():
            _exchange(aside, target)
        else:
            aside.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_json(target: Path, content: Any) -> None:
    """Writes JSON for people and programs."""
    with replacing(target) as aside:
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(file: Path, what: str) -> Any:
    """Reads JSON; raises FileError saying that `what` was expected there."""
    try:
        return json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise FileError(f"{file}: missing; expected {what}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{file}: not readable as {what}: {error}") from None


def unwritable(target: Path, error: OSError) -> FileError:
    """Returns what to raise when a file could not be written."""
    return FileError(f"{target}: cannot be written: {error.strerror or error}")


def _beside(target: Path, suffix: str = "") -> Path:
    # Not by the process's id: in containers that share a volume many have the same.
    name = target.name.removesuffix(suffix)
    return target.with_name(f".{name}-{uuid.uuid4().hex[:12]}{suffix}")


def _exchange(aside: Path, target: Path) -> None:
    """Moves `aside` to `target`; what was there goes only once the new one is in place."""
    old = aside.with_name(f"{aside.name}-old")
    target.rename(old)
    try:
        aside.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
