"""Ranking by two outputs: the order by hand, and what is fitted to it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training import ranking
from training.ranking import (
    CANDIDATES,
    WEIGHTS,
    Order,
    Pool,
    Weighed,
    fit_candidates,
    fit_weight,
    search,
)


def pool_of(
    vectors: NDArray[np.float64],
    features: NDArray[np.float64],
    listings: list[str] | None = None,
    categories: list[str] | None = None,
) -> Pool:
    names = [str(row) for row in range(len(vectors))]
    return Pool(
        vectors.astype(np.float32),
        features.astype(np.float32),
        np.array(categories or ["thing"] * len(names)),
        np.array(listings or names),
        np.array(names),
    )


def random_pool(photos: int = 60) -> Pool:
    dice = np.random.default_rng(1)
    return pool_of(dice.normal(size=(photos, 5)), dice.normal(size=(photos, 8)))


def by_hand(pool: Pool, query: int, order: Order) -> list[tuple[int, float]]:
    """Every photo but the query with its distance, nearest first, one by one."""
    sums = []
    for row in range(len(pool.listings)):
        one, other = pool.features[query].astype(float), pool.features[row].astype(float)
        cosine = 1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        far = float(np.square(pool.vectors[query].astype(float) - pool.vectors[row]).sum())
        if row != query:
            sums.append((far, cosine, row))
    sums.sort()
    if not order.candidates:
        return [(row, far) for far, _, row in sums]
    some = sums[: order.candidates]
    ranked = sorted((cosine + order.vector_weight * far, row) for far, cosine, row in some)
    return [(row, total) for total, row in ranked]


@pytest.mark.parametrize("order", [Order(), Order(20), Order(20, 0.3), Order(5000, 0.3)])
def test_photos_come_in_the_order_worked_out_one_by_one(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_BLOCK", 7 * 60)
    pool, queries = random_pool(), np.array([3, 0, 59, 17, 18, 19, 20, 21, 22])
    found = search(pool, queries, {"it": order}, 10)["it"]

    for query, rows, distances in zip(queries, found.rows, found.distances, strict=True):
        expected = by_hand(pool, query, order)[:10]
        assert rows.tolist() == [row for row, _ in expected]
        np.testing.assert_allclose(distances, [distance for _, distance in expected], atol=1e-6)


def test_no_more_is_found_than_there_are_candidates_or_other_photos() -> None:
    pool, queries = random_pool(8), np.arange(2)
    found = search(pool, queries, {"few": Order(3), "all": Order(), "more": Order(100)}, 20)

    assert {name: hits.rows.shape for name, hits in found.items()} == {
        "few": (2, 3),
        "all": (2, 7),
        "more": (2, 7),
    }
    alone = search(random_pool(1), np.array([0]), {"it": Order(5)}, 3)["it"]
    assert alone.rows.shape == (1, 0)


def test_copies_are_at_no_distance_and_never_below() -> None:
    vectors = np.tile(np.random.default_rng(1).normal(size=(1, 5)) * 100, (4, 1))
    found = search(pool_of(vectors, vectors), np.arange(4), {"it": Order(9, 0.5)}, 3)["it"]

    assert (found.distances >= 0).all()
    np.testing.assert_allclose(found.distances, 0, atol=1e-9)


def test_what_has_no_direction_is_as_far_as_what_is_unlike() -> None:
    features = np.array([[1.0, 0], [0, 0], [0, 1]])
    found = search(pool_of(np.zeros((3, 2)), features), np.array([0]), {"it": Order(9)}, 2)["it"]

    assert found.distances.tolist() == [[1.0, 1.0]]


def test_items_are_the_same_by_listing_or_by_file() -> None:
    pool = Pool(
        np.zeros((4, 1), np.float32),
        np.zeros((4, 1), np.float32),
        np.array(["thing"] * 4),
        np.array(["a", "a", "b", "c"]),
        np.array(["1", "2", "1", "3"]),
    )

    assert pool.same_item(0, np.array([1, 2, 3])).tolist() == [True, True, False]


def two_sided(listings: int = 60) -> Pool:
    """Features tell listings apart and not kinds, vectors kinds and not listings."""
    dice = np.random.default_rng(1)
    kinds = np.arange(listings) % 6
    things = np.repeat(dice.normal(size=(listings, 16)), 2, axis=0)
    features = things + 0.3 * dice.normal(size=things.shape)
    vectors = np.repeat(10 * np.eye(6)[kinds], 2, axis=0) + dice.normal(size=(2 * listings, 6))
    return pool_of(
        vectors,
        features,
        [str(row // 2) for row in range(2 * listings)],
        [str(kind) for kind in np.repeat(kinds, 2)],
    )


def test_the_weight_finds_the_item_and_then_things_of_its_kind() -> None:
    pool, queries = two_sided(), np.arange(120)
    weighed = fit_weight(pool, queries)

    assert 0 < weighed.vector_weight < WEIGHTS[-1]
    assert weighed.recall > 0.95, "the vectors alone find hardly any"
    assert weighed.precision > 0.9, "the features alone find one in six"


def test_vectors_that_tell_nothing_have_no_weight() -> None:
    pool = two_sided()
    noise = np.random.default_rng(2).normal(size=pool.vectors.shape)
    blind = pool_of(noise, pool.features, pool.listings.tolist(), pool.categories.tolist())

    assert fit_weight(blind, np.arange(120)).vector_weight < 0.1
    same = pool_of(noise * 0, pool.features, pool.listings.tolist(), pool.categories.tolist())
    assert fit_weight(same, np.arange(120)).vector_weight == 0, "of equals the smallest"


def test_candidates_are_as_few_as_find_what_all_photos_find() -> None:
    # Two photos of a listing are alike by features, and about 150 places apart by vectors.
    dice = np.random.default_rng(1)
    line = np.arange(1200, dtype=float)[:, None]
    listings = [str(row // 300 * 150 + row % 150) for row in range(1200)]
    things = dice.normal(size=(600, 32))
    pool = pool_of(line, things[[int(listing) for listing in listings]], listings)
    queries = np.arange(450, 750)
    weighed = Weighed(0.0, recall=1.0, precision=1.0)

    # 150 places to either side are 300 candidates
    assert fit_candidates(pool, queries, weighed) == 500
    nearby = pool_of(line * 0, pool.features, listings)
    assert fit_candidates(nearby, queries, Weighed(0.0, 2.0, 1.0)) == CANDIDATES[-1], "never enough"
