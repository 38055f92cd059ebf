"""What model or catalogue lack for the best answers, a sentence each, with what adds it."""

from __future__ import annotations

from gateway.index import CollectionStats, ServingCollection
from gateway.models import Model

_REINDEX = "lookalike reindex"


def features_of_model(model: Model) -> str:
    """Says that a model has no output to tell items apart by; empty if it has."""
    if model.features:
        return ""
    return (
        f"the model '{model.name}' has no features to rank by: train one with "
        "--outputs features:128 (python -m training train) and export it "
        "(python -m training export)"
    )


def ranking_of_model(model: Model) -> str:
    """Says that nobody fitted how to rank by a model's features; empty if somebody has."""
    if model.ranking or not model.features:
        return ""
    return (
        f"the bundle of model '{model.name}' does not say how to rank by '{model.features.name}': "
        "export it again (python -m training export --data DIR --run RUN --out BUNDLE)"
    )


def features_of_collection(serving: ServingCollection, dimension: int) -> str:
    """Says that a collection does not keep a model's features; empty if it does.

    Args:
        serving: The collection.
        dimension: How long the model's are; 0 where that is not known.
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
    """Says how many photos are without features; empty if none are."""
    without = held.photos - held.photos_with_features
    if not serving.features_dimension or without <= 0:
        return ""
    return (
        f"{without:,} of {held.photos:,} photos of collection '{serving.collection}' have no "
        f"features: embed them anew ({_REINDEX})"
    )


def memory_of_index(serving: ServingCollection, held: CollectionStats) -> str:
    """Says that the index cannot hold all features in memory; empty if it can."""
    # Of a collection so large that graphs lead to candidates fewer are ranked too: that is no lack.
    # An index that ranks any number keeps them where it likes.
    every = held.rows_with_features_in_memory >= held.photos_with_features
    if every or not held.most_candidates:
        return ""
    return (
        f"the index holds the features of {held.rows_with_features_in_memory:,} photos of "
        f"collection '{serving.collection}' in memory and ranks at most "
        f"{held.most_candidates:,} candidates of a search: give it more "
        "(LOOKALIKE_INDEX_MAX_FEATURE_BYTES)"
    )
