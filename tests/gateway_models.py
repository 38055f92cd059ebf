"""Models as the gateway knows them, with and without features."""

from __future__ import annotations

from array import array
from typing import Any

from gateway.calibration import Ranking
from gateway.models import Model, Output, TextTower
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange

FEATURES = array("f", [0.6, 0.8, 0.0, 0.0])
BLEND, BY_FEATURES, BY_CATEGORY = (
    Likeness(2.0, 4.0, 3.0, 1.0),
    Likeness(1.0, 5.0, 3.0, 0.5),
    Likeness(0.0, 6.0, 3.0, 8.0),
)
RANKING = Ranking("features", 0.25, 200, BLEND, BY_FEATURES, BY_CATEGORY)
READS = TextTower(
    "minilm", temperature=2.0, photos_weight=0.5, words_weight=1.0, photos_alone_weight=0.75
)
PRICE_RANGE = PriceRange(listings=20, coverage=0.8, width=1.5, least_spread=0.2)


def model(embedding_space: str = "space", temperature: float = 1.0, **more: Any) -> Model:
    """A model of three categories, without features."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "embedding_space": embedding_space,
        "labels": ("books", "clothes", "tools"),
        "engine": "openvino",
        "precision": "fp32",
        "temperature": temperature,
        "outputs": (Output("category", 3, "logits"),),
    }
    return Model(**fields | more)


def model_with_features(embedding_space: str = "space", **more: Any) -> Model:
    """The same with features of four values, fitted for ranking and prices."""
    features = Output("features", len(FEATURES), "embedding")
    fields: dict[str, Any] = {
        "outputs": (Output("category", 3, "logits"), features),
        "features": features,
        "search_outputs": ("category", "features"),
        "ranking": RANKING,
        "price_range": PRICE_RANGE,
    }
    return model(embedding_space, **fields | more)


def model_that_reads(embedding_space: str = "space", **more: Any) -> Model:
    """The same with a text tower."""
    return model_with_features(embedding_space, **{"text": READS} | more)
