"""Photos with vectors and features for the contract tests, and what must be found among them.

The model compares everything in float64. A backend may keep features in a byte a value, so sums are
compared within `SLACK`, and no order is asserted that less decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from index_service.backend import Backend
from index_service.records import Collection, Metric, Query, QueryAnswer, Vector
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, exact_distances, item, vector, write

SLACK = 0.01
WEIGHTS = (0.0, 0.04, 1.0)
LINE = Collection("replaced", SPACE, 2, Metric.SQUARED_L2, (), 2)
RIGHT, UP = (1.0, 0.0), (0.0, 1.0)


class Near(NamedTuple):
    """Number of a photo, the sum that it is ranked by, and its distance by vector."""

    number: int
    sum: float
    first: float


@dataclass
class Photos:
    """Photos in the order of writing; number i has the id `id_of(i)`.

    Attributes:
        metric: Of the vectors.
        vectors: float32 (n, dimension).
        features: float32 (n, features_dimension).
        products: Of each.
        without: Numbers of those that have no features.
    """

    metric: Metric
    vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    features: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    products: list[str]
    without: frozenset[int] = frozenset()

    def collection(self) -> Collection:
        """What they are written to."""
        return Collection(
            "replaced",
            SPACE,
            self.vectors.shape[1],
            self.metric,
            features_dimension=self.features.shape[1],
        )

    async def write(self, backend: Backend, make: Make) -> str:
        """Writes them all to a new collection, half of them in the category `even`."""
        name = await make(self.collection())
        rows = [
            (item(id_of(i), product, category="odd" if i % 2 else "even"), sent(vector))
            for i, (product, vector) in enumerate(zip(self.products, self.vectors, strict=True))
        ]
        having = [i for i in range(len(rows)) if i not in self.without]
        await write(backend, name, rows, **{id_of(i): self.features[i].tolist() for i in having})
        return name

    def near(self, vector: Any, features: Any, weight: float) -> list[Near]:
        """Every photo as it is ranked for a query, in the order of writing."""
        first = exact_distances(self.vectors, vector, self.metric)
        cosines = exact_distances(self.features, features, Metric.COSINE)
        return [
            Near(i, (1.0 if i in self.without else cosine) + weight * distance, distance)
            for i, (cosine, distance) in enumerate(zip(cosines, first, strict=True))
        ]

    def best(
        self,
        query: tuple[Any, Any],
        weight: float,
        k: int,
        *,
        candidates: int | None = None,
        distinct: bool = False,
        may: Callable[[Near], bool] = lambda near: True,
    ) -> list[Near]:
        """The `k` best of the candidates nearest by vector, among those that may be found."""
        found = [near for near in self.near(*query, weight) if may(near)]
        found = sorted(found, key=lambda near: (near.first, near.number))[:candidates]
        found.sort(key=lambda near: (near.sum, near.number))
        if distinct:
            products: dict[str, Near] = {}
            for near in found:
                products.setdefault(self.products[near.number], near)
            found = list(products.values())
        return found[:k]

    def query(self, query: tuple[Any, Any]) -> Query:
        """What is sent for a query by vector."""
        vector, features = query
        return Query(sent(vector), features.tolist())

    def assert_found(
        self, answer: QueryAnswer, query: tuple[Any, Any], weight: float, expected: Sequence[Near]
    ) -> None:
        """Checks that an answer is as expected, up to what quantised features may change."""
        items, sums, first = answer.neighbors
        assert sums == pytest.approx([near.sum for near in expected], abs=SLACK)
        assert list(sums) == sorted(sums)
        numbers = [int(each.id) for each in items]
        assert len(set(numbers)) == len(numbers)
        assert [each.product_id for each in items] == [self.products[i] for i in numbers]
        model = self.near(*query, weight)
        assert sums == pytest.approx([model[i].sum for i in numbers], abs=SLACK)
        assert first == pytest.approx([model[i].first for i in numbers], rel=1e-6, abs=1e-6)


async def write_features(backend: Backend, name: str, *features: Any) -> None:
    """Upserts items at (0, 0), (1, 0) and so on with their features; empty for none."""
    rows = [(item(f"{i}"), vector(i, 0)) for i in range(len(features))]
    await write(backend, name, rows, **{f"{i}": each for i, each in enumerate(features)})


def id_of(number: int) -> str:
    """The id of a photo."""
    return f"{number:03}"


def sent(vector: Any) -> Vector:
    """A vector as it is sent."""
    return Vector(vector.tolist(), SPACE)


def drawn(metric: Metric, seed: int, *, number: int = 300, photos: int = 1) -> Photos:
    """Photos drawn by chance, every tenth without features, some of one product each."""
    random = np.random.default_rng(seed)
    return Photos(
        metric,
        random.normal(size=(number, 13)).astype(np.float32),
        random.normal(size=(number, 16)).astype(np.float32),
        [f"p{i // photos}" for i in range(number)],
        frozenset(range(0, number, 10)),
    )


def queries(seed: int, number: int) -> list[tuple[Any, Any]]:
    """Vectors and features to look for, drawn by chance."""
    random = np.random.default_rng(1_000 + seed)
    return [
        (random.normal(size=13).astype(np.float32), random.normal(size=16).astype(np.float32))
        for _ in range(number)
    ]


def at_a_gap(values: Sequence[float], after: int) -> float:
    """A limit that lets `after` or a few more of the values through, and none is close to it."""
    ordered = sorted(values)
    pairs = list(pairwise(ordered))[after - 1 :]
    low, high = next(pair for pair in pairs if pair[1] - pair[0] > 2 * SLACK)
    return (low + high) / 2
