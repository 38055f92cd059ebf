"""The second stage: ranks candidates by cosine distance of features + weight × distance by vector.

Ties are broken by the distance by vector, then by the order of writing. An answer is complete if no
row was left out, or if no row left out can come before the last: its cosine distance is at least 0,
and its distance by vector at least the lower bound of the rows left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index_service.distances import Distances
from index_service.ranking.order import Places, first_of_each_product, nearest_first
from index_service.records import Metric, Rerank, Search

_GROWTH = 4


@dataclass(frozen=True)
class Reranker:
    """Ranks the candidates of one query.

    Attributes:
        k: How many neighbours are wanted.
        distinct_products: At most one item a product.
        rerank: Weight and limit.
        metric: Metric of the distances by vector.
    """

    k: int
    distinct_products: bool
    rerank: Rerank
    metric: Metric

    @classmethod
    def of(cls, search: Search, metric: Metric) -> Reranker:
        """Returns the reranker of a search, which must have `rerank`."""
        assert search.rerank is not None
        return cls(search.k, search.distinct_products, search.rerank, metric)

    def distances(self, cosines: Distances, by_vector: Distances) -> Distances:
        """Returns what candidates are ranked by."""
        return cosines + self.rerank.vector_weight * by_vector

    def best(
        self,
        ranked_by: Distances,
        by_vector: Distances,
        rows: npt.NDArray[np.int64],
        products: Callable[[Places], Sequence[Hashable]],
        count: int | None = None,
    ) -> Places:
        """Returns the places of the best candidates within the limit, best first.

        Args:
            ranked_by: What `distances` gave, shape (n,).
            by_vector: Distances by vector, shape (n,).
            rows: Numbers that grow in the order of writing, shape (n,).
            products: Returns the products of the candidates at some places.
            count: How many; `k` if None.
        """
        count = count or self.k
        width, total = 4 * count + 64, len(ranked_by)
        while True:
            if width < total:
                # With all that are as far as the last one, since rows decide among those.
                near = np.flatnonzero(ranked_by <= np.partition(ranked_by, width)[width])
            else:
                near = np.arange(total)
            best: Places = near[nearest_first(rows[near], ranked_by[near], by_vector[near])]
            if self.distinct_products:
                best = best[first_of_each_product(products(best), count)]
            if len(best) >= count or width >= total:
                break
            width *= _GROWTH
        best = best[:count]
        limit = self.rerank.max_distance
        return best if limit is None else best[ranked_by[best] <= limit]

    def is_complete(self, best: Sequence[float], lower_bound: float) -> bool:
        """Returns whether no row that was left out can come before the last of the best.

        Args:
            best: What the best candidates are ranked by, ascending.
            lower_bound: Least distance by vector of the rows left out; infinite if there are none.
        """
        if lower_bound == math.inf:
            return True
        if self.metric is Metric.INNER_PRODUCT:
            return False  # it may be negative without a bound, so features can be outweighed
        if len(best) >= self.k:
            last = best[self.k - 1]
        else:
            last = math.inf if self.rerank.max_distance is None else self.rerank.max_distance
        return last < self.rerank.vector_weight * lower_bound
