"""The map of the catalogue: by what it is laid out, how often, and for whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from gateway import map as module
from gateway.catalogue import Catalogue
from gateway.deadline import Deadline
from gateway.listings import PhotoVector
from gateway.map import MapBuilder, lay_out
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import (
    CollectionNotFoundError,
    DeadlineExceededError,
    UpstreamUnavailableError,
)
from tests.http_face import Asked, use_cases


def catalogue(count: int, features: int = 0) -> list[tuple[CataloguePhoto, PhotoVector]]:
    rng = np.random.default_rng(1)
    rows = zip(rng.normal(size=(count, 13)), rng.normal(size=(count, features)), strict=True)
    return [
        (CataloguePhoto(f"i{n}", f"p{n}"), PhotoVector(tuple(row), "space", tuple(more)))
        for n, (row, more) in enumerate(rows)
    ]


async def test_those_who_ask_at_once_share_a_drawing() -> None:
    asked = Asked(catalogue=catalogue(30))
    maps = MapBuilder(use_cases(asked).catalogue)
    maps = await asyncio.gather(*(maps.draw(Deadline(5)) for _ in range(5)))
    assert asked.sampled == 1
    assert all(drawn is maps[0] for drawn in maps)
    assert [point.photo.item_id for point in maps[0].points][:2] == ["i0", "i1"]


async def test_map_is_drawn_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(catalogue=catalogue(3))
    maps = MapBuilder(use_cases(asked).catalogue)
    await maps.draw(Deadline(5))
    asked.catalogue = catalogue(4)
    assert len((await maps.draw(Deadline(5))).points) == 3
    monkeypatch.setattr(module, "KEPT_S", -1.0)
    assert len((await maps.draw(Deadline(5))).points) == 4


async def test_empty_catalogue_is_an_empty_map_and_a_lost_index_is_an_error() -> None:
    asked = Asked(error=CollectionNotFoundError("none yet"))
    maps = MapBuilder(use_cases(asked).catalogue)
    assert (await maps.draw(Deadline(5))).points == ()
    asked.error = UpstreamUnavailableError("gone")
    with pytest.raises(UpstreamUnavailableError):
        await maps.draw(Deadline(5))
    asked.error, asked.catalogue = None, catalogue(2)
    assert len((await maps.draw(Deadline(5))).points) == 2


async def test_drawing_goes_on_for_the_next_when_who_asked_for_it_leaves() -> None:
    asked = Asked(catalogue=catalogue(3), wait_for=asyncio.Event())
    maps = MapBuilder(use_cases(asked).catalogue)
    first = asyncio.create_task(maps.draw(Deadline(5)))
    await asked.started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(maps.draw(Deadline(5)))
    assert asked.wait_for
    asked.wait_for.set()
    assert len((await second).points) == 3
    assert asked.sampled == 1


async def test_who_has_no_time_for_the_drawing_is_told_so() -> None:
    asked = Asked(catalogue=catalogue(3), wait_for=asyncio.Event())
    maps = MapBuilder(use_cases(asked).catalogue)
    with pytest.raises(DeadlineExceededError, match="ask again"):
        await maps.draw(Deadline(0.01))
    assert asked.wait_for
    asked.wait_for.set()
    assert len((await maps.draw(Deadline(5))).points) == 3


class _FailsOnce(Catalogue):
    """Fails at the first question, when it is let, and answers the next."""

    def __init__(self) -> None:
        self.asked, self.may_fail = asyncio.Event(), asyncio.Event()

    async def vectors(
        self, count: int, deadline: Deadline
    ) -> list[tuple[CataloguePhoto, PhotoVector]]:
        if self.asked.is_set():
            return catalogue(3)
        self.asked.set()
        await self.may_fail.wait()
        raise UpstreamUnavailableError("out of the first one's time")


async def test_failure_of_anothers_drawing_is_not_ones_own() -> None:
    fails = _FailsOnce()
    maps = MapBuilder(fails)
    first = asyncio.create_task(maps.draw(Deadline(5)))
    await fails.asked.wait()
    second = asyncio.create_task(maps.draw(Deadline(5)))
    await asyncio.sleep(0)  # it waits for the first one's drawing
    fails.may_fail.set()
    with pytest.raises(UpstreamUnavailableError):
        await first
    assert len((await second).points) == 3


def test_photos_with_features_are_laid_out_by_them_and_others_by_their_vectors() -> None:
    by_features = lay_out(catalogue(20, features=128))
    assert len(by_features.points) == 20
    assert by_features.explained is None
    assert by_features.neighbors_kept is not None
    by_vectors = lay_out(catalogue(20))
    assert by_vectors.neighbors_kept is None
    assert by_vectors.explained is not None
    assert 0 < by_vectors.explained < 1


def test_few_photos_without_features_are_left_out_and_counted() -> None:
    sample = catalogue(20, features=128)
    bare = [(photo, replace(vector, features=())) for photo, vector in sample]
    mostly = lay_out([*bare[:3], *sample[3:]])
    assert [point.photo.item_id for point in mostly.points][:1] == ["i3"]
    assert (len(mostly.points), mostly.left_out) == (17, 3)
    hardly = lay_out([*bare[:15], *sample[15:]])
    assert (len(hardly.points), hardly.left_out, hardly.neighbors_kept) == (20, 0, None)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_photos_is_laid_out_by_their_vectors(count: int) -> None:
    drawn = lay_out(catalogue(count, features=128))
    assert (len(drawn.points), drawn.neighbors_kept) == (count, None)
