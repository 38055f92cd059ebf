"""The frozen backbone's features: computed once, and again only for what changes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lookalike.model.engines.openvino_engine import OpenVINOEngine
from lookalike.model.engines.torch_network import Network
from training import features
from training.config import TrainConfig
from training.dataset import load_pixels
from training.features import cached_activations, pooled_features, to_openvino
from training.model import build_network
from training.prepare import Prepared, load_prepared, prepare


class InterruptionError(Exception):
    """Ends a computation halfway."""


class Counting:
    """An engine that counts photos, and may fail; their features are their mean colours."""

    name, precision = "counting", "fp32"

    def __init__(self, fail_after: float = float("inf")) -> None:
        self.photos = 0
        self._fail_after = fail_after

    def infer(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        if self.photos + len(batch) > self._fail_after:
            raise InterruptionError
        self.photos += len(batch)
        return {"values": np.tile(batch.mean((1, 2), dtype=np.float32), 1024)}


@pytest.fixture(scope="module")
def network(config: TrainConfig) -> Network:
    return build_network(config, 13)


@pytest.fixture
def prepared(marketplace: Path, tmp_path: Path, config: TrainConfig) -> Prepared:
    """Prepared data without features."""
    return prepare(marketplace, tmp_path / "data", image_size=config.image_size)


def features_of(network: Network, config: TrainConfig, prepared: Prepared) -> np.ndarray:
    """Of all photos."""
    return pooled_features(network, config, prepared, np.ones(len(prepared.photos), bool))


def counting(monkeypatch: pytest.MonkeyPatch, fail_after: float = float("inf")) -> list[Counting]:
    """Puts a counting engine in the place of each, and on the list that is returned."""
    engines: list[Counting] = []

    def build_counting(network: nn.Module, size: int) -> Counting:
        engines.append(Counting(fail_after))
        return engines[-1]

    monkeypatch.setattr(features, "_engine", build_counting)
    return engines


def test_features_are_the_backbones_of_each_photo_in_order(
    network: Network, config: TrainConfig, data: Path
) -> None:
    prepared = load_prepared(data)
    computed = features_of(network, config, prepared)
    rows = [0, 17, len(prepared.photos) - 1]
    pixels = np.stack([load_pixels(prepared, s, 32) for s in prepared.photos["sha256"].iloc[rows]])
    with torch.inference_mode():
        expected = network.eval().pooled(torch.from_numpy(pixels)).numpy()

    assert (computed.shape, computed.dtype) == ((len(prepared.photos), 3072), np.float32)
    # bf16, where the CPU has it, keeps three digits
    np.testing.assert_allclose(computed[rows], expected, atol=0.05 * expected.max())


def test_features_are_computed_once_and_found_by_the_next_run(
    network: Network, config: TrainConfig, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = counting(monkeypatch)
    first = features_of(network, config, prepared)
    again = features_of(network, dataclasses.replace(config, epochs=9, dropout=0), prepared)

    assert [engine.photos for engine in engines] == [len(prepared.photos)]
    np.testing.assert_array_equal(first, again)


def test_an_interrupted_computation_goes_on_with_the_next_chunk(
    network: Network, config: TrainConfig, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_CHUNK", 40)
    count = len(prepared.photos)
    assert 120 < count < 160, "four chunks"
    with monkeypatch.context() as patched:
        counting(patched, fail_after=90)
        with pytest.raises(InterruptionError):
            features_of(network, config, prepared)
    assert len(list(prepared.path.glob("features/*/*.npy"))) == 2
    assert not list(prepared.path.glob("features/*/.*")), "nothing is left aside"

    engines = counting(monkeypatch)
    resumed = features_of(network, config, prepared)
    assert [engine.photos for engine in engines] == [count - 80]
    for file in prepared.path.glob("features/*/*.npy"):
        file.unlink()
    np.testing.assert_array_equal(resumed, features_of(network, config, prepared))


def test_what_changes_the_features_has_them_computed_anew(
    network: Network,
    config: TrainConfig,
    prepared: Prepared,
    marketplace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines = counting(monkeypatch)
    features_of(network, config, prepared)
    strided = dataclasses.replace(config, stride_in_1x1=True)
    features_of(build_network(strided, 13), strided, prepared)
    other = dataclasses.replace(config, seed=config.seed + 1)
    features_of(build_network(other, 13), other, prepared)
    # The same photos kept in another size have the same names, but not the same pixels.
    larger = prepare(marketplace, prepared.path, image_size=64)
    features_of(network, config, larger)

    assert [engine.photos for engine in engines] == [len(prepared.photos)] * 4


def test_the_network_is_given_back_as_it_was(
    network: Network, config: TrainConfig, prepared: Prepared
) -> None:
    network.train()
    features_of(network, config, prepared)

    assert all(module.training for module in network.modules())


class TwoOutputs(nn.Module):
    """Outputs whose names sort otherwise than they come."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pixels = images.float()
        return {"sum": pixels.sum((1, 2)), "mean": pixels.mean((1, 2, 3))[:, None]}


def test_a_converted_module_keeps_its_outputs_names_and_an_open_batch_size() -> None:
    model = to_openvino(TwoOutputs(), 8)
    photos = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    outputs = OpenVINOEngine(model, precision="fp32", threads=1).infer(photos)

    assert [output.any_name for output in model.outputs] == ["sum", "mean"]
    np.testing.assert_allclose(outputs["sum"], photos.sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(outputs["mean"][:, 0], photos.mean((1, 2, 3)), rtol=1e-5)


def test_an_augmented_copy_is_the_same_whenever_it_is_computed(
    network: Network, config: TrainConfig, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, augment="hflip,crop")
    photos = prepared.photos["sha256"][:30].tolist()
    engine = features.engine_up_to(network, "avgpool", 40)  # each copy would convert it once more
    monkeypatch.setattr(features, "engine_up_to", lambda *_: engine)

    def copy(view: int, seed: int = 1) -> np.ndarray:
        for file in prepared.path.glob("features/*/*.npy"):
            file.unlink()
        seeded = dataclasses.replace(config, seed=seed)
        return cached_activations(
            network, seeded, prepared, photos, layer="avgpool", size=40, view=view
        ).whole()

    first = copy(1)
    torch.rand(7)
    np.testing.assert_array_equal(copy(1), first)
    for other in (copy(0), copy(2), copy(1, seed=2)):
        assert not np.array_equal(other, first)


def test_kept_values_are_found_by_their_row_in_any_chunk(
    network: Network, config: TrainConfig, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_CHUNK", 10)
    photos = prepared.photos["sha256"][:25].tolist()
    values = cached_activations(network, config, prepared, photos, layer="layer4", size=64)
    some = values.at(np.array([24, 3, 10]))

    assert (len(values), len(some)) == (25, 3)
    assert (values[0].shape, values[0].dtype) == ((2048, 2, 2), np.float16)
    for row, expected in enumerate((24, 3, 10)):
        np.testing.assert_array_equal(some[row], values.whole()[expected])
        np.testing.assert_array_equal(some[row], values[expected])
