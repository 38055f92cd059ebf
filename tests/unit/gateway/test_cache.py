"""What is kept of photos that were sent before, and how much."""

from __future__ import annotations

from gateway.cache import VectorCache, digest
from gateway.listings import PhotoVector

VECTOR = PhotoVector((1.0,) * 13, "space")


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
