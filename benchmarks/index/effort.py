"""How much of everything a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Counts and durations.

    Attributes:
        rounds: Of everything that is measured in turns.
        calls: Of a lone caller a round.
        many_calls: Of many callers together a round.
        batched_calls: Of 1,000 queries each a round.
        batches: Of 1,000 items, for the rate of writes.
        singles: Of one item.
        ingest: Batches of 1,000 while queries are asked.
        large: Items of the large collection.
        restarts: Of the service with it.
        recall: Queries whose answers are compared with exact ones.
        sizes: Items of each collection of the plot.
        huge: Items of the collection whose memory is measured; 0 for none.
        install: Whether other servers may be installed where they are missing.
    """

    rounds: int
    calls: int
    many_calls: int
    batched_calls: int
    batches: int
    singles: int
    ingest: int
    large: int
    restarts: int
    recall: int
    sizes: tuple[int, ...]
    huge: int
    install: bool


FULL = Effort(
    rounds=9,
    calls=200,
    many_calls=3000,
    batched_calls=40,
    batches=300,
    singles=8000,
    ingest=450,
    large=1_000_000,
    restarts=3,
    recall=5000,
    sizes=(10_000, 100_000, 1_000_000),
    huge=10_000_000,
    install=True,
)
QUICK = Effort(
    rounds=3,
    calls=40,
    many_calls=200,
    batched_calls=8,
    batches=30,
    singles=400,
    ingest=60,
    large=100_000,
    restarts=1,
    recall=300,
    sizes=(10_000, 30_000),
    huge=0,
    install=False,
)
