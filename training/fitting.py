"""Fits the ranking, the likeness and the price range of a bundle.

Queries are validation photos, searched among all photos of the data set, as users search among all
listings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.model.bundle import Ranking
from lookalike.pricing import PriceRange
from training.config import CATEGORY_OUTPUT
from training.judging import POOLED, Predictions
from training.likeness import fit_likeness, judge_likeness
from training.pricing import LEAST_PRICES, Priced, fit_price_range, judge_prices, priced
from training.ranking import (
    PRECISION,
    RECALL,
    Found,
    Pool,
    fit_candidates,
    fit_weight,
    orders,
    search,
)
from training.retrieval import found_metrics, siblings

LEAST_SIBLINGS = 50
"""With fewer queries that have another photo of their listing, recall is mostly chance."""

# More queries would not improve the fit, and take longer.
MOST_QUERIES = 2000
# Nearest photos among which to find 50 listings with a price.
HITS = 256


@dataclass(frozen=True)
class Fitted:
    """The fitted parts, their figures on the fitting photos, and what is missing."""

    ranking: Ranking | None = None
    price_range: PriceRange | None = None
    told: tuple[str, ...] = ()  # figures, one line each
    lacking: str = ""  # why there is no ranking or no price range


def rows_to_fit(splits: NDArray[np.str_]) -> NDArray[np.int64]:
    """Returns the rows of the queries: validation photos, a sample if there are very many."""
    rows = np.flatnonzero(splits == "validation")
    order = np.random.default_rng(7).permutation(len(rows))
    return np.sort(rows[order[:MOST_QUERIES]])


def cannot_fit(embeddings: int, listings: NDArray[np.str_], splits: NDArray[np.str_]) -> str:
    """Returns why no ranking can be fitted; empty if one can.

    Args:
        embeddings: Number of embedding outputs.
        listings: Listing of each photo, of shape (photos,).
        splits: Split of each photo, of shape (photos,).
    """
    if not embeddings:
        return "the model has no embedding to rank by"
    pairs = int(siblings(listings)[rows_to_fit(splits)].sum())
    if pairs < LEAST_SIBLINGS:
        return (
            f"{pairs} validation photos have another one of their listing; "
            f"it takes {LEAST_SIBLINGS} to fit a ranking"
        )
    return ""


def fit(everything: Predictions, splits: NDArray[np.str_]) -> Fitted:
    """Fits the best ranking over all embeddings, its likeness, and the price range.

    Args:
        everything: All photos of a data set.
        splits: Split of each, of shape (photos,).
    """
    names = [name for name in everything.outputs if name not in {CATEGORY_OUTPUT, POOLED}]
    if lacking := cannot_fit(len(names), everything.listings, splits):
        return Fitted(lacking=lacking)
    queries = rows_to_fit(splits)
    pools = {name: everything.pool(name) for name in names}
    weights = {name: fit_weight(pool, queries) for name, pool in pools.items()}
    output = max(weights, key=lambda name: weights[name].score)
    pool, vector_weight = pools[output], weights[output].vector_weight
    candidates = fit_candidates(pool, queries, weights[output])
    found = search(pool, queries, orders(candidates, vector_weight), HITS)
    likeness = {name: fit_likeness(hits, queries, pool) for name, hits in found.items()}
    blend, features, category = (likeness[name] for name in ("blend", "features", "category"))
    if blend is None or features is None or category is None:
        return Fitted(lacking="too few photos of one item are near one another to tell likeness")
    ranking = Ranking(output, vector_weight, candidates, blend, features, category)
    told = _about_ranking(ranking, found["blend"], queries, pool)
    asked = priced(found["blend"], queries, pool, blend, everything.prices)
    price_range = fit_price_range(asked)
    if price_range is None:
        lacking = (
            f"{len(asked)} validation photos have a price; it takes {LEAST_PRICES} to fit a range"
        )
        return Fitted(ranking, told=told, lacking=lacking)
    return Fitted(ranking, price_range, (*told, _about_prices(asked, price_range)))


def _about_ranking(
    ranking: Ranking, found: Found, queries: NDArray[np.int64], pool: Pool
) -> tuple[str, str]:
    figures = found_metrics(found.rows, queries, pool.categories, pool.listings)
    curve = ranking.blend
    error = judge_likeness(curve, found, queries, pool)[0].error
    return (
        f"ranking: {ranking.output} + {ranking.vector_weight:g} x {CATEGORY_OUTPUT}, of "
        f"{ranking.candidates} candidates; of {len(queries)} validation photos among "
        f"{len(pool.listings)}, recall@5 {figures[RECALL]:.3f}, "
        f"precision@5 {figures[PRECISION]:.3f}",
        f"likeness: log-odds {curve.intercept:.2f} - {curve.distance:.2f} x distance + "
        f"{curve.margin:.2f} x margin, in crowds; calibration error {error:.3f}",
    )


def _about_prices(asked: list[Priced], price_range: PriceRange) -> str:
    figures = judge_prices(asked, price_range)
    return (
        f"prices: {figures['coverage']:.1%} of {len(asked)} lie in their range, whose upper end is "
        f"usually {figures['median_range']:.1f} times its lower; "
        f"median error {figures['median_error']:.0%}"
    )
