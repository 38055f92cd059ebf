"""The model bundle on disk: manifest, fingerprint, atomic writing, verified loading. No torch.

A bundle is a directory:

    manifest.json         everything below, as JSON
    model.safetensors     weights, for the torch engine and for further training
    openvino/model.xml    the same network for the OpenVINO engine: uint8 NHWC in, named outputs
    openvino/model.bin

The `embedding_space` is a SHA-256 over the weights, the architecture, the preprocessing and the
outputs: two bundles have the same one exactly if their vectors may be compared. `files` holds the
size and SHA-256 of every other file, so that a damaged bundle is refused and not served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
OPENVINO_MODEL = "openvino/model.xml"
OPENVINO_WEIGHTS = "openvino/model.bin"


class BundleError(Exception):
    """The bundle is missing, damaged or of another format; the message names the file."""


@dataclass(frozen=True)
class Architecture:
    """The network's shape.

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
        std: Likewise.
    """

    size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Output:
    """A named vector that the model returns.

    `kind` is `logits`, a value a label, or `embedding`, of length 1 and learnt for search.
    """

    name: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself; the first output is the default."""

    name: str
    version: str
    labels: tuple[str, ...]
    architecture: Architecture
    preprocessing: Preprocessing
    outputs: tuple[Output, ...]
    embedding_space: str
    metrics: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


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


def fingerprint(
    weights_sha256: str,
    architecture: Architecture,
    preprocessing: Preprocessing,
    outputs: tuple[Output, ...],
) -> str:
    """Returns the embedding space: 32 hexadecimal digits."""
    definition = {
        "weights": weights_sha256,
        "architecture": dataclasses.asdict(architecture),
        "preprocessing": dataclasses.asdict(preprocessing),
        "outputs": [dataclasses.asdict(output) for output in outputs],
    }
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


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
) -> Bundle:
    """Writes a bundle aside and moves it to `path` in one step, replacing a bundle there.

    Args:
        path: The bundle's directory.
        name: For people.
        version: For people; empty for one derived from the embedding space.
        labels: Categories in the order of the logits.
        architecture: The network's shape.
        preprocessing: How photos become its input.
        outputs: What it returns, the default first.
        metrics: What evaluation measured.
        files: Source of each file by its name in the bundle; `model.safetensors` must be there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        entries = {}
        for file_name, source in sorted(files.items()):
            target = aside / file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            entries[file_name] = FileEntry(target.stat().st_size, sha256_of(target))
        space = fingerprint(entries[WEIGHTS].sha256, architecture, preprocessing, outputs)
        manifest = Manifest(
            name=name,
            version=version or space[:12],
            labels=labels,
            architecture=architecture,
            preprocessing=preprocessing,
            outputs=outputs,
            embedding_space=space,
            metrics=dict(metrics),
            files=entries,
        )
        _check_labels(path / MANIFEST, manifest)
        text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False) + "\n"
        (aside / MANIFEST).write_text(text, encoding="utf-8")
        aside.chmod(0o755)  # mkdtemp's 0700 would lock out a container's user
        _replace_directory(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return Bundle(path, manifest)


def load(path: Path) -> Bundle:
    """Reads and verifies a bundle; raises BundleError naming the file that is wrong."""
    manifest = _read_manifest(path / MANIFEST)
    for name, entry in manifest.files.items():
        _check_file(path / name, entry)
    weights = manifest.files.get(WEIGHTS)
    if weights is None:
        raise BundleError(f"{path / MANIFEST}: `files` does not list {WEIGHTS}")
    expected = fingerprint(
        weights.sha256, manifest.architecture, manifest.preprocessing, manifest.outputs
    )
    if manifest.embedding_space != expected:
        raise BundleError(
            f"{path / MANIFEST}: embedding_space is {manifest.embedding_space}, "
            f"but weights, preprocessing and outputs give {expected}"
        )
    _check_labels(path / MANIFEST, manifest)
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


def _check_labels(file: Path, manifest: Manifest) -> None:
    # Labels are no part of the embedding space, so nothing else would notice a wrong number.
    default = next(iter(manifest.outputs), None)
    if default is None:
        raise BundleError(f"{file}: `outputs` is empty")
    if default.kind == "logits" and len(manifest.labels) != default.dimension:
        raise BundleError(
            f"{file}: {len(manifest.labels)} labels, but output '{default.name}' has "
            f"{default.dimension} values"
        )


def _read_manifest(file: Path) -> Manifest:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{file}: missing; is this the directory of a model bundle?") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: not readable as JSON: {error}") from None
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{file}: format_version is {version}, but this program reads {FORMAT_VERSION}"
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
            files={name: FileEntry(**entry) for name, entry in raw["files"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{file}: not a manifest: {type(error).__name__}: {error}") from None


def _replace_directory(source: Path, target: Path) -> None:
    """Moves `source` to `target`; what was there goes only once the new one is in place."""
    if not target.exists():
        source.rename(target)
        return
    old = source.with_name(f"{source.name}-old")
    target.rename(old)
    try:
        source.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
