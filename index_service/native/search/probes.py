"""Turns queries into vectors to search for, and says what their answers must leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from index_service import checks, examples
from index_service.native.memory.features import FeaturesQuery, query_of, restored
from index_service.native.memory.state import Live
from index_service.native.search.ranking import Probes
from index_service.native.search.second_stage import ReadFeatures, features_at
from index_service.records import Examples, Matrix, Metric, Packed, Queries, Query, Search, Vector
from index_service.vectors import features_matrix, matrix, packed_matrix
from lookalike.errors import InvalidArgumentError

RowOf: TypeAlias = Callable[[Live, str, str], tuple[int, int]]


@dataclass(frozen=True)
class Sought:
    """What to search for, and what belongs to each query beside its vector.

    Attributes:
        probes: The vectors.
        by_items: Numbers of the queries that name items.
        features: Of each query, None for one that has none; empty where nothing is ranked again.
    """

    probes: Probes
    by_items: frozenset[int] = frozenset()
    features: Sequence[FeaturesQuery | None] = field(default_factory=tuple)


def sought_of(
    live: Live, queries: Queries, wanted: Search, row_of: RowOf, read: ReadFeatures
) -> Sought:
    """Returns what queries look for.

    Args:
        live: The collection.
        queries: What callers sent.
        wanted: What the queries have in common.
        row_of: Returns an item's key and row; given the field's path for the error.
        read: Reads the features that memory does not hold.

    Raises:
        ItemNotFoundError: A query names an item that is not there.
        InvalidArgumentError: A query cannot be ranked again, or its examples cancel out.
        EmbeddingSpaceMismatchError, DimensionMismatchError, NonFiniteVectorError: As named.
    """
    if isinstance(queries, Packed):
        if wanted.rerank:
            raise InvalidArgumentError(
                "rerank needs features, which packed_vectors have none of; use queries",
                field="rerank",
            )
        vectors = packed_matrix(queries, live.collection)
        checks.queries(len(vectors), wanted.k, "packed_vectors")
        return Sought(Probes(vectors))
    plain = [query.target for query in queries if isinstance(query.target, Vector)]
    if wanted.rerank and not live.collection.features_dimension:
        raise InvalidArgumentError(
            f"collection '{live.collection.name}' has no features to rank by "
            "(Collection.features_dimension)",
            field="rerank",
        )
    if len(plain) == len(queries) and not wanted.rerank:
        fields = [f"queries[{i}].vector" for i in range(len(plain))]
        return Sought(Probes(matrix(plain, live.collection, fields)))
    return _one_by_one(live, queries, wanted, row_of, read)


def _one_by_one(
    live: Live, queries: Sequence[Query], wanted: Search, row_of: RowOf, read: ReadFeatures
) -> Sought:
    rows: list[Matrix] = []
    own_rows: dict[int, list[int]] = {}
    own_products: dict[int, list[int]] = {}
    features: list[FeaturesQuery | None] = []
    for i, query in enumerate(queries):
        resolver = _Resolver(live, row_of)
        rows.append(resolver.vector(query.target, f"queries[{i}]"))
        if resolver.rows:
            own_rows[i] = resolver.rows
            if wanted.exclude_same_product:
                products = live.segments.take("products", np.array(resolver.rows))
                own_products[i] = products.tolist()
        if wanted.rerank:
            sent = _features(live, query, i, resolver, read)
            if sent is None and not wanted.rerank.vector_weight:
                path = f"queries[{i}].features"
                raise InvalidArgumentError(
                    f"{path} is missing: to rank by features alone, send them, or query by items "
                    "that have some",
                    field=path,
                )
            features.append(None if sent is None else query_of(sent))
    probes = Probes(np.stack(rows), own_rows, own_products)
    return Sought(probes, frozenset(own_rows), features)


class _Resolver:
    """Finds the vector of one query; keeps which items it was made of."""

    def __init__(self, live: Live, row_of: RowOf) -> None:
        self._live = live
        self._row_of = row_of
        self.rows: list[int] = []

    def vector(self, target: Vector | str | Examples, path: str) -> Matrix:
        """Returns the vector, shape (dimension,)."""
        if isinstance(target, Vector):
            sent: Matrix = matrix([target], self._live.collection, [f"{path}.vector"])[0]
            return sent
        if isinstance(target, str):
            _, number = self._row_of(self._live, target, f"{path}.item_id")
            self.rows.append(number)
            found: Matrix = self._live.segments.vectors(np.array([number]))[0]
            return found
        path = f"{path}.examples"
        near = [self.vector(e, f"{path}.positives[{i}]") for i, e in enumerate(target.positives)]
        away = [self.vector(e, f"{path}.negatives[{i}]") for i, e in enumerate(target.negatives)]
        return examples.moved(near, away, self._live.collection.metric, path)


def _features(
    live: Live, query: Query, number: int, resolver: _Resolver, read: ReadFeatures
) -> Matrix | None:
    """Returns the features of what one query looks for; None if they are not known."""
    path = f"queries[{number}].features"
    if len(query.features):
        sent: Matrix = features_matrix([query.features], live.collection, [path])[0]
        return sent
    positives, negatives = 1, 0
    if isinstance(query.target, Examples):
        positives, negatives = len(query.target.positives), len(query.target.negatives)
    if len(resolver.rows) < positives + negatives:
        return None
    values, scales = features_at(live.segments, np.array(resolver.rows), read)
    if not scales.all():
        return None
    known = restored(values, scales)  # the positives', then the negatives'
    return examples.moved(list(known[:positives]), list(known[positives:]), Metric.COSINE, path)
