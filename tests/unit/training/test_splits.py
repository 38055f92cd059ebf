"""The split: what belongs together stays together, and the same seed gives the same sides."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from training.errors import TrainingError
from training.splits import SPLITS, assign_splits

# Few names for many rows, so that listings and files chain up in every way.
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("abcdefghijklmnopqr")), max_size=40
)


def table(rows: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["product_id", "sha256"], dtype=str)


def pairs(listings: int) -> pd.DataFrame:
    """Two photos a listing, no file twice."""
    return table([(f"listing {n // 2}", f"file {n}") for n in range(2 * listings)])


@settings(max_examples=examples(30), deadline=None)
@given(rows=ROWS, seed=st.integers(0, 2**32 - 1))
def test_no_listing_and_no_file_stands_on_two_sides(rows: list[tuple[str, str]], seed: int) -> None:
    photos = table(rows)
    photos["split"] = assign_splits(photos, seed=seed)

    assert set(photos["split"]) <= set(SPLITS)
    assert len(photos["split"]) == len(rows)
    for key in ("product_id", "sha256"):
        assert (photos.groupby(key)["split"].nunique() == 1).all()


@settings(max_examples=20, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 1000))
def test_the_same_seed_gives_the_same_sides(rows: list[tuple[str, str]], seed: int) -> None:
    first, again = (assign_splits(table(rows), seed=seed) for _ in range(2))

    pd.testing.assert_series_equal(first, again)


def test_the_sides_of_a_seed_stay_what_they_were() -> None:
    # Figures of earlier runs are comparable only while their test photos are the same.
    sides = assign_splits(pairs(10), seed=7)

    assert sides[sides == "validation"].index.tolist() == [8, 9, 10, 11]
    assert sides[sides == "test"].index.tolist() == [18, 19]


def test_another_seed_gives_other_sides() -> None:
    assert not assign_splits(pairs(50), seed=1).equals(assign_splits(pairs(50), seed=2))


def test_files_chain_listings_into_one_group() -> None:
    chain = [(f"listing {n}", f"file {n + m}") for n in range(30) for m in (0, 1)]

    for seed in range(10):
        assert assign_splits(table(chain), seed=seed).nunique() == 1


def test_a_listing_and_a_file_of_the_same_name_are_not_the_same() -> None:
    photos = table([(str(n), str(n + 1)) for n in range(100)])

    assert assign_splits(photos, seed=1).nunique() == 3


@pytest.mark.parametrize("listings", [20, 100, 1001])
def test_the_sides_have_about_the_shares_asked_for(listings: int) -> None:
    shares = assign_splits(pairs(listings), seed=3).value_counts(normalize=True)

    assert shares["train"] == pytest.approx(0.70, abs=0.01)
    assert shares["validation"] == pytest.approx(0.15, abs=0.01)
    assert shares["test"] == pytest.approx(0.15, abs=0.01)


def test_by_image_photos_are_dealt_out_alone_and_counts_may_be_given() -> None:
    photos = pairs(5561).iloc[1:]  # 11,121 photos, as in an earlier comparison
    sides = assign_splits(photos, seed=7, by="image", parts=(7000, 3000, 1121))

    assert sides.value_counts().to_dict() == {"train": 7000, "validation": 3000, "test": 1121}
    assert (photos.assign(side=sides).groupby("product_id")["side"].nunique() > 1).any()


@pytest.mark.parametrize(
    ("by", "parts", "message"),
    [
        ("photo", (70, 15, 15), "split-by is photo; it must be listing or image"),
        ("listing", (0, 50, 50), "split is 0/50/50; .* the first above 0"),
        ("image", (70, -1, 15), "split is 70/-1/15; its parts must be at least 0"),
    ],
)
def test_impossible_rules_are_refused(by: str, parts: tuple[int, int, int], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        assign_splits(pairs(5), seed=1, by=by, parts=parts)


def test_the_sides_keep_the_rows_index() -> None:
    photos = pairs(5).set_index(pd.Index(range(100, 110)))

    assert assign_splits(photos, seed=1).index.equals(photos.index)


def test_no_photo_gives_no_side() -> None:
    assert assign_splits(table([]), seed=1).tolist() == []
