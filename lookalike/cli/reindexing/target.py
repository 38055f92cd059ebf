"""The collection that a re-indexing fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lookalike.cli.console import CommandError, say
from lookalike.cli.reindexing.index import Index
from lookalike.index.v1 import index_pb2 as pb

if TYPE_CHECKING:
    from lookalike.client import Model

_FEATURES = "features"


def ensure_new(index: Index, old: pb.Collection, name: str, model: Model) -> pb.Collection:
    """Creates a collection like the old one for another model, unless it is there.

    Args:
        index: Where to.
        old: What is served now.
        name: Of the new one.
        model: The new model.

    Raises:
        CommandError: One of that name is there, and is for another model.
    """
    outputs = {output.name: output.dimension for output in model.outputs}
    features = outputs.get(_FEATURES, 0) if old.features_dimension else 0
    if old.features_dimension and not features:
        say("the new model has no output 'features': there will be no second stage")
    wanted = pb.Collection()
    wanted.CopyFrom(old)
    wanted.name = name
    wanted.embedding_space = model.embedding_space
    wanted.dimension = next(iter(outputs.values()))
    wanted.features_dimension = features
    wanted.item_count = 0
    there = index.ensure(wanted)
    for field in ("embedding_space", "dimension", "metric", "features_dimension"):
        if getattr(there, field) != getattr(wanted, field):
            raise CommandError(
                f"the collection {name} is there and has another {field}: "
                f"{getattr(there, field)}, not {getattr(wanted, field)}; delete it first"
            )
    return there


def outputs_of(collection: pb.Collection, model: Model) -> Sequence[str]:
    """Returns the model's outputs that a collection's items have: vectors, and features if any."""
    return [model.outputs[0].name, *([_FEATURES] if collection.features_dimension else [])]
