"""Converts messages to descriptions: the gateway's status, an embedder's model."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from lookalike.client.descriptions import (
    CacheStatus,
    EmbedderStatus,
    FittedRanking,
    IndexStatus,
    Limits,
    Model,
    ModelOutput,
    Status,
    TextTower,
)
from lookalike.client.messages import ranking, timings
from lookalike.embedder.v1 import embedder_pb2
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def status(message: pb.GetStatusResponse) -> Status:
    """Reads the answer of GetStatus."""
    return Status(
        version=message.version,
        embedder=_copied(EmbedderStatus, message.embedder, labels=tuple(message.embedder.labels)),
        index=_copied(IndexStatus, message.index),
        cache=_copied(CacheStatus, message.cache),
        mismatch=message.mismatch,
        timings=timings(message.timings),
        ranking=ranking(message.ranking),
        lacking=tuple(message.lacking),
    )


def model(message: embedder_pb2.GetModelResponse) -> Model:
    """Reads the answer of GetModel."""
    found = message.model
    return _copied(
        Model,
        found,
        labels=tuple(found.labels),
        outputs=tuple(_copied(ModelOutput, output) for output in found.outputs),
        limits=_copied(Limits, found.limits),
        ranking=_fitted_ranking(found.ranking) if found.HasField("ranking") else None,
        price_range=_copied(PriceRange, found.price_range)
        if found.HasField("price_range")
        else None,
        text=_copied(TextTower, found.text) if found.HasField("text") else None,
    )


def _copied(kind: type[T], message: Message, **others: Any) -> T:
    """Returns a description with the message's values for all fields but `others`."""
    names = {field.name for field in fields(kind)} - others.keys()
    return kind(**{name: getattr(message, name) for name in names}, **others)


def _fitted_ranking(message: embedder_pb2.Ranking) -> FittedRanking:
    curves = {
        name: _copied(Likeness, getattr(message, name)) if message.HasField(name) else None
        for name in ("blend", "features", "category")
    }
    return _copied(FittedRanking, message, **curves)
