"""Resolves queries: turns vectors, item ids and examples into vectors to search with.

Backends differ in how they read the items that queries name, and in what they call them: native
names items and products by numbers, Milvus by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from index_service import checks
from index_service.ranking.examples import rocchio
from index_service.records import (
    Collection,
    Example,
    Examples,
    Matrix,
    Metric,
    PackedVectors,
    Queries,
    Query,
    Search,
    Vector,
)
from index_service.refusals import item_not_found
from index_service.vectors import features_matrix, matrix, packed_matrix
from lookalike.errors import InvalidArgumentError

K = TypeVar("K", int, str)


class NamedItem(NamedTuple, Generic[K]):
    """An item that queries name, as a backend has it.

    Attributes:
        key: What the backend calls it.
        product: What the backend calls its product.
        vector: float32 (dimension,).
        features: float32 (features_dimension,); None if it has none, or they were not asked for.
    """

    key: K
    product: K
    vector: Matrix
    features: Matrix | None = None


ReadItems: TypeAlias = Callable[[Sequence[str], bool], Mapping[str, NamedItem[K]]]
"""Reads the items that exist of some ids; with their features if the flag is set."""


class ResolvedQuery(NamedTuple, Generic[K]):
    """One query; see `ResolvedQueries`."""

    vector: Matrix
    features: Matrix | None
    own_items: Sequence[K]
    own_products: Sequence[K]


@dataclass(frozen=True)
class ResolvedQueries(Generic[K]):
    """The vectors to search with, and what each answer must leave out.

    Attributes:
        vectors: float32 (n, dimension), as callers sent them.
        features: Features of each query, shape (features_dimension,), None for a query without;
            empty if nothing is ranked again.
        own_items: Items that a query names, by the query's number; its answer leaves them out.
        own_products: Likewise the products that its answer leaves out.
    """

    vectors: Matrix
    features: Sequence[Matrix | None] = ()
    own_items: Mapping[int, Sequence[K]] = field(default_factory=dict)
    own_products: Mapping[int, Sequence[K]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[ResolvedQuery[K]]:
        for i, vector in enumerate(self.vectors):
            yield ResolvedQuery(
                vector,
                self.features[i] if self.features else None,
                self.own_items.get(i, ()),
                self.own_products.get(i, ()),
            )

    def part(self, numbers: Sequence[int]) -> ResolvedQueries[K]:
        """Returns some of the queries, by their ascending numbers."""
        if len(numbers) == len(self):
            return self
        return ResolvedQueries(
            self.vectors[numbers],
            [self.features[n] for n in numbers] if self.features else (),
            {i: self.own_items[n] for i, n in enumerate(numbers) if n in self.own_items},
            {i: self.own_products[n] for i, n in enumerate(numbers) if n in self.own_products},
        )


def resolve(
    queries: Queries,
    collection: Collection,
    search: Search,
    read: ReadItems[K],
    numbers: Sequence[int] | None = None,
) -> ResolvedQueries[K]:
    """Resolves the queries of one call.

    Args:
        queries: What a caller sent.
        collection: What their vectors must fit.
        search: What the queries have in common.
        read: Reads the items that they name.
        numbers: Their numbers in the call, for error messages; None if they are all of it.

    Raises:
        ItemNotFoundError: A query names an item that does not exist.
        InvalidArgumentError: A query cannot be ranked again, or its examples cancel out.
        EmbeddingSpaceMismatchError, DimensionMismatchError, NonFiniteVectorError: As named.
    """
    if isinstance(queries, PackedVectors):
        if search.rerank:
            raise InvalidArgumentError(
                "rerank needs features, which packed_vectors have none of; use queries",
                field="rerank",
            )
        vectors = packed_matrix(queries, collection)
        checks.queries(len(vectors), search.k, "packed_vectors")
        return ResolvedQueries(vectors)
    if search.rerank and not collection.features_dimension:
        raise InvalidArgumentError(
            f"collection '{collection.name}' has no features to rank by "
            "(Collection.features_dimension)",
            field="rerank",
        )
    if numbers is None:
        numbers = range(len(queries))
    plain = [query.target for query in queries if isinstance(query.target, Vector)]
    if len(plain) == len(queries) and not search.rerank:
        fields = [f"queries[{number}].vector" for number in numbers]
        return ResolvedQueries(matrix(plain, collection, fields))
    return _resolved_one_by_one(queries, collection, search, read, numbers)


def _resolved_one_by_one(
    queries: Sequence[Query],
    collection: Collection,
    search: Search,
    read: ReadItems[K],
    numbers: Sequence[int],
) -> ResolvedQueries[K]:
    named = dict(_named(queries, numbers))
    with_features = search.rerank is not None and not all(len(q.features) for q in queries)
    items: Mapping[str, NamedItem[K]] = read(list(named), with_features) if named else {}
    resolver = _Resolver(collection, items)
    for item_id, path in named.items():
        if item_id not in items:
            raise item_not_found(collection, item_id, path)
    vectors: list[Matrix] = []
    features: list[Matrix | None] = []
    own_items: dict[int, list[K]] = {}
    own_products: dict[int, list[K]] = {}
    for i, (query, number) in enumerate(zip(queries, numbers, strict=True)):
        path = f"queries[{number}]"
        assert query.target is not None  # a query by words alone is not resolved
        vectors.append(resolver.vector(query.target, path))
        if own := [items[item_id] for item_id, _ in _named([query], [number])]:
            own_items[i] = [item.key for item in own]
            if search.exclude_same_product:
                own_products[i] = [item.product for item in own]
        if search.rerank:
            features.append(resolver.features(query, f"{path}.features"))
            if features[-1] is None and not search.rerank.vector_weight:
                raise InvalidArgumentError(
                    f"{path}.features are missing: to rank by features alone "
                    "(rerank.vector_weight is 0), send them, or query by items that have some",
                    field=f"{path}.features",
                )
    return ResolvedQueries(np.stack(vectors), features, own_items, own_products)


def _named(queries: Sequence[Query], numbers: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Yields the id of each item that the queries name, with its path in the request."""
    for i, (target, *_) in zip(numbers, queries, strict=True):
        if isinstance(target, str):
            yield target, f"queries[{i}].item_id"
        elif isinstance(target, Examples):
            for kind, examples in zip(target._fields, target, strict=True):
                for j, example in enumerate(examples):
                    if isinstance(example, str):
                        yield example, f"queries[{i}].examples.{kind}[{j}].item_id"


