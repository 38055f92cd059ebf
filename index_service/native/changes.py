"""What a write does: to the store, and to the state that readers see next.

Each function makes an operation, and an `Upsert` is one: given an open transaction and the state
before, it returns the state after and an answer. It either does everything or raises, and the
transaction undoes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from index_service.native.memory import state as states
from index_service.native.memory.features import Bytes, Scales, quantised
from index_service.native.memory.rows import rows_of
from index_service.native.memory.state import Live, State
from index_service.native.store.transaction import FLOAT, Transaction
from index_service.records import Batch, Collection, Deleted, Matrix, Upserted
from index_service.vectors import features_matrix, matrix
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
    RequestIdReusedError,
)

R = TypeVar("R")
A = TypeVar("A", Upserted, Deleted)

Operation: TypeAlias = Callable[[Transaction, State], tuple[State, R]]


def create_collection(collection: Collection) -> Operation[None]:
    """Raises CollectionExistsError if the name is taken."""

    def run(write: Transaction, state: State) -> tuple[State, None]:
        _check_free(collection.name, state)
        key = write.create_collection(collection)
        return state.with_live(states.empty(key, collection, state.feature_bytes)), None

    return run


def delete_collection(name: str) -> Operation[int]:
    """Returns how many items went with it; raises CollectionInUseError if an alias leads to it."""

    def run(write: Transaction, state: State) -> tuple[State, int]:
        if name not in state.live:
            kind = "an alias" if name in state.aliases else "no collection"
            raise CollectionNotFoundError(
                f"'{name}' is {kind}; name the collection itself", resource=("collection", name)
            )
        if leading := sorted(a for a, target in state.aliases.items() if target == name):
            raise CollectionInUseError(
                f"alias '{leading[0]}' leads to collection '{name}'; set or delete it first",
                metadata={"alias": leading[0]},
            )
        deleted = write.delete_collection(state.live[name].key)
        rest = {other: kept for other, kept in state.live.items() if other != name}
        return replace(state, live=rest), deleted

    return run


def set_alias(name: str, collection: str) -> Operation[tuple[str, int]]:
    """Returns where it led before, and the write's number."""

    def run(write: Transaction, state: State) -> tuple[State, tuple[str, int]]:
        if name in state.live:
            raise _taken(name, "collection")
        live = state.find(collection)
        previous = state.aliases.get(name, "")
        write.set_alias(name, live.key)
        aliases = {**state.aliases, name: live.collection.name}
        return replace(state, aliases=aliases), (previous, write.seq)

    return run


def delete_alias(name: str) -> Operation[int]:
    """Returns the write's number."""

    def run(write: Transaction, state: State) -> tuple[State, int]:
        if name not in state.aliases:
            raise AliasNotFoundError(f"there is no alias '{name}'", resource=("alias", name))
        write.delete_alias(name)
        rest = {other: target for other, target in state.aliases.items() if other != name}
        return replace(state, aliases=rest), write.seq

    return run


class Fitted(NamedTuple):
    """A batch's vectors and features as a collection keeps them.

    Attributes:
        collection: Its key.
        vectors: float32 (n, dimension).
        features: As memory holds them.
        blobs: As the store does; None for an item without.
    """

    collection: int
    vectors: Matrix
    features: tuple[Bytes, Scales]
    blobs: list[bytes | None]


def fitted(live: Live, batch: Batch) -> Fitted:
    """Returns a batch as a collection keeps it; raises what `vectors` names."""
    collection = live.collection
    fields = [f"items[{i}].vector" for i in range(len(batch.vectors))]
    vectors = matrix(batch.vectors, collection, fields)
    fields = [f"items[{i}].features" for i in range(len(batch.features))]
    sent = features_matrix(batch.features, collection, fields)
    having = np.array([len(values) > 0 for values in batch.features], bool)
    features = np.zeros((len(batch.items), collection.features_dimension), np.float32)
    features[having] = sent
    rows = iter(sent.astype(FLOAT))
    blobs = [next(rows).tobytes() if has else None for has in having.tolist()]
    return Fitted(live.key, vectors, quantised(features), blobs)


