"""What is made of what an embedder says of its model."""

from __future__ import annotations

import math

import pytest

from gateway.calibration import Ranking
from gateway.models import Output, model_of
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange

CATEGORY = pb.ModelOutput(name="category", dimension=13, kind="logits")
FEATURES = pb.ModelOutput(name="features", dimension=128, kind="embedding")
STYLE = pb.ModelOutput(name="style", dimension=64, kind="embedding")


def ranking(**changes: object) -> pb.Ranking:
    curve = pb.Likeness(intercept=1, distance=2, margin=3, crowd=4)
    fields = {"output": "features", "vector_weight": 0.5, "candidates": 300, "blend": curve}
    return pb.Ranking(**{**fields, **changes})  # type: ignore[arg-type]


def test_model_is_searched_by_what_its_bundle_names() -> None:
    sent = pb.Model(
        outputs=[CATEGORY, FEATURES, STYLE],
        ranking=ranking(output="style"),
        price_range=pb.PriceRange(listings=20, coverage=0.8, width=1.5, least_spread=0.1),
    )
    model = model_of(sent)
    assert model.features == Output("style", 64, "embedding")
    assert model.search_outputs == ("category", "style")
    assert model.ranking == Ranking("style", 0.5, 300, blend=Likeness(1, 2, 3, 4))
    assert model.price_range == PriceRange(20, 0.8, 1.5, 0.1)
    assert model.dimension == 13


def test_bundle_without_ranking_has_features_by_their_usual_name() -> None:
    model = model_of(pb.Model(outputs=[CATEGORY, STYLE, FEATURES]))
    assert (model.search_outputs, model.ranking) == (("category", "features"), None)
    for outputs in ([CATEGORY], [CATEGORY, STYLE], []):
        model = model_of(pb.Model(outputs=outputs))
        assert (model.features, model.search_outputs) == (None, ())
    odd = pb.ModelOutput(name="features", dimension=3, kind="logits")
    assert model_of(pb.Model(outputs=[CATEGORY, odd])).features is None


def test_ranking_by_an_output_that_is_not_there_is_none() -> None:
    model = model_of(pb.Model(outputs=[CATEGORY, FEATURES], ranking=ranking(output="gone")))
    assert model.ranking is None
    assert model.search_outputs == ("category", "features")
    default = model_of(pb.Model(outputs=[CATEGORY], ranking=ranking(output="category")))
    assert (default.ranking, default.search_outputs) == (None, ())


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf])
def test_weight_that_ranks_nothing_is_no_ranking(weight: float) -> None:
    sent = pb.Model(outputs=[CATEGORY, FEATURES], ranking=ranking(vector_weight=weight))
    assert model_of(sent).ranking is None


@pytest.mark.parametrize(
    "bad",
    [
        {"distance": -1},
        {"distance": math.inf},
        {"margin": -1},
        {"margin": math.nan},
        {"intercept": math.nan},
        {"intercept": math.inf},
        {"crowd": 0},
        {"crowd": math.inf},
    ],
)
def test_curve_that_does_not_fall_says_nothing(bad: dict[str, float]) -> None:
    curve = {"intercept": 1, "distance": 2, "margin": 3, "crowd": 4}
    flat = pb.Likeness(**{**curve, **bad})
    model = model_of(pb.Model(outputs=[CATEGORY, FEATURES], ranking=ranking(blend=flat)))
    assert model.ranking is not None
    assert model.ranking.blend is None


def test_price_range_of_no_listings_was_not_fitted() -> None:
    for odd in (pb.PriceRange(), pb.PriceRange(listings=3, width=math.nan)):
        assert model_of(pb.Model(outputs=[CATEGORY], price_range=odd)).price_range is None
