"""Vectors of photos that were sent before, by the photos' bytes and the model's embedding space."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.listings import PhotoVector

Key = tuple[str, bytes]

# What an entry takes beside its floats: the key, the digest and the places in two dictionaries.
_OVERHEAD_BYTES = 400
# Python's float, and the reference to it.
_BYTES_A_FLOAT = 32
# An array of float32.
_BYTES_AN_ARRAY = 80
_BYTES_A_FEATURE = 4


@dataclass(frozen=True)
class CacheStatus:
    """What the cache of vectors holds, and how often it helped."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    coalesced: int


def digest(image: bytes) -> bytes:
    """Returns the SHA-256 of a photo's bytes: no other photo has the same."""
    return hashlib.sha256(image).digest()


class VectorCache:
    """Keeps the vectors that were asked for last, up to a number of bytes; counts what it found.

    Entries of an embedding space that is served no more are not asked for, and make room in time.

    Args:
        max_bytes: Most bytes, about; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: LRUCache[Key, PhotoVector] = LRUCache(max_bytes, getsizeof=_size)
        self._hits = self._misses = self._coalesced = 0

    def get(self, embedding_space: str, photo: bytes) -> PhotoVector | None:
        """Returns the vector of a photo of that digest, if it is known."""
        return self._kept.get((embedding_space, photo))

    def keep(self, photo: bytes, vector: PhotoVector) -> None:
        """Keeps a photo's vector, unless it is larger than everything may be."""
        if _size(vector) <= self._max_bytes:
            self._kept[vector.embedding_space, photo] = vector

    def count(self, *, hit: bool = False, coalesced: bool = False) -> None:
        """Counts a photo that was found, or whose work was shared, or neither."""
        self._hits += hit
        self._coalesced += coalesced
        self._misses += not hit and not coalesced

    @property
    def status(self) -> CacheStatus:
        """What it holds, and how often it helped."""
        return CacheStatus(
            entries=len(self._kept),
            bytes=int(self._kept.currsize),
            max_bytes=self._max_bytes,
            hits=self._hits,
            misses=self._misses,
            coalesced=self._coalesced,
        )


def _size(vector: PhotoVector) -> int:
    features = len(vector.features)
    return (
        _OVERHEAD_BYTES
        + _BYTES_A_FLOAT * len(vector.values)
        + (_BYTES_AN_ARRAY + _BYTES_A_FEATURE * features if features else 0)
    )
