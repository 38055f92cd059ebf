"""Items, vectors and searches for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from index_service.backend import Backend
from index_service.records import (
    NO_FILTER,
    Answer,
    Batch,
    Collection,
    Filter,
    FullItem,
    Item,
    Metric,
    Query,
    QueryAnswer,
    Search,
    Upserted,
    Vector,
    View,
)

SPACE = "space-1"


def vector(*values: float, space: str = SPACE) -> Vector:
    """A vector of the tests' embedding space."""
    return Vector(values, space)


def item(
    item_id: str,
    product_id: str = "",
    *,
    category: str = "",
    price: float | None = None,
    **attributes: str,
) -> Item:
    """An item; its product is `p-` and its id where none is given."""
    return Item(item_id, product_id or f"p-{item_id}", category, price, attributes)


async def write(
    backend: Backend, name: str, rows: Sequence[tuple[Item, Vector]], **features: Sequence[float]
) -> Upserted:
    """Upserts items with their vectors; `features` by item id."""
    items = [each for each, _ in rows]
    batch = Batch(items, [v for _, v in rows], [features.get(each.id, ()) for each in items])
    return await backend.upsert_items(name, batch)


async def write_on_a_line(
    backend: Backend, name: str, positions: Mapping[str, float], products: Mapping[str, str] = {}
) -> None:
    """Upserts items at (x, 0), so that distances are easy to tell."""
    await write(
        backend,
        name,
        [(item(key, products.get(key, "")), vector(x, 0.0)) for key, x in positions.items()],
    )


async def nearest(
    backend: Backend, name: str, target: object, k: int = 10, min_seq: int = 0, **how: object
) -> QueryAnswer:
    """The answer to one query: a vector, an item's id or examples."""
    query = target if isinstance(target, Query) else Query(target)  # type: ignore[arg-type]
    answer = await find(backend, name, [query], k, min_seq, **how)
    return answer.results[0]


async def find(
    backend: Backend,
    name: str,
    queries: Sequence[Query],
    k: int = 10,
    min_seq: int = 0,
    **how: object,
) -> Answer:
    """The answers to several."""
    search = Search(k, **how)  # type: ignore[arg-type]
    return await backend.find_neighbors(name, queries, search, min_seq)


def ids(answer: QueryAnswer) -> list[str]:
    """The ids of the neighbours, nearest first."""
    return [each.id for each in answer.neighbors.items]


async def listed(
    backend: Backend,
    name: str,
    only: Filter = NO_FILTER,
    *,
    size: int = 100,
    view: View = View.FULL,
) -> list[FullItem]:
    """All items that the filter lets through, page by page."""
    found: list[FullItem] = []
    after = 0
    while True:
        page = await backend.list_items(name, only, size=size, after=after, view=view)
        assert len(page.items) <= size
        found += page.items
        if not (after := page.following):
            return found


def plain(name: str, *, dimension: int = 2, metric: Metric = Metric.SQUARED_L2) -> Collection:
    """A collection without extras."""
    return Collection(name, SPACE, dimension, metric)


def exact_distances(
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    query: np.ndarray[tuple[int], np.dtype[np.float32]],
    metric: Metric,
) -> list[float]:
    """Distances by the definition in the proto, in float64."""
    a, b = rows.astype(np.float64), query.astype(np.float64)
    if metric is Metric.SQUARED_L2:
        return [float(d) for d in ((a - b) ** 2).sum(axis=1)]
    dots = (a * b).sum(axis=1)
    if metric is Metric.INNER_PRODUCT:
        return [float(-d) for d in dots]
    lengths = np.sqrt((a**2).sum(axis=1)) * np.sqrt((b**2).sum())
    return [float(d) for d in np.clip(1 - dots / lengths, 0, 2)]
