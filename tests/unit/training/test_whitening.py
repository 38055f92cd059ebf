"""Whitening: what becomes of distances, and that it is a part of the head's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lookalike.model.bundle import Architecture, Output, Preprocessing
from lookalike.model.engines.torch_network import POOLED_FEATURES, Network
from training.whitening import projection, whiten_embeddings, within_listings


def pairs_differing_in(spreads: list[float], listings: int = 400) -> tuple[NDArray, list[str]]:
    """Two vectors a listing, which differ from one another by so much in each direction."""
    dice = np.random.default_rng(1)
    things = dice.normal(size=(listings, len(spreads)))
    vectors = (
        np.repeat(things, 2, axis=0) + dice.normal(size=(2 * listings, len(spreads))) * spreads
    )
    return vectors.astype(np.float32), [str(row // 2) for row in range(2 * listings)]


def network(dimensions: dict[str, int]) -> Network:
    embeddings = (Output(name, size, "embedding") for name, size in dimensions.items())
    outputs = (Output("category", 3, "logits"), *embeddings)
    torch.manual_seed(1)
    return Network(Architecture(dropout=0.5), Preprocessing(32), outputs).eval()


def test_the_covariance_is_that_about_each_listings_mean() -> None:
    vectors = np.array([[0, 0], [2, 0], [10, 10], [10, 16], [99, 1]], np.float32)

    covariance = within_listings(vectors, ["a", "a", "b", "b", "c"])

    # a: (1, 0) to either side, b: (0, 3); c has no other. Two pairs in all.
    np.testing.assert_allclose(covariance, [[2 / 2, 0], [0, 18 / 2]])


def test_photos_of_a_listing_differ_alike_in_every_direction_afterwards() -> None:
    vectors, listings = pairs_differing_in([0.1, 1.0, 3.0])
    whitened = vectors @ projection(within_listings(vectors, listings), 1e-6).T

    covariance = within_listings(whitened.astype(np.float32), listings)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(3), atol=1e-3)


def test_shrinkage_draws_variances_together_up_to_changing_nothing() -> None:
    covariance = np.diag([0.0, 1.0, 5.0])

    np.testing.assert_allclose(projection(covariance, 1.0), np.eye(3))
    # half of each, and half of their mean, 2
    np.testing.assert_allclose(
        projection(covariance, 0.5), np.diag(np.sqrt(2 / np.array([1.0, 1.5, 3.5])))
    )


def test_listings_whose_photos_all_look_the_same_teach_nothing() -> None:
    np.testing.assert_array_equal(projection(np.zeros((2, 2)), 0.05), np.eye(2))


def test_an_embedding_is_whitened_through_its_weights_and_the_rest_stays() -> None:
    model = network({"features": 4})
    pooled = np.random.default_rng(1).normal(size=(60, POOLED_FEATURES)).astype(np.float32)
    listings = [str(row // 2) for row in range(60)]
    with torch.inference_mode():
        before = model.heads_of(torch.from_numpy(pooled))
    whitened = whiten_embeddings(model, pooled, listings, 0.05)
    with torch.inference_mode():
        after = model.heads_of(torch.from_numpy(pooled))

    assert (whitened.pairs, whitened.done, whitened.left) == (30, ("features",), ())
    assert torch.equal(before["category"], after["category"])
    matrix = projection(within_listings(before["features"].numpy(), listings), 0.05)
    expected = before["features"].numpy() @ matrix.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(after["features"].numpy(), expected, atol=1e-5)
    assert np.abs(expected - before["features"].numpy()).max() > 0.01


@pytest.mark.parametrize(("listings", "done"), [(16, ("small",)), (40, ("small", "large"))])
def test_an_embedding_of_more_dimensions_than_pairs_stays_as_it_is(
    listings: int, done: tuple[str, ...]
) -> None:
    model = network({"small": 4, "large": 32})
    before = model.heads["large"][1].weight.clone()
    dice = np.random.default_rng(1)
    pooled = dice.normal(size=(2 * listings, POOLED_FEATURES)).astype(np.float32)
    whitened = whiten_embeddings(model, pooled, [str(row // 2) for row in range(len(pooled))], 0.05)

    assert whitened.done == done
    assert whitened.done + whitened.left == ("small", "large")
    assert torch.equal(model.heads["large"][1].weight, before) == ("large" not in done)
