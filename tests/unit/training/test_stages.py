"""What each stage learns, and from what; what must stay as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.config import TrainConfig
from training.dataset import load_pixels
from training.evaluate import evaluate
from training.export import export
from training.features import pooled_features
from training.losses import contrastive_loss
from training.model import build_network
from training.objective import EmbeddingModule
from training.prepare import load_prepared, prepare
from training.train import train

pytestmark = pytest.mark.long  # each trains a network anew


def test_the_frozen_stage_trains_the_head_and_leaves_the_backbone_alone(
    data: Path, run: Path, config: TrainConfig
) -> None:
    start = build_network(config, len(load_prepared(data).categories)).state_dict()
    trained = load_file(run / "model.safetensors")

    assert set(trained) == set(start)
    moved = {name for name, tensor in trained.items() if not torch.equal(tensor, start[name])}
    assert moved == {name for name in start if name.startswith(("heads.", "standardise."))}


def test_the_heads_dropout_works_while_the_features_are_fresh(
    marketplace: Path, config: TrainConfig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    step = EmbeddingModule.training_step

    def watched(self: EmbeddingModule, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        modes.append(self.network.heads.training)
        return step(self, batch)

    monkeypatch.setattr(EmbeddingModule, "training_step", watched)
    prepare(marketplace, scratch / "data", image_size=config.image_size)
    train(scratch / "data", scratch / "run", dataclasses.replace(config, epochs=1))

    assert modes
    assert all(modes)


def test_the_whole_network_learns_in_the_other_stage(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    config = dataclasses.replace(config, stage="all", epochs=1, batch_size=48)
    train(data, scratch / "run", config)

    start = build_network(config, 13).state_dict()
    trained = load_file(scratch / "run/model.safetensors")
    heads = ("heads.category.1.weight", "heads.features.1.weight")
    for part in ("backbone.conv1.weight", "backbone.bn1.running_mean", *heads):
        assert not torch.equal(trained[part], start[part])


def test_last_layers_learn_from_kept_values_and_all_before_stays(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    weights = scratch / "start.safetensors"
    save_file(build_network(config, 13).backbone.state_dict(), weights)
    config = dataclasses.replace(
        config, weights=str(weights), stage="layer4", views=2, train_size=64, augment="hflip,crop",
        mixup=0.3, cutmix=0.3, ema=0.9, schedule="cos", optimizer="sgd", backbone_rate=1.0,
    )  # fmt: skip
    before = set((data / "features").glob("*"))
    train(data, scratch / "run", config)

    kept = [
        np.load(file) for file in (data / "features").glob("*/*.npy") if file.parent not in before
    ]
    photos = load_prepared(data).photos["split"].value_counts()
    assert sorted(values.shape for values in kept) == [
        (photos["validation"], 1024, 2, 2),
        (photos["train"], 1024, 4, 4),
        (photos["train"], 1024, 4, 4),
        (photos["train"], 3072),  # to standardise by
        (len(load_prepared(data).photos), 3072),  # of what was learnt, to whiten, judge and rank by
    ]
    assert {values.dtype.name for values in kept if values.ndim == 4} == {"float16"}
    start = build_network(config, 13).state_dict()
    trained = load_file(scratch / "run/model.safetensors")
    moved = {name for name, tensor in trained.items() if not torch.equal(tensor, start[name])}
    # pretrained, so the backbone's BatchNorm statistics stay: small data would give worse ones
    learning = {
        name
        for name in start
        if name.startswith("backbone.layer4.") and "running_" not in name and "tracked" not in name
    }
    heads = {name for name in start if name.startswith("heads.")}
    standardised = {"standardise.running_mean", "standardise.running_var"}
    assert moved == learning | heads | standardised
    rows = (load_prepared(data).photos["split"] == "train").to_numpy(copy=True)
    features = pooled_features(build_network(config, 13), config, load_prepared(data), rows)
    spread = torch.from_numpy(features.std(axis=0, ddof=1))
    torch.testing.assert_close(trained["standardise.running_var"].sqrt(), spread)


def test_frozen_layers_that_run_anew_each_epoch_stay_as_they_are(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    config = dataclasses.replace(config, stage="layer3", views=0, epochs=1, train_size=40)
    train(data, scratch / "run", config)

    start = build_network(config, 13).state_dict()
    trained = load_file(scratch / "run/model.safetensors")
    moved = {name for name, tensor in trained.items() if not torch.equal(tensor, start[name])}
    assert moved == {
        name
        for name in start
        if name.startswith(("heads.", "standardise.", "backbone.layer3.", "backbone.layer4."))
    }, "from nothing, BatchNorm's statistics are learnt, but not those of frozen layers"


def test_kept_values_give_what_the_whole_network_gives(data: Path, config: TrainConfig) -> None:
    prepared = load_prepared(data)
    photos = prepared.photos["sha256"][:3].tolist()
    network = build_network(config, 13).eval()
    pixels = torch.from_numpy(np.stack([load_pixels(prepared, sha, 32) for sha in photos]))
    with torch.inference_mode():
        expected = network.pooled(pixels)
        for layer in ("conv1", "layer2", "layer3", "avgpool"):
            values = network.values_at(layer, pixels)
            torch.testing.assert_close(network.pooled_after(layer, values), expected)


def test_a_category_can_weigh_as_much_as_any_other(data: Path, config: TrainConfig) -> None:
    photos = torch.tensor([900, 90, 10])
    network = build_network(config, 3)
    weights = {
        balance: EmbeddingModule(
            network, dataclasses.replace(config, class_balance=balance), 10, photos
        )._cross_entropy.weight
        for balance in (0.0, 0.5, 1.0)
    }

    torch.testing.assert_close(weights[0.0], torch.ones(3))
    torch.testing.assert_close(weights[1.0] * photos, torch.full((3,), 1000 / 3))
    torch.testing.assert_close((weights[0.5] * photos).sum(), torch.tensor(1000.0))
    assert 1 < weights[0.5][2] / weights[0.5][0] < weights[1.0][2] / weights[1.0][0]


def test_leaves_of_the_category_tree_can_be_learnt(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    leaves = load_prepared(data).labelled("leaf")
    config = dataclasses.replace(config, labels="leaf", outputs="features:1000", epochs=1)
    train(data, scratch / "run", config)
    evaluate(data, scratch / "run")
    manifest = export(data, scratch / "run", scratch / "bundle").manifest

    paths = load_prepared(data).listings.set_index("product_id")["category"]
    assert len(leaves.categories) > 13
    assert [leaves.categories[label] for label in leaves.photos["label"]] == [
        paths[product] for product in leaves.photos["product_id"]
    ]
    assert manifest.labels == leaves.categories
    assert [(output.name, output.dimension) for output in manifest.outputs] == [
        ("category", len(leaves.categories)),
        ("features", 1000),
    ]


def test_the_contrastive_loss_draws_photos_of_a_listing_together(
    data: Path, config: TrainConfig, scratch: Path
) -> None:
    prepared = load_prepared(data)
    side = (prepared.photos["split"] == "train").to_numpy(copy=True)
    features = pooled_features(build_network(config, 13), config, prepared, side)
    features = torch.from_numpy(features)
    listings = torch.from_numpy(pd.factorize(prepared.photos["product_id"][side])[0])
    by_their_own = torch.nn.BatchNorm1d(
        features.shape[1], affine=False, track_running_stats=False
    ).eval()
    start = build_network(config, 13).eval()
    start.standardise = by_their_own
    losses = {}
    for weight in (1e-6, 3.0):
        out = scratch / f"run-{weight}"
        chosen = dataclasses.replace(config, contrastive_weight=weight, label_smoothing=0, epochs=8)
        train(data, out, chosen)
        # The last epoch, not the best, which for a network from nothing may be the first.
        last = torch.load(out / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        network = build_network(config, 13).eval()
        network.load_state_dict(
            {k.removeprefix("network."): v for k, v in last.items() if k.startswith("network.")}
        )
        network.standardise = by_their_own  # a few steps leave the run's statistics far behind
        with torch.inference_mode():
            outputs = network.heads_of(features)
        torch.testing.assert_close(outputs["features"].norm(dim=1), torch.ones(len(features)))
        losses[weight] = {n: contrastive_loss(v, listings, 0.1) for n, v in outputs.items()}

    with torch.inference_mode():
        at_start = contrastive_loss(start.heads_of(features)["features"], listings, 0.1)
    assert losses[3.0]["features"] < at_start
    assert losses[3.0]["category"] < losses[1e-6]["category"]
