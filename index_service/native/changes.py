"""The write operations: each changes the store, and the state that readers see next.

An operation is given an open transaction and the state before; it returns the state after and an
answer. It either does everything or raises, and the transaction undoes it. The functions here
return operations; an `Upsert` is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from index_service import refusals
from index_service.native.memory import state as states
from index_service.native.memory.features import Bytes, Scales, quantised
from index_service.native.memory.rows import rows_of
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.store.rows import FLOAT
from index_service.native.store.transaction import Transaction
from index_service.records import Batch, Collection, Deleted, Matrix, Upserted
from index_service.vectors import features_matrix, matrix
from lookalike.errors import RequestIdReusedError

R = TypeVar("R")
A = TypeVar("A", Upserted, Deleted)

Operation: TypeAlias = Callable[[Transaction, State], tuple[State, R]]


def create_collection(collection: Collection) -> Operation[None]:
    """Creates a collection; raises CollectionExistsError if the name is taken."""

    def run(write: Transaction, state: State) -> tuple[State, None]:
        _check_free(collection.name, state)
        key = write.create_collection(collection)
        return state.with_collection(states.empty(key, collection, state.feature_bytes)), None

    return run


def delete_collection(name: str) -> Operation[int]:
    """Deletes a collection and returns how many items it had; raises CollectionInUseError."""

    def run(write: Transaction, state: State) -> tuple[State, int]:
        if name not in state.collections:
            raise refusals.not_a_collection(name, is_alias=name in state.aliases)
        if leading := sorted(a for a, target in state.aliases.items() if target == name):
            raise refusals.collection_in_use(name, leading[0])
        deleted = write.delete_collection(state.collections[name].key)
        rest = {other: kept for other, kept in state.collections.items() if other != name}
        return replace(state, collections=rest), deleted

    return run


def set_alias(name: str, collection: str) -> Operation[tuple[str, int]]:
    """Points an alias at a collection; returns its previous target and the write's number."""

    def run(write: Transaction, state: State) -> tuple[State, tuple[str, int]]:
        if name in state.collections:
            raise refusals.name_taken(name, by_alias=False)
        snapshot = state.find(collection)
        previous = state.aliases.get(name, "")
        write.set_alias(name, snapshot.key)
        aliases = {**state.aliases, name: snapshot.collection.name}
        return replace(state, aliases=aliases), (previous, write.seq)

    return run


def delete_alias(name: str) -> Operation[int]:
    """Deletes an alias and returns the write's number."""

    def run(write: Transaction, state: State) -> tuple[State, int]:
        if name not in state.aliases:
            raise refusals.alias_not_found(name)
        write.delete_alias(name)
        rest = {other: target for other, target in state.aliases.items() if other != name}
        return replace(state, aliases=rest), write.seq

    return run


class ValidatedBatch(NamedTuple):
    """The vectors and features of a batch that fits a collection, converted for it.

    Attributes:
        collection: Key of the collection.
        vectors: float32 (n, dimension).
        features: Features for memory.
        blobs: Features for the store; None for an item without.
    """

    collection: int
    vectors: Matrix
    features: tuple[Bytes, Scales]
    blobs: list[bytes | None]


def validate(snapshot: CollectionSnapshot, batch: Batch) -> ValidatedBatch:
    """Checks and converts a batch for a collection; raises the errors named in `vectors`."""
    collection = snapshot.collection
    fields = [f"items[{i}].vector" for i in range(len(batch.vectors))]
    vectors = matrix(batch.vectors, collection, fields)
    fields = [f"items[{i}].features" for i in range(len(batch.features))]
    sent = features_matrix(batch.features, collection, fields)
    having = np.array([len(values) > 0 for values in batch.features], bool)
    features = np.zeros((len(batch.items), collection.features_dimension), np.float32)
    features[having] = sent
    rows = iter(sent.astype(FLOAT))
    blobs = [next(rows).tobytes() if has else None for has in having.tolist()]
    return ValidatedBatch(snapshot.key, vectors, quantised(features), blobs)


