"""Caches vectors of photos by the hash of their bytes and the model's embedding space."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.listings import PhotoVector

Key = tuple[str, bytes]

# Overhead of an entry beside its floats: key, digest and slots in two dictionaries.
_OVERHEAD_BYTES = 400
# A Python float and the reference to it.
_BYTES_A_FLOAT = 32
# An empty array of float32, and each value in it.
_BYTES_AN_ARRAY = 80
_BYTES_A_FEATURE = 4


@dataclass(frozen=True)
class CacheStatus:
    """Size of the cache, and counts of hits and misses."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    coalesced: int


def digest(image: bytes) -> bytes:
    """Returns the SHA-256 of a photo's bytes."""
    return hashlib.sha256(image).digest()


class VectorCache:
    """A least-recently-used cache of vectors, bounded in bytes, that counts hits and misses.

    Entries of an embedding space that is no longer served are not looked up, and so are evicted.

    Args:
        max_bytes: Approximate limit; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: LRUCache[Key, PhotoVector] = LRUCache(max_bytes, getsizeof=_size)
        self._hits = self._misses = self._coalesced = 0

    def get(self, embedding_space: str, photo: bytes) -> PhotoVector | None:
        """Returns the vector of the photo with a digest, if it is cached."""
        return self._kept.get((embedding_space, photo))

    def keep(self, photo: bytes, vector: PhotoVector) -> None:
        """Caches a photo's vector, unless it alone exceeds the limit."""
        if _size(vector) <= self._max_bytes:
            self._kept[vector.embedding_space, photo] = vector

    def count(self, *, hit: bool = False, coalesced: bool = False) -> None:
        """Counts a lookup: a hit, a call shared with another caller, or else a miss."""
        self._hits += hit
        self._coalesced += coalesced
        self._misses += not hit and not coalesced

    @property
    def status(self) -> CacheStatus:
        """The present size and counts."""
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
