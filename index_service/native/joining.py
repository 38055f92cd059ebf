"""Joins consecutive small upserts of the queue into one operation.

Most of the cost of an upsert does not depend on its number of items: statements, steps over arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from index_service.native.changes import Operation, Upsert, upsert_together
from index_service.native.memory.state import State
from index_service.native.store.transaction import Transaction

# Items written as one: more would hardly save anything, and take memory meanwhile.
_MOST_ITEMS = 1000


def runs(operations: Sequence[Operation[Any]]) -> Iterator[list[Operation[Any]]]:
    """Yields all operations in their order, alone or in runs that `as_one` can join."""
    run: list[Operation[Any]] = []
    ids: set[str] = set()
    for operation in operations:
        own = _ids(operation)
        joins = run and _alike(run[-1], operation) and len(ids) + len(own) <= _MOST_ITEMS
        if run and not (joins and ids.isdisjoint(own)):
            yield run
            run, ids = [], set()
        run.append(operation)
        ids |= own
    if run:
        yield run


def as_one(run: Sequence[Operation[Any]]) -> Operation[Sequence[Any]]:
    """Makes an operation that does a run, all or none, and returns the answer of each."""
    upserts = [operation for operation in run if isinstance(operation, Upsert)]
    if len(upserts) == len(run):
        return partial(upsert_together, upserts)
    (alone,) = run

    def do(write: Transaction, state: State) -> tuple[State, Sequence[Any]]:
        after, answer = alone(write, state)
        return after, [answer]

    return do


def _ids(operation: Operation[Any]) -> set[str]:
    if isinstance(operation, Upsert):
        return {item.id for item in operation.batch.items}
    return set()


def _alike(one: Operation[Any], other: Operation[Any]) -> bool:
    """Returns whether both are upserts to one collection; no alias changes between neighbours."""
    return isinstance(one, Upsert) and isinstance(other, Upsert) and one.name == other.name
