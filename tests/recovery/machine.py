"""Writes of every kind, in any order, to an index and to a model of it; Hypothesis draws them.

What can be read is compared by rules that `test_state_machine.py` adds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index_service.native.backend import NativeBackend
from index_service.records import Batch, Collection, Deleted, Upserted, Vector
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
    EmbeddingSpaceMismatchError,
    LookalikeError,
    RequestIdReusedError,
)
from tests.recovery import native
from tests.recovery import strategies as draws
from tests.recovery.model import Kept

R = TypeVar("R")

# Hundreds of restarts wait for many thousand syncs, which this is not about.
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Request(NamedTuple):
    """A write with a request id, as it was sent and answered."""

    name: str
    request_id: str
    content: Batch | tuple[Sequence[str], Sequence[str]]
    answer: Upserted | Deleted


class WritingMachine(RuleBasedStateMachine):
    """An index in a directory of its own, and what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="state-machine-", dir=_IN_MEMORY))
        self.data_dir = self.folder / "0"
        self.kept: dict[str, Kept] = {}
        self.aliases: dict[str, str] = {}
        self.seq = 0
        self.requests: list[Request] = []
        self.copies = 0
        self.loop = asyncio.new_event_loop()
        self.open()

    def open(self) -> None:
        """Opens the index."""
        self.stack = ExitStack()
        self.backend: NativeBackend = self.stack.enter_context(native.opened(self.data_dir))

    def close(self) -> None:
        """Closes it as a service does that ends."""
        self.stack.close()

    def teardown(self) -> None:
        self.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Runs work to its end."""
        return self.loop.run_until_complete(work)

    def refuses(self, error: type[LookalikeError], work: Coroutine[Any, Any, object]) -> None:
        """Runs what must fail."""
        with pytest.raises(error):
            self.run(work)

    def known(self, name: str) -> Kept | None:
        """Returns the collection that a name or an alias leads to."""
        return self.kept.get(self.aliases.get(name, name))

    def written(self, seq: int) -> None:
        """Notes the number of a write."""
        assert seq > self.seq, f"write {seq} came after {self.seq}"
        self.seq = seq

    def any_name(self, data: st.DataObject) -> str:
        """Draws a name, in most cases of something that is there."""
        known = sorted({*self.kept, *self.aliases})
        strategy = (
            draws.NAMES if not known else st.one_of(*[st.sampled_from(known)] * 9, draws.NAMES)
        )
        name: str = data.draw(strategy)
        return name

    @initialize(data=st.data(), collections=st.lists(draws.collections(), min_size=1, max_size=3))
    def begin(self, data: st.DataObject, collections: list[Collection]) -> None:
        """Not with nothing, from which few rules lead on."""
        for collection in collections:
            self.create_collection(collection)
            if data.draw(st.integers(0, 3)):
                self._upsert(data, collection.name, request_id="")

    @rule(collection=draws.collections())
    def create_collection(self, collection: Collection) -> None:
        work = self.backend.create_collection(collection)
        if collection.name in self.kept or collection.name in self.aliases:
            self.refuses(CollectionExistsError, work)
            return
        self.run(work)
        self.kept[collection.name] = Kept(collection)

    @rule(name=draws.NAMES)
    def delete_collection(self, name: str) -> None:
        work = self.backend.delete_collection(name)
        if name not in self.kept:
            self.refuses(CollectionNotFoundError, work)
        elif name in self.aliases.values():
            self.refuses(CollectionInUseError, work)
        else:
            assert self.run(work) == len(self.kept.pop(name).entries)

    @rule(data=st.data(), name=draws.NAMES)
    def set_alias(self, data: st.DataObject, name: str) -> None:
        collection = self.any_name(data)
        work = self.backend.set_alias(name, collection)
        if name in self.kept:
            self.refuses(CollectionExistsError, work)
        elif (kept := self.known(collection)) is None:
            self.refuses(CollectionNotFoundError, work)
        else:
            previous, seq = self.run(work)
            assert previous == self.aliases.get(name, "")
            self.aliases[name] = kept.collection.name
            self.written(seq)

    @rule(name=draws.NAMES)
    def delete_alias(self, name: str) -> None:
        work = self.backend.delete_alias(name)
        if name not in self.aliases:
            self.refuses(AliasNotFoundError, work)
            return
        self.written(self.run(work))
        del self.aliases[name]

    @rule(data=st.data(), with_id=st.booleans())
    def upsert(self, data: st.DataObject, with_id: bool) -> None:
        self._upsert(data, self.any_name(data), self._request_id() if with_id else "")

    @rule(data=st.data())
    def upsert_again(self, data: st.DataObject) -> None:
        """A rule of the same: what is written most is items."""
        self._upsert(data, self.any_name(data), self._request_id())

    def _upsert(self, data: st.DataObject, name: str, request_id: str) -> None:
        kept = self.known(name)
        if kept is None:
            batch = data.draw(draws.batches(draws.ANY_COLLECTION))
            self.refuses(CollectionNotFoundError, self.backend.upsert_items(name, batch))
            return
        batch = data.draw(draws.batches(kept.collection))
        answer = self.run(self.backend.upsert_items(name, batch, request_id))
        self.written(answer.seq)
        inserted = kept.upsert(batch)
        assert answer[1:] == (inserted, len(batch.items) - inserted)
        if request_id:
            self.requests.append(Request(name, request_id, batch, answer))

    @rule(
        data=st.data(),
        ids=st.lists(draws.ITEM_IDS, max_size=4, unique=True),
        products=st.lists(draws.PRODUCTS, max_size=1),
        with_id=st.booleans(),
    )
    def delete(
        self, data: st.DataObject, ids: list[str], products: list[str], with_id: bool
    ) -> None:
        name = self.any_name(data)
        kept = self.known(name)
        request_id = self._request_id() if with_id else ""
        work = self.backend.delete_items(name, ids, products, request_id)
        if kept is None:
            self.refuses(CollectionNotFoundError, work)
            return
        answer = self.run(work)
        self.written(answer.seq)
        assert answer.deleted == kept.delete(ids, products)
        if with_id:
            self.requests.append(Request(name, request_id, (ids, products), answer))

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same request is answered as it was at first, whatever has become of things since."""
        if not self.requests:
            return
        name, request_id, content, answer = data.draw(st.sampled_from(self.requests))
        send = (
            partial(self.backend.upsert_items, name, _parsed_again(content))
            if isinstance(content, Batch)
            else partial(self.backend.delete_items, name, *content)
        )
        assert self.run(send(request_id)) == answer
        other = self.backend.delete_items(name, ["another"], [], request_id)
        self.refuses(RequestIdReusedError, other)

    @rule(data=st.data())
    def refuse_a_batch_for_its_last_item(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        kept = self.known(name)
        if kept is None:
            return
        batch = data.draw(draws.batches(kept.collection))
        vectors = [*batch.vectors[:-1], Vector(batch.vectors[-1].values, "another space")]
        work = self.backend.upsert_items(name, batch._replace(vectors=vectors))
        self.refuses(EmbeddingSpaceMismatchError, work)

    @rule()
    def upkeep(self) -> None:
        """Compaction and new graphs change nothing that can be read."""
        native.upkeep(self.backend)

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule()
    def crash(self) -> None:
        """Goes on with the files as they are now: what was in memory alone is lost."""
        self.copies += 1
        copy = self.folder / str(self.copies)
        shutil.copytree(self.data_dir, copy)
        self.close()
        shutil.rmtree(self.data_dir)
        self.data_dir = copy
        self.open()

    @invariant()
    def collections_and_aliases_are_known(self) -> None:
        found = {c.name: (c, count) for c, count in self.run(self.backend.collections())}
        assert list(found) == sorted(found)
        assert found == {
            name: (kept.collection, len(kept.entries)) for name, kept in self.kept.items()
        }
        assert self.run(self.backend.aliases()) == self.aliases
        self.seq = self._newest()

    def _newest(self) -> int:
        newest = self.run(self.backend.state()).applied_seq
        assert newest >= self.seq
        return newest

    def _request_id(self) -> str:
        return f"request-{len(self.requests)}"


def _parsed_again(batch: Batch) -> Batch:
    """Returns the same batch with attributes in another order: a proto's map has none."""
    turned = [dict(reversed(list(item.attributes.items()))) for item in batch.items]
    items = [item._replace(attributes=a) for item, a in zip(batch.items, turned, strict=True)]
    return batch._replace(items=items)
