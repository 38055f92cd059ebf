"""Computes activations of the backbone's frozen layers once, and caches them on disk.

The backbone runs in OpenVINO on a CPU, several times as fast as torch, or in torch on CUDA.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lookalike.cpu import available_cores
from lookalike.files import replacing
from lookalike.model.bundle import Preprocessing
from lookalike.model.engines import Engine
from lookalike.model.engines.openvino_engine import OpenVINOEngine
from lookalike.model.engines.torch_engine import TorchEngine
from lookalike.model.engines.torch_network import LEVELS, POOLING, Network
from lookalike.progress import track_photos
from training.augmentation import augmentation
from training.config import TrainConfig
from training.dataset import load_pixels
from training.images import in_threads
from training.model import architecture_of
from training.prepare import Prepared

BATCH = 16
_CHUNK = 1024

Floats = NDArray[np.floating[Any]]


class CachedActivations(Sequence[Floats]):
    """Activations on disk, one row per photo, in memory-mapped files of 1,024 rows."""

    def __init__(self, files: Sequence[Path], rows: NDArray[np.intp]) -> None:
        self._files = files
        self._rows = rows
        self._opened: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Floats:  # type: ignore[override]
        number, offset = divmod(int(self._rows[row]), _CHUNK)
        if number not in self._opened:
            self._opened[number] = np.load(self._files[number], mmap_mode="r")
        values: Floats = self._opened[number][offset]
        return values

    def at(self, rows: NDArray[np.intp]) -> CachedActivations:
        """Selects rows."""
        return CachedActivations(self._files, self._rows[rows])

    def whole(self) -> Floats:
        """Reads all rows into memory."""
        return np.concatenate([np.load(file) for file in self._files])[self._rows]


def pooled_features(
    network: Network, config: TrainConfig, prepared: Prepared, rows: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Returns pooled features of photos without augmentation, float32 of shape (photos, 3072).

    Args:
        network: The network.
        config: The run's settings.
        prepared: The data set.
        rows: Mask of its photos.
    """
    # With a frozen backbone all photos are needed sooner or later, so they share one cache.
    wanted = np.ones_like(rows) if config.last_frozen == POOLING else rows
    photos = prepared.photos["sha256"][wanted].tolist()
    size = config.image_size
    kept = cached_activations(network, config, prepared, photos, layer=POOLING, size=size)
    return kept.at(np.flatnonzero(rows[wanted])).whole()


def cached_activations(
    network: Network,
    config: TrainConfig,
    prepared: Prepared,
    photos: Sequence[str],
    *,
    layer: str,
    size: int,
    view: int = 0,
) -> CachedActivations:
    """Returns a backbone layer's activations for photos, in their order, computing missing ones.

    They are cached in the prepared data set, in chunks, under a hash of everything they depend on:
    an interrupted run resumes, and other runs reuse them. Maps are float16 to halve their size (a
    `layer3` map at 224 pixels takes 401 KB); pooled features are float32.

    Args:
        network: The network.
        config: The run's settings.
        prepared: The data set.
        photos: The photos' sha256.
        layer: Of the backbone, such as `layer3`; or `avgpool` for the pooled features.
        size: Side of the network's input, in pixels.
        view: 0 for the photos without augmentation, else the number of an augmented copy.
    """
    key = _key(
        network,
        architecture_of(config).stride_in_1x1,
        dataclasses.asdict(Preprocessing(size)),
        prepared.image_size,  # photos stored at another size have other pixels
        [POOLING, *LEVELS] if layer == POOLING else layer,
        [view, config.augment, config.seed] if view else [],
        list(photos),
    )
    folder = prepared.path / "features" / key
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [photos[start : start + _CHUNK] for start in range(0, len(photos), _CHUNK)]
    files = [folder / f"{number:05d}.npy" for number in range(len(chunks))]
    missing = [pair for pair in zip(chunks, files, strict=True) if not pair[1].exists()]
    if missing:
        engine = engine_up_to(network, layer, size)
        title = f"Augmented copy {view}" if view else f"Features ({engine.precision})"
        done = len(photos) - sum(len(chunk) for chunk, _ in missing)
        work = compute(engine, View(prepared, config, size, view), missing)
        for _ in track_photos(work, title, total=len(photos), done=done):
            pass
    return CachedActivations(files, np.arange(len(photos)))


@dataclasses.dataclass(frozen=True)
class View:
    """Photos without augmentation for view 0, else augmented at random."""

    prepared: Prepared
    config: TrainConfig
    size: int
    number: int

    def pixels(self, photos: Sequence[str], part: str) -> Iterator[NDArray[np.uint8]]:
        """Yields photos in order; the augmentation of a part is reproducible."""
        side = self.prepared.image_size if self.number else self.size
        loaded = in_threads(lambda sha256: load_pixels(self.prepared, sha256, side), photos)
        if not self.number:
            yield from loaded
            return
        change = augmentation(self.config, self.size)
        seed = zlib.crc32(f"{self.config.seed} {self.number} {part}".encode())
        generator = torch.Generator().manual_seed(seed)
        for photo in loaded:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
                changed = change(torch.from_numpy(photo))
            yield changed.numpy()


def compute(
    engine: Engine, view: View, chunks: Sequence[tuple[Sequence[str], Path]]
) -> Iterator[int]:
    """Writes activations of a view, one file per chunk; yields once per photo."""
    for chunk, file in chunks:
        pixels = view.pixels(chunk, file.name)
        found = []
        for start in range(0, len(chunk), BATCH):
            batch = [next(pixels) for _ in chunk[start : start + BATCH]]
            values = engine.infer(np.stack(batch))["values"]
            found.append(values if values.ndim == 2 else values.astype(np.float16))
            yield from range(len(batch))
        with replacing(file) as aside:
            np.save(aside, np.concatenate(found))


class _UpTo(nn.Module):
    """A network truncated after a layer of its backbone."""

    def __init__(self, network: Network, layer: str) -> None:
        super().__init__()
        self.network = network
        self.layer = layer

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"values": self.network.values_at(self.layer, images)}


def engine_up_to(network: Network, layer: str, size: int) -> Engine:
    """Returns an engine for the backbone up to a layer; its only output is `values`."""
    # A copy: an engine moves its network to its device and to evaluation mode.
    return _engine(_UpTo(copy.deepcopy(network), layer), size)


def _engine(network: nn.Module, size: int) -> Engine:
    if torch.cuda.is_available():
        return TorchEngine(network, precision="bf16", device="cuda")
    model = to_openvino(network, size)
    return OpenVINOEngine(model, precision="auto", threads=available_cores())


def to_openvino(module: nn.Module, size: int) -> openvino.Model:
    """Converts a module with named outputs; the batch size stays open.

    Args:
        module: From uint8 of shape (N, size, size, 3) to a dict of outputs.
        size: Side of the input, in pixels.
    """
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    module = module.eval()
    with torch.inference_mode():
        names = list(module(example))
    model = openvino.convert_model(
        _AsTuple(module),
        example_input=example,
        input=[(openvino.PartialShape([-1, size, size, 3]), openvino.Type.u8)],
    )
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    return model


class _AsTuple(nn.Module):
    """Returns a dict's values as a tuple: tracing loses names, and `to_openvino` restores them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(images).values())


def _key(network: Network, *facts: Any) -> str:
    """Returns a hash over the backbone's weights and the facts."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:16]