@dataclass(frozen=True, eq=False)
class Upsert:
    """The operation that adds items, or replaces those of the same id.

    Attributes:
        name: Of the collection, or an alias.
        batch: The items.
        fit: The batch as the collection keeps it, if that is known; made again if the alias leads
            elsewhere by then.
    """

    name: str
    batch: Batch
    fit: Fitted | None = None

    def __call__(self, write: Transaction, state: State) -> tuple[State, Upserted]:
        after, (answer,) = upsert_together([self], write, state)
        return after, answer

    def fitted_to(self, live: Live) -> Fitted:
        """Returns the batch as the collection keeps it."""
        if self.fit and self.fit.collection == live.key:
            return self.fit
        return fitted(live, self.batch)


def upsert_together(
    upserts: Sequence[Upsert], write: Transaction, state: State
) -> tuple[State, list[Upserted]]:
    """Does what the upserts do one after the other, with as few steps as one of them takes.

    They name the same collection, and no item twice. Each has a number of its own; all are done or
    none.
    """
    live = state.find(upserts[0].name)
    fits = [upsert.fitted_to(live) for upsert in upserts]
    items = [item for upsert in upserts for item in upsert.batch.items]
    vectors = np.concatenate([fit.vectors for fit in fits])
    blobs = [blob for fit in fits for blob in fit.blobs]
    values, scales = zip(*(fit.features for fit in fits), strict=True)
    features = np.concatenate(values), np.concatenate(scales)
    first_seq = write.seq
    # Items that are replaced go with the last number: nobody sees a state in between.
    write.further_writes(len(upserts) - 1)
    written = write.upsert(live.key, items, vectors, blobs)
    dead = np.array(sorted(written.dead.values()), np.int64)
    rows = rows_of(live, written.first_key, items, written.products, vectors, features)
    segments = live.segments.without(dead) if len(dead) else live.segments
    answers: list[Upserted] = []
    for seq, upsert in enumerate(upserts, first_seq):
        replaced = sum(item.id in written.dead for item in upsert.batch.items)
        answers.append(Upserted(seq, len(upsert.batch.items) - replaced, replaced))
    return state.with_live(replace(live, segments=segments.with_rows(rows))), answers


def delete_items(
    name: str, item_ids: Sequence[str], product_ids: Sequence[str]
) -> Operation[Deleted]:
    """Deletes items by id, and all items of the products; unknown ids are skipped."""

    def run(write: Transaction, state: State) -> tuple[State, Deleted]:
        live = state.find(name)
        dead = np.array(write.delete(live.key, item_ids, product_ids), np.int64)
        after = replace(live, segments=live.segments.without(dead))
        return state.with_live(after), Deleted(write.seq, len(dead))

    return run


def once(
    operation: Operation[A], request_id: str, digest: bytes, answer: Callable[..., A]
) -> Operation[A]:
    """Makes an operation that a retry with the same id and content does not do again.

    Args:
        operation: What is done the first time.
        request_id: The caller's.
        digest: Of the request's content.
        answer: Makes the answer of its values.
    """

    def run(write: Transaction, state: State) -> tuple[State, A]:
        if earlier := write.answered(request_id):
            known, values = earlier
            if known != digest:
                raise RequestIdReusedError(
                    f"request_id '{request_id}' came before with other content; make a new one",
                    field="request_id",
                )
            write.nothing_written()
            return state, answer(*values)
        after, result = operation(write, state)
        write.remember(request_id, digest, result)
        return after, result

    return run


def digest(*parts: object) -> bytes:
    """Returns a digest of what a request says."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def digest_of_batch(name: str, batch: Batch) -> bytes:
    """Returns a digest of a batch as it was sent."""
    # A map of protobuf comes in another order each time it is read.
    items = [(*item[:4], sorted(item.attributes.items())) for item in batch.items]
    vectors = [(vector.embedding_space, _packed(vector.values)) for vector in batch.vectors]
    return digest("upsert", name, items, vectors, [_packed(each) for each in batch.features])


def _packed(values: Sequence[float]) -> bytes:
    return np.fromiter(values, FLOAT, len(values)).tobytes()


def _check_free(name: str, state: State) -> None:
    if name in state.live:
        raise _taken(name, "collection")
    if name in state.aliases:
        raise _taken(name, "alias")


def _taken(name: str, kind: str) -> CollectionExistsError:
    article = "an" if kind == "alias" else "a"
    return CollectionExistsError(
        f"there is {article} {kind} '{name}' already", resource=(kind, name)
    )
