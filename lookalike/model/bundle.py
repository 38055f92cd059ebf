"""The model bundle on disk: atomic writing, verified loading.

A bundle is a directory:

    manifest.json            describes the model and the other files; see `manifest.py`
    model.safetensors        weights, for the torch engine and for further training
    openvino/model.xml       the same network for the OpenVINO engine, in fp32 or bf16: uint8 NHWC
    openvino/model.bin       in, named outputs
    openvino/model-int8.xml  the network quantised; only if that keeps the model's answers
    openvino/model-int8.bin
    text/                    the same of words, if there is a text tower: tokenizer.json, model.xml,
                             model.bin, and model-int8.xml, model-int8.bin

The `embedding_space` is a SHA-256 over the weights, the architecture, the preprocessing, the
outputs and how they rank listings: two bundles share it exactly if their vectors can be compared.
All variants of a bundle share it, since each approximates the same vectors within limits that
`export` enforces. `files` holds the size and SHA-256 of every other file, so that a damaged bundle
is refused rather than served.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.files import whole_directory
from lookalike.model import manifest as manifests
from lookalike.model.fitted import Ranking
from lookalike.model.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    Architecture,
    BundleError,
    FileEntry,
    Manifest,
    Output,
    Preprocessing,
    fingerprint,
)
from lookalike.model.text_tower import TextTower
from lookalike.model.variants import Parity, Variant
from lookalike.pricing import PriceRange

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "OPENVINO_INT8_MODEL",
    "OPENVINO_INT8_WEIGHTS",
    "OPENVINO_MODEL",
    "OPENVINO_WEIGHTS",
    "WEIGHTS",
    "Architecture",
    "Bundle",
    "BundleError",
    "FileEntry",
    "Manifest",
    "Output",
    "Parity",
    "Preprocessing",
    "Ranking",
    "TextTower",
    "Variant",
    "fingerprint",
    "load",
    "sha256_of",
    "write",
]

WEIGHTS = "model.safetensors"
OPENVINO_MODEL = "openvino/model.xml"
OPENVINO_WEIGHTS = "openvino/model.bin"
OPENVINO_INT8_MODEL = "openvino/model-int8.xml"
OPENVINO_INT8_WEIGHTS = "openvino/model-int8.bin"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Returns the path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.path}: the bundle has no {name}")
        return self.path / name


def write(
    path: Path,
    *,
    name: str,
    version: str,
    labels: tuple[str, ...],
    architecture: Architecture,
    preprocessing: Preprocessing,
    outputs: tuple[Output, ...],
    metrics: Mapping[str, Any],
    files: Mapping[str, Path],
    variants: Mapping[str, Variant] | None = None,
    ranking: Ranking | None = None,
    price_range: PriceRange | None = None,
    text: TextTower | None = None,
) -> Bundle:
    """Writes a bundle aside and moves it to `path` in one step, replacing a bundle there.

    Args:
        path: The bundle's directory.
        name: Display name.
        version: Display version; empty for one derived from the embedding space.
        labels: Categories in the order of the logits.
        architecture: The network's architecture.
        preprocessing: How photos become its input.
        outputs: Its outputs, the default first.
        metrics: Evaluation results.
        files: Source of each file by its name in the bundle; `model.safetensors` is required.
        variants: Measurements of each precision; without them `auto` means fp32 on OpenVINO.
        ranking: How the outputs rank listings, if fitted.
        price_range: How prices become a range, if fitted.
        text: How words are read, if they are; its files are among `files`.
    """
    with whole_directory(path, replace=True) as aside:
        entries = {}
        for file_name, source in sorted(files.items()):
            target = aside / file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            entries[file_name] = FileEntry(target.stat().st_size, sha256_of(target))
        weights = entries[WEIGHTS].sha256
        space = fingerprint(weights, architecture, preprocessing, outputs, ranking)
        manifest = Manifest(
            name=name,
            version=version or space[:12],
            labels=labels,
            architecture=architecture,
            preprocessing=preprocessing,
            outputs=outputs,
            embedding_space=space,
            metrics=dict(metrics),
            variants=dict(variants or {}),
            files=entries,
            ranking=ranking,
            price_range=price_range,
            text=text,
        )
        manifests.check(path / MANIFEST, manifest)
        (aside / MANIFEST).write_text(manifests.to_json(manifest), encoding="utf-8")
    return Bundle(path, manifest)


def load(path: Path) -> Bundle:
    """Reads and verifies a bundle; raises BundleError naming the file that is wrong."""
    manifest = manifests.read(path / MANIFEST)
    for name, entry in manifest.files.items():
        _check_file(path / name, entry)
    weights = manifest.files.get(WEIGHTS)
    if weights is None:
        raise BundleError(f"{path / MANIFEST}: `files` does not list {WEIGHTS}")
    expected = fingerprint(
        weights.sha256,
        manifest.architecture,
        manifest.preprocessing,
        manifest.outputs,
        manifest.ranking,
    )
    if manifest.embedding_space != expected:
        raise BundleError(
            f"{path / MANIFEST}: embedding_space is {manifest.embedding_space}, "
            f"but weights, preprocessing, outputs and ranking give {expected}"
        )
    manifests.check(path / MANIFEST, manifest)
    return Bundle(path, manifest)


def sha256_of(file: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_file(file: Path, entry: FileEntry) -> None:
    try:
        size = file.stat().st_size
        if size != entry.bytes:
            raise BundleError(f"{file}: {size} bytes, but {MANIFEST} says {entry.bytes}")
        found = sha256_of(file)
    except FileNotFoundError:
        raise BundleError(f"{file}: missing, though {MANIFEST} lists it") from None
    except OSError as error:
        raise BundleError(f"{file}: not readable: {error}") from None
    if found != entry.sha256:
        raise BundleError(f"{file}: SHA-256 is {found}, but {MANIFEST} says {entry.sha256}")
