"""The collection that a re-indexing fills: its name, and what it keeps of each photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.catalogue.schema import TEXT_ATTRIBUTES, collection_name
from lookalike.cli.console import CommandError, say
from lookalike.cli.reindexing import aliases
from lookalike.client import IndexClient
from lookalike.client.index import Collection, Rerank

if TYPE_CHECKING:
    from lookalike.client import Model, ModelOutput

_FEATURES = "features"


def features_of(model: Model) -> ModelOutput | None:
    """Returns the output that listings are ranked by too; None if the model has none."""
    name = model.ranking.output if model.ranking else _FEATURES
    return next((output for output in model.outputs if output.name == name), None)


def lacks_features(collection: Collection, model: Model) -> bool:
    """Says whether a collection does not keep the features that a model has."""
    features = features_of(model)
    return features is not None and collection.features_dimension != features.dimension


def lacks_words(collection: Collection, *, finds_words: bool) -> bool:
    """Says whether a collection finds no words, though its index can."""
    return finds_words and not collection.text_attributes


def is_up_to_date(collection: Collection, model: Model, *, finds_words: bool) -> bool:
    """Says whether a collection is of a model's space, and has what model and index can use.

    Args:
        collection: What is served, say.
        model: Its features are kept, if it has any.
        finds_words: Whether the index finds words.
    """
    return bool(
        collection.embedding_space == model.embedding_space
        and not lacks_features(collection, model)
        and not lacks_words(collection, finds_words=finds_words)
    )


def name_for(
    collections: Mapping[str, Collection], alias: str, model: Model, *, finds_words: bool
) -> str:
    """Returns the name of an alias's collection for a model.

    It is the name that the gateway would give; where that is taken by a collection of the same
    space that lacks something, another beside it, named by what the one at hand lacked.

    Args:
        collections: Those that there are, by name.
        alias: What is to lead to the new one.
        model: The new model.
        finds_words: Whether the index finds words.
    """
    name = collection_name(alias, model.embedding_space)
    suffixes = ("", aliases.WITH_FEATURES, aliases.WITH_WORDS)
    for beside in (aliases.beside(name, suffix) for suffix in suffixes):
        there = collections.get(beside)
        if (
            there is None
            or there.embedding_space != model.embedding_space
            or is_up_to_date(there, model, finds_words=finds_words)
        ):
            return beside
    raise CommandError(f"{name} and the collections beside it are taken; delete one")


def ensure_new(index: IndexClient, old: Collection, name: str, model: Model) -> Collection:
    """Creates a collection like the old one for another model, unless it is there.

    Args:
        index: Where to.
        old: What is served now.
        name: Of the new one.
        model: The new model.

    Raises:
        CommandError: One of that name is there, and is for another model.
    """
    features = features_of(model)
    if old.features_dimension and not features:
        say("the new model has no output 'features': searches will rank by category alone")
    wanted = replace(
        old,
        name=name,
        embedding_space=model.embedding_space,
        dimension=model.outputs[0].dimension,
        features_dimension=features.dimension if features else 0,
        # The old one may be from before items were found by their words.
        text_attributes=old.text_attributes or TEXT_ATTRIBUTES,
    )
    there = index.ensure_collection(wanted)
    for field in ("embedding_space", "dimension", "metric", "features_dimension"):
        if getattr(there, field) != getattr(wanted, field):
            raise CommandError(
                f"the collection {name} is there and has another {field}: "
                f"{getattr(there, field)}, not {getattr(wanted, field)}; delete it first"
            )
    return there


def outputs_of(collection: Collection, model: Model) -> Sequence[str]:
    """Returns the model's outputs that a collection's items have: vectors, and features if any."""
    features = features_of(model)
    kept = [features.name] if features and collection.features_dimension else []
    return [model.outputs[0].name, *kept]


def rerank_of(old: Collection, new: Collection, model: Model, k: int) -> Rerank | None:
    """Returns how the gateway will rank what it finds in the new collection, to compare by that.

    None where that is by vector alone, and where the old collection has features too: by what model
    it is ranked is not known here, so the two are compared by their vectors.

    Args:
        old: What is served now.
        new: What is filled.
        model: The new model.
        k: How many neighbours are looked for.
    """
    if model.ranking is None or old.features_dimension or not new.features_dimension:
        return None
    return Rerank(
        candidates=max(k, model.ranking.candidates), vector_weight=model.ranking.vector_weight
    )
