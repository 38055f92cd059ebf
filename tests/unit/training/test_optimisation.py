"""Learning rates over a run, what each group of weights gets, and the average that is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.config import TrainConfig
from training.optimisation import moving_average, optimizer_of, rate_at


def test_the_default_warms_up_over_a_tenth_and_ends_at_the_floor() -> None:
    rate = rate_at(TrainConfig("none", learning_rate=1e-3), steps=100)

    assert [rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(55) == pytest.approx(0.5, abs=0.001)
    assert 1e-3 * rate(100) == pytest.approx(1e-6)
    falling = [rate(step) for step in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


def test_cos_reproduces_the_schedule_of_earlier_work() -> None:
    # from 0.015 to 1e-6 over 100 epochs, as torch's own scheduler does it
    config = TrainConfig("none", schedule="cos", learning_rate=0.015, epochs=100)
    rate = rate_at(config, steps=100)
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.015)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-6)
    for epoch in range(101):
        assert 0.015 * rate(epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_flat_stays() -> None:
    rate = rate_at(TrainConfig("none", schedule="flat"), steps=10)

    assert {rate(step) for step in range(11)} == {1.0}


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_backbone_learns_at_its_share_of_the_rate(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    config = TrainConfig(
        "none", stage="all", optimizer=name, learning_rate=0.5, backbone_rate=0.1, weight_decay=0.3
    )
    heads, backbone = nn.Linear(2, 2), nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))
    backbone[0].requires_grad_(False)
    optimizer = optimizer_of(config, heads, backbone)

    assert type(optimizer) is kind
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"heads": 0.5, "backbone": 0.05})
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3}
    learning = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert {id(weight) for weight in learning} == {
        id(weight) for weight in [*heads.parameters(), *backbone[1].parameters()]
    }


def test_a_frozen_backbone_has_no_group() -> None:
    backbone = nn.Linear(3, 3).requires_grad_(False)
    optimizer = optimizer_of(TrainConfig("none"), nn.Linear(2, 2), backbone)

    assert [group["name"] for group in optimizer.param_groups] == ["heads"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, 0.9), (torch.tensor(71), 1 - 72 / 81), (10_000, 0.1)],
    ids=["of ten parts nine are new", "growing", "as far as asked"],
)
def test_the_average_forgets_the_start_and_then_keeps_its_memory(
    count: torch.Tensor | int, expected: float
) -> None:
    average, batches = torch.zeros(2), torch.tensor(3)
    moving_average(0.9)([average, batches], [torch.ones(2), torch.tensor(8)], count)

    assert average.tolist() == pytest.approx([expected] * 2)
    assert batches.item() == 8
