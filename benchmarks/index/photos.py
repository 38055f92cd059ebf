"""The vectors that are indexed and searched for: real ones where there are any, or drawn ones.

Knows nothing of the service or of its messages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

BLOCK = 1000
REAL = Path(__file__).resolve().parents[3] / "shared/data/embeddings/listing_embeddings_10k.npz"
_SEED = 7


class Photos:
    """As many vectors as wanted, by blocks of 1,000: the base's own first, then others like them.

    One that is not of the base itself is one of its vectors with noise as large as what lies
    between neighbours in it, so that a hundred times as many are no heap of near copies, for which
    graphs are at their worst and no marketplace's.

    Args:
        base: Vectors, shape (n, dimension), n a multiple of 1,000.
    """

    def __init__(self, base: Matrix) -> None:
        self._base = base
        self._noise = _neighbour_distance(base) / base.shape[1] ** 0.5

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return int(self._base.shape[1])

    def block(self, number: int) -> Matrix:
        """Returns vectors `1000 * number` to `1000 * number + 999`; the same in every run."""
        first = number * BLOCK % len(self._base)
        vectors = self._base[first : first + BLOCK]
        if number * BLOCK < len(self._base):
            return vectors
        return self._jittered(vectors, np.random.default_rng([_SEED, number]))

    def first(self, count: int) -> Matrix:
        """Returns the first vectors; `count` is a multiple of 1,000."""
        return np.concatenate([self.block(number) for number in range(count // BLOCK)])

    def queries(self, count: int) -> Matrix:
        """Returns vectors that are like those of the base but none of them."""
        draw = np.random.default_rng([_SEED, 1 << 40])  # no block has this number
        return self._jittered(self._base[draw.integers(0, len(self._base), count)], draw)

    def _jittered(self, vectors: Matrix, draw: np.random.Generator) -> Matrix:
        noise = draw.standard_normal(vectors.shape, np.float32)
        return vectors + np.float32(self._noise) * noise


def base_vectors() -> tuple[Matrix, str]:
    """Returns 10,000 vectors, and what they are."""
    if not REAL.exists():
        return _drawn(10_000), "drawn vectors"
    with np.load(REAL) as file:
        vectors: Matrix = file["embedding"].astype(np.float32)
    return vectors[: len(vectors) // BLOCK * BLOCK], "vectors of real listings"


def _drawn(count: int) -> Matrix:
    """Returns what 13 logits look like: one of them large, the others about zero, all uncertain."""
    draw = np.random.default_rng(_SEED)
    vectors = draw.normal(0, 2, (count, 13))
    vectors[np.arange(count), draw.integers(0, 13, count)] += 8
    return vectors.astype(np.float32)


def _neighbour_distance(base: Matrix) -> float:
    """Returns the median distance to the nearest neighbour, over the first vectors."""
    some = base[:BLOCK].astype(np.float64)
    squares = np.square(some).sum(axis=1)
    distances = squares[:, None] + np.square(base.astype(np.float64)).sum(axis=1)
    distances -= 2 * some @ base.T.astype(np.float64)
    distances[np.arange(len(some)), np.arange(len(some))] = np.inf
    return float(np.median(np.sqrt(distances.min(axis=1).clip(0))))