@dataclass(frozen=True, eq=False)
class Upsert:
    """The operation that adds items, or replaces those of the same id.

    Attributes:
        name: Name of the collection, or an alias.
        batch: The items.
        validated: The batch validated in advance; repeated if the alias points elsewhere by then.
    """

    name: str
    batch: Batch
    validated: ValidatedBatch | None = None

    def __call__(self, write: Transaction, state: State) -> tuple[State, Upserted]:
        after, (answer,) = upsert_together([self], write, state)
        return after, answer

    def validated_for(self, snapshot: CollectionSnapshot) -> ValidatedBatch:
        """Returns the batch as validated for the collection."""
        if self.validated and self.validated.collection == snapshot.key:
            return self.validated
        return validate(snapshot, self.batch)


def upsert_together(
    upserts: Sequence[Upsert], write: Transaction, state: State
) -> tuple[State, list[Upserted]]:
    """Does several upserts with the steps of a single one: all or none.

    They must name the same collection, and no item twice. Each gets its own number.
    """
    snapshot = state.find(upserts[0].name)
    batches = [upsert.validated_for(snapshot) for upsert in upserts]
    items = [item for upsert in upserts for item in upsert.batch.items]
    vectors = np.concatenate([batch.vectors for batch in batches])
    blobs = [blob for batch in batches for blob in batch.blobs]
    values, scales = zip(*(batch.features for batch in batches), strict=True)
    features = np.concatenate(values), np.concatenate(scales)
    first_seq = write.seq
    # Replaced items are deleted with the last number: no reader sees a state in between.
    write.further_writes(len(upserts) - 1)
    names = snapshot.collection.text_attributes
    written = write.upsert(snapshot.key, items, vectors, blobs, names)
    dead = np.array(sorted(written.dead.values()), np.int64)
    rows = rows_of(snapshot, written.first_key, items, written.products, vectors, features)
    segments = snapshot.segments.without(dead) if len(dead) else snapshot.segments
    answers: list[Upserted] = []
    for seq, upsert in enumerate(upserts, first_seq):
        replaced = sum(item.id in written.dead for item in upsert.batch.items)
        answers.append(Upserted(seq, len(upsert.batch.items) - replaced, replaced))
    return state.with_collection(replace(snapshot, segments=segments.with_rows(rows))), answers


def delete_items(
    name: str, item_ids: Sequence[str], product_ids: Sequence[str]
) -> Operation[Deleted]:
    """Deletes items by id, and all items of the products; unknown ids are skipped."""

    def run(write: Transaction, state: State) -> tuple[State, Deleted]:
        snapshot = state.find(name)
        names = snapshot.collection.text_attributes
        dead = np.array(write.delete(snapshot.key, item_ids, product_ids, names), np.int64)
        after = replace(snapshot, segments=snapshot.segments.without(dead))
        return state.with_collection(after), Deleted(write.seq, len(dead))

    return run


def rebuild_words(name: str, finding: str) -> Operation[None]:
    """Builds the index of a collection's words again; `finding` says what is wrong with it."""

    def run(write: Transaction, state: State) -> tuple[State, None]:
        snapshot = state.find(name)
        write.rebuild_words(snapshot.key, snapshot.collection.text_attributes, finding)
        write.nothing_written()
        return state, None

    return run


def once(
    operation: Operation[A], request_id: str, digest: bytes, answer: Callable[..., A]
) -> Operation[A]:
    """Makes an operation idempotent: a retry with the same id and content gets the same answer.

    Args:
        operation: What to do the first time.
        request_id: The caller's id of the request.
        digest: Digest of the request's content.
        answer: Makes the answer from its stored values.
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
    """Returns a digest of the content of a request."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def digest_of_batch(name: str, batch: Batch) -> bytes:
    """Returns a digest of a batch as it was sent."""
    # The order of a protobuf map differs each time it is read.
    items = [(*item[:4], sorted(item.attributes.items())) for item in batch.items]
    vectors = [(vector.embedding_space, _packed(vector.values)) for vector in batch.vectors]
    return digest("upsert", name, items, vectors, [_packed(each) for each in batch.features])


def _packed(values: Sequence[float]) -> bytes:
    return np.fromiter(values, FLOAT, len(values)).tobytes()


def _check_free(name: str, state: State) -> None:
    if name in state.collections:
        raise refusals.name_taken(name, by_alias=False)
    if name in state.aliases:
        raise refusals.name_taken(name, by_alias=True)
