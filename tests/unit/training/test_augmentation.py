"""Changes to training photos and batches: those that were asked for, and no others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.augmentation import Mixing, augmentation
from training.config import TrainConfig


def photo(side: int = 24) -> Tensor:
    """Every pixel of its own colour."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([rows, columns, rows * 0 + 200], dim=2).mul(5).clamp(max=255).byte()


def changed(names: str, times: int = 40, size: int = 24) -> list[Tensor]:
    torch.manual_seed(1)
    change = augmentation(TrainConfig("none", augment=names), size)
    return [change(photo()) for _ in range(times)]


def test_without_a_name_a_photo_is_only_resized() -> None:
    assert all(torch.equal(result, photo()) for result in changed("", 5))
    assert changed("", 1, size=10)[0].shape == (10, 10, 3)


@pytest.mark.parametrize(("name", "axis"), [("vflip", 0), ("hflip", 1)])
def test_a_flip_turns_half_of_the_photos(name: str, axis: int) -> None:
    results = changed(name, 200)
    turned = [result for result in results if not torch.equal(result, photo())]

    assert 70 < len(turned) < 130
    assert all(torch.equal(result, photo().flip(axis)) for result in turned)


def test_a_crop_enlarges_a_part_of_the_photo() -> None:
    results = changed("crop")
    reds = [int(result[..., 0].max()) - int(result[..., 0].min()) for result in results]

    assert all(result.shape == (24, 24, 3) for result in results)
    assert all(result.dtype == torch.uint8 for result in results)
    assert min(reds) < 90 < max(reds) <= 115, "115 is what all rows span"


def test_a_rotation_keeps_the_middle_and_blackens_corners() -> None:
    results = changed("rotate")

    assert sum(int(result[0, 0].sum()) == 0 for result in results) > 10
    middle = photo()[12, 12].float()
    assert all((result[12, 12].float() - middle).abs().max() < 20 for result in results)


def test_randaugment_changes_most_photos() -> None:
    results = changed("randaugment")

    assert sum(not torch.equal(result, photo()) for result in results) > 20


def test_all_together_come_out_at_the_size_asked_for() -> None:
    results = changed("hflip,vflip,rotate,crop,randaugment", 10, size=16)

    assert {(tuple(result.shape), result.dtype) for result in results} == {
        ((16, 16, 3), torch.uint8)
    }


def mixing(**shares: float) -> Mixing:
    return Mixing(TrainConfig("none", stage="all", **shares), classes=4)  # type: ignore[arg-type]


def test_without_a_share_no_batch_is_mixed() -> None:
    assert all(mixing()(torch.rand(4, 3, 8, 8), torch.arange(4)) is None for _ in range(20))


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (4, 64)])
def test_mixup_blends_each_row_with_the_one_before(shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    values = torch.rand(shape)
    mixed = mixing(mixup=1.0)(values, torch.arange(4))
    assert mixed is not None
    blended, shares = mixed

    own = shares.diagonal()
    torch.testing.assert_close(own, own[0].expand(4))
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    torch.testing.assert_close(blended, own[0] * values + (1 - own[0]) * values.roll(1, 0))


def test_cutmix_pastes_a_patch_of_the_row_before() -> None:
    torch.manual_seed(3)
    values = torch.arange(4.0)[:, None, None, None].expand(4, 3, 20, 20).contiguous()
    mixed = mixing(cutmix=1.0)(values, torch.arange(4))
    assert mixed is not None
    pasted, shares = mixed

    for row in range(4):
        foreign = (pasted[row] == (row - 1) % 4).float().mean()
        assert ((pasted[row] == row) | (pasted[row] == (row - 1) % 4)).all()
        torch.testing.assert_close(shares[row, (row - 1) % 4], foreign)
        torch.testing.assert_close(shares[row, row], 1 - foreign)


def test_a_share_of_the_batches_is_mixed() -> None:
    torch.manual_seed(4)
    mix = mixing(mixup=0.25, cutmix=0.25)
    results = [mix(torch.rand(2, 1, 4, 4), torch.tensor([0, 1])) for _ in range(400)]

    assert 150 < sum(result is not None for result in results) < 250
