"""Converts the vectors of a request into one matrix, and refuses those that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from index_service.records import Collection, Matrix, Metric, PackedVectors, Vector
from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    NonFiniteVectorError,
)


def matrix(vectors: Sequence[Vector], collection: Collection, fields: Sequence[str]) -> Matrix:
    """Returns the vectors as float32 of shape (n, dimension).

    Args:
        vectors: The vectors as a caller sent them.
        collection: The collection that they must fit.
        fields: Path of each vector in the request, for the error message.

    Raises:
        EmbeddingSpaceMismatchError, DimensionMismatchError, NonFiniteVectorError: As named.
        InvalidArgumentError: It has no direction, and the collection's metric is the cosine.
    """
    for vector, field in zip(vectors, fields, strict=True):
        if vector.embedding_space != collection.embedding_space:
            raise _space_mismatch(vector.embedding_space, collection, field)
        if len(vector.values) != collection.dimension:
            raise _dimension_mismatch(
                len(vector.values), "dimension", collection.dimension, collection, f"{field}.values"
            )
    rows = _rows([vector.values for vector in vectors], collection.dimension)
    _check_values(rows, collection, [f"{field}.values" for field in fields])
    return rows


def packed_matrix(packed: PackedVectors, collection: Collection) -> Matrix:
    """Returns packed vectors as float32 of shape (n, dimension); raises what `matrix` raises."""
    if packed.embedding_space != collection.embedding_space:
        raise _space_mismatch(packed.embedding_space, collection, "packed_vectors")
    count, rest = divmod(len(packed.values), collection.dimension)
    if rest or not count:
        raise _dimension_mismatch(
            len(packed.values), "dimension", collection.dimension, collection, "packed_vectors"
        )
    rows = packed.values.reshape(count, collection.dimension)
    _check_values(rows, collection, [f"packed_vectors[{i}]" for i in range(count)])
    return rows


def features_matrix(
    features: Sequence[Sequence[float]], collection: Collection, fields: Sequence[str]
) -> Matrix:
    """Returns the features that are not empty as float32 of shape (n, features_dimension).

    Raises:
        DimensionMismatchError, NonFiniteVectorError: As named.
        InvalidArgumentError: They are all zero: they are compared by the cosine.
    """
    sent = [(values, field) for values, field in zip(features, fields, strict=True) if len(values)]
    for values, field in sent:
        if len(values) != collection.features_dimension:
            raise _dimension_mismatch(
                len(values), "features_dimension", collection.features_dimension, collection, field
            )
    rows = _rows([values for values, _ in sent], collection.features_dimension)
    paths = [field for _, field in sent]
    _check_finite(rows, paths)
    _check_direction(rows, paths)
    return rows


def _rows(values: Sequence[Sequence[float]], dimension: int) -> Matrix:
    flat = np.fromiter(chain.from_iterable(values), np.float32, len(values) * dimension)
    return flat.reshape(len(values), dimension)


def _check_values(rows: Matrix, collection: Collection, paths: Sequence[str]) -> None:
    _check_finite(rows, paths)
    if collection.metric is Metric.COSINE:
        _check_direction(rows, paths)


def _check_finite(rows: Matrix, paths: Sequence[str]) -> None:
    finite = np.isfinite(rows)
    if finite.all():
        return
    row = int(np.argmin(finite.all(axis=1)))
    column = int(np.argmin(finite[row]))
    raise NonFiniteVectorError(
        f"{paths[row]}[{column}] is {rows[row, column]}; every value must be finite",
        field=paths[row],
    )


def _check_direction(rows: Matrix, paths: Sequence[str]) -> None:
    for row in np.flatnonzero(~rows.any(axis=1))[:1]:
        raise InvalidArgumentError(
            f"{paths[row]} are all zero: a vector without a direction has no cosine",
            field=paths[row],
        )


def _dimension_mismatch(
    found: int, name: str, expected: int, collection: Collection, field: str
) -> DimensionMismatchError:
    return DimensionMismatchError(
        f"{field} has {found} values; the {name} of collection '{collection.name}' is {expected}",
        field=field,
    )


def _space_mismatch(space: str, collection: Collection, field: str) -> EmbeddingSpaceMismatchError:
    return EmbeddingSpaceMismatchError(
        f"{field} is from embedding space '{space}', but collection '{collection.name}' holds "
        f"'{collection.embedding_space}'; embed it with the model of the collection, or use a "
        "collection of its own",
        field=f"{field}.embedding_space",
        metadata={
            "collection_embedding_space": collection.embedding_space,
            "vector_embedding_space": space,
        },
    )
