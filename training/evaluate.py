"""Judges a run on the photos of its data set that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from embedder_service.bundle import Preprocessing
from embedder_service.engines.torch_network import Network
from training.calibration import calibration, fit_temperature
from training.config import TrainConfig
from training.errors import TrainingError
from training.features import pooled_features
from training.files import write_json
from training.metrics import classification_metrics
from training.model import CATEGORY_OUTPUT, architecture_of, outputs_of
from training.prepare import Prepared, check_same_data, load_prepared
from training.retrieval import Catalogue, retrieval_metrics

POOLED = "pooled"


def evaluate(data: Path, run: Path, *, split: str = "test") -> dict[str, Any]:
    """Returns a run's figures on a split, and writes them to metrics.json in the run.

    Args:
        data: The prepared data set that the run was trained on.
        run: A complete run.
        split: `train`, `validation` or `test`.
    """
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    # Split otherwise, the data would have it judged on photos that it was trained on.
    check_same_data(prepared, run, "give the data set that it was trained on")
    config, network = load_run(run, len(prepared.categories))
    judged = _judged(network, config, prepared, split)
    chosen = judged if split == "validation" else _judged(network, config, prepared, "validation")
    logits = judged.outputs[CATEGORY_OUTPUT]
    # On validation photos, since nothing may be fitted to those that judge.
    temperature = fit_temperature(chosen.outputs[CATEGORY_OUTPUT], chosen.labels)
    metrics = {
        "split": split,
        **classification_metrics(logits, judged.labels, prepared.categories),
        "calibration_error": calibration(logits, judged.labels).error,
        "temperature": temperature,
        "calibration_error_scaled": calibration(logits, judged.labels, temperature).error,
        "outputs": {
            name: retrieval_metrics(
                Catalogue(vectors, judged.labels, judged.listings),
                # Logits are searched by distance, as the index does; embeddings have one length.
                cosine=name != CATEGORY_OUTPUT,
            )
            for name, vectors in judged.outputs.items()
        },
    }
    write_json(run / "metrics.json", metrics)
    return metrics


def load_run(run: Path, classes: int) -> tuple[TrainConfig, Network]:
    """Returns a complete run's settings and its trained network."""
    config = TrainConfig.load(run / "config.json")
    if not (run / "run.json").exists():
        raise TrainingError(f"{run}: the run is not complete; `train` goes on with it")
    preprocessing = Preprocessing(config.image_size)
    network = Network(architecture_of(config), preprocessing, outputs_of(config, classes))
    try:
        network.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(f"{run / 'model.safetensors'}: cannot be loaded: {reason}") from None
    return config, network.eval()


@dataclass(frozen=True)
class _Judged:
    """What a network says of the photos of a split, one row a photo."""

    outputs: dict[str, NDArray[np.float32]]  # and the pooled features that all are made of
    labels: NDArray[np.int64]
    listings: NDArray[np.str_]


def _judged(network: Network, config: TrainConfig, prepared: Prepared, split: str) -> _Judged:
    side = (prepared.photos["split"] == split).to_numpy(copy=True)
    if not side.any():
        raise TrainingError(f"{prepared.path}: the {split} split holds no photo")
    pooled = _pooled(network, config, prepared, side)
    with torch.inference_mode():
        outputs = {**network.heads_of(pooled), POOLED: pooled}
    photos = prepared.photos[side]
    return _Judged(
        {name: np.asarray(values) for name, values in outputs.items()},
        photos["label"].to_numpy(),
        photos["product_id"].to_numpy().astype(np.str_),
    )


def _pooled(
    network: Network, config: TrainConfig, prepared: Prepared, side: NDArray[np.bool_]
) -> Tensor:
    photos = prepared.photos["sha256"]
    if config.stage == "frozen":  # training kept those of all photos
        features = pooled_features(network, config, prepared, photos.tolist())[side]
    else:
        features = pooled_features(network, config, prepared, photos[side].tolist())
    return torch.from_numpy(features)
