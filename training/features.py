"""The frozen backbone's features of every photo, computed once and kept.

The backbone runs in OpenVINO on a CPU, several times as fast as torch there, or in torch on CUDA.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from embedder_service.bundle import Preprocessing
from embedder_service.engines import Engine
from embedder_service.engines.openvino_engine import OpenVINOEngine
from embedder_service.engines.torch_engine import TorchEngine
from embedder_service.engines.torch_network import POOLED_FEATURES, Network
from lookalike.cpu import available_cores
from training.config import TrainConfig
from training.dataset import load_pixels
from training.files import replacing
from training.images import in_threads
from training.model import architecture_of
from training.prepare import Prepared

BATCH = 16
_CHUNK = 1024


class _Pooled(nn.Module):
    """A network cut off after pooling."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.network.pooled(images)}


def frozen_features(
    network: Network, config: TrainConfig, prepared: Prepared
) -> NDArray[np.float32]:
    """Returns the pooled features of every photo, of shape (photos, 2048), in their order.

    They are kept in the prepared data set, in chunks, under a key of everything that they depend
    on: an interrupted run goes on where it stopped, and other runs find them.
    """
    photos = prepared.photos["sha256"].tolist()
    folder = prepared.path / "features" / _key(network, config, prepared, photos)
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [photos[start : start + _CHUNK] for start in range(0, len(photos), _CHUNK)]
    files = [folder / f"{number:05d}.npy" for number in range(len(chunks))]
    missing = [pair for pair in zip(chunks, files, strict=True) if not pair[1].exists()]
    if missing:
        # A copy: an engine moves its network to its device and turns off the heads' dropout.
        engine = _engine(copy.deepcopy(network), config.image_size)
        total = sum(len(chunk) for chunk, _ in missing)
        work = _computed(engine, prepared, config.image_size, missing)
        for _ in track(work, f"Features ({engine.precision})", total=total):
            pass
    return np.concatenate([np.load(file) for file in files])


def _computed(
    engine: Engine, prepared: Prepared, size: int, missing: list[tuple[list[str], Path]]
) -> Iterator[int]:
    """Writes the missing chunks; yields once a photo."""
    for chunk, file in missing:
        pixels = in_threads(lambda sha256: load_pixels(prepared, sha256, size), chunk)
        features = np.empty((len(chunk), POOLED_FEATURES), np.float32)
        for start in range(0, len(chunk), BATCH):
            batch = [next(pixels) for _ in chunk[start : start + BATCH]]
            features[start : start + len(batch)] = engine.infer(np.stack(batch))["pooled"]
            yield from range(len(batch))
        with replacing(file) as aside:
            np.save(aside, features)


def _engine(network: Network, size: int) -> Engine:
    pooled = _Pooled(network)
    if torch.cuda.is_available():
        return TorchEngine(pooled, precision="bf16", device="cuda")
    model = to_openvino(pooled, size)
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
    """Tracing loses the names of a dict's values; `to_openvino` puts them back."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(images).values())


def _key(network: Network, config: TrainConfig, prepared: Prepared, photos: list[str]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    shape = [
        architecture_of(config).stride_in_1x1,
        dataclasses.asdict(Preprocessing(config.image_size)),
        prepared.image_folder.name,  # photos stored in another size have other pixels
        photos,
    ]
    digest.update(json.dumps(shape).encode())
    return digest.hexdigest()[:16]
