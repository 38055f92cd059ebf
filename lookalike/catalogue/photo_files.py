"""Finds photos on disk: those of a folder, and the one of an id. Knows nothing of pixels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.files import FileError

# What the embedder decodes; in folders, files of other names are none of ours.
SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
)  # fmt: skip

STDIN = Path("-")
# Far above what services take, which say so themselves; a pipe may have no end.
MAX_PHOTO_BYTES = 64 << 20


@dataclass(frozen=True)
class PhotoFile:
    """A photo, and what tells whether it has changed.

    Attributes:
        id: Its path as the caller knows it, with `/` on every system.
        path: Where it is.
        bytes: Its size.
        modified_ns: When it was last written.
    """

    id: str
    path: Path
    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class FoundPhotos:
    """What was found among files and folders.

    Attributes:
        photos: Each once, in the order of their ids.
        unusable: What is wrong with entries that are in the way, by the id of a photo or folder.
    """

    photos: Sequence[PhotoFile]
    unusable: Mapping[str, FileError]


def read_photo(path: Path) -> bytes:
    """Returns a photo's bytes, of standard input for `-`.

    Raises:
        FileError: It cannot be read, or is larger than any photo; one line that names it.
    """
    shown = "standard input" if path == STDIN else path
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(MAX_PHOTO_BYTES + 1) if sys.stdin else b""
        else:
            if path.is_dir():
                raise FileError(f"{path}: is a directory, not a photo")
            if path.exists() and not path.is_file():
                raise FileError(f"{path}: is not a regular file")
            with path.open("rb") as file:
                data = file.read(MAX_PHOTO_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not data:
        raise FileError(f"{shown}: is empty")
    if len(data) > MAX_PHOTO_BYTES:
        raise FileError(f"{shown}: has more than {MAX_PHOTO_BYTES:,} bytes; it is not sent")
    return data


def find_photos(paths: Sequence[Path]) -> FoundPhotos:
    """Returns the photos among files and folders; `-` is the one of standard input.

    A folder's photos are those with a photo's suffix, in the folders below it too; hidden ones are
    left out. The ids of a single folder's photos are relative to it. One entry that cannot be used,
    because its name is not UTF-8 or the folder cannot be read, is no obstacle to the others.

    Raises:
        FileError: A path does not exist or is no file or folder, or there is no photo.
    """
    alone = len(paths) == 1
    found: dict[str, PhotoFile] = {}
    unusable: dict[str, FileError] = {}
    for path in paths:
        for entry, error in _among(path):
            name = (entry.relative_to(path) if alone and entry != path else entry).as_posix()
            if isinstance(entry_found := _photo_file(name, entry, error), PhotoFile):
                found.setdefault(name, entry_found)
            else:
                unusable[_shown(name)] = entry_found
    if not found:
        where = ", ".join(map(str, paths))
        raise next(
            iter(unusable.values()),
            FileError(f"{where}: no photos; looked for {' '.join(SUFFIXES)}"),
        )
    return FoundPhotos([found[name] for name in sorted(found)], unusable)


class PhotoFolder:
    """A folder that keeps the photo of an item under the item's id.

    Args:
        folder: Photos named `<item id>.jpg`, or with another photo's suffix.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise FileError(f"{folder}: no such folder of photos")

    def find(self, item_id: str) -> Path | None:
        """Returns an item's photo; None if there is none, or the id cannot name a file."""
        if not _can_name_a_file(item_id):
            return None
        for suffix in SUFFIXES:
            for name in (item_id + suffix, item_id + suffix.upper()):
                path = self.folder / name
                try:
                    if path.is_file():
                        return path
                except OSError:  # the name is too long for this file system
                    return None
        return None


def photo_path(folder: Path, image_id: str) -> Path:
    """Returns where a raw catalogue keeps a photo; FileError if the id leads elsewhere."""
    if not _can_name_a_file(image_id):
        raise FileError(f"image id '{image_id}' cannot be the name of a file in {folder}")
    return folder / f"{image_id}.jpg"


def _can_name_a_file(name: str) -> bool:
    """Says whether a file of that name is in its folder, and not hidden: ids are strangers'."""
    return bool(name) and Path(name).name == name and not name.startswith(".") and "\0" not in name


def _among(path: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Yields a file, or what is below a folder; raises FileError for neither."""
    try:
        if path == STDIN:
            yield path, None
        elif path.is_dir():
            yield from _below(path)
        elif path.stat() and not path.is_file():
            raise FileError(f"{path}: is not a regular file")
        else:
            yield path, None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _below(folder: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Yields the photos below a folder, and the folders and files that cannot be looked at."""
    failed: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=failed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(parent, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES:
                try:
                    if file.is_file():
                        yield file, None
                except OSError as error:
                    yield file, error
    for unreadable in failed:
        yield Path(unreadable.filename), unreadable


def _photo_file(name: str, path: Path, error: OSError | None) -> PhotoFile | FileError:
    """Returns a photo, or what is wrong with it."""
    try:
        name.encode()
        if path == STDIN:
            return PhotoFile(name, path, 0, 0)
        if error:
            raise error
        facts = path.stat()
        return PhotoFile(name, path, facts.st_size, facts.st_mtime_ns)
    except UnicodeEncodeError:
        return FileError(f"{str(path)!r}: the name is not UTF-8; rename it")
    except OSError as reason:
        return FileError(f"{path}: {reason.strerror or reason}")


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
