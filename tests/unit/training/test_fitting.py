"""What is fitted on validation photos among all, and when nothing is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from training import fitting
from training.fitting import cannot_fit, fit, rows_to_fit
from training.judging import Predictions
from training.ranking import CANDIDATES, WEIGHTS


def market(listings: int = 150, seed: int = 1) -> tuple[Predictions, np.ndarray]:
    """Two photos a listing: logits tell categories, `good` features listings, `bad` ones little.

    Prices go with categories, one in thirty costs nothing.
    """
    dice = np.random.default_rng(seed)
    photos = 2 * listings
    kinds = np.arange(listings) % 5

    def features(noise: float) -> np.ndarray:
        things = np.repeat(dice.normal(size=(listings, 16)), 2, axis=0)
        return (things + noise * dice.normal(size=things.shape)).astype(np.float32)

    outputs = {
        "category": (3 * np.eye(5)[np.repeat(kinds, 2)] + dice.normal(size=(photos, 5))),
        "bad": features(3.0),
        "good": features(0.5),
        "pooled": features(0.1),
    }
    prices = np.exp(kinds + 1 + 0.5 * dice.normal(size=listings)) * (np.arange(listings) % 30 > 0)
    splits = np.array(["train", "validation", "test"])[np.arange(listings) % 3]
    names = np.array([str(row) for row in range(photos)])
    judged = Predictions(
        tuple("abcde"),
        {name: values.astype(np.float32) for name, values in outputs.items()},
        np.array(list("abcde"))[np.repeat(kinds, 2)],
        np.array([f"listing {row // 2}" for row in range(photos)]),
        names,
        names,
        np.repeat(prices, 2),
    )
    return judged, np.repeat(splits, 2)


def test_the_embedding_that_finds_most_ranks_and_prices_are_fitted_to_what_it_finds() -> None:
    fitted = fit(*market())

    assert fitted.lacking == ""
    assert fitted.ranking is not None
    assert fitted.price_range is not None
    assert fitted.ranking.output == "good", "`pooled` is no output that is served"
    assert fitted.ranking.vector_weight in WEIGHTS
    assert fitted.ranking.candidates in CANDIDATES
    order, likeness, prices = fitted.told
    assert order.startswith("ranking: good + ")
    assert "of 100 validation photos among 300" in order
    assert "calibration error" in likeness
    assert "lie in their range" in prices


def test_the_same_is_fitted_again() -> None:
    assert fit(*market()) == fit(*market())


def test_photos_that_judge_do_not_fit_as_queries() -> None:
    judged, splits = market()
    fitted = fit(judged, splits)
    others = np.where(splits == "test", "train", splits)

    assert fit(judged, others) == fitted


def test_without_an_embedding_nothing_is_fitted() -> None:
    judged, splits = market()
    outputs = {name: judged.outputs[name] for name in ("category", "pooled")}
    fitted = fit(dataclasses.replace(judged, outputs=outputs), splits)

    assert (fitted.ranking, fitted.price_range, fitted.told) == (None, None, ())
    assert fitted.lacking == "the model has no embedding to rank by"


def test_with_few_pairs_of_photos_nothing_is_fitted() -> None:
    judged, splits = market(listings=72)
    fitted = fit(judged, splits)

    assert fitted.ranking is None
    assert fitted.lacking == (
        "48 validation photos have another one of their listing; it takes 50 to fit a ranking"
    )
    assert cannot_fit(1, *[np.repeat(each, 2) for each in (judged.listings, splits)]) == ""


def test_with_few_prices_there_is_a_ranking_without_a_range() -> None:
    judged, splits = market()
    fitted = fit(dataclasses.replace(judged, prices=judged.prices * 0), splits)

    assert fitted.ranking is not None
    assert fitted.price_range is None
    assert len(fitted.told) == 2
    assert fitted.lacking == "0 validation photos have a price; it takes 50 to fit a range"


def test_photos_of_one_item_that_are_nowhere_near_tell_no_likeness() -> None:
    judged, splits = market()
    dice = np.random.default_rng(2)
    noise = {
        name: dice.normal(size=v.shape).astype(np.float32) for name, v in judged.outputs.items()
    }
    # Every other photo's twin is moved to the far end.
    for values in noise.values():
        values[1::2] = -50 * np.abs(values[1::2])
        values[::2] = 50 * np.abs(values[::2])
    fitted = fit(dataclasses.replace(judged, outputs=noise), splits)

    assert fitted.ranking is None
    assert "too few photos of one item" in fitted.lacking


def test_of_very_many_photos_some_ask_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = np.array(["train", "validation"] * 100)
    assert rows_to_fit(splits).tolist() == list(range(1, 200, 2))
    monkeypatch.setattr(fitting, "MOST_QUERIES", 10)
    rows = rows_to_fit(splits)

    assert len(set(rows.tolist())) == 10
    assert (rows % 2 == 1).all()
    assert rows.tolist() == sorted(rows.tolist()) == rows_to_fit(splits).tolist()
