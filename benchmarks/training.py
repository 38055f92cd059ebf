"""How fast training is: features of frozen layers beside the bare engine, then an epoch of a stage.

Features are computed beside an in-process loop of the same engine on pixels that are decoded
already, in turns within one run, because a machine's speed drifts; the ratio is what to compare.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import Figure
from lookalike.model.engines.torch_network import POOLING
from sample.marketplace import write_sample
from training.config import TrainConfig
from training.dataset import load_pixels
from training.features import BATCH, View, compute, engine_up_to
from training.model import build_network
from training.prepare import Prepared, prepare
from training.train import train

RATIO_TARGET = 0.9


def measure(*, quick: bool) -> list[Figure]:
    """Returns the figures; `quick` takes fewer photos, of 64 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        market, data = Path(folder) / "market", Path(folder) / "data"
        write_sample(market, listings=40 if quick else 260, queries=0)
        prepared = prepare(market, data)
        config = TrainConfig("none", image_size=64 if quick else 224, epochs=1, batch_size=64)
        return [
            *_features(prepared, config, rounds=1 if quick else 3),
            *(_epoch(prepared, config, stage, Path(folder)) for stage in ("frozen", "layer4")),
            _epoch(prepared, config, "all", Path(folder)),
        ]


def _features(prepared: Prepared, config: TrainConfig, *, rounds: int) -> list[Figure]:
    network = build_network(config, len(prepared.categories))
    photos = prepared.photos["sha256"].tolist()
    size = config.image_size
    engine = engine_up_to(network, POOLING, size)
    decoded = np.stack([load_pixels(prepared, name, size) for name in photos[: 8 * BATCH]])
    file = prepared.path / "features.npy"
    alone, whole = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        for start in range(0, len(decoded), BATCH):
            engine.infer(decoded[start : start + BATCH])
        alone.append(len(decoded) / (time.perf_counter() - started))
        started = time.perf_counter()
        for _ in compute(engine, View(prepared, config, size, number=0), [(photos, file)]):
            pass
        whole.append(len(photos) / (time.perf_counter() - started))
    ratios = [one / other for one, other in zip(whole, alone, strict=True)]
    return [
        Figure(f"engine alone, {engine.precision}", statistics.median(alone), "photos/s"),
        Figure("features, decoded and kept", statistics.median(whole), "photos/s"),
        Figure("features / engine", statistics.median(ratios), "ratio", at_least=RATIO_TARGET),
    ]


def _epoch(prepared: Prepared, config: TrainConfig, stage: str, folder: Path) -> Figure:
    """Returns the rate of an epoch, validation and checkpoint included."""
    config = dataclasses.replace(config, stage=stage)
    report = train(prepared.path, folder / stage, config)
    listings = prepared.photos.query("split == 'train'")["product_id"].nunique()
    return Figure(f"training, {stage}", 2 * listings / report["seconds"]["epochs"], "photos/s")
