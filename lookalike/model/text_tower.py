"""The part of a manifest about words: what reads them, and what their logits count."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from lookalike.model.variants import Variant, check_variants, read_variant

TOKENIZER = "text/tokenizer.json"
OPENVINO_TEXT_MODEL = "text/model.xml"
OPENVINO_TEXT_WEIGHTS = "text/model.bin"
OPENVINO_TEXT_INT8_MODEL = "text/model-int8.xml"
OPENVINO_TEXT_INT8_WEIGHTS = "text/model-int8.bin"

MOST_TOKENS = 512

_NUMBERS = ("temperature", "photos_weight", "words_weight", "photos_alone_weight")


@dataclass(frozen=True)
class TextTower:
    """A network that gives words the outputs that photos have.

    It is not part of the embedding space: the vectors of photos are as they were without it.

    Attributes:
        encoder: The language model that it was made from, for people.
        weights_sha256: Of the run that it was exported from.
        max_tokens: Tokens of a text that are read.
        temperature: Divides the logits of words alone.
        photos_weight: What the mean logits of photos count beside words.
        words_weight: What the logits of words count beside photos.
        photos_alone_weight: What the mean logits of several photos are multiplied by without words.
        metrics: Evaluation results.
        variants: Measurements of each precision, on listings.
    """

    encoder: str
    weights_sha256: str
    max_tokens: int
    temperature: float
    photos_weight: float
    words_weight: float
    photos_alone_weight: float
    metrics: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)


def read_text_tower(raw: Mapping[str, Any]) -> TextTower:
    """Reads a manifest's text tower; raises KeyError, TypeError or ValueError if malformed."""
    numbers = {name: float(raw[name]) for name in _NUMBERS}
    return TextTower(
        encoder=str(raw["encoder"]),
        weights_sha256=str(raw["weights_sha256"]),
        max_tokens=int(raw["max_tokens"]),
        metrics=dict(raw["metrics"]),
        variants={name: read_variant(entry) for name, entry in raw["variants"].items()},
        **numbers,
    )


def check_text_tower(tower: TextTower, files: Container[str]) -> None:
    """Raises ValueError naming the first part that is out of its range, or not in the bundle."""
    for name in (TOKENIZER, OPENVINO_TEXT_MODEL, OPENVINO_TEXT_WEIGHTS):
        if name not in files:
            raise ValueError(f"there is a text tower, but `files` does not list {name}")
    check_variants(tower.variants, files)
    if not 2 < tower.max_tokens <= MOST_TOKENS:
        raise ValueError(f"text.max_tokens is {tower.max_tokens}; it must be 3 to {MOST_TOKENS}")
    for name in _NUMBERS:
        value = getattr(tower, name)
        if not 0 < value < math.inf:
            raise ValueError(f"text.{name} is {value}; it must be a number above 0")
