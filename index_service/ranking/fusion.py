"""Fuses several orders of the same things into one, by reciprocal rank.

After Cormack, Clarke and Büttcher, 2009: scores of different kinds, such as distances and BM25,
cannot be added up, but places can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

OFFSET = 60
"""What is added to each place; as in the paper. The greater, the less a first place counts."""

MOST_PLACES = 100
"""How many places of each order count, or `k` if that is more."""


def places(k: int) -> int:
    """Returns how many places of each order count for an answer of `k`."""
    return max(k, MOST_PLACES)


def reciprocal(place: int) -> float:
    """Returns what a place, from 1, adds to a score."""
    return 1 / (OFFSET + place)


def fused(orders: Sequence[Iterable[int]]) -> dict[int, float]:
    """Returns the score of each thing that is in an order."""
    scores: dict[int, float] = {}
    for order in orders:
        for place, thing in enumerate(order, 1):
            scores[thing] = scores.get(thing, 0.0) + reciprocal(place)
    return scores


def best(scores: Mapping[int, float], k: int) -> list[int]:
    """Returns the `k` things with the greatest scores, and of equal ones the least numbers."""
    return sorted(scores, key=lambda thing: (-scores[thing], thing))[:k]
