"""Places on the plane: by principal components, and so that what looks alike stands together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.map_layout import MIN_NEIGHBORS, place_neighbors, project

Doubles = NDArray[np.float64]
Numbers = NDArray[np.int64]

CATEGORIES, LISTINGS, PHOTOS = 6, 240, 480


def vectors(count: int, dimensions: int = 13) -> Doubles:
    return np.random.default_rng(1).normal(size=(count, dimensions))


@pytest.fixture(scope="module")
def listings() -> tuple[Doubles, Doubles, Numbers, Numbers]:
    """Features and logits of listings of two photos, with each photo's listing and category.

    As real ones are: a listing's photos are near each other and far from all others, whose
    differences fill all dimensions; logits tell categories apart, and often wrongly.
    """
    rng = np.random.default_rng(3)
    listing = np.repeat(np.arange(LISTINGS), 2)
    category = listing % CATEGORIES
    centres = rng.normal(size=(CATEGORIES, 128))
    things = 0.4 * centres[np.arange(LISTINGS) % CATEGORIES] + rng.normal(size=(LISTINGS, 128))
    features = things[listing] + 0.6 * rng.normal(size=(PHOTOS, 128))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    logits = 3 * np.eye(13)[category] + 2 * rng.normal(size=(PHOTOS, 13))
    return features, logits, listing, category


def beside(places: Doubles, count: int = 5) -> Numbers:
    """The nearest on the plane of each."""
    distances = ((places[:, None] - places) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :count]


def together(places: Doubles, listing: Numbers, category: Numbers) -> tuple[float, float]:
    """How often a listing's other photo is among the 5 nearest, and how many are of a category."""
    near = beside(places)
    siblings = (listing[near] == listing[:, None]).any(axis=1).mean()
    return float(siblings), float((category[near] == category[:, None]).mean())


@pytest.mark.parametrize(("count", "dimensions"), [(1, 13), (2, 13), (3, 1), (2000, 13), (5, 2)])
def test_places_are_on_the_plane(count: int, dimensions: int) -> None:
    places, explained = project(vectors(count, dimensions))
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9
    assert 0 <= explained <= 1 + 1e-9


def test_what_is_the_same_is_in_the_middle() -> None:
    places, explained = project(np.ones((4, 13)))
    assert (places == 0.5).all()
    assert explained == 0


def test_distances_of_a_plane_are_kept_up_to_scale() -> None:
    rng = np.random.default_rng(2)
    # Two directions of logits whose sum is 0: levelling changes nothing.
    axes = np.linalg.qr(np.vstack([np.ones(13), rng.normal(size=(2, 13))]).T)[0].T[1:]
    flat = rng.normal(size=(50, 2)) * (3, 1)
    places, explained = project(flat @ axes + 7)
    assert explained == pytest.approx(1)
    before = np.linalg.norm(flat[:, None] - flat, axis=2)
    after = np.linalg.norm(places[:, None] - places, axis=2)
    shares = after[before > 0] / before[before > 0]
    assert shares.std() < 1e-9


def test_one_sample_has_one_map_whatever_the_signs() -> None:
    sample = vectors(100)
    assert np.allclose(project(sample)[0], project(sample.copy())[0])


def test_what_looks_alike_stands_together_as_on_no_plane_of_components(
    listings: tuple[Doubles, Doubles, Numbers, Numbers],
) -> None:
    features, logits, listing, category = listings
    places, kept = place_neighbors(features, logits)
    siblings, same_category = together(places, listing, category)
    assert siblings > 0.9
    assert same_category > 0.6
    assert 0.3 < kept <= 1
    for plane in (project(logits)[0], project(features)[0]):
        flat_siblings, flat_category = together(plane, listing, category)
        assert siblings > 2 * flat_siblings
        assert same_category > flat_category + 0.05


def test_same_photos_have_the_same_places(
    listings: tuple[Doubles, Doubles, Numbers, Numbers],
) -> None:
    features, logits, _, _ = listings
    places, _ = place_neighbors(features[:100], logits[:100])
    again, _ = place_neighbors(features[:100].copy(), logits[:100].copy())
    assert (places == again).all()


@pytest.mark.parametrize("count", [MIN_NEIGHBORS, MIN_NEIGHBORS + 1, 30, 200])
def test_neighbors_are_placed_on_the_plane_however_few(count: int) -> None:
    places, kept = place_neighbors(vectors(count, 128), vectors(count))
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9
    assert places.max() == pytest.approx(1)
    assert 0 <= kept <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_photos_that_are_all_the_same_have_places(value: float) -> None:
    places, _ = place_neighbors(np.full((40, 128), value), np.full((40, 13), value))
    assert places.shape == (40, 2)
    assert np.isfinite(places).all()


def test_copies_of_a_photo_stand_in_one_place() -> None:
    features, logits = vectors(60, 128), vectors(60)
    features[1], logits[1] = features[0], logits[0]
    places, _ = place_neighbors(features, logits)
    assert np.linalg.norm(places[0] - places[1]) < 0.02
