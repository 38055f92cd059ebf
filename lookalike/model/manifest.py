"""A bundle's manifest: its fields, reading, writing and consistency checks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.model.fitted import Ranking, check_fitted, read_price_range, read_ranking
from lookalike.model.text_tower import TextTower, check_text_tower, read_text_tower
from lookalike.model.variants import Variant, check_variants, read_variant
from lookalike.pricing import PriceRange

# 2: `variants`, without which a bundle does not say what bf16 does to its vectors. 3: heads read
# two levels of the backbone, so the weights of older bundles belong to another network. Older
# formats are refused rather than half trusted.
FORMAT_VERSION = 3
MANIFEST = "manifest.json"


class BundleError(Exception):
    """The bundle is missing, damaged, of another format, or lacks a requested part.

    The message names the file or the bundle.
    """


@dataclass(frozen=True)
class Architecture:
    """The network's architecture.

    Attributes:
        backbone: `resnet50`.
        stride_in_1x1: The original ResNet (He et al. 2015, arXiv:1512.03385) halves the resolution
            in the first 1×1 convolution of a stage; torchvision ("v1.5") in the 3×3.
        head_units: Width of the hidden layer of a head of logits; 0 for a linear head. Heads of
            embeddings are linear.
        dropout: Probability of dropping a head input while training.
    """

    backbone: str = "resnet50"
    stride_in_1x1: bool = False
    head_units: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the network's input: letterboxed on black, then normalised.

    Attributes:
        size: Side of the square input, in pixels.
        mean: Per channel (red, green, blue), of values scaled to 0–1; ImageNet's by default.
        std: Standard deviation per channel, of the same values.
    """

    size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Output:
    """A named vector that the model returns.

    `kind` is `logits`, one value per label, or `embedding`, a unit vector trained for search.
    """

    name: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class FileEntry:
    """Expected size and hash of a file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A bundle's description; the first output is the default.

    `variants` are keyed by precision: `fp32`, `bf16`, `int8`; a missing one was not measured.
    `ranking` and `price_range` are None if nothing was fitted, as in older bundles; `text` is None
    if the model reads no words.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    architecture: Architecture
    preprocessing: Preprocessing
    outputs: tuple[Output, ...]
    embedding_space: str
    metrics: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    ranking: Ranking | None = None
    price_range: PriceRange | None = None
    text: TextTower | None = None
    format_version: int = FORMAT_VERSION


def fingerprint(
    weights_sha256: str,
    architecture: Architecture,
    preprocessing: Preprocessing,
    outputs: tuple[Output, ...],
    ranking: Ranking | None = None,
) -> str:
    """Returns the embedding space: 32 hexadecimal digits.

    Another ranking finds other listings, so the order of results is part of the space. Calibration
    is not: likeness, price ranges and the temperature change no result.
    """
    definition: dict[str, Any] = {
        "weights": weights_sha256,
        "architecture": dataclasses.asdict(architecture),
        "preprocessing": dataclasses.asdict(preprocessing),
        "outputs": [dataclasses.asdict(output) for output in outputs],
    }
    if ranking is not None:  # a bundle without one keeps its former space
        definition["ranking"] = ranking.order
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def to_json(manifest: Manifest) -> str:
    """Returns the manifest as JSON, for `read`."""
    return json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False) + "\n"


def read(file: Path) -> Manifest:
    """Reads a manifest; raises BundleError if it is missing, malformed or of another format.

    Does not check the files that it lists.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{file}: missing; is this the directory of a model bundle?") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: not readable as JSON: {error}") from None
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{file}: format_version is {version}, but this program reads {FORMAT_VERSION}; "
            "train and export again"
        )
    try:
        preprocessing = raw["preprocessing"]
        return Manifest(
            name=str(raw["name"]),
            version=str(raw["version"]),
            labels=tuple(str(label) for label in raw["labels"]),
            architecture=Architecture(**raw["architecture"]),
            preprocessing=Preprocessing(
                size=int(preprocessing["size"]),
                mean=tuple(preprocessing["mean"]),
                std=tuple(preprocessing["std"]),
            ),
            outputs=tuple(Output(**output) for output in raw["outputs"]),
            embedding_space=str(raw["embedding_space"]),
            metrics=dict(raw["metrics"]),
            variants={name: read_variant(entry) for name, entry in raw["variants"].items()},
            files={name: FileEntry(**entry) for name, entry in raw["files"].items()},
            ranking=None if raw.get("ranking") is None else read_ranking(raw["ranking"]),
            price_range=(
                None if raw.get("price_range") is None else read_price_range(raw["price_range"])
            ),
            text=None if raw.get("text") is None else read_text_tower(raw["text"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BundleError(f"{file}: not a manifest: {type(error).__name__}: {error}") from None


def check(file: Path, manifest: Manifest) -> None:
    """Raises BundleError naming `file` if parts of the manifest contradict each other."""
    # Labels are not part of the embedding space, so nothing else would notice a wrong number.
    default = next(iter(manifest.outputs), None)
    if default is None:
        raise BundleError(f"{file}: `outputs` is empty")
    if default.kind == "logits" and len(manifest.labels) != default.dimension:
        raise BundleError(
            f"{file}: {len(manifest.labels)} labels, but output '{default.name}' has "
            f"{default.dimension} values"
        )
    try:
        kinds = {output.name: output.kind for output in manifest.outputs}
        check_fitted(manifest.ranking, manifest.price_range, kinds)
        check_variants(manifest.variants, manifest.files)
        if manifest.text is not None:
            check_text_tower(manifest.text, manifest.files)
    except ValueError as error:
        raise BundleError(f"{file}: {error}") from None
