"""Evaluates search results: rankings, likeness and price estimates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.model.bundle import Ranking
from lookalike.pricing import PriceRange
from training.calibration import Calibration
from training.fitting import HITS
from training.judging import Predictions
from training.likeness import judge_likeness
from training.pricing import by_category, judge_prices, priced
from training.ranking import Found, Pool, orders_of, search
from training.retrieval import RECALL_AT, found_metrics


@dataclass(frozen=True)
class Answers:
    """Figures for metrics.json, and curves for the report."""

    metrics: dict[str, Any] = field(default_factory=dict)
    likeness: dict[str, Calibration] = field(default_factory=dict)  # by order


def found_in_order(ranking: Ranking, judged: Predictions) -> dict[str, dict[str, float]]:
    """Returns retrieval figures of photos searched among themselves, by name of the order."""
    pool, queries = judged.pool(ranking.output), np.arange(len(judged))
    return _figures(search(pool, queries, orders_of(ranking), max(RECALL_AT)), queries, pool)


def judge_answers(
    ranking: Ranking,
    price_range: PriceRange | None,
    everything: Predictions,
    queries: NDArray[np.int64],
    learnt: NDArray[np.bool_] | None = None,
) -> Answers:
    """Evaluates queries among all photos.

    Args:
        ranking: How results are ranked.
        price_range: How prices become a range; None to skip prices.
        everything: All photos.
        queries: Rows of the query photos.
        learnt: Training photos of the baseline that predicts a price by category; None to skip it.
    """
    pool = everything.pool(ranking.output)
    found = search(pool, queries, orders_of(ranking), HITS)
    judged = {
        name: judge_likeness(getattr(ranking, name), hits, queries, pool)
        for name, hits in found.items()
    }
    metrics: dict[str, Any] = {
        "ranked": _figures(found, queries, pool),
        "likeness": {
            name: {
                "pairs": int(every.photos.sum()),
                "calibration_error": every.error,
                "calibration_error_of_first": first.error,
            }
            for name, (every, first) in judged.items()
        },
    }
    if price_range is not None:
        asked = priced(found["blend"], queries, pool, ranking.blend, everything.prices)
        if asked:
            metrics["price"] = judge_prices(asked, price_range)
            if learnt is not None:
                chosen = np.zeros(len(everything), bool)
                chosen[queries] = True
                metrics["price"] |= by_category(
                    everything.prices, everything.categories, learnt, chosen
                )
    return Answers(metrics, {name: every for name, (every, _) in judged.items()})


def _figures(
    found: dict[str, Found], queries: NDArray[np.int64], pool: Pool
) -> dict[str, dict[str, float]]:
    return {
        name: found_metrics(hits.rows, queries, pool.categories, pool.listings)
        for name, hits in found.items()
    }
