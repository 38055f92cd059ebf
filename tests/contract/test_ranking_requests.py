"""What is looked for when neighbours are ranked again, and how many are, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from index_service import checks
from index_service.backend import Backend
from index_service.records import (
    Examples,
    Filter,
    Method,
    Metric,
    PackedVectors,
    Query,
    Rerank,
    Vector,
)
from lookalike.errors import DimensionMismatchError, InvalidArgumentError
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, find, ids, item, nearest, vector, write, write_on_a_line
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

# -- what is looked for ----------------------------------------------------------------------------


async def test_several_queries_rank_no_more_than_so_many_items_together(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MAX_RANKED", 500)
    photos = drawn(Metric.SQUARED_L2, 24)
    name = await photos.write(backend, make)
    asked = [photos.query(query) for query in queries(24, 2)]
    how = {"k": 5, "rerank": Rerank(10, 0.04), "exact": True}
    with pytest.raises(InvalidArgumentError, match="2 queries rank 300 items each") as caught:
        await find(backend, name, asked, **how)
    assert caught.value.field == "exact"
    for one in asked:
        assert (await nearest(backend, name, one, **how)).ranked == 300
    some = await find(backend, name, asked, **how, filter=Filter(categories=("odd",)))
    assert [result.ranked for result in some.results] == [150, 150]


async def test_query_by_item_has_the_features_of_the_item(backend: Backend, make: Make) -> None:
    photos = drawn(Metric.SQUARED_L2, 7, photos=3)
    name = await photos.write(backend, make)
    query = photos.vectors[31], photos.features[31]
    for same, own in ((False, ("031",)), (True, ("030", "031", "032"))):
        expected = photos.best(
            query, 0.04, 15, candidates=80, may=lambda near, out=own: id_of(near.number) not in out
        )
        answer = await nearest(
            backend, name, "031", k=15, exclude_same_product=same, rerank=Rerank(80, 0.04)
        )
        photos.assert_found(answer, query, 0.04, expected)
        assert answer.ranked == 80
    # Those that are sent count before its own.
    query = photos.vectors[31], photos.features[55]
    expected = photos.best(query, 0.04, 15, candidates=80, may=lambda near: near.number != 31)
    answer = await nearest(
        backend, name, Query("031", photos.features[55].tolist()), k=15, rerank=Rerank(80, 0.04)
    )
    photos.assert_found(answer, query, 0.04, expected)


async def test_examples_have_the_features_of_their_items(backend: Backend, make: Make) -> None:
    photos = drawn(Metric.SQUARED_L2, 8)
    name = await photos.write(backend, make)
    near, away = [11, 12, 13], [21, 22]
    target = Examples(tuple(map(id_of, near)), tuple(map(id_of, away)))
    directions = photos.features / np.linalg.norm(photos.features, axis=1, keepdims=True)
    query = (
        2 * photos.vectors[near].mean(axis=0) - photos.vectors[away].mean(axis=0),
        2 * directions[near].mean(axis=0) - directions[away].mean(axis=0),
    )
    out = {*near, *away}
    for weight in WEIGHTS:
        expected = photos.best(
            query, weight, 15, candidates=80, may=lambda near: near.number not in out
        )
        answer = await nearest(backend, name, target, k=15, rerank=Rerank(80, weight))
        photos.assert_found(answer, query, weight, expected)
    # Vectors among them have none: those that are sent count, if any are.
    mixed = Examples(("011", sent(photos.vectors[12])), (sent(photos.vectors[21]),))
    query = (
        photos.vectors[[11, 12]].mean(axis=0) * 2 - photos.vectors[21],
        photos.features[13],
    )
    expected = photos.best(query, 0.04, 15, candidates=80, may=lambda near: near.number != 11)
    sent_too = Query(mixed, photos.features[13].tolist())
    answer = await nearest(backend, name, sent_too, k=15, rerank=Rerank(80, 0.04))
    photos.assert_found(answer, query, 0.04, expected)


@pytest.mark.parametrize(
    "target",
    [
        vector(0, 0),
        "1",
        Examples(("0", vector(0, 0))),
        Examples(("0", "1")),
        Examples(("0",), ("1",)),
        Examples((vector(0, 0),), (vector(1, 1),)),
    ],
)
async def test_query_without_features_is_answered_by_vector_if_that_counts(
    backend: Backend, make: Make, target: Vector | str | Examples
) -> None:
    name = await make(LINE)
    await write_features(backend, name, RIGHT, (), UP, RIGHT)
    asked = [Query(vector(0, 0), UP), Query(target)]
    first, second = (await find(backend, name, asked, k=2, rerank=Rerank(4, 0.1))).results
    assert (ids(first), first.ranked) == (["2", "0"], 4)
    assert second.neighbors == (await nearest(backend, name, target, k=2)).neighbors
    assert second.neighbors.first_distances is None
    assert (second.ranked, second.complete) == (0, True)
    with pytest.raises(InvalidArgumentError) as caught:
        await find(backend, name, asked, k=2, rerank=Rerank(4))
    assert caught.value.field == "queries[1].features"


async def test_query_without_features_gets_what_the_rest_of_the_request_says(
    backend: Backend, make: Make
) -> None:
    name = await make(LINE)
    rows = [(item(f"{i}", f"p{i // 2}"), vector(i, 0)) for i in range(9)]
    await write(backend, name, rows)
    answer = await nearest(
        backend,
        name,
        vector(0, 0),
        k=9,
        distinct_products=True,
        max_distance=20.0,
        rerank=Rerank(9, 1.0, 1.0),
    )
    assert ids(answer) == ["0", "2", "4"]


async def test_features_that_do_not_fit_are_refused(backend: Backend, make: Make) -> None:
    name = await make(LINE)
    await write_features(backend, name, RIGHT, (-2.0, 0.0))
    with pytest.raises(DimensionMismatchError) as caught:
        await nearest(backend, name, Query(vector(0, 0), (1.0,)), k=1, rerank=Rerank(3, 1))
    assert caught.value.field == "queries[0].features"
    with pytest.raises(InvalidArgumentError, match="cancel out") as nothing_left:
        await nearest(backend, name, Examples(("0", "1")), k=1, rerank=Rerank(2))
    assert nothing_left.value.field == "queries[0].features"
    assert ids(await nearest(backend, name, Examples(("0", "1")))) == []


async def test_nothing_is_ranked_again_where_there_are_no_features(
    backend: Backend, make: Make, line: str
) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 1})
    for query in (Query(vector(0, 0)), Query("a"), Query(vector(0, 0), RIGHT)):
        with pytest.raises(InvalidArgumentError, match="features") as caught:
            await nearest(backend, line, query, k=1, rerank=Rerank(3, 1))
        assert caught.value.field == "rerank"
    name = await make(LINE)
    with pytest.raises(InvalidArgumentError) as packed:
        await find(
            backend,
            name,
            PackedVectors(np.zeros(2, np.float32), SPACE),  # type: ignore[arg-type]
            k=1,
            rerank=Rerank(3, 1),
        )
    assert packed.value.field == "rerank"


# -- how much was ranked ---------------------------------------------------------------------------


async def test_exact_search_ranks_every_item(backend: Backend, make: Make) -> None:
    photos = drawn(Metric.SQUARED_L2, 9, photos=2)
    name = await photos.write(backend, make)
    asked = queries(9, 3)
    for distinct in (False, True):
        answer = await find(
            backend,
            name,
            [photos.query(query) for query in asked],
            k=10,
            distinct_products=distinct,
            exact=True,
            rerank=Rerank(10),
        )
        for query, result in zip(asked, answer.results, strict=True):
            photos.assert_found(result, query, 0, photos.best(query, 0, 10, distinct=distinct))
            assert (result.ranked, result.complete) == (300, True)
            assert result.method is Method.EXACT
    ((target, features),) = queries(10, 1)
    limit = at_a_gap([near.first for near in photos.near(target, features, 0)], 100)
    wanted = Filter(categories=("odd",))
    may = [
        near
        for near in photos.near(photos.vectors[7], photos.features[7], 0.04)
        if near.number % 2 and near.number not in {6, 7} and near.first <= limit
    ]
    by_item = await nearest(
        backend,
        name,
        "007",
        k=200,
        exact=True,
        exclude_same_product=True,
        filter=wanted,
        max_distance=limit,
        rerank=Rerank(200, 0.04),
    )
    expected = sorted(may, key=lambda near: near.sum)
    photos.assert_found(by_item, (photos.vectors[7], photos.features[7]), 0.04, expected)
    assert by_item.ranked == len(expected)
    assert "candidates" not in by_item.shortfall


async def test_answer_is_complete_if_nothing_nearer_can_be_missing(
    backend: Backend, make: Make
) -> None:
    name = await make(LINE)
    await write_features(backend, name, *[RIGHT] * 10)

    async def told(features: Any, k: int, rerank: Rerank, **how: object) -> tuple[int, bool]:
        answer = await nearest(
            backend, name, Query(vector(0, 0), features), k, rerank=rerank, **how
        )
        return answer.ranked, answer.complete

    # The last is at a sum of 1, and what was not ranked at 16 by vector.
    assert await told(RIGHT, 2, Rerank(4, 1.0)) == (4, True)
    # The last is at 1.01, and what was not ranked at 0.16 or more.
    assert await told(UP, 2, Rerank(4, 0.01)) == (4, False)
    assert await told(UP, 2, Rerank(10, 0.01)) == (10, True)
    assert await told(UP, 2, Rerank(50, 0.01)) == (10, True)
    assert await told(UP, 2, Rerank(4, 0.01), exact=True) == (10, True)
    # What was not ranked is too far to be found.
    assert await told(UP, 2, Rerank(4, 0.01), max_distance=9.0) == (4, True)
    assert await told(UP, 2, Rerank(4, 0.01), max_distance=16.0) == (4, False)
    # A sum of at most 0.5 is out of reach for it.
    assert await told(RIGHT, 4, Rerank(4, 0.1, 0.5)) == (4, True)
    assert await told(UP, 4, Rerank(4, 0.01, 0.5)) == (4, False)


async def test_shortfall_names_the_candidates_only_if_others_may_be_nearer(
    backend: Backend, make: Make
) -> None:
    name = await make(LINE)
    await write_features(backend, name, *[RIGHT] * 10)
    right, up = Query(vector(0, 0), RIGHT), Query(vector(0, 0), UP)
    cut = await nearest(backend, name, up, k=4, rerank=Rerank(4, 0.01, 0.5))
    assert ids(cut) == []
    assert "4 candidates" in cut.shortfall
    assert "rerank.max_distance" in cut.shortfall
    far = await nearest(backend, name, right, k=4, rerank=Rerank(4, 0.1, 0.5))
    assert ids(far) == ["0", "1", "2"]
    assert "candidates" not in far.shortfall
    all_of_them = await nearest(backend, name, right, k=12, rerank=Rerank(12, 0.1))
    assert len(ids(all_of_them)) == 10
    assert "10" in all_of_them.shortfall
    assert "candidates" not in all_of_them.shortfall


async def test_state_tells_how_many_items_have_features(
    backend: Backend, make: Make, line: str
) -> None:
    name = await make(LINE)

    async def counted(name: str) -> tuple[int, int]:
        states = {state.name: state for state in (await backend.state()).collections}
        return states[name].items, states[name].items_with_features

    await write_features(backend, name, RIGHT, (), UP, RIGHT)
    await write_on_a_line(backend, line, {"a": 0})
    assert await counted(name) == (4, 3)
    assert await counted(line) == (1, 0)
    await write(backend, name, [(item("0"), vector(0, 0))])
    await write(backend, name, [(item("1"), vector(1, 0))], **{"1": UP})
    await backend.delete_items(name, ["3"], [])
    assert await counted(name) == (3, 2)
