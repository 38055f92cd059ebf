"""The weights that training starts from: which files are taken, and what is said of others."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lookalike.model.engines.torch_network import Network
from lookalike.model.engines.torchvision_loading import torchvision
from training import model
from training.config import TrainConfig
from training.errors import TrainingError
from training.model import build_network

State = dict[str, torch.Tensor]
CONFIG = TrainConfig("none", image_size=32, head_units=0)


@pytest.fixture(scope="module")
def state() -> State:
    """What torchvision would save, classifier included."""
    torch.manual_seed(11)
    return dict(torchvision.models.resnet50(weights=None).state_dict())


def build(weights: object, **changes: Any) -> Network:
    return build_network(dataclasses.replace(CONFIG, weights=str(weights), **changes), 13)


def refusal(weights: Path) -> str:
    with pytest.raises(TrainingError) as refused:
        build(weights)
    message = str(refused.value)
    assert message.startswith(f"--weights {weights}: ")
    assert "\n" not in message
    assert "weights_only" not in message, "no advice to load unsafely"
    return message


def test_none_starts_from_the_seed() -> None:
    first, again, other = (build("none", seed=seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.conv1.weight"], other["backbone.conv1.weight"])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("half", [False, True])
def test_a_state_dict_file_is_loaded_as_float32(
    scratch: Path, state: State, suffix: str, half: bool
) -> None:
    file = scratch / f"weights{suffix}"
    stored = {n: t.half() if half and t.is_floating_point() else t for n, t in state.items()}
    save_file(stored, file) if suffix == ".safetensors" else torch.save(stored, file)
    loaded = build(file).backbone.state_dict()

    assert set(loaded) == {name for name in state if not name.startswith("fc.")}
    for name, tensor in loaded.items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, stored[name].to(tensor.dtype)), name


def test_the_head_is_fresh_whatever_the_weights(scratch: Path, state: State) -> None:
    torch.save(state, scratch / "weights.pt")
    network = build(scratch / "weights.pt").eval()

    assert network(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))["category"].shape == (1, 13)
    fresh = build("none").heads.state_dict()
    assert all(torch.equal(t, fresh[n]) for n, t in network.heads.state_dict().items())


def test_a_state_dict_without_a_classifier_is_enough(scratch: Path, state: State) -> None:
    torch.save({n: t for n, t in state.items() if not n.startswith("fc.")}, scratch / "w.pt")

    build(scratch / "w.pt")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no such file; or use imagenet or none" in refusal(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all, only some text"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert "not a state_dict: " in refusal(tmp_path / name)


class Surprise:
    """A pickle that would run code on loading."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (shutil.rmtree, ("/nowhere",))


@pytest.mark.parametrize(
    "content",
    [[1, 2], torch.zeros(3), {1: torch.zeros(1)}, {"epoch": 3}, {"state_dict": {}}, Surprise()],
    ids=lambda content: type(content).__name__,
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")

    assert "not a state_dict: " in refusal(tmp_path / "weights.pt")


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "weights.pt")

    message = refusal(tmp_path / "weights.pt")
    assert "not a ResNet50's: conv1.weight is missing (and " in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, "size mismatch for conv1.weight"),
        ({"layer5.weight": torch.zeros(1)}, "layer5.weight is unknown"),
    ],
)
def test_nearly_the_right_weights_are_refused_with_the_difference(
    scratch: Path, state: State, change: State, said: str
) -> None:
    save_file({**state, **change}, scratch / "weights.safetensors")

    assert said in refusal(scratch / "weights.safetensors")


@pytest.mark.parametrize(
    "error", [OSError("unreachable"), RuntimeError('invalid hash value (expected "11ad3fa6")')]
)
def test_imagenet_weights_that_cannot_be_had_are_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    weights = model.torchvision.models.ResNet50_Weights
    monkeypatch.setattr(weights, "get_state_dict", fail)
    with pytest.raises(TrainingError, match="ImageNet weights cannot be downloaded") as refused:
        build("imagenet")

    assert str(error) in str(refused.value)
    assert "--weights none" in str(refused.value)


@pytest.mark.parametrize("in_1x1", [False, True])
def test_the_stride_moves_to_the_first_convolution_if_asked(in_1x1: bool) -> None:
    network = build("none", stride_in_1x1=in_1x1)

    for stage in ("layer2", "layer3", "layer4"):
        block = network.backbone.get_submodule(f"{stage}.0")
        strides = [block.get_submodule(name).stride for name in ("conv1", "conv2", "conv3")]
        assert strides == ([(2, 2), (1, 1), (1, 1)] if in_1x1 else [(1, 1), (2, 2), (1, 1)])
        assert block.get_submodule("downsample.0").stride == (2, 2)


def test_the_stride_changes_the_features_but_not_the_weights(scratch: Path, state: State) -> None:
    torch.save(state, scratch / "weights.pt")
    photo = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        usual, original = (
            build(scratch / "weights.pt", stride_in_1x1=in_1x1).eval().pooled(photo)
            for in_1x1 in (False, True)
        )

    assert usual.shape == original.shape == (1, 3072)
    assert not torch.allclose(usual, original)
