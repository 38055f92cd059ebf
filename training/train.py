"""Fine-tunes the network: the heads on frozen features, the last layers, or all of it.

A run's directory holds config.json, TensorBoard logs, checkpoints/, and finally model.safetensors
with the weights of the best epoch, embeddings whitened, and run.json, which marks a complete run.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lookalike.files import read_json, replacing, write_json
from lookalike.model.engines.torch_network import POOLING, Network
from training.augmentation import augmentation
from training.config import TrainConfig
from training.convolutions import convolutions_as_products
from training.dataset import CachedFeatureDataset, PairDataset, PhotoDataset
from training.errors import TrainingError
from training.features import CachedActivations, cached_activations, pooled_features
from training.model import build_network, standardise
from training.objective import EmbeddingModule
from training.prepare import Prepared, check_same_data, load_prepared, sample_photos
from training.splits import SPLITS
from training.trainer import Hardware, checkpoints, fit, make_trainer
from training.whitening import Whitened, whiten_embeddings

# Enough photos to estimate the mean and variance of each feature.
STANDARDISED_BY = 1024


def train(
    data: Path, out: Path, config: TrainConfig, hardware: Hardware | None = None
) -> dict[str, Any]:
    """Trains or resumes a run and returns its report; returns that of a complete run at once.

    Args:
        data: A prepared data set.
        out: The run's directory.
        config: The settings; an existing run must have the same.
        hardware: The hardware to use; a run may resume on other hardware.
    """
    hardware = hardware or Hardware()
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    prepared = load_prepared(data).labelled(config.labels)
    if (out / "config.json").exists():
        config.check_same(TrainConfig.load(out / "config.json"), out / "config.json")
    check_same_data(prepared, out, "use another --out, or remove the directory")
    if (out / "run.json").exists():
        return dict(read_json(out / "run.json", "a run's report"))
    out.mkdir(parents=True, exist_ok=True)
    config.save(out / "config.json")
    write_json(out / "data.json", prepared.identity)
    network = build_network(config, len(prepared.categories))
    started = time.monotonic()
    training, validation = _loaders(network, config, prepared, hardware)
    if config.freezes_batch_norm:
        some = prepared.photos.index.isin(sample_photos(prepared, "train", STANDARDISED_BY).index)
        standardise(network, pooled_features(network, config, prepared, some))
    kept = time.monotonic()
    labels = prepared.photos.loc[prepared.photos["split"] == "train", "label"]
    photos = np.bincount(labels, minlength=len(prepared.categories))
    steps = config.epochs * -(-len(training) // hardware.processes)
    module = EmbeddingModule(network, config, steps, torch.from_numpy(photos))
    checkpoint = checkpoints(out)
    trainer = make_trainer(
        out,
        hardware,
        checkpoint,
        epochs=config.epochs,
        ema=config.ema,
        patience=config.patience,
        learns_batch_norm=not config.freezes_batch_norm,
    )
    with convolutions_as_products(network.backbone):
        fit(trainer, module, training, validation, out)
    if trainer.is_global_zero:
        seconds = {"features": kept - started, "epochs": time.monotonic() - kept}
        best_epoch = load_best(network, checkpoint.best_model_path)
        report = {
            "epochs": trainer.current_epoch,
            "best_epoch": best_epoch,
            "validation_accuracy": float(checkpoint.best_model_score or 0.0),
            # of this process only, if the run was resumed
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
        }
        if config.whiten and config.embeddings:
            report["whitened"] = dataclasses.asdict(_whiten(network, config, prepared))
        # Only now: checkpoints hold unwhitened weights, so a process that ends before this point
        # leaves nothing that would be whitened twice.
        save_weights(network, out / "model.safetensors")
        write_json(out / "run.json", report)
    trainer.strategy.barrier()
    return dict(read_json(out / "run.json", "a run's report"))


def _loaders(
    network: Network, config: TrainConfig, prepared: Prepared, hardware: Hardware
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    sides = {side: (prepared.photos["split"] == side).to_numpy(copy=True) for side in SPLITS}
    for name in ("train", "validation"):
        if not sides[name].any():
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    datasets: Sequence[Dataset[Any]]
    if config.caches_activations:
        datasets = _cached_datasets(network, config, prepared, sides)
    else:
        size = config.train_size or config.image_size
        change = augmentation(config, size)
        datasets = [
            PhotoDataset(prepared, prepared.photos[sides["train"]], size, change),
            PhotoDataset(prepared, prepared.photos[sides["validation"]], config.image_size),
        ]
    # A generator of its own: the order of photos must not depend on other uses of torch's.
    generator = torch.Generator().manual_seed(config.seed)
    pairs = PairDataset(datasets[0], prepared.photos["product_id"][sides["train"]])
    batch = max(1, config.batch_size // hardware.processes)
    options = hardware.loader_options()
    return (
        DataLoader(pairs, max(1, batch // 2), shuffle=True, generator=generator, **options),
        DataLoader(datasets[1], batch, **options),
    )


def _cached_datasets(
    network: Network, config: TrainConfig, prepared: Prepared, sides: dict[str, Any]
) -> list[CachedFeatureDataset]:
    """Returns training and validation photos as cached activations of the last frozen layer."""
    layer = config.last_frozen
    assert layer is not None

    def kept(rows: NDArray[np.bool_], size: int, view: int = 0) -> CachedActivations:
        names = prepared.photos["sha256"][rows].tolist()
        return cached_activations(
            network, config, prepared, names, layer=layer, size=size, view=view
        )

    size = config.train_size or config.image_size
    # Pooled features are small, and `evaluate` needs those of the test split too; maps are large.
    rows = sides["validation"] | (sides["train"] & (size == config.image_size)) | (layer == POOLING)
    plain = kept(rows, config.image_size)
    validation = plain.at(np.flatnonzero(sides["validation"][rows]))
    if size == config.image_size:
        training = plain.at(np.flatnonzero(sides["train"][rows]))
    else:
        training = kept(sides["train"], size)
    views = [training, *(kept(sides["train"], size, view) for view in range(1, config.views))]
    labels = {name: prepared.photos["label"][side].tolist() for name, side in sides.items()}
    return [
        CachedFeatureDataset(views, labels["train"], mirrored="hflip" in config.augmentations),
        CachedFeatureDataset([validation], labels["validation"]),
    ]


def load_best(network: nn.Module, checkpoint: str) -> int:
    """Loads the weights of the best epoch into a module's `network`; returns the epoch's number."""
    best = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "network."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in best["state_dict"].items()
        if name.startswith(prefix)
    }
    network.cpu().load_state_dict(state)
    return int(best["epoch"])


def _whiten(network: Network, config: TrainConfig, prepared: Prepared) -> Whitened:
    # For all photos: a trained backbone gives new features, which `evaluate` and `export` reuse.
    everything = np.ones(len(prepared.photos), bool)
    pooled = pooled_features(network, config, prepared, everything)
    rows = (prepared.photos["split"] == "train").to_numpy(copy=True)
    listings = prepared.photos["product_id"][rows].tolist()
    return whiten_embeddings(network.eval(), pooled[rows], listings, config.whiten)


def save_weights(network: nn.Module, target: Path) -> None:
    """Writes a network's weights."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with replacing(target) as aside:
        try:
            save_file(state, aside)
        except SafetensorError as error:  # a full disk, for one, is no OSError there
            raise OSError(str(error)) from None
