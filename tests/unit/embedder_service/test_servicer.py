"""What `GetModel` tells of a bundle, beyond what a running service is asked for elsewhere."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

from embedder_service.config import EmbedderSettings
from embedder_service.hosting import ModelHost
from embedder_service.servicer import describe
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.likeness import Likeness
from lookalike.model.bundle import Bundle, Manifest, Ranking
from lookalike.pricing import PriceRange

CURVES = {
    "blend": Likeness(intercept=1.0, distance=4.0, margin=6.0, crowd=0.5),
    "features": Likeness(intercept=2.0, distance=5.0, margin=7.0, crowd=0.25),
    "category": Likeness(intercept=-1.0, distance=3.0, margin=2.0, crowd=16.0),
}
RANKING = Ranking("style", 0.125, 2000, **CURVES)
PRICE_RANGE = PriceRange(listings=50, coverage=0.75, width=1.5, least_spread=0.5)


def described(manifest: Manifest) -> pb.Model:
    engine = SimpleNamespace(name="openvino", precision="fp32")
    model = SimpleNamespace(photos=SimpleNamespace(engine=engine), words=None)
    host: Any = SimpleNamespace(manifest=manifest, model=model)
    return describe(cast(ModelHost, host), EmbedderSettings())


def test_the_model_tells_how_listings_are_ranked_and_priced(tiny_bundle: Bundle) -> None:
    manifest = dataclasses.replace(tiny_bundle.manifest, ranking=RANKING, price_range=PRICE_RANGE)
    model = described(manifest)

    ranking = model.ranking
    assert (ranking.output, ranking.vector_weight, ranking.candidates) == ("style", 0.125, 2000)
    for name, curve in CURVES.items():
        told = getattr(ranking, name)
        assert Likeness(told.intercept, told.distance, told.margin, told.crowd) == curve
    told = model.price_range
    assert PriceRange(told.listings, told.coverage, told.width, told.least_spread) == PRICE_RANGE


def test_a_model_without_them_has_neither(tiny_bundle: Bundle) -> None:
    model = described(tiny_bundle.manifest)

    assert not model.HasField("ranking")
    assert not model.HasField("price_range")
    assert model.embedding_space == tiny_bundle.manifest.embedding_space
