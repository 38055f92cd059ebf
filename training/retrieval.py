"""Retrieval metrics: which photos are among each photo's nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

PRECISION_AT = 5
RECALL_AT = (1, 5, 10)
_BLOCK = 1024  # queries compared at a time, so memory does not grow with their square


@dataclass(frozen=True)
class Catalogue:
    """Photos and their vectors, one row each."""

    vectors: NDArray[np.float32]  # (photos, dimension)
    categories: NDArray[np.int64] | NDArray[np.str_]  # (photos,), numbers or names
    listings: NDArray[np.str_]  # (photos,), the id of each photo's listing


def retrieval_metrics(
    photos: Catalogue, *, cosine: bool, gallery: Catalogue | None = None
) -> dict[str, float]:
    """Returns precision at 5 by category, and recall of the same listing at 1, 5 and 10.

    Each photo queries all the others. Precision is the share of the first 5 hits of its category;
    recall is the share of photos, of those whose listing has another photo, that find one among the
    first k.

    Args:
        photos: The queries, which are also searched.
        cosine: Whether to compare directions rather than distances.
        gallery: More photos to search among.
    """
    pool = photos if gallery is None else _joined(photos, gallery)
    neighbours = nearest(photos.vectors, pool.vectors, max(RECALL_AT), cosine=cosine)
    queries = np.arange(len(photos.listings))
    return found_metrics(neighbours, queries, pool.categories, pool.listings)


def found_metrics(
    neighbours: NDArray[np.int64],
    queries: NDArray[np.int64],
    categories: NDArray[np.int64] | NDArray[np.str_],
    listings: NDArray[np.str_],
) -> dict[str, float]:
    """Returns the figures of `retrieval_metrics` for given search results.

    Args:
        neighbours: Rows of each query's hits, nearest first, of shape (queries, hits).
        queries: Rows of the queries, of shape (queries,).
        categories: Category of each photo, of shape (photos,).
        listings: Listing of each photo, of shape (photos,).
    """
    same_category = categories[neighbours] == categories[queries][:, None]
    same_listing = listings[neighbours] == listings[queries][:, None]
    has_sibling = siblings(listings)[queries]
    first = same_category[:, :PRECISION_AT]
    # a single photo has no neighbour
    metrics = {f"precision_at_{PRECISION_AT}": float(first.mean()) if first.size else 0.0}
    for k in RECALL_AT:
        found = same_listing[has_sibling, :k].any(axis=1)
        metrics[f"same_listing_recall_at_{k}"] = float(found.mean()) if len(found) else 0.0
    return metrics


def siblings(listings: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Returns which photos have another photo of their listing, of shape (photos,)."""
    _, inverse, counts = np.unique(listings, return_inverse=True, return_counts=True)
    have: NDArray[np.bool_] = counts[inverse] > 1
    return have


def nearest(
    queries: NDArray[np.float32], pool: NDArray[np.float32], k: int, *, cosine: bool
) -> NDArray[np.int64]:
    """Returns the rows of the k nearest in the pool, of shape (queries, k), nearest first.

    The pool begins with the queries themselves; none finds itself.
    """
    searched = torch.from_numpy(pool)
    if cosine:
        searched = torch.nn.functional.normalize(searched, dim=1)
    k = min(k, len(pool) - 1)
    found = []
    for start in range(0, len(queries), _BLOCK):
        block = searched[start : min(start + _BLOCK, len(queries))]
        distances = torch.cdist(block, searched)
        rows = torch.arange(len(block))
        distances[rows, start + rows] = torch.inf
        found.append(distances.topk(k, largest=False).indices)
    return np.asarray(torch.cat(found))


def _joined(first: Catalogue, second: Catalogue) -> Catalogue:
    return Catalogue(
        np.concatenate([first.vectors, second.vectors]),
        np.concatenate([first.categories, second.categories]),
        np.concatenate([first.listings, second.listings]),
    )
