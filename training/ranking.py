"""Ranks photos by two outputs as the index does, and fits the parameters of that ranking.

The index takes the nearest candidates by the default output, and ranks them by the cosine distance
of an embedding + `vector_weight` x squared L2 of the default output. This module fits the number of
candidates and the weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookalike.model.bundle import Ranking
from training.retrieval import PRECISION_AT, found_metrics

WEIGHTS = (0.0, *(digit * 10.0**power for power in range(-4, 0) for digit in (1, 2, 5)), 1.0)
CANDIDATES = (100, 200, 500, 1000, 2000, 5000)
RECALL = "same_listing_recall_at_5"
PRECISION = f"precision_at_{PRECISION_AT}"
# Fewer candidates are faster to rank. The recall they may cost is a third of the random variation
# on the 1,700 photos of a test split.
_RECALL_LOST = 0.005
# Distances compared at a time, so that memory does not grow with the number of photos.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Pool:
    """Photos as the index holds them, one row each."""

    vectors: NDArray[np.float32]  # (photos, dimension), the default output
    features: NDArray[np.float32]  # (photos, dimension), the embedding that ranks
    categories: NDArray[np.str_]  # (photos,)
    listings: NDArray[np.str_]  # (photos,)
    contents: NDArray[np.str_]  # (photos,), the same for files of the same bytes

    def same_item(self, query: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which rows are of the query's listing, or copies of its file in another."""
        same: NDArray[np.bool_] = (self.listings[rows] == self.listings[query]) | (
            self.contents[rows] == self.contents[query]
        )
        return same


@dataclass(frozen=True)
class Order:
    """A ranking: this many candidates by both outputs; 0 for the default output alone."""

    candidates: int = 0
    vector_weight: float = 0.0


@dataclass(frozen=True)
class Found:
    """Search results, nearest first; arrays of shape (queries, hits)."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


def orders_of(ranking: Ranking) -> dict[str, Order]:
    """Returns the three orders of listings, by the name of their likeness."""
    return orders(ranking.candidates, ranking.vector_weight)


def orders(candidates: int, vector_weight: float) -> dict[str, Order]:
    """Returns the same orders before any likeness is fitted."""
    return {
        "category": Order(),
        "features": Order(candidates),
        "blend": Order(candidates, vector_weight),
    }


def search(
    pool: Pool, queries: NDArray[np.int64], by: Mapping[str, Order], k: int
) -> dict[str, Found]:
    """Returns the k nearest photos of each query by each order, without the query itself.

    Fewer if there are not as many photos or candidates.

    Args:
        pool: The photos to search.
        queries: Rows of the pool.
        by: The orders.
        k: Number of hits.
    """
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in by}
    k = min(k, len(pool.listings) - 1)
    most = max([k, *(order.candidates for order in by.values())])
    for near, far in _distances(pool, queries):
        first, rows = far.topk(min(most, far.shape[1] - 1), largest=False)
        cosine = near.gather(1, rows)
        for name, order in by.items():
            if order.candidates:
                limit = min(order.candidates, rows.shape[1])
                summed = cosine[:, :limit] + order.vector_weight * first[:, :limit]
                found, places = summed.topk(min(k, limit), largest=False)
                parts[name].append((rows.gather(1, places), found))
            else:
                parts[name].append((rows[:, :k], first[:, :k]))
    return {
        name: Found(*(torch.cat(column).numpy() for column in zip(*blocks, strict=True)))
        for name, blocks in parts.items()
    }


@dataclass(frozen=True)
class Weighed:
    """A weight, and the figures of its order with all photos as candidates."""

    vector_weight: float
    recall: float  # at 5, of the same listing
    precision: float  # at 5, of the category

    @property
    def score(self) -> float:
        """The figure to maximise."""
        return self.recall + self.precision


def fit_weight(pool: Pool, queries: NDArray[np.int64]) -> Weighed:
    """Returns the weight with the largest sum of recall and precision at 5.

    Recall alone would ignore the default output, at the cost of people who look for a kind of
    thing; precision alone would find the kind and not the thing. Both describe the first five hits,
    which people see first.

    Args:
        pool: All photos of a data set.
        queries: Rows of the queries to fit on.
    """
    found: list[list[Tensor]] = [[] for _ in WEIGHTS]
    for near, far in _distances(pool, queries):
        for rows, weight in zip(found, WEIGHTS, strict=True):
            k = min(PRECISION_AT, near.shape[1] - 1)
            # a weight of 0 times infinity would be NaN
            summed = near + weight * far if weight else near
            rows.append(summed.topk(k, largest=False).indices)
    weighed = [
        Weighed(weight, *_found(pool, queries, torch.cat(rows).numpy()))
        for weight, rows in zip(WEIGHTS, found, strict=True)
    ]
    return max(weighed, key=lambda each: each.score)  # of equals the smallest weight


def fit_candidates(pool: Pool, queries: NDArray[np.int64], weighed: Weighed) -> int:
    """Returns the smallest number of candidates with nearly the recall of ranking every photo.

    Args:
        pool: All photos of a data set.
        queries: Rows of the queries to fit on.
        weighed: The fitted weight.
    """
    by = {str(number): Order(number, weighed.vector_weight) for number in CANDIDATES}
    hits = search(pool, queries, by, PRECISION_AT)
    for number in CANDIDATES:
        recall, _ = _found(pool, queries, hits[str(number)].rows)
        if recall >= weighed.recall - _RECALL_LOST:
            return number
    return CANDIDATES[-1]


def _found(pool: Pool, queries: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[float, float]:
    """Returns recall and precision at 5."""
    figures = found_metrics(rows, queries, pool.categories, pool.listings)
    return figures[RECALL], figures[PRECISION]


def _distances(pool: Pool, queries: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields cosine distances and squared L2 to all photos, for a block of queries at a time.

    In float64, as the index compares hits. The distance of a query to itself is infinite.
    """
    features = torch.from_numpy(pool.features).double()
    # the zero vector is at a right angle to everything, as in the index
    features = torch.nn.functional.normalize(features, dim=1)
    vectors = torch.from_numpy(pool.vectors).double()
    squares = vectors.square().sum(dim=1)
    step = max(1, _BLOCK // max(1, len(vectors)))
    for start in range(0, len(queries), step):
        rows = torch.from_numpy(queries[start : start + step])
        near = (1 - features[rows] @ features.T).clamp_(0, 2)
        far = squares[rows, None] + squares - 2 * (vectors[rows] @ vectors.T)
        far.clamp_(min=0)
        own = torch.arange(len(rows)), rows
        near[own] = far[own] = torch.inf
        yield near, far
