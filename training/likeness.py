"""Fits likeness, the probability that a hit shows the query's item, and measures calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from lookalike.likeness import CROWD, SAME_PHOTO, Likeness, in_crowds
from training.calibration import Calibration, reliability
from training.ranking import Found, Pool

LISTINGS = 10
"""Nearest listings per query for fitting and evaluation: as many as a user sees."""

# Negligible; keeps the fit finite if distances separate all pairs.
_RIDGE = 1e-6


@dataclass(frozen=True)
class Hits:
    """A query's hits, one photo per listing, nearest first."""

    query: int
    rows: NDArray[np.int64]
    distances: list[float]
    listings: list[str]


def hits_of(
    found: Found,
    queries: NDArray[np.int64],
    pool: Pool,
    *,
    others: bool = False,
    most: int | None = None,
) -> Iterator[Hits]:
    """Yields each query's hits, one photo per listing.

    Args:
        found: The search results of the queries.
        queries: Rows of the pool.
        pool: All photos.
        others: Whether to leave out the query's own listing.
        most: Most listings per query.
    """
    for query, rows, distances in zip(queries.tolist(), found.rows, found.distances, strict=True):
        _, first = np.unique(pool.listings[rows], return_index=True)
        first.sort()
        if others:
            first = first[pool.listings[rows[first]] != pool.listings[query]]
        first = first[:most]
        chosen = rows[first]
        yield Hits(query, chosen, distances[first].tolist(), pool.listings[chosen].tolist())


def fit_likeness(found: Found, queries: NDArray[np.int64], pool: Pool) -> Likeness | None:
    """Fits likeness by logistic regression; returns None without both kinds of pairs.

    Pairs are each query with its nearest 10 listings. Those that may be the same photo are left
    out, since their likeness is fixed.

    Args:
        found: The search results; a query needs 20 listings, or it has no crowd.
        queries: Rows of the pool.
        pool: All photos.
    """
    hits = list(hits_of(found, queries, pool, most=CROWD.stop))
    crowds = [np.mean(each.distances[CROWD]) for each in hits if len(each.rows) >= CROWD.stop]
    usual = float(np.median(crowds)) if crowds else 0.0
    if not usual > 0:
        return None
    measures: list[tuple[float, float]] = []
    same: list[bool] = []
    for each in hits:
        nearness = in_crowds(each.distances, each.listings, usual)[:LISTINGS]
        truths = pool.same_item(each.query, each.rows[:LISTINGS]).tolist()
        for (distance, margin), truth in zip(nearness, truths, strict=True):
            if distance >= SAME_PHOTO:
                measures.append((distance, margin))
                same.append(truth)
    if not any(same) or all(same):
        return None
    intercept, distance, margin = _logistic_regression(np.array(measures), np.array(same))
    return Likeness(intercept=intercept, distance=distance, margin=margin, crowd=usual)


def judge_likeness(
    likeness: Likeness, found: Found, queries: NDArray[np.int64], pool: Pool
) -> tuple[Calibration, Calibration]:
    """Returns the calibration of likeness on the nearest 10 listings, and on the nearest one.

    Args:
        likeness: The fitted likeness.
        found: The search results of queries that were not used to fit it.
        queries: Rows of the pool.
        pool: All photos.
    """
    said: list[NDArray[np.float64]] = []
    true: list[NDArray[np.bool_]] = []
    for each in hits_of(found, queries, pool, most=CROWD.stop):
        said.append(np.array(likeness.of(each.distances, each.listings)[:LISTINGS]))
        true.append(pool.same_item(each.query, each.rows[:LISTINGS]))
    return (
        reliability(np.concatenate(said), np.concatenate(true)),
        reliability(
            np.concatenate([one[:1] for one in said]), np.concatenate([one[:1] for one in true])
        ),
    )


def _logistic_regression(
    measures: NDArray[np.float64], same: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Returns the intercept and the weights of distance and margin, neither below 0."""
    design = np.column_stack([np.ones(len(same)), -measures[:, 0], measures[:, 1]])
    signs = np.where(same, 1.0, -1.0)

    def surprise(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = signs * (design @ weights)
        slope = -(signs * expit(-odds)) @ design / len(same)
        value = np.logaddexp(0, -odds).mean() + _RIDGE * (weights @ weights)
        return float(value), slope + 2 * _RIDGE * weights

    bounds = [(None, None), (0, None), (0, None)]
    found = minimize(surprise, np.zeros(3), jac=True, bounds=bounds, method="L-BFGS-B",
                     options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000}).x  # fmt: skip
    intercept, distance, margin = (float(f"{value:.6g}") for value in found)
    return intercept, distance, margin
