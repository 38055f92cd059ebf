"""What is kept of photos that were sent before, and how much."""

from __future__ import annotations

import sys
import tracemalloc

from gateway.cache import VectorCache, digest
from gateway.listings import PhotoVector
from gateway.vectors import compact

VECTOR = PhotoVector((1.0,) * 13, "space")
WITH_FEATURES = PhotoVector((1.0,) * 13, "space", compact([0.5] * 128))


def test_vector_is_found_by_bytes_and_embedding_space() -> None:
    cache = VectorCache(1 << 20)
    cache.keep(digest(b"photo"), VECTOR)
    assert cache.get("space", digest(b"photo")) is VECTOR
    assert cache.get("space", digest(b"other")) is None
    assert cache.get("other space", digest(b"photo")) is None


def test_cache_stays_below_its_bytes_and_forgets_what_was_not_asked_for() -> None:
    cache = VectorCache(10_000)
    cache.keep(digest(b"0"), VECTOR)
    for number in range(1, 100):
        assert cache.get("space", digest(b"0"))
        cache.keep(digest(str(number).encode()), VECTOR)
        assert cache.status.bytes <= cache.status.max_bytes == 10_000
    assert cache.status.entries > 5
    assert cache.get("space", digest(b"1")) is None
    assert cache.get("space", digest(b"99")) is not None


def test_features_are_found_with_the_vector_and_take_their_room() -> None:
    small, large = VectorCache(1 << 20), VectorCache(1 << 20)
    small.keep(digest(b"photo"), VECTOR)
    large.keep(digest(b"photo"), WITH_FEATURES)
    assert large.get("space", digest(b"photo")) is WITH_FEATURES
    assert 800 < small.status.bytes < 900
    assert 1300 < large.status.bytes < 1500
    assert large.status.bytes - small.status.bytes == sys.getsizeof(WITH_FEATURES.features)


def test_what_an_entry_is_said_to_take_is_what_it_takes() -> None:
    # Values as they come from a message: new objects for each photo.
    vectors = [
        PhotoVector(tuple(n + i / 16 for i in range(13)), "space", compact([n / 7] * 128))
        for n in range(2000)
    ]
    cache = VectorCache(1 << 24)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number, vector in enumerate(vectors):
        copied = PhotoVector(
            tuple(value + 0.5 for value in vector.values), "space", compact(vector.features)
        )
        cache.keep(digest(str(number).encode()), copied)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.9 < cache.status.bytes / (after - before) < 1.2


def test_cache_without_room_keeps_nothing() -> None:
    for max_bytes in (0, 100):
        cache = VectorCache(max_bytes)
        cache.keep(digest(b"photo"), VECTOR)
        assert (cache.get("space", digest(b"photo")), cache.status.entries) == (None, 0)


def test_photos_are_counted_by_how_they_were_answered() -> None:
    cache = VectorCache(0)
    cache.count(hit=True)
    cache.count(coalesced=True)
    cache.count()
    cache.count()
    status = cache.status
    assert (status.hits, status.coalesced, status.misses) == (1, 1, 2)
