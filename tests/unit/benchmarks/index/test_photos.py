from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.index import photos as module
from benchmarks.index.photos import BLOCK, Photos, base_vectors


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> module.Matrix:
    monkeypatch.setattr(module, "REAL", Path("nowhere"))
    vectors, what = base_vectors()
    assert what == "drawn vectors"
    return vectors


def test_first_blocks_are_the_base_itself(base: module.Matrix) -> None:
    photos = Photos(base)
    assert photos.dimension == base.shape[1]
    assert np.array_equal(photos.first(len(base)), base)


def test_later_blocks_are_like_the_base_but_never_the_same(base: module.Matrix) -> None:
    photos = Photos(base)
    count = len(base) // BLOCK

    one, other, again = photos.block(count), photos.block(2 * count), photos.block(count)

    assert one.dtype == np.float32
    assert np.array_equal(one, again)
    assert len(np.unique(np.concatenate([base[:BLOCK], one, other]), axis=0)) == 3 * BLOCK
    assert np.abs(one.std(axis=0) - base[:BLOCK].std(axis=0)).max() < 0.5


def test_noise_is_as_large_as_what_lies_between_neighbours(base: module.Matrix) -> None:
    photos = Photos(base)
    moved = np.linalg.norm(photos.block(len(base) // BLOCK) - base[:BLOCK], axis=1)
    some = base[:200].astype(np.float64)
    apart = np.linalg.norm(some[:, None] - base[None].astype(np.float64), axis=2)
    apart[np.arange(200), np.arange(200)] = np.inf
    assert 0.8 < np.median(moved) / np.median(apart.min(axis=1)) < 1.25


def test_queries_are_no_items_and_the_same_in_every_run(base: module.Matrix) -> None:
    photos = Photos(base)
    queries = photos.queries(50)
    assert np.array_equal(queries, photos.queries(50))
    apart = np.linalg.norm(queries[:, None] - base[None], axis=2)
    assert apart.min() > 0


def test_real_vectors_are_used_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "embeddings.npz"
    vectors = np.random.default_rng(1).normal(size=(2 * BLOCK + 3, 13)).astype(np.float32)
    np.savez(file, embedding=vectors)
    monkeypatch.setattr(module, "REAL", file)

    found, what = base_vectors()

    assert np.array_equal(found, vectors[: 2 * BLOCK])
    assert "real" in what
