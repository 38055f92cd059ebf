"""Judges a run on the photos of its data set that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from embedder_service.bundle import Preprocessing
from embedder_service.engines.torch_network import Network
from training.config import TrainConfig
from training.dataset import PhotoDataset
from training.errors import TrainingError
from training.features import frozen_features
from training.files import write_json
from training.metrics import classification_metrics
from training.model import CATEGORY_OUTPUT, architecture_of, outputs_of
from training.prepare import Prepared, check_same_data, load_prepared


def evaluate(data: Path, run: Path, *, split: str = "test") -> dict[str, Any]:
    """Returns a run's figures on a split, and writes them to metrics.json in the run.

    Args:
        data: The prepared data set that the run was trained on.
        run: A complete run.
        split: `train`, `validation` or `test`.
    """
    prepared = load_prepared(data)
    # Split otherwise, the data would have it judged on photos that it was trained on.
    check_same_data(prepared, run, "give the data set that it was trained on")
    config, network = load_run(run, len(prepared.categories))
    side = (prepared.photos["split"] == split).to_numpy()
    if not side.any():
        raise TrainingError(f"{data}: the {split} split holds no photo")
    logits = _logits(network, config, prepared, side)
    labels = prepared.photos["label"].to_numpy()[side]
    metrics = {
        "split": split,
        **classification_metrics(logits, labels, prepared.categories),
    }
    write_json(run / "metrics.json", metrics)
    return metrics


def load_run(run: Path, classes: int) -> tuple[TrainConfig, Network]:
    """Returns a complete run's settings and its trained network."""
    config = TrainConfig.load(run / "config.json")
    if not (run / "run.json").exists():
        raise TrainingError(f"{run}: the run is not complete; `train` goes on with it")
    preprocessing = Preprocessing(config.image_size)
    network = Network(architecture_of(config), preprocessing, outputs_of(classes))
    try:
        network.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(f"{run / 'model.safetensors'}: cannot be loaded: {reason}") from None
    return config, network.eval()


def _logits(
    network: Network, config: TrainConfig, prepared: Prepared, side: NDArray[np.bool_]
) -> NDArray[np.float32]:
    with torch.inference_mode():
        if config.stage == "frozen":
            features = torch.from_numpy(frozen_features(network, config, prepared)[side])
            return np.asarray(network.heads_of(features)[CATEGORY_OUTPUT])
        photos = PhotoDataset(prepared, prepared.photos[side], config.image_size)
        batches = DataLoader(photos, batch_size=32)
        logits = [network(pixels)[CATEGORY_OUTPUT] for pixels, _ in track(batches, "Evaluating")]
        return np.asarray(torch.cat(logits))
