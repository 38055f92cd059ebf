"""Finds neighbours among the operations that wait which can be done as one: small upserts.

Most of what an upsert of one item costs is the same for many: statements, steps over arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from index_service.native.changes import Operation, Upsert, upsert_together
from index_service.native.memory.state import State
from index_service.native.store.transaction import Transaction

# Items that are written as one: more would share no less, and take memory meanwhile.
_MOST_ITEMS = 1000


def runs(operations: Sequence[Operation[Any]]) -> Iterator[list[Operation[Any]]]:
    """Yields all operations in their order: by themselves, or with neighbours for `as_one`."""
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
    """Makes an operation that does a run, all or none, and answers for each of it."""
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
    """Returns whether both are upserts to one collection; what lies between moves no alias."""
    return isinstance(one, Upsert) and isinstance(other, Upsert) and one.name == other.name
