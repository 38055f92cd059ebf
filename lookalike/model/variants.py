"""The precisions of a network on OpenVINO, and how close each is to fp32."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parity:
    """How close a variant's outputs are to the reference's, on the validation split.

    Attributes:
        photos: Number of photos compared; of a text tower, of listings.
        top1_agreement: Share of them with the same first category.
        accuracy: The variant's, on these photos.
        accuracy_difference: The variant's accuracy minus the reference's; negative for a loss.
        cosine_mean: Mean cosine between the two vectors of each, by output.
        cosine_worst: Smallest such cosine, by output.
    """

    photos: int
    top1_agreement: float
    accuracy: float
    accuracy_difference: float
    cosine_mean: dict[str, float]
    cosine_worst: dict[str, float]


@dataclass(frozen=True)
class Variant:
    """The network in one precision on OpenVINO, as `export` measured it.

    Attributes:
        file: Its graph in the bundle, with weights beside it; empty if it is not shipped.
        passed: Whether its figures are within the limits; only then may `auto` choose it.
        parity: The figures.
    """

    file: str
    passed: bool
    parity: Parity


def read_variant(raw: Mapping[str, Any]) -> Variant:
    """Reads a manifest's variant; raises KeyError or TypeError if malformed."""
    # `is True`: a verdict of another type must not count as a pass.
    return Variant(str(raw["file"]), raw["passed"] is True, Parity(**raw["parity"]))


def check_variants(variants: Mapping[str, Variant], files: Container[str]) -> None:
    """Raises ValueError naming the first variant that contradicts the files of its bundle."""
    for name, variant in variants.items():
        if variant.file and variant.file not in files:
            raise ValueError(f"variant {name} is in {variant.file}, which `files` does not list")
        if variant.passed and not variant.file:
            raise ValueError(f"variant {name} passed, but has no file")
