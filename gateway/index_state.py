"""What the gateway knows of the index: the collection that answers, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServingCollection:
    """The collection that answers.

    Attributes:
        collection: Its name.
        embedding_space: That of its vectors.
        features_dimension: Of its features; 0 without any.
        finds_words: Whether words of titles and descriptions can be looked for.
    """

    collection: str
    embedding_space: str
    features_dimension: int = 0
    finds_words: bool = False


@dataclass(frozen=True)
class CollectionStats:
    """Counts of what the index holds of a collection.

    Attributes:
        photos: All photos.
        photos_with_features: Photos that have features.
        rows_with_features_in_memory: Features of the other rows are read from disk.
        most_candidates: Most candidates that a search may rank, for that reason; 0 for no limit.
    """

    photos: int = 0
    photos_with_features: int = 0
    rows_with_features_in_memory: int = 0
    most_candidates: int = 0


@dataclass(frozen=True)
class IndexState:
    """State of the index and, by name, of its collections."""

    backend: str
    read_only: bool
    applied_seq: int
    held: Mapping[str, CollectionStats] = field(default_factory=dict)
