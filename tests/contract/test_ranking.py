"""The order of neighbours by vector, by features and by both, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from index_service.backend import Backend
from index_service.records import (
    Collection,
    Filter,
    Method,
    Metric,
    Query,
    Rerank,
    View,
)
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, find, ids, item, nearest, vector, write
from tests.contract.photos import (
    LINE,
    RIGHT,
    UP,
    WEIGHTS,
    at_a_gap,
    drawn,
    id_of,
    queries,
    sent,
    write_features,
)

# -- the order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", Metric)
async def test_neighbors_are_in_the_order_of_both_distances(
    backend: Backend, make: Make, metric: Metric
) -> None:
    photos = drawn(metric, 1)
    name = await photos.write(backend, make)
    asked = queries(1, 4)
    for weight in WEIGHTS:
        for candidates in (60, 300):
            answer = await find(
                backend,
                name,
                [photos.query(query) for query in asked],
                k=15,
                rerank=Rerank(candidates, weight),
            )
            assert answer.collection.features_dimension == 16
            for query, result in zip(asked, answer.results, strict=True):
                expected = photos.best(query, weight, 15, candidates=candidates)
                photos.assert_found(result, query, weight, expected)
                assert result.ranked == candidates
                assert result.candidates_scanned >= candidates
                assert result.method is Method.EXACT
                assert result.shortfall == ""
                if candidates == 300:
                    assert result.complete


async def test_neighbors_by_vector_are_ranked_once(backend: Backend, make: Make) -> None:
    photos = drawn(Metric.SQUARED_L2, 2)
    name = await photos.write(backend, make)
    ((target, _),) = queries(2, 1)
    answer = await nearest(backend, name, sent(target), k=15)
    expected = sorted(photos.near(target, photos.features[0], 1), key=lambda near: near.first)
    assert ids(answer) == [id_of(near.number) for near in expected[:15]]
    assert answer.neighbors.first_distances is None
    assert (answer.ranked, answer.complete) == (0, True)


async def test_distances_are_those_of_the_definition(backend: Backend, make: Make) -> None:
    name = await make(LINE)
    rows = [(item(name, f"p{name}"[:2]), vector(x, 0)) for x, name in enumerate("abcd")]
    features = {"a": (0.0, 1.0), "b": (1.0, 1.0), "c": (2.0, 0.0), "d": (1.0, 0.0)}
    await write(backend, name, rows, **features)
    query = Query(vector(0, 0), RIGHT)
    answer = await nearest(backend, name, query, k=2, rerank=Rerank(3))
    assert ids(answer) == ["c", "b"]
    assert list(answer.neighbors.first_distances or ()) == [4, 1]
    assert list(answer.neighbors.distances) == pytest.approx([0, 1 - 0.5**0.5], abs=0.01)
    both = await nearest(backend, name, query, k=3, rerank=Rerank(3, 0.3))
    assert ids(both) == ["b", "a", "c"]
    assert list(both.neighbors.first_distances or ()) == [1, 0, 4]
    expected = [1 - 0.5**0.5 + 0.3, 1, 1.2]
    assert list(both.neighbors.distances) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("weight", [0.0, 0.5])
async def test_ties_are_in_the_order_of_writing(
    backend: Backend, make: Make, weight: float
) -> None:
    name = await make(LINE)
    order = [f"{(i * 37) % 100:02}" for i in range(100)]
    rows = [(item(each), vector(1, 1)) for each in order]
    # Every second one has none: it is at a distance of 1, as are those at a right angle.
    having: dict[str, Any] = dict.fromkeys(order[::2], (0.0, 3.0))
    await write(backend, name, rows, **having)
    query = Query(vector(0, 0), RIGHT)
    answer = await nearest(backend, name, query, k=40, rerank=Rerank(100, weight))
    assert ids(answer) == order[:40]
    assert set(answer.neighbors.distances) == {1 + weight * 2}
    await write(backend, name, [(item(order[0]), vector(1, 1))], **{order[0]: (0.0, 3.0)})
    again = await nearest(backend, name, query, k=100, rerank=Rerank(100, weight))
    assert ids(again) == [*order[1:], order[0]]


async def test_same_distance_by_features_is_ranked_by_vector(backend: Backend, make: Make) -> None:
    name = await make(LINE)
    rows = [(item(key), vector(x, 0)) for key, x in (("a", 3), ("b", 1), ("c", 2))]
    features: dict[str, Any] = dict.fromkeys("abc", (0.0, 3.0))
    await write(backend, name, rows, **features)
    answer = await nearest(backend, name, Query(vector(0, 0), UP), k=2, rerank=Rerank(3))
    assert ids(answer) == ["b", "c"]


async def test_item_without_features_is_as_far_as_one_at_a_right_angle(
    backend: Backend, make: Make
) -> None:
    name = await make(LINE)
    await write_features(backend, name, (-1.0, 0.5), (), (1.0, 0.2))
    query = Query(vector(0, 0), RIGHT)
    answer = await nearest(backend, name, query, k=3, rerank=Rerank(3))
    assert ids(answer) == ["2", "1", "0"]
    assert answer.neighbors.distances[1] == 1
    assert (answer.ranked, answer.complete, answer.shortfall) == (3, True, "")


async def test_negative_distances_count_as_well(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.INNER_PRODUCT, (), 2))
    await write_features(backend, name, RIGHT, RIGHT, RIGHT, UP, UP)
    query = Query(vector(1, 0), RIGHT)
    answer = await nearest(backend, name, query, k=2, rerank=Rerank(5, 0.3))
    assert ids(answer) == ["2", "1"]
    assert list(answer.neighbors.distances) == pytest.approx([-0.6, -0.3], abs=0.01)
    assert answer.complete
    limited = await nearest(backend, name, query, k=5, rerank=Rerank(5, 0.3, -0.25))
    assert ids(limited) == ["2", "1"]


# -- which items -----------------------------------------------------------------------------------


async def test_distinct_products_are_ranked_by_their_best_photo(
    backend: Backend, make: Make
) -> None:
    photos = drawn(Metric.SQUARED_L2, 3, photos=4)
    name = await photos.write(backend, make)
    for query in queries(3, 3):
        for weight in WEIGHTS:
            expected = photos.best(query, weight, 20, candidates=200, distinct=True)
            answer = await nearest(
                backend,
                name,
                photos.query(query),
                k=20,
                distinct_products=True,
                rerank=Rerank(200, weight),
            )
            photos.assert_found(answer, query, weight, expected)
            assert answer.ranked == 200
            assert len({each.product_id for each in answer.neighbors.items}) == 20


async def test_more_are_ranked_where_candidates_are_of_too_few_products(
    backend: Backend, make: Make
) -> None:
    name = await make(LINE)
    # One product has the 60 nearest items, and each of the others one behind them.
    where = {f"near{i:02}": i / 100 for i in range(60)}
    where |= {f"far{i:02}": 10.0 + i for i in range(30)}
    rows = [(item(key, "crowd" * key.startswith("near")), vector(x, 0)) for key, x in where.items()]
    features: dict[str, Any] = {key: (1.0, i / 90) for i, key in enumerate(where)}
    await write(backend, name, rows, **features)
    query, how = Query(vector(0, 0), RIGHT), {"distinct_products": True}
    few = await nearest(backend, name, query, k=1, rerank=Rerank(10, 0.1), **how)
    assert (ids(few), few.ranked) == (["near00"], 10)
    answer = await nearest(backend, name, query, k=25, rerank=Rerank(25, 0.1), **how)
    assert ids(answer) == ["near00", *(f"far{i:02}" for i in range(24))]
    assert answer.shortfall == ""
    assert answer.ranked >= 84
    rest = await nearest(backend, name, query, k=50, rerank=Rerank(50, 0.1), **how)
    assert len(ids(rest)) == 31
    assert "31" in rest.shortfall
    assert "candidates" not in rest.shortfall
    assert (rest.ranked, rest.complete) == (90, True)
    other = await nearest(
        backend, name, "near30", k=3, exclude_same_product=True, rerank=Rerank(3, 0.1), **how
    )
    assert ids(other) == ["far00", "far01", "far02"]


async def test_only_what_the_filter_lets_through_is_ranked(backend: Backend, make: Make) -> None:
    photos = drawn(Metric.COSINE, 4, photos=3)
    name = await photos.write(backend, make)
    wanted = Filter(categories=("even",), exclude_product_ids=("p3", "p40", "p77"))
    for query in queries(4, 3):
        expected = photos.best(
            query,
            0.5,
            10,
            candidates=50,
            may=lambda near: (
                not near.number % 2
                and photos.products[near.number] not in wanted.exclude_product_ids
            ),
        )
        answer = await nearest(
            backend, name, photos.query(query), k=10, filter=wanted, rerank=Rerank(50, 0.5)
        )
        photos.assert_found(answer, query, 0.5, expected)
        assert answer.ranked == 50
    none = await nearest(
        backend, name, "000", filter=Filter(categories=("neither",)), rerank=Rerank(50, 0.5)
    )
    assert (ids(none), none.ranked, none.complete) == ([], 0, True)
    assert "filter" in none.shortfall
    assert "candidates" not in none.shortfall


async def test_greatest_distance_by_vector_decides_who_is_a_candidate(
    backend: Backend, make: Make
) -> None:
    photos = drawn(Metric.SQUARED_L2, 5)
    name = await photos.write(backend, make)
    for query in queries(5, 3):
        limit = at_a_gap([near.first for near in photos.near(*query, 0)], 20)
        expected = photos.best(query, 0.04, 300, may=lambda near, most=limit: near.first <= most)
        answer = await nearest(
            backend,
            name,
            photos.query(query),
            k=100,
            max_distance=limit,
            rerank=Rerank(100, 0.04),
        )
        photos.assert_found(answer, query, 0.04, expected)
        assert (answer.ranked, answer.complete) == (len(expected), True)
        assert str(len(expected)) in answer.shortfall
        assert "candidates" not in answer.shortfall


@pytest.mark.parametrize("distinct", [False, True])
async def test_greatest_distance_of_the_second_stage_limits_the_sum(
    backend: Backend, make: Make, distinct: bool
) -> None:
    photos = drawn(Metric.SQUARED_L2, 6, photos=2)
    name = await photos.write(backend, make)
    for query in queries(6, 3):
        every = photos.best(query, 0.04, 300, candidates=150, distinct=distinct)
        limit = at_a_gap([near.sum for near in every], 12)
        expected = [near for near in every if near.sum <= limit]
        answer = await nearest(
            backend,
            name,
            photos.query(query),
            k=100,
            distinct_products=distinct,
            rerank=Rerank(150, 0.04, limit),
        )
        photos.assert_found(answer, query, 0.04, expected)
        assert answer.ranked == 150
        assert str(len(expected)) in answer.shortfall


async def test_ids_alone_come_where_they_are_enough(backend: Backend, make: Make) -> None:
    name = await make(LINE)
    written = item("a", "p", category="c", price=1.0, title="t")
    await write(backend, name, [(written, vector(0, 0))], a=RIGHT)
    query, how = Query(vector(0, 0), UP), {"rerank": Rerank(3, 1.0)}
    (bare,) = (await nearest(backend, name, query, view=View.IDS, **how)).neighbors.items
    assert (bare.id, bare.product_id) == ("a", "p")
    (full,) = (await nearest(backend, name, query, **how)).neighbors.items
    assert full == written


async def test_what_was_written_last_is_what_is_ranked(backend: Backend, make: Make) -> None:
    name = await make(LINE)
    await write_features(backend, name, RIGHT, (1.0, 0.5), UP, ())
    query = Query(vector(0, 0), RIGHT)

    async def order() -> list[str]:
        answer = await nearest(backend, name, query, k=10, rerank=Rerank(10, 0.001))
        assert answer.ranked == len(ids(answer))
        return ids(answer)

    assert await order() == ["0", "1", "2", "3"]
    await write(backend, name, [(item("3"), vector(3, 0))], **{"3": (1.0, 0.2)})
    assert await order() == ["0", "3", "1", "2"]
    await write(backend, name, [(item("0"), vector(0, 0))])
    assert await order() == ["3", "1", "0", "2"]
    await write(backend, name, [(item("2", "other"), vector(40, 0))], **{"2": RIGHT})
    assert await order() == ["3", "1", "0", "2"]
    await backend.delete_items(name, ["3"], ["other"])
    assert await order() == ["1", "0"]
