"""Holds a backend's answers to the model's. Knows no particular backend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from index_service.records import (
    Examples,
    Matrix,
    Method,
    Metric,
    Neighbors,
    Query,
    QueryAnswer,
    RangeAnswer,
    Search,
    Vector,
    View,
)
from tests.recovery.model import (
    TOLERANCE,
    Doubles,
    Kept,
    Ranked,
    check_neighbors,
    distances,
    towards,
)

# The mean of examples is taken in float32.
_EXAMPLES_TOLERANCE = 1e-3
# Of a query's features, by which the index compares its bytes.
_BYTES_TOLERANCE = 1e-3


class Sought(NamedTuple):
    """What the model looks for in place of a query."""

    target: Doubles
    items: tuple[str, ...]  # that the query names: never found
    tolerance: float

    def products(self, kept: Kept) -> set[str]:
        """Returns the products of the named items."""
        return {kept.entries[id_].item.product_id for id_ in self.items}


def sought(kept: Kept, query: Query) -> Sought | None:
    """Returns what a query looks for; None if it has no direction, which the cosine needs."""
    target = query.target
    if isinstance(target, str):
        return Sought(kept.entries[target].vector.astype(np.float64), (target,), TOLERANCE)
    if isinstance(target, Vector):
        return Sought(np.array(target.values, np.float64), (), TOLERANCE)
    every = [*target.positives, *target.negatives]
    items = tuple(example for example in every if isinstance(example, str))
    near, away = (
        [_vector_of(kept, example) for example in some]
        for some in (target.positives, target.negatives)
    )
    centre = towards(kept.collection.metric, near, away)
    if kept.collection.metric is Metric.COSINE and np.linalg.norm(centre) < 0.1:
        return None
    return Sought(centre, items, _EXAMPLES_TOLERANCE)


def allowed(kept: Kept, query: Query, wanted: Search) -> list[Ranked]:
    """Returns all that a query may find, nearest first, whatever `k` is."""
    looked_for = sought(kept, query)
    assert looked_for is not None
    ranked = kept.rank(
        looked_for.target,
        wanted.filter,
        without=looked_for.items,
        without_products=looked_for.products(kept) if wanted.exclude_same_product else (),
    )
    if wanted.max_distance is None:
        return ranked
    return [hit for hit in ranked if hit.distance <= wanted.max_distance]


def is_borderline(kept: Kept, query: Query, wanted: Search) -> bool:
    """Whether rounding decides what is within `max_distance`."""
    looked_for, limit = sought(kept, query), wanted.max_distance
    if looked_for is None or limit is None:
        return False
    every = kept.rank(looked_for.target)
    rounded = isinstance(query.target, Examples) or kept.collection.metric is Metric.COSINE
    return rounded and any(abs(hit.distance - limit) <= looked_for.tolerance for hit in every)


def check_answer(kept: Kept, query: Query, wanted: Search, answer: QueryAnswer) -> None:
    """Holds the answer to one query to what the model finds."""
    looked_for = sought(kept, query)
    assert looked_for is not None
    every = allowed(kept, query, wanted)
    expected = (kept.distinct(every) if wanted.distinct_products else every)[: wanted.k]
    check_neighbors(
        expected,
        every,
        _pairs(answer.neighbors),
        tolerance=looked_for.tolerance,
        in_order=_without_rounding(kept, query),
        exact=answer.method is Method.EXACT,
    )
    assert bool(answer.shortfall) == (len(answer.neighbors.items) < wanted.k), answer.shortfall
    _check_items(kept, answer.neighbors, wanted)


def check_range(kept: Kept, query: Query, wanted: Search, answer: RangeAnswer) -> None:
    """Holds the answer to a search by range to what the model finds."""
    looked_for = sought(kept, query)
    assert looked_for is not None
    every = allowed(kept, query, wanted)
    expected = kept.distinct(every) if wanted.distinct_products else every
    assert answer.total == len(expected), (answer, expected)
    check_neighbors(
        expected[: wanted.k],
        every,
        _pairs(answer.neighbors),
        tolerance=looked_for.tolerance,
        in_order=_without_rounding(kept, query),
    )
    _check_items(kept, answer.neighbors, wanted)


def check_ranked_again(kept: Kept, query: Query, wanted: Search, answer: QueryAnswer) -> None:
    """Holds an answer in two stages to the model; only where the first stage takes everything."""
    first = {hit.item_id: hit.distance for hit in allowed(kept, query, wanted)}
    assert wanted.rerank is not None
    assert len(first) <= wanted.rerank.candidates
    target = np.array(query.features, np.float64)
    every: list[Ranked] = []
    for id_, distance in first.items():
        row = kept.entries[id_].features
        cosine = 1.0 if row is None else float(distances(Metric.COSINE, [in_bytes(row)], target)[0])
        every.append(Ranked(cosine + wanted.rerank.vector_weight * distance, id_))
    every.sort()
    expected = (kept.distinct(every) if wanted.distinct_products else every)[: wanted.k]
    found = _pairs(answer.neighbors)
    exact = answer.method is Method.EXACT
    check_neighbors(expected, every, found, in_order=False, exact=exact, tolerance=_BYTES_TOLERANCE)
    assert len(found) <= answer.ranked <= len(first)
    if exact:
        assert (answer.ranked, answer.complete) == (len(first), True)
    assert answer.neighbors.first_distances is not None
    for item, distance in zip(
        answer.neighbors.items, answer.neighbors.first_distances, strict=True
    ):
        assert abs(distance - first[item.id]) <= TOLERANCE
    _check_items(kept, answer.neighbors, wanted)


def check_words(kept: Kept, words: str, wanted: Search, answer: QueryAnswer) -> None:
    """Holds an answer by words alone to the items that have one; not their order."""
    sought_for = {word.strip(",!?").lower() for word in words.split()} - {""}
    having = {
        id_: entry.item.product_id
        for id_, entry in kept.matching(wanted.filter).items()
        if sought_for & {entry.item.attributes.get(k) for k in kept.collection.text_attributes}
    }
    found = [item.id for item in answer.neighbors.items]
    assert answer.words_matched == len(having), (words, answer)
    assert set(found) <= having.keys()
    number = len(set(having.values())) if wanted.distinct_products else len(having)
    assert len(set(found)) == len(found) == min(wanted.k, number), (words, answer)
    assert (answer.method, answer.complete) == (Method.EXACT, True)
    assert bool(answer.shortfall) == (len(found) < wanted.k)
    assert answer.fused_scores == [1 / (60 + place) for place in range(1, len(found) + 1)]
    _check_items(kept, answer.neighbors, wanted)


def in_bytes(features: Matrix) -> Matrix:
    """Returns features as the index holds them in memory: each a whole number, 127 the greatest."""
    return np.rint(features / np.abs(features).max() * 127)


def _vector_of(kept: Kept, example: Vector | str) -> Doubles:
    if isinstance(example, str):
        return kept.entries[example].vector.astype(np.float64)
    return np.array(example.values, np.float64)


def _without_rounding(kept: Kept, query: Query) -> bool:
    exact = kept.collection.metric is not Metric.COSINE
    return exact and not isinstance(query.target, Examples)


def _pairs(neighbors: Neighbors) -> list[tuple[str, float]]:
    ids = [item.id for item in neighbors.items]
    return list(zip(ids, neighbors.distances, strict=True))


def _check_items(kept: Kept, neighbors: Neighbors, wanted: Search) -> None:
    fields = 2 if wanted.view is View.IDS else 5
    for item in neighbors.items:
        assert item[:fields] == kept.entries[item.id].item[:fields]
    if wanted.distinct_products:
        products = [item.product_id for item in neighbors.items]
        assert len(set(products)) == len(products), f"a product was found twice: {products}"