class _Resolver(Generic[K]):
    """Makes the vector and the features of a query from those of the items that it names."""

    def __init__(self, collection: Collection, items: Mapping[str, NamedItem[K]]) -> None:
        self._collection = collection
        self._items: Mapping[str, NamedItem[K]] = items

    def vector(self, target: Example | Examples, path: str) -> Matrix:
        """Returns the vector to search with, shape (dimension,)."""
        if isinstance(target, Vector):
            sent: Matrix = matrix([target], self._collection, [f"{path}.vector"])[0]
            return sent
        if isinstance(target, str):
            return self._items[target].vector
        path = f"{path}.examples"
        positives, negatives = (
            [self.vector(example, f"{path}.{kind}[{i}]") for i, example in enumerate(examples)]
            for kind, examples in zip(target._fields, target, strict=True)
        )
        return rocchio(positives, negatives, self._collection.metric, path)

    def features(self, query: Query, path: str) -> Matrix | None:
        """Returns the features to rank by, shape (features_dimension,); None if unknown."""
        if len(query.features):
            sent: Matrix = features_matrix([query.features], self._collection, [path])[0]
            return sent
        assert query.target is not None
        if not isinstance(query.target, Examples):
            return self._features_of(query.target)
        known = [[self._features_of(example) for example in examples] for examples in query.target]
        positives, negatives = ([each for each in some if each is not None] for some in known)
        if len(positives) + len(negatives) < sum(map(len, known)):
            return None
        return rocchio(positives, negatives, Metric.COSINE, path)

    def _features_of(self, example: Example) -> Matrix | None:
        return self._items[example].features if isinstance(example, str) else None
