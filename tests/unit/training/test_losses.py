"""The contrastive loss, against its definition and at its extremes."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import contrastive_loss

PAIRS = torch.tensor([0, 0, 1, 1])


def test_it_is_the_mean_surprise_at_finding_ones_group_among_the_others() -> None:
    torch.manual_seed(1)
    vectors, groups, temperature = torch.randn(5, 3), torch.tensor([0, 0, 0, 1, 2]), 0.5

    surprises = []
    for i in range(3):  # rows 3 and 4 are alone
        directions = vectors / vectors.norm(dim=1, keepdim=True)
        weights = {j: math.exp(directions[i] @ directions[j] / temperature) for j in range(5)}
        others = sum(weight for j, weight in weights.items() if j != i)
        mine = [math.log(weights[j] / others) for j in range(3) if j != i]
        surprises.append(-sum(mine) / len(mine))

    loss = contrastive_loss(vectors, groups, temperature)
    assert loss.item() == pytest.approx(sum(surprises) / 3, rel=1e-5)


def test_together_and_apart_is_better_than_the_other_way_round() -> None:
    vectors = torch.tensor([[1.0, 0], [1, 0.1], [-1, 0], [-1, 0.1]])

    good = contrastive_loss(vectors, PAIRS, 0.1)
    bad = contrastive_loss(vectors, torch.tensor([0, 1, 0, 1]), 0.1)
    assert good < 0.01
    assert bad > 5


def test_length_does_not_matter() -> None:
    vectors = torch.randn(4, 3)

    torch.testing.assert_close(
        contrastive_loss(vectors, PAIRS, 0.1), contrastive_loss(vectors * 7, PAIRS, 0.1)
    )


@pytest.mark.parametrize("groups", [[0, 1, 2], [0]])
def test_without_a_pair_it_is_zero_and_has_a_gradient(groups: list[int]) -> None:
    vectors = torch.randn(len(groups), 3, requires_grad=True)
    loss = contrastive_loss(vectors, torch.tensor(groups), 0.1)
    loss.backward()

    assert loss.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()
