"""What the index keeps and what it is asked, as frozen dataclasses free of protos and of gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from lookalike.client.results import Embedding, FloatVector


class Metric(StrEnum):
    """How the distance between two vectors is measured. Smaller is always nearer."""

    SQUARED_L2 = "squared_l2"
    COSINE = "cosine"
    """One minus the cosine of the angle; 0 to 2."""
    INNER_PRODUCT = "inner_product"
    """The negative inner product."""


class ItemView(StrEnum):
    """How much of an item to return; each level includes the previous one."""

    IDS = "ids"
    """Its id and its product's."""
    FULL = "full"
    """All but the vectors."""
    VECTORS = "vectors"


@dataclass(frozen=True)
class Collection:
    """Items whose vectors may be compared with each other.

    Attributes:
        name: 1 to 64 of `a-z`, `0-9`, `_` and `-`, starting with a letter.
        embedding_space: The model's fingerprint, which every vector must carry.
        dimension: Floats of every vector, 1 to 4,096.
        metric: Distance measure.
        indexed_attributes: Attributes that a filter can name, at most 16.
        features_dimension: Floats of every item's `features`, by which candidates are ranked
            again; 0 for none.
        exact_up_to: Items above which answers may be approximate; 0 for the service's default.
        target_recall: Share of the true neighbours that approximate answers should have, 0.5 to 1;
            0 for the service's default.
        item_count: Only in answers: number of items.
        text_attributes: Attributes whose words `Query.words` finds, at most 4; a word counts for
            more in an earlier one. Empty in the answers of a backend that finds no words.
    """

    name: str
    embedding_space: str
    dimension: int
    metric: Metric = Metric.SQUARED_L2
    indexed_attributes: Sequence[str] = ()
    features_dimension: int = 0
    exact_up_to: int = 0
    target_recall: float = 0.0
    item_count: int = 0
    text_attributes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Item:
    """One photo of a listing, as the index keeps it.

    Attributes:
        id: Unique in its collection, 1 to 128 characters; the photo's id.
        product_id: The listing that the photo belongs to, 1 to 128 characters.
        vector: Its vector and the embedding space of that, as an embedder returned it; None in
            answers that leave it out.
        features: A longer vector of the same space, by which candidates are ranked again; None for
            none, and in answers that leave it out.
        category: The listing's category label; may be empty.
        price: The listing's price, 0 or more.
        attributes: Anything else worth returning with a hit, such as `title`.
    """

    id: str
    product_id: str
    vector: Embedding | None = None
    features: FloatVector | None = None
    category: str = ""
    price: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemFilter:
    """Which items count: all that is set must hold.

    Attributes:
        categories: One of these; at most 100.
        product_ids: Of these listings; at most 1,000.
        exclude_product_ids: Not of these listings; at most 1,000.
        min_price: At least this price; an item without a price is left out.
        max_price: At most this price; likewise.
        attributes: Each of these indexed attributes has one of its values, 1 to 100.
    """

    categories: Sequence[str] = ()
    product_ids: Sequence[str] = ()
    exclude_product_ids: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


Example: TypeAlias = str | Embedding
"""Something to look for: an item of the collection by its id, or a vector."""


@dataclass(frozen=True, eq=False)
class Query:
    """A query by several examples, with features or words; for one without, an `Example` will do.

    Attributes:
        positives: What to be near, 1 to 100; of several, their mean. None are needed with words.
        negatives: What to be away from, at most 100.
        features: What candidates are compared with for `Rerank`; None for those of the items where
            all examples are items, else for none.
        words: Words of which an item's `Collection.text_attributes` have one or more, at most 1,024
            characters. With examples both are fused.
    """

    positives: Example | Sequence[Example] = ()
    negatives: Example | Sequence[Example] = ()
    features: FloatVector | None = None
    words: str = ""


@dataclass(frozen=True)
class Rerank:
    """A second stage: the nearest by vector, ranked again by features and vector.

    By cosine distance of `features` + `vector_weight` x distance by vector.

    Attributes:
        candidates: How many, at most 10,000; 0 for ten times `k`, 1,000 at most.
        vector_weight: What the distance by vector counts; 0 ranks by features alone.
        max_distance: Only items at most this far by that sum; None for any.
    """

    candidates: int = 0
    vector_weight: float = 0.0
    max_distance: float | None = None
