"""Sentences about what model or catalogue lack for the best answers, and the command that adds it.

Each function returns an empty text if nothing is lacking.
"""

from __future__ import annotations

from gateway.index_state import CollectionStats, ServingCollection
from gateway.models import Model

_REINDEX = "lookalike reindex"


def features_of_model(model: Model) -> str:
    """Reports a model without an output that tells items apart."""
    if model.features:
        return ""
    return (
        f"the model '{model.name}' has no features to rank by: train one with "
        "--outputs features:128 (python -m training train) and export it "
        "(python -m training export)"
    )


def ranking_of_model(model: Model) -> str:
    """Reports a model with features whose ranking was not fitted."""
    if model.ranking or not model.features:
        return ""
    return (
        f"the bundle of model '{model.name}' does not say how to rank by '{model.features.name}': "
        "export it again (python -m training export --data DIR --run RUN --out BUNDLE)"
    )


def words_of_model(model: Model) -> str:
    """Reports a model that reads no words."""
    if model.text:
        return ""
    return (
        f"the model '{model.name}' reads no words: train a text tower (python -m training "
        "train-text) and export it with the model (python -m training export --text RUN)"
    )


def words_of_collection(serving: ServingCollection) -> str:
    """Reports a collection in which words of titles and descriptions cannot be looked for."""
    if serving.finds_words:
        return ""
    return (
        f"collection '{serving.collection}' finds no words of titles and descriptions: make one "
        f"that does ({_REINDEX}); only the native index has them"
    )


def features_of_collection(serving: ServingCollection, dimension: int) -> str:
    """Reports a collection that does not keep a model's features.

    Args:
        serving: The collection.
        dimension: Dimension of the model's features; 0 if unknown.
    """
    kept = serving.features_dimension
    if not kept:
        return (
            f"collection '{serving.collection}' keeps no features: make one that does ({_REINDEX})"
        )
    if dimension and kept != dimension:
        return (
            f"collection '{serving.collection}' keeps features of {kept} values, and the model's "
            f"have {dimension}: make one that fits ({_REINDEX})"
        )
    return ""


def features_of_photos(serving: ServingCollection, held: CollectionStats) -> str:
    """Reports how many photos of a collection have no features."""
    without = held.photos - held.photos_with_features
    if not serving.features_dimension or without <= 0:
        return ""
    return (
        f"{without:,} of {held.photos:,} photos of collection '{serving.collection}' have no "
        f"features: embed them anew ({_REINDEX})"
    )


def memory_of_index(serving: ServingCollection, held: CollectionStats) -> str:
    """Reports that the index cannot hold all features in memory."""
    # A large collection searched by graphs ranks fewer candidates too, which is no lack; and an
    # index that ranks any number may keep features where it likes.
    every = held.rows_with_features_in_memory >= held.photos_with_features
    if every or not held.most_candidates:
        return ""
    return (
        f"the index holds the features of {held.rows_with_features_in_memory:,} photos of "
        f"collection '{serving.collection}' in memory and ranks at most "
        f"{held.most_candidates:,} candidates of a search: give it more "
        "(LOOKALIKE_INDEX_MAX_FEATURE_BYTES)"
    )
