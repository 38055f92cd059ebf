"""Writes files and directories aside and moves them into place, so that none is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from training.errors import TrainingError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; moves it there if the block ends well.

    The path keeps the target's suffix, because many writers choose the format by it.
    """
    aside = target.with_name(f".{target.stem}-{os.getpid()}-{threading.get_ident()}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(target)
    except OSError as error:
        raise TrainingError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink()


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """Yields an empty directory beside `target`; moves it there if the block ends well.

    Nothing but an empty directory may be at `target`.
    """
    aside = target.with_name(f".{target.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.replace(target)
    except OSError as error:
        raise TrainingError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_json(target: Path, content: Any) -> None:
    """Writes JSON for people and programs."""
    with replacing(target) as aside:
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(file: Path, what: str) -> Any:
    """Reads JSON; raises TrainingError saying that `what` was expected there."""
    try:
        return json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise TrainingError(f"{file}: missing; expected {what}") from None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: not readable as {what}: {error}") from None
