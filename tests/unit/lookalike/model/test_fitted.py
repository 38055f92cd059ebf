"""A bundle's ranking and range of prices: read as written, checked, and what space they make."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookalike.likeness import Likeness
from lookalike.model import bundle as bundles
from lookalike.model.bundle import (
    MANIFEST,
    WEIGHTS,
    Architecture,
    Bundle,
    BundleError,
    Output,
    Preprocessing,
    Ranking,
)
from lookalike.pricing import PriceRange

CURVE = Likeness(intercept=1.0, distance=4.0, margin=6.0, crowd=0.7)
RANKING = Ranking("style", 0.002, 2000, CURVE, CURVE, dataclasses.replace(CURVE, crowd=9.0))
PRICE_RANGE = PriceRange(listings=50, coverage=0.8, width=1.4, least_spread=0.9)

Write = Callable[..., Bundle]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a bundle of nothing but weights, with what is given."""
    (tmp_path / "weights").write_bytes(b"weights")

    def write(**fitted: Any) -> Bundle:
        return bundles.write(
            tmp_path / "bundle",
            name="tiny",
            version="",
            labels=("lamp", "sofa"),
            architecture=Architecture(head_units=3, dropout=0.5),
            preprocessing=Preprocessing(32),
            outputs=(Output("category", 2, "logits"), Output("style", 4, "embedding")),
            metrics={},
            files={WEIGHTS: tmp_path / "weights"},
            **fitted,
        )

    return write


def edit_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> Path:
    file = bundle.path / MANIFEST
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    return file


def refusal(bundle: Bundle) -> str:
    with pytest.raises(BundleError) as caught:
        bundles.load(bundle.path)
    return str(caught.value)


def test_ranking_and_price_range_are_read_as_they_were_written(write: Write) -> None:
    written = write(ranking=RANKING, price_range=PRICE_RANGE)
    loaded = bundles.load(written.path)
    assert loaded == written
    assert (loaded.manifest.ranking, loaded.manifest.price_range) == (RANKING, PRICE_RANGE)


def test_a_whole_number_as_weight_is_the_same_weight(write: Write) -> None:
    written = write(ranking=dataclasses.replace(RANKING, vector_weight=0))
    assert bundles.load(written.path) == written


def test_bundle_from_before_rankings_is_loaded_and_keeps_its_space(write: Write) -> None:
    bundle = write()

    def older(manifest: dict[str, Any]) -> None:
        assert manifest.pop("ranking") is manifest.pop("price_range") is None

    edit_manifest(bundle, older)
    assert bundles.load(bundle.path) == bundle
    # as it was computed when there were none
    assert bundle.manifest.embedding_space == "2f017e652edc85f394dd2d1d99d74f73"


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("ranking", "output", "other", "which the model has not; it must be an embedding"),
        ("ranking", "output", "category", "which is of kind logits; it must be an embedding"),
        ("ranking", "vector_weight", -0.1, "must be a number, 0 or more"),
        ("ranking", "vector_weight", float("inf"), "must be a number, 0 or more"),
        ("ranking", "candidates", 0, "must be 1 to 10000"),
        ("ranking", "candidates", 10_001, "must be 1 to 10000"),
        ("price_range", "listings", 0, "must be 1 or more"),
        ("price_range", "coverage", 1.0, "must be above 0 and below 1"),
        ("price_range", "width", 0.0, "must be a number above 0"),
        ("price_range", "least_spread", float("nan"), "must be a number, 0 or more"),
    ],
)
def test_ranking_or_price_range_out_of_range_is_refused_by_name(
    write: Write, part: str, key: str, value: object, words: str
) -> None:
    fitted: dict[str, Any] = {"ranking": RANKING, "price_range": PRICE_RANGE}
    changed = {part: dataclasses.replace(fitted[part], **{key: value})}
    with pytest.raises(BundleError, match=f"{part}.{key} is .*{words}"):
        write(**(fitted | changed))
    bundle = write(**fitted)
    file = edit_manifest(bundle, lambda manifest: manifest[part].update({key: value}))
    assert refusal(bundle).startswith(f"{file}: ")


@pytest.mark.parametrize("curve", ["blend", "features", "category"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("intercept", float("nan")), ("distance", -1.0), ("margin", -1.0), ("crowd", 0.0)],
)
def test_likeness_out_of_range_is_refused_by_name(
    write: Write, curve: str, key: str, value: float
) -> None:
    wrong = dataclasses.replace(CURVE, **{key: value})
    words = rf"ranking\.{curve}\.{key} is {value}; it must be a number"
    with pytest.raises(BundleError, match=words):
        write(ranking=dataclasses.replace(RANKING, **{curve: wrong}))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(ranking=[]),
        lambda m: m.update(ranking=None),
        lambda m: m["ranking"].pop("candidates"),
        lambda m: m["ranking"].update(candidates=float("inf")),
        lambda m: m["ranking"].update(candidates=2001),
        lambda m: m["ranking"].update(vector_weight="heavy"),
        lambda m: m["ranking"]["blend"].pop("margin"),
        lambda m: m["ranking"]["blend"].update(steepness=1),
        lambda m: m.update(price_range=3),
        lambda m: m["price_range"].pop("width"),
    ],
)
def test_edited_manifest_is_refused_and_named(
    write: Write, change: Callable[[dict[str, Any]], object]
) -> None:
    bundle = write(ranking=RANKING, price_range=PRICE_RANGE)
    file = edit_manifest(bundle, change)
    assert refusal(bundle).startswith(f"{file}: ")


@pytest.mark.parametrize("change", [{"vector_weight": 0.003}, {"candidates": 5000}])
def test_embedding_space_changes_with_the_order_that_listings_have(
    write: Write, change: dict[str, Any]
) -> None:
    without = write().manifest.embedding_space
    first = write(ranking=RANKING).manifest.embedding_space
    changed = write(ranking=dataclasses.replace(RANKING, **change))
    assert len({without, first, changed.manifest.embedding_space}) == 3
    assert bundles.load(changed.path) == changed


def test_embedding_space_does_not_change_with_likeness_or_prices(write: Write) -> None:
    first = write(ranking=RANKING, price_range=PRICE_RANGE).manifest.embedding_space
    other = dataclasses.replace(CURVE, intercept=2.0)
    ranking = dataclasses.replace(RANKING, blend=other, features=other, category=other)
    assert write(ranking=ranking).manifest.embedding_space == first
