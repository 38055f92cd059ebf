"""Turns queries into vectors to search with. Asks Milvus for the items that they name, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from index_service import examples
from index_service.milvus import schema
from index_service.milvus.expressions import PRODUCT_ID
from index_service.records import (
    Collection,
    Example,
    Examples,
    Matrix,
    Metric,
    Packed,
    Queries,
    Query,
    Search,
    Vector,
)
from index_service.vectors import features_matrix, matrix, packed_matrix
from lookalike.errors import InvalidArgumentError, ItemNotFoundError

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one query looks for.

    Attributes:
        vector: float32 of shape (dimension,).
        features: float32 of shape (features_dimension,), for ranking again; None if it has none.
        without: Items to leave out.
        without_products: Products to leave out.
    """

    vector: Matrix
    features: Matrix | None = None
    without: frozenset[str] = frozenset()
    without_products: frozenset[str] = frozenset()


def probes(
    queries: Queries,
    collection: Collection,
    search: Search,
    read: Callable[[Sequence[str]], Rows],
) -> list[Probe]:
    """Returns one probe for each query.

    Args:
        queries: What a caller sent.
        collection: What their vectors must fit.
        search: What they have in common.
        read: Returns the rows of ids, by id, those that there are.

    Raises:
        ItemNotFoundError: A query names an item that there is not.
        InvalidArgumentError: There are no features to rank by, or a query has no direction.
    """
    _refuse_without_features(queries, collection, search)
    if isinstance(queries, Packed):
        return [Probe(vector) for vector in packed_matrix(queries, collection)]
    named = dict(_items(queries))
    rows = read(list(named)) if named else {}
    for item_id, field in named.items():
        if item_id not in rows:
            raise ItemNotFoundError(
                f"collection '{collection.name}' has no item '{item_id}'",
                field=field,
                resource=("item", item_id),
            )
    resolved = _Resolved(collection, rows)
    found = [resolved.probe(query, f"queries[{i}]", search) for i, query in enumerate(queries)]
    if search.rerank is not None and not search.rerank.vector_weight:
        for i, probe in enumerate(found):
            if probe.features is None:
                raise InvalidArgumentError(
                    f"queries[{i}].features are missing: to rank by features alone "
                    "(rerank.vector_weight is 0), send them, or query by items that have some",
                    field=f"queries[{i}].features",
                )
    return found


def _items(queries: Sequence[Query]) -> Iterator[tuple[str, str]]:
    for i, (target, _) in enumerate(queries):
        if isinstance(target, str):
            yield target, f"queries[{i}].item_id"
        elif isinstance(target, Examples):
            for kind in ("positives", "negatives"):
                for j, example in enumerate(getattr(target, kind)):
                    if isinstance(example, str):
                        yield example, f"queries[{i}].examples.{kind}[{j}].item_id"


class _Resolved:
    def __init__(self, collection: Collection, rows: Rows) -> None:
        self._collection = collection
        self._rows = rows

    def probe(self, query: Query, path: str, search: Search) -> Probe:
        target = query.target
        sent = features_matrix([query.features], self._collection, [f"{path}.features"])
        features = sent[0] if len(sent) else None
        if isinstance(target, Vector):
            (vector,) = matrix([target], self._collection, [f"{path}.vector"])
            return Probe(vector, features)
        if isinstance(target, str):
            row = self._rows[target]
            return Probe(
                schema.vector_of(row),
                schema.features_of(row) if features is None else features,
                frozenset({target}),
                self._products({target}, search),
            )
        names = (*target.positives, *target.negatives)
        ids = frozenset(name for name in names if isinstance(name, str))
        if search.rerank and features is None and all(isinstance(n, str) for n in names):
            features = self._features(target, f"{path}.features")
        vector = self._moved(target, f"{path}.examples")
        return Probe(vector, features, ids, self._products(ids, search))

    def _products(self, ids: Iterable[str], search: Search) -> frozenset[str]:
        if not search.exclude_same_product:
            return frozenset()
        return frozenset(self._rows[item_id][PRODUCT_ID] for item_id in ids)

    def _moved(self, target: Examples, path: str) -> Matrix:
        near = [self._vector(e, f"{path}.positives[{i}]") for i, e in enumerate(target.positives)]
        away = [self._vector(e, f"{path}.negatives[{i}]") for i, e in enumerate(target.negatives)]
        return examples.moved(near, away, self._collection.metric, path)

    def _vector(self, example: Example, path: str) -> Matrix:
        if isinstance(example, str):
            return schema.vector_of(self._rows[example])
        vector: Matrix = matrix([example], self._collection, [f"{path}.vector"])[0]
        return vector

    def _features(self, target: Examples, path: str) -> Matrix | None:
        near = self._known_features(target.positives)
        away = self._known_features(target.negatives)
        if len(near) + len(away) < len(target.positives) + len(target.negatives):
            return None
        return examples.moved(near, away, Metric.COSINE, path)

    def _known_features(self, of: Sequence[Example]) -> list[Matrix]:
        found = [schema.features_of(self._rows[str(example)]) for example in of]
        return [features for features in found if features is not None]


def _refuse_without_features(queries: Queries, collection: Collection, search: Search) -> None:
    if search.rerank is None:
        return
    if isinstance(queries, Packed):
        raise InvalidArgumentError(
            "rerank needs features, which packed_vectors have none of; use queries", field="rerank"
        )
    if not collection.features_dimension:
        raise InvalidArgumentError(
            f"collection '{collection.name}' has no features to rank by "
            "(Collection.features_dimension)",
            field="rerank",
        )
