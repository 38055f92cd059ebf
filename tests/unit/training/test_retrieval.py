"""Retrieval figures, against neighbours found by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training import retrieval
from training.retrieval import Catalogue, nearest, retrieval_metrics


def catalogue(vectors: list[list[float]], categories: list[int], listings: str) -> Catalogue:
    return Catalogue(
        np.array(vectors, np.float32), np.array(categories), np.array(listings.split())
    )


def random_vectors(rows: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, 13)).astype(np.float32)


@pytest.mark.parametrize("cosine", [False, True])
def test_the_nearest_are_those_of_comparing_everything_by_hand(
    cosine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "_BLOCK", 7)
    vectors = random_vectors(40)
    compared = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if cosine else vectors
    distances = np.linalg.norm(compared[:, None] - compared[None], axis=2)
    np.fill_diagonal(distances, np.inf)

    found = nearest(vectors[:20], vectors, 5, cosine=cosine)

    np.testing.assert_array_equal(found, np.argsort(distances[:20], axis=1)[:, :5])


def test_a_photo_does_not_find_itself_even_among_copies() -> None:
    found = nearest(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), 2, cosine=False)

    assert [sorted(row) for row in found.tolist()] == [[1, 2], [0, 2], [0, 1]]


def test_precision_counts_categories_and_recall_only_photos_with_a_sibling() -> None:
    # On a line: a's second photo is its second neighbour, b's its first; c has one photo.
    photos = catalogue([[0], [3], [1], [10], [11], [30]], [0, 0, 1, 2, 2, 2], "a a c b b d")

    metrics = retrieval_metrics(photos, cosine=False)

    assert metrics["same_listing_recall_at_1"] == pytest.approx(2 / 4)
    assert metrics["same_listing_recall_at_5"] == 1
    # all five others of each: 1 of 5 share category 0, 0 of 5 category 1, 2 of 5 category 2
    assert metrics["precision_at_5"] == pytest.approx((1 + 1 + 0 + 2 + 2 + 2) / 30)


def test_a_gallery_is_searched_too_and_does_not_ask() -> None:
    photos = catalogue([[0], [10]], [0, 1], "a b")
    gallery = catalogue([[0.1], [0.2], [9]], [1, 1, 1], "x y b")

    alone = retrieval_metrics(photos, cosine=False)
    metrics = retrieval_metrics(photos, cosine=False, gallery=gallery)

    assert alone["same_listing_recall_at_10"] == 0, "no photo has a sibling"
    assert metrics["same_listing_recall_at_1"] == 1, "b's sibling is its nearest; a has none"
    assert metrics["precision_at_5"] == pytest.approx((0 + 3) / 8)


def test_directions_and_distances_are_told_apart() -> None:
    photos = catalogue([[1, 0], [10, 0.1], [1, 1]], [0, 0, 1], "a a b")

    assert retrieval_metrics(photos, cosine=True)["same_listing_recall_at_1"] == 1
    assert retrieval_metrics(photos, cosine=False)["same_listing_recall_at_1"] == 0.5
