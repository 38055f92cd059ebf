"""Models as the embedder describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.calibration import Ranking
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange

# The output to rank by, where the bundle names none.
_FEATURES, _EMBEDDING = "features", "embedding"


@dataclass(frozen=True)
class Output:
    """A named output of a model; `kind` is `logits` or `embedding`."""

    name: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class TextTower:
    """How a model reads words; see `TextTower` of the embedder's proto."""

    encoder: str
    temperature: float = 1.0
    photos_weight: float = 1.0
    words_weight: float = 1.0
    photos_alone_weight: float = 1.0


@dataclass(frozen=True)
class Model:
    """A model that is or was served.

    Attributes:
        outputs: What it returns; the first is the default.
        temperature: Divides the logits before the softmax.
        ranking: How to rank listings by its outputs; None if that was not fitted.
        price_range: How to make a range of prices; None if that was not fitted.
        features: The second output to rank listings by; None if it has none.
        search_outputs: Names of the outputs to request for a search; empty for the default alone.
        text: How it reads words; None if it does not.
    """

    name: str
    version: str
    embedding_space: str
    labels: Sequence[str]
    engine: str
    precision: str
    temperature: float = 1.0
    outputs: Sequence[Output] = ()
    ranking: Ranking | None = None
    price_range: PriceRange | None = None
    features: Output | None = None
    search_outputs: tuple[str, ...] = ()
    text: TextTower | None = None

    @property
    def dimension(self) -> int:
        """Number of floats of the default output."""
        return self.outputs[0].dimension if self.outputs else 0


def model_of(sent: pb.Model) -> Model:
    """Returns a model from its message, without values that none of our embedders would send."""
    outputs = tuple(Output(o.name, o.dimension, o.kind) for o in sent.outputs)
    ranking = _ranking(sent.ranking) if sent.HasField("ranking") else None
    features = _features(outputs, ranking)
    if ranking and (features is None or ranking.output != features.name):
        ranking = None
    return Model(
        name=sent.name,
        version=sent.version,
        embedding_space=sent.embedding_space,
        labels=tuple(sent.labels),
        engine=sent.engine,
        precision=sent.precision,
        temperature=sent.temperature or 1.0,
        outputs=outputs,
        ranking=ranking,
        price_range=_price_range(sent.price_range) if sent.HasField("price_range") else None,
        features=features,
        search_outputs=(outputs[0].name, features.name) if features else (),
        text=_text_tower(sent.text) if sent.HasField("text") else None,
    )


def _text_tower(sent: pb.TextTower) -> TextTower:
    return TextTower(
        sent.encoder,
        sent.temperature or 1.0,
        sent.photos_weight,
        sent.words_weight,
        sent.photos_alone_weight,
    )


def _features(outputs: Sequence[Output], ranking: Ranking | None) -> Output | None:
    # The default output is searched by already.
    more = outputs[1:]
    if ranking and (named := [output for output in more if output.name == ranking.output]):
        return named[0]
    usual = [output for output in more if (output.name, output.kind) == (_FEATURES, _EMBEDDING)]
    return usual[0] if usual else None


def _ranking(sent: pb.Ranking) -> Ranking | None:
    if not 0 <= sent.vector_weight < math.inf:
        return None
    curves = {
        name: _likeness(getattr(sent, name)) if sent.HasField(name) else None
        for name in ("blend", "features", "category")
    }
    return Ranking(sent.output, sent.vector_weight, sent.candidates, **curves)


def _likeness(sent: pb.Likeness) -> Likeness | None:
    slopes = sent.distance, sent.margin
    fits = all(0 <= slope < math.inf for slope in slopes) and 0 < sent.crowd < math.inf
    if not fits or not math.isfinite(sent.intercept):
        return None
    return Likeness(sent.intercept, *slopes, sent.crowd)


def _price_range(sent: pb.PriceRange) -> PriceRange | None:
    fits = sent.listings > 0 and all(0 <= x < math.inf for x in (sent.width, sent.least_spread))
    return PriceRange(sent.listings, sent.coverage, sent.width, sent.least_spread) if fits else None
