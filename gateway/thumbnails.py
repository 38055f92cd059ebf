"""Makes and stores thumbnails, in a directory or an S3-compatible store (fsspec).

The embedder has accepted a photo before it comes here, so errors of decoding are rare; the caller
reports them.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import fsspec

from lookalike.catalogue.images import ImageLimits, thumbnail
from lookalike.errors import LookalikeError, StartupError

MEDIA_TYPE = "image/webp"
SIDE = 256
# The gateway has limited the bytes already.
LIMITS = ImageLimits(max_bytes=1 << 30, max_pixels=64_000_000)
_QUALITY = 80  # some 8 KB a photo
_THREADS = 2

T = TypeVar("T")


class ThumbnailError(Exception):
    """A thumbnail could not be made, kept, read or removed."""


class ThumbnailStore:
    """Stores thumbnails under the hash of their photo's id.

    Args:
        url: A directory, `s3://bucket/prefix`, or any other URL that fsspec supports.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files: Any = None
        self._root = ""
        self._is_local = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")

    def open(self) -> None:
        """Opens the store; raises StartupError naming the setting if that fails."""
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
            self._is_local = bool(getattr(self._files, "local_file", False))
            if self._is_local:
                self._files.makedirs(self._root, exist_ok=True)
        except (ImportError, OSError, ValueError) as error:
            raise StartupError(
                f"thumbnails cannot be kept in {self.url}: {error}; "
                "set LOOKALIKE_GATEWAY_THUMBNAILS"
            ) from None

    def close(self) -> None:
        """Stops without waiting: a store that hangs must not delay the gateway's stop."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def keep(self, item_id: str, image: bytes) -> None:
        """Makes a photo's thumbnail and stores it, replacing one of the same id."""
        await self._run("kept", lambda: self._write(self.path(item_id), render(image)))

    async def read(self, item_id: str) -> bytes | None:
        """Returns a photo's thumbnail as WebP, or None if there is none."""
        return await self._run("read", lambda: self._read(self.path(item_id)))

    async def remove(self, item_ids: Iterable[str]) -> None:
        """Removes thumbnails; one that does not exist is no error."""
        paths = [self.path(item_id) for item_id in item_ids]
        await self._run("removed", lambda: self._remove(paths))

    def path(self, item_id: str) -> str:
        """Returns the path of a photo's thumbnail; a hash, so that no id leads out of the store."""
        name = hashlib.sha256(item_id.encode()).hexdigest()
        return f"{self._root}/{name[:2]}/{name}.webp"

    def _write(self, path: str, data: bytes) -> None:
        if not self._is_local:
            self._files.pipe_file(path, data)  # object stores write whole objects
            return
        aside = f"{path}.{uuid.uuid4().hex}"
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            self._files.pipe_file(aside, data)
            self._files.mv(aside, path)
        except BaseException:
            if self._files.exists(aside):
                self._files.rm_file(aside)
            raise

    def _read(self, path: str) -> bytes | None:
        try:
            data: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            return None
        return data

    def _remove(self, paths: list[str]) -> None:
        for path in paths:
            try:
                self._files.rm_file(path)
            except FileNotFoundError:
                continue
            # Otherwise fsspec's directory cache would still list it.
            self._files.invalidate_cache(path)

    async def _run(self, what: str, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except ThumbnailError:
            raise
        except Exception as error:  # each kind of store raises its own
            raise ThumbnailError(f"the thumbnail could not be {what}: {error}") from error


def render(image: bytes) -> bytes:
    """Returns a WebP of at most 256 × 256 pixels: upright, in sRGB, transparent parts white."""
    try:
        small = thumbnail(image, LIMITS, SIDE)
    except (LookalikeError, MemoryError) as error:
        raise ThumbnailError(f"no thumbnail could be made of the photo: {error}") from error
    out = io.BytesIO()
    small.save(out, "WEBP", quality=_QUALITY)
    return out.getvalue()
