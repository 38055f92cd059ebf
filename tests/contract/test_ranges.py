"""Finding all within a distance, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from index_service.backend import Backend
from index_service.records import (
    Collection,
    Filter,
    Metric,
    Query,
    RangeAnswer,
    Search,
    Vector,
    View,
)
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, exact_distances, item, vector, write, write_on_a_line


async def within(
    backend: Backend, name: str, target: object, far: float, k: int = 1000, **how: object
) -> RangeAnswer:
    search = Search(k, max_distance=far, **how)  # type: ignore[arg-type]
    return await backend.search_range(name, Query(target), search)  # type: ignore[arg-type]


def found(answer: RangeAnswer) -> list[str]:
    return [each.id for each in answer.neighbors.items]


async def test_all_within_the_distance_are_found(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 1, "c": 2, "d": 3}, {"a": "p", "b": "p"})
    answer = await within(backend, line, vector(0, 0), 4.0)
    assert found(answer) == ["a", "b", "c"]
    assert list(answer.neighbors.distances) == [0, 1, 4]
    assert answer.total == 3
    few = await within(backend, line, vector(0, 0), 4.0, k=2)
    assert (found(few), few.total) == (["a", "b"], 3)
    distinct = await within(backend, line, vector(0, 0), 4.0, distinct_products=True)
    assert (found(distinct), distinct.total) == (["a", "c"], 2)
    filtered = await within(backend, line, vector(0, 0), 4.0, filter=Filter(product_ids=("p",)))
    assert (found(filtered), filtered.total) == (["a", "b"], 2)
    by_item = await within(backend, line, "a", 4.0)
    assert (found(by_item), by_item.total) == (["b", "c"], 2)
    nothing = await within(backend, line, vector(50, 0), 4.0)
    assert (found(nothing), nothing.total) == ([], 0)


@pytest.mark.parametrize("metric", Metric)
async def test_border_is_drawn_exactly(backend: Backend, make: Make, metric: Metric) -> None:
    random = np.random.default_rng(11)
    rows = random.normal(size=(500, 6)).astype(np.float32)
    name = await make(Collection("replaced", SPACE, 6, metric))
    await write(
        backend, name, [(item(f"{i:03}"), Vector(r.tolist(), SPACE)) for i, r in enumerate(rows)]
    )
    target = random.normal(size=6).astype(np.float32)
    order = sorted(zip(exact_distances(rows, target, metric), range(500), strict=True))
    for number in (1, 100, 350):
        # The border is the distance of the last one that belongs, to the last bit; but a backend
        # may keep vectors of length 1 for the cosine, so there it is half-way to the next one.
        border, beyond = order[number - 1][0], order[number][0]
        if metric is Metric.COSINE:
            border = (border + beyond) / 2
        answer = await within(backend, name, Vector(target.tolist(), SPACE), border)
        assert found(answer) == [f"{i:03}" for _, i in order[:number]]
        assert answer.total == number


async def test_more_are_counted_than_one_answer_holds(backend: Backend, line: str) -> None:
    for start in range(0, 20_000, 10_000):
        rows = [(item(f"{start + i:05}"), vector((start + i) // 4, 0)) for i in range(10_000)]
        await write(backend, line, rows)
    answer = await within(backend, line, vector(0, 0), 4_499.0**2, k=3)
    assert answer.total == 18_000
    assert found(answer) == ["00000", "00001", "00002"]
    count = await backend.count_items(line, Filter())
    assert (count.items, count.products) == (20_000, 20_000)
    page = await backend.list_items(line, Filter(), size=3, after=0, view=View.FULL)
    assert [each.item.id for each in page.items] == ["00000", "00001", "00002"]
