"""Turns vectors that claim to fit a collection into one matrix, and refuses those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from index_service.records import Collection, Matrix, Metric, Vector
from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    NonFiniteVectorError,
)


def matrix(vectors: Sequence[Vector], collection: Collection, fields: Sequence[str]) -> Matrix:
    """Returns the vectors as float32 of shape (n, dimension).

    Args:
        vectors: What a caller sent.
        collection: What they must fit.
        fields: Path of each vector in the request, for the error message.

    Raises:
        EmbeddingSpaceMismatchError, DimensionMismatchError, NonFiniteVectorError: As named.
        InvalidArgumentError: It has no direction, and the collection's metric is the cosine.
    """
    for vector, field in zip(vectors, fields, strict=True):
        if vector.embedding_space != collection.embedding_space:
            raise _space_mismatch(vector, collection, field)
        if len(vector.values) != collection.dimension:
            raise DimensionMismatchError(
                f"{field}.values has {len(vector.values)} values; the dimension of collection "
                f"'{collection.name}' is {collection.dimension}",
                field=f"{field}.values",
            )
    shape = (len(vectors), collection.dimension)
    flat = chain.from_iterable(vector.values for vector in vectors)
    rows = np.fromiter(flat, np.float32, shape[0] * shape[1]).reshape(shape)
    finite = np.isfinite(rows)
    for row in np.flatnonzero(~finite.all(axis=1))[:1]:
        column = int(np.argmin(finite[row]))
        raise NonFiniteVectorError(
            f"{fields[row]}.values[{column}] is {rows[row, column]}; every value must be finite",
            field=f"{fields[row]}.values",
        )
    if collection.metric is Metric.COSINE:
        for row in np.flatnonzero(~rows.any(axis=1))[:1]:
            raise InvalidArgumentError(
                f"{fields[row]}.values are all zero: a vector without a direction has no cosine",
                field=f"{fields[row]}.values",
            )
    return rows


def _space_mismatch(
    vector: Vector, collection: Collection, field: str
) -> EmbeddingSpaceMismatchError:
    return EmbeddingSpaceMismatchError(
        f"{field} is from embedding space '{vector.embedding_space}', but collection "
        f"'{collection.name}' holds '{collection.embedding_space}'; embed it with the model of the "
        "collection, or use a collection of its own",
        field=f"{field}.embedding_space",
        metadata={
            "collection_embedding_space": collection.embedding_space,
            "vector_embedding_space": vector.embedding_space,
        },
    )
