"""Tests the torch engine: on the CPU, and on CUDA where there is a device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lookalike.model.bundle import WEIGHTS, Bundle
from lookalike.model.engines import Engine, PrecisionError, load_engine
from lookalike.model.engines.torch_engine import TorchEngine
from lookalike.model.engines.torch_network import Network
from tests.small_backbone import small_backbones

PHOTOS = np.random.default_rng(5).integers(0, 256, (4, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def backbone() -> Iterator[None]:
    """That of the bundle, which is small."""
    with small_backbones():
        yield


def network_of(bundle: Bundle) -> Network:
    manifest = bundle.manifest
    network = Network(manifest.architecture, manifest.preprocessing, manifest.outputs)
    network.load_state_dict(load_file(bundle.file(WEIGHTS)))
    return network.eval()


def answers(engine: Engine, photos: np.ndarray = PHOTOS) -> np.ndarray:
    return np.concatenate(list(engine.infer(photos).values()), axis=1)


def test_torch_engine_refuses_int8(tiny_bundle: Bundle) -> None:
    with pytest.raises(PrecisionError, match="computes in fp32, bf16 or fp16; int8 is OpenVINO's"):
        load_engine(tiny_bundle, name="torch", precision="int8", threads=1)


def test_channels_last_changes_nothing_but_the_layout(tiny_bundle: Bundle) -> None:
    plain = network_of(tiny_bundle)
    with torch.inference_mode():
        expected = torch.cat(list(plain(torch.from_numpy(PHOTOS)).values()), dim=1).numpy()
    engine = TorchEngine(network_of(tiny_bundle), precision="fp32", device="cpu")
    weights = engine._network.get_parameter("backbone.layer1.0.conv2.weight")
    assert weights.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(answers(engine), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_and_answers_in_float32(tiny_bundle: Bundle, precision: str) -> None:
    exact = answers(TorchEngine(network_of(tiny_bundle), precision="fp32", device="cpu"))
    half = answers(TorchEngine(network_of(tiny_bundle), precision=precision, device="cpu"))
    assert half.dtype == np.float32
    assert not np.array_equal(half, exact)
    assert np.abs(half - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_replayed_graphs_answer_as_the_cpu_for_every_batch(
    tiny_bundle: Bundle, precision: str
) -> None:
    exact = answers(TorchEngine(network_of(tiny_bundle), precision="fp32", device="cpu"))
    engine = TorchEngine(network_of(tiny_bundle), precision=precision, device="cuda")
    for count in (4, 1, 4, 2):  # each shape is captured once, and replayed with other photos
        for start in range(0, 4, count):
            found = answers(engine, PHOTOS[start : start + count])
            error = np.abs(found - exact[start : start + count]).max()
            assert error < 0.05 * np.abs(exact).max()
