"""Baselines: what simple models reach on the same data, so that every figure has a floor.

All learn from the training split and are judged on the test split. Their settings are usual ones,
not searched for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from lookalike.catalogue.words import cleaned
from training.dataset import load_pixels
from training.errors import TrainingError
from training.images import in_threads
from training.judging import comparable_prices
from training.metrics import mean_by_listing
from training.prepare import Prepared

PIXELS = 16  # side of the photos that the support vector machine sees
VARIANCE = 0.9  # share of it that the components which it sees explain


@dataclass(frozen=True)
class Classified:
    """A baseline that tells the category."""

    name: str
    accuracy: float  # of the test split's photos
    by_listing: float  # of its listings, each once


@dataclass(frozen=True)
class Priced:
    """A linear model of the price by category alone.

    Attributes:
        name: Which level of the category it knows.
        r2: Share of the variance of prices that it explains; negative if worse than their mean.
        mean_error: Mean absolute error, in the currency of most prices.
        median_error: Median absolute error.
        listings: How many were judged.
    """

    name: str
    r2: float
    mean_error: float
    median_error: float
    listings: int


@dataclass(frozen=True)
class Baselines:
    """All of them."""

    classified: tuple[Classified, ...]
    priced: tuple[Priced, ...]


def baselines(prepared: Prepared) -> Baselines:
    """Fits and judges all baselines.

    Raises:
        TrainingError: A split holds no photo.
    """
    photos = prepared.photos.merge(
        prepared.listings[["product_id", "title", "description"]], on="product_id"
    )
    train, test = photos[photos["split"] == "train"], photos[photos["split"] == "test"]
    for name, part in (("train", train), ("test", test)):
        if part.empty:
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    if train["label"].nunique() < 2:
        raise TrainingError(f"{prepared.path}: the train split holds photos of one category only")
    labels = train["label"].to_numpy()
    found = []
    for name, model, seen in (
        ("most frequent category", DummyClassifier(), lambda part: np.zeros((len(part), 1))),
        (f"SVC on {PIXELS}×{PIXELS} pixels", _pixel_model(), partial(_pixels, prepared)),
        ("TF-IDF + logistic regression on words", _word_model(), _words),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(seen(train), labels)
        right = model.predict(seen(test)) == test["label"].to_numpy()
        listings = test["product_id"].to_numpy().astype(np.str_)
        found.append(Classified(name, float(right.mean()), mean_by_listing(right, listings)))
    return Baselines(tuple(found), tuple(_priced(prepared)))


def _pixel_model() -> Any:
    # The components of small photos are their coarse colours; all pixels take far longer.
    return make_pipeline(PCA(VARIANCE, svd_solver="full"), StandardScaler(), SVC(C=10))


def _pixels(prepared: Prepared, photos: pd.DataFrame) -> NDArray[np.float32]:
    names = photos["sha256"].tolist()
    small = in_threads(lambda name: load_pixels(prepared, name, PIXELS), names)
    return np.stack(list(small)).reshape(len(names), -1).astype(np.float32)


def _word_model() -> Any:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
    return make_pipeline(words, LogisticRegression(C=20, max_iter=300))


def _words(photos: pd.DataFrame) -> list[str]:
    return [cleaned(*pair) for pair in zip(photos["title"], photos["description"], strict=True)]


def _priced(prepared: Prepared) -> list[Priced]:
    sides = prepared.photos.groupby("product_id")["split"].first()
    listings = prepared.listings.assign(
        price=comparable_prices(prepared.listings), split=prepared.listings["product_id"].map(sides)
    )
    listings = listings[listings["price"] > 0]
    train, test = listings[listings["split"] == "train"], listings[listings["split"] == "test"]
    if train.empty or len(test) < 2:  # of a single price there is no variance to explain
        return []
    return [
        _price_model(f"linear, {name}", train, test, column)
        for name, column in (("root categories", "root"), ("whole categories", "category"))
    ]


def _price_model(name: str, train: pd.DataFrame, test: pd.DataFrame, column: str) -> Priced:
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression())
    model.fit(train[[column]], train["price"])
    guessed, true = model.predict(test[[column]]), test["price"].to_numpy()
    return Priced(
        name,
        float(r2_score(true, guessed)),
        float(mean_absolute_error(true, guessed)),
        float(np.median(np.abs(true - guessed))),
        len(true),
    )
