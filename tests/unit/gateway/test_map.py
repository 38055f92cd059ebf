"""The map of the catalogue: places, their scale, and how often it is drawn."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway import map as module
from gateway.budget import Budget
from gateway.listings import Listing, PhotoVector
from gateway.map import Cartographer, project
from lookalike.errors import CollectionNotFoundError, UpstreamUnavailableError
from tests.http_face import Asked, use_cases


def vectors(count: int, dimensions: int = 13) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(1).normal(size=(count, dimensions))


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


def catalogue(count: int) -> list[tuple[Listing, PhotoVector]]:
    return [
        (Listing(f"i{n}", f"p{n}"), PhotoVector(tuple(row), "space"))
        for n, row in enumerate(vectors(count))
    ]


async def test_those_who_ask_at_once_share_a_drawing() -> None:
    asked = Asked(catalogue=catalogue(30))
    cartographer = Cartographer(use_cases(asked).catalogue)
    maps = await asyncio.gather(*(cartographer.draw(Budget(5)) for _ in range(5)))
    assert asked.sampled == 1
    assert all(drawn is maps[0] for drawn in maps)
    assert [point.listing.item_id for point in maps[0].points][:2] == ["i0", "i1"]


async def test_map_is_drawn_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(catalogue=catalogue(3))
    cartographer = Cartographer(use_cases(asked).catalogue)
    await cartographer.draw(Budget(5))
    asked.catalogue = catalogue(4)
    monkeypatch.setattr(module, "KEPT_S", -1.0)
    assert len((await cartographer.draw(Budget(5))).points) == 4


async def test_empty_catalogue_is_an_empty_map_and_a_lost_index_is_an_error() -> None:
    asked = Asked(error=CollectionNotFoundError("none yet"))
    cartographer = Cartographer(use_cases(asked).catalogue)
    assert (await cartographer.draw(Budget(5))).points == ()
    asked.error = UpstreamUnavailableError("gone")
    with pytest.raises(UpstreamUnavailableError):
        await cartographer.draw(Budget(5))
    asked.error, asked.catalogue = None, catalogue(2)
    assert len((await cartographer.draw(Budget(5))).points) == 2
