"""Finds photos on disk: those of a folder, and the one of an id. Knows nothing of pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.files import FileError

# What the embedder decodes; in folders, files of other names are none of ours.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif")


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


def read_photo(path: Path) -> bytes:
    """Returns a photo's bytes; raises FileError with a line that names the file."""
    try:
        if path.is_dir():
            raise FileError(f"{path}: is a directory, not a photo")
        if path.exists() and not path.is_file():
            raise FileError(f"{path}: is not a regular file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not data:
        raise FileError(f"{path}: is empty")
    return data


def find_photos(paths: Sequence[Path]) -> list[PhotoFile]:
    """Returns the photos among files and folders, each once, in the order of their ids.

    A folder's photos are those with a photo's suffix, in the folders below it too; hidden ones are
    left out. The ids of a single folder's photos are relative to it.

    Raises:
        FileError: A path does not exist, cannot be read or is not UTF-8, or there is no photo.
    """
    alone = len(paths) == 1
    found: dict[str, PhotoFile] = {}
    for path in paths:
        try:
            if path.is_dir():
                for file in _below(path):
                    name = file.relative_to(path) if alone else file
                    found.setdefault(name.as_posix(), _photo_file(name.as_posix(), file))
            elif path.exists() and not path.is_file():
                raise FileError(f"{path}: is not a regular file")
            else:
                found.setdefault(path.as_posix(), _photo_file(path.as_posix(), path))
        except (OSError, ValueError) as error:
            where = getattr(error, "filename", None) or path
            raise FileError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    if not found:
        where = ", ".join(map(str, paths))
        raise FileError(f"{where}: no photos; looked for {' '.join(SUFFIXES)}")
    return [found[name] for name in sorted(found)]


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


def _below(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(parent, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES and file.is_file():
                yield file


def _photo_file(name: str, path: Path) -> PhotoFile:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise FileError(f"{str(path)!r}: the name is not UTF-8; rename it") from None
    facts = path.stat()
    return PhotoFile(name, path, facts.st_size, facts.st_mtime_ns)
