"""Figures of what people get: who asks among whom, and where there is nothing to tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lookalike.likeness import Likeness
from lookalike.model.bundle import Ranking
from lookalike.pricing import PriceRange
from training.answers import found_in_order, judge_answers
from training.judging import Predictions

CURVE = Likeness(intercept=1.0, distance=4.0, margin=6.0, crowd=0.5)
RANKING = Ranking("features", 0.01, 100, CURVE, CURVE, dataclasses.replace(CURVE, crowd=5.0))
RANGE = PriceRange(listings=50, coverage=0.8, width=1.5, least_spread=0.3)


def judged(listings: int = 40) -> Predictions:
    """Two photos a listing, alike by features; the logits know nothing."""
    dice = np.random.default_rng(1)
    photos = 2 * listings
    things = np.repeat(dice.normal(size=(listings, 8)), 2, axis=0)
    names = np.array([str(row) for row in range(photos)])
    return Predictions(
        ("a", "b"),
        {
            "category": dice.normal(size=(photos, 2)).astype(np.float32),
            "features": (things + 0.1 * dice.normal(size=things.shape)).astype(np.float32),
        },
        np.array(["a", "b"])[np.arange(photos) // 2 % 2],
        np.array([f"listing {row // 2}" for row in range(photos)]),
        names,
        names,
        np.exp(np.arange(photos) // 2 % 2 * 3.0),
    )


def test_each_order_finds_what_its_distances_say() -> None:
    found = found_in_order(RANKING, judged())

    assert list(found) == ["category", "features", "blend"]
    assert found["features"]["same_listing_recall_at_1"] > 0.9
    assert found["blend"]["same_listing_recall_at_1"] > 0.9
    assert found["category"]["same_listing_recall_at_1"] < 0.3


def test_photos_that_ask_among_all_are_judged_and_no_others() -> None:
    everything, queries = judged(), np.arange(10)
    answers = judge_answers(RANKING, RANGE, everything, queries, np.arange(80) >= 10)

    assert list(answers.metrics) == ["ranked", "likeness", "price"]
    assert list(answers.metrics["likeness"]) == list(answers.likeness)
    for figures in answers.metrics["likeness"].values():
        assert figures["pairs"] == 10 * 10
        assert 0 <= figures["calibration_error"] <= 1
        assert 0 <= figures["calibration_error_of_first"] <= 1
    price = answers.metrics["price"]
    assert price["photos"] == 10
    # A category's things all cost the same.
    assert price["linear_median_error"] == pytest.approx(0)
    assert price["median_error"] > 0


def test_models_of_categories_and_prices_are_left_out_where_there_are_none() -> None:
    everything, queries = judged(), np.arange(10)

    assert "price" not in judge_answers(RANKING, None, everything, queries).metrics
    free = dataclasses.replace(everything, prices=np.zeros(80))
    assert "price" not in judge_answers(RANKING, RANGE, free, queries).metrics
    price = judge_answers(RANKING, RANGE, everything, queries).metrics["price"]
    assert sorted(price) == ["coverage", "median_error", "median_range", "photos"]


@pytest.mark.parametrize("listings", [1, 2])
def test_a_few_photos_have_figures_too(listings: int) -> None:
    few = judged(listings)
    alone = few.only(np.arange(len(few)) == 0)
    for photos in (few, alone):
        answers = judge_answers(RANKING, RANGE, photos, np.arange(len(photos)))
        assert answers.metrics["ranked"] == found_in_order(RANKING, photos)
        assert answers.metrics["likeness"]["blend"]["calibration_error"] >= 0


def test_photos_of_two_catalogues_are_one_pool() -> None:
    photos = judged()
    first, second = (photos.only(np.arange(80) % 2 == side) for side in (0, 1))
    joined = first.and_then(second)

    assert len(joined) == 80
    order = [*range(0, 80, 2), *range(1, 80, 2)]
    pool = joined.pool("features")
    np.testing.assert_array_equal(pool.vectors, photos.logits[order])
    np.testing.assert_array_equal(pool.features, photos.outputs["features"][order])
    for name in ("categories", "listings", "contents"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(photos, name)[order])
    np.testing.assert_array_equal(joined.prices, photos.prices[order])
