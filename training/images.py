"""Checks a catalogue's photos and writes them upright, RGB and letterboxed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image

from lookalike.catalogue.images import ImageLimits, decode
from lookalike.catalogue.photo_files import photo_path
from lookalike.cpu import available_cores
from lookalike.errors import LookalikeError
from lookalike.files import replacing
from lookalike.model.preprocessing import letterbox

LIMITS = ImageLimits(
    max_bytes=64 << 20, max_pixels=200_000_000, max_memory=2_000_000_000, max_seconds=20
)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CheckedPhoto:
    """What became of one photo: its content hash, or why it was left out."""

    image_id: str
    sha256: str = ""
    problem: str = ""


def prepare_photo(image_id: str, source: Path, target: Path, size: int) -> CheckedPhoto:
    """Writes one photo as a letterboxed JPEG, named by its content; never raises for a bad photo.

    A file of that name is the same photo, from an earlier run or another listing, and is kept.
    """
    file = photo_path(source, image_id)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return CheckedPhoto(image_id, problem=f"{file.name}: no such file")
    except OSError as error:
        return CheckedPhoto(image_id, problem=f"{file.name}: {error.strerror or error}")
    try:
        sha256 = hashlib.sha256(data).hexdigest()
        prepared = photo_path(target, sha256)
        if not prepared.exists():
            image = decode(data, LIMITS)
            with replacing(prepared) as aside:
                if _is_prepared(data, size):
                    aside.write_bytes(data)  # encoding it once more would only lose
                else:
                    letterbox(image, size).save(aside, "JPEG", quality=95, subsampling=0)
    except LookalikeError as error:
        return CheckedPhoto(image_id, problem=f"{file.name}: {error.message}")
    return CheckedPhoto(image_id, sha256=sha256)


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], *, ahead: int = 64
) -> Iterator[Result]:
    """Yields `work(item)` in order, computed on all cores (Pillow lets go of the GIL).

    At most `ahead` results wait, so memory stays bounded however many items there are.
    """
    with ThreadPoolExecutor(available_cores()) as pool:
        futures = [pool.submit(work, item) for item in items[:ahead]]
        try:
            for number in range(len(items)):
                yield futures[number % ahead].result()
                if number + ahead < len(items):
                    futures[number % ahead] = pool.submit(work, items[number + ahead])
        finally:
            for future in futures:
                future.cancel()


def _is_prepared(data: bytes, size: int) -> bool:
    with Image.open(BytesIO(data)) as image:
        upright = image.getexif().get(0x0112, 1) == 1
        return (
            image.format == "JPEG" and image.mode == "RGB" and image.size == (size,) * 2 and upright
        )
