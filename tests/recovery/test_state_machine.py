"""Whatever is written, in whatever order: the index answers as a dictionary and NumPy would."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from index_service.backend import Backend
from index_service.native.disk import snapshot as snapshots
from index_service.records import (
    NO_FILTER,
    Filter,
    FullItem,
    Query,
    Rerank,
    Search,
    Vector,
    View,
)
from lookalike.errors import (
    CollectionNotFoundError,
    ItemNotFoundError,
    ReadOnlyError,
    WordsUnavailableError,
)
from tests.examples import examples
from tests.recovery import native
from tests.recovery import strategies as draws
from tests.recovery.comparing import (
    check_answer,
    check_range,
    check_ranked_again,
    check_words,
    is_borderline,
    sought,
)
from tests.recovery.machine import WritingMachine
from tests.recovery.model import Kept


class IndexMachine(WritingMachine):
    """What can be read, compared with the model."""

    @rule(data=st.data())
    def find_neighbors(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        queries = data.draw(st.lists(self._queries(kept), min_size=1, max_size=3))
        wanted = data.draw(draws.searches(kept))
        if any(is_borderline(kept, query, wanted) for query in queries):
            return
        answer = self.run(self.backend.find_neighbors(name, queries, wanted, self.seq))
        assert answer.applied_seq == self.seq
        assert answer.collection == kept.collection
        for query, result in zip(queries, answer.results, strict=True):
            check_answer(kept, query, wanted, result)

    @rule(data=st.data())
    def find_by_packed_vectors(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        vectors = data.draw(st.lists(draws.vectors(kept.collection), min_size=1, max_size=3))
        wanted = data.draw(draws.searches(kept))
        queries = [Query(vector) for vector in vectors]
        if any(is_borderline(kept, query, wanted) for query in queries):
            return
        answer = self.run(self.backend.find_neighbors(name, draws.packed(vectors), wanted))
        for query, result in zip(queries, answer.results, strict=True):
            check_answer(kept, query, wanted, result)

    @rule(data=st.data())
    def find_and_rank_again(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        kept = self._known(name)
        if kept is None or not kept.collection.features_dimension:
            return
        vector = data.draw(draws.vectors(kept.collection))
        query = Query(vector, data.draw(draws.values(kept.collection.features_dimension)))
        rerank = Rerank(1000, data.draw(st.sampled_from([0.0, 0.01, 1.0])))
        wanted = data.draw(draws.searches(kept, rerank=rerank))
        if is_borderline(kept, query, wanted):
            return
        (result,) = self.run(self.backend.find_neighbors(name, [query], wanted)).results
        check_ranked_again(kept, query, wanted, result)

    @rule(data=st.data(), words=draws.WORDS)
    def find_by_words(self, data: st.DataObject, words: str) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        wanted = replace(data.draw(draws.searches(kept)), max_distance=None)
        work = self.backend.find_neighbors(name, [Query(None, (), words)], wanted, self.seq)
        if not kept.collection.text_attributes:
            self.refuses(WordsUnavailableError, work)
            return
        (result,) = self.run(work).results
        check_words(kept, words, wanted, result)

    @rule(data=st.data())
    def search_range(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        query, wanted = data.draw(self._queries(kept)), data.draw(draws.searches(kept, reach=True))
        if is_borderline(kept, query, wanted):
            return
        answer = self.run(self.backend.search_range(name, query, wanted, self.seq))
        check_range(kept, query, wanted, answer)

    @rule(data=st.data())
    def count(self, data: st.DataObject) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        where = data.draw(draws.filters(kept.collection))
        count = self.run(self.backend.count_items(name, where))
        assert count == (len(kept.matching(where)), kept.products(where), self.seq)

    @rule(data=st.data(), size=st.integers(1, 9))
    def list_items(self, data: st.DataObject, size: int) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        where = data.draw(draws.filters(kept.collection))
        listed = self.run(self._list(self.backend, name, where, size))
        self._check_list(kept, where, listed)

    @rule(data=st.data(), size=st.integers(1, 9))
    def write_between_two_pages(self, data: st.DataObject, size: int) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        page = self.run(self.backend.list_items(name, NO_FILTER, size=size, after=0, view=View.IDS))
        before = set(kept.entries)
        batch = data.draw(draws.batches(kept.collection))
        self.written(self.run(self.backend.upsert_items(name, batch)).seq)
        kept.upsert(batch)
        ids, more = [full.item.id for full in page.items], page.following
        while page.following:
            page = self.run(
                self.backend.list_items(
                    name, NO_FILTER, size=size, after=page.following, view=View.IDS
                )
            )
            ids += [full.item.id for full in page.items]
        rewritten = {item.id for item in batch.items}
        untouched = [item_id for item_id in ids if item_id not in rewritten]
        assert set(untouched) == before - rewritten
        assert len(set(untouched)) == len(untouched), f"an item was listed twice: {ids}"
        # What was written meanwhile comes at the end, also if it came before.
        if more:
            assert ids[-len(batch.items) :] == [item.id for item in batch.items]

    @rule(data=st.data(), item_id=draws.ITEM_IDS)
    def get_item(self, data: st.DataObject, item_id: str) -> None:
        name = self.any_name(data)
        if (kept := self._known(name)) is None:
            return
        if item_id not in kept.entries:
            self.refuses(ItemNotFoundError, self.backend.item(name, item_id))
            return
        found, collection = self.run(self.backend.item(name, item_id))
        assert collection == kept.collection
        _check_full(kept, found)

    @rule()
    def snapshot(self) -> None:
        """A snapshot holds what the index held, restored and as it is."""
        taken = self.run(self.backend.create_snapshot())
        assert taken.seq == self.seq
        path, restored = self.data_dir / "snapshots" / taken.name, self.folder / "restored"
        assert snapshots.restore(path, restored) == taken.seq
        for folder, read_only in ((path, True), (restored, False)):
            self.run(self._compare(folder, read_only))
        shutil.rmtree(path)
        shutil.rmtree(restored)

    async def _compare(self, folder: Path, read_only: bool) -> None:
        with native.opened(folder, read_only=read_only) as backend:
            assert await backend.aliases() == self.aliases
            assert [c.name for c, _ in await backend.collections()] == sorted(self.kept)
            for name, kept in self.kept.items():
                self._check_list(kept, NO_FILTER, await self._list(backend, name, NO_FILTER, 1000))
                if kept.collection.text_attributes:
                    query, wanted = Query(None, (), "red"), Search(30)
                    answer = await backend.find_neighbors(name, [query], wanted)
                    check_words(kept, "red", wanted, answer.results[0])
            if read_only:
                with pytest.raises(ReadOnlyError):
                    await backend.delete_alias("a")

    def _queries(self, kept: Kept) -> st.SearchStrategy[Query]:
        return draws.queries(kept).filter(lambda query: sought(kept, query) is not None)

    def _known(self, name: str) -> Kept | None:
        """Returns the collection; of one that is not there, every read says so."""
        if kept := self.known(name):
            return kept
        vector = Query(Vector([1], draws.SPACE))
        for read in [
            self.backend.collection(name),
            self.backend.item(name, "item"),
            self.backend.count_items(name, NO_FILTER),
            self.backend.list_items(name, NO_FILTER, size=1, after=0, view=View.IDS),
            self.backend.find_neighbors(name, [vector], Search(1)),
            self.backend.search_range(name, vector, Search(1, max_distance=1)),
        ]:
            self.refuses(CollectionNotFoundError, read)
        return None

    async def _list(self, backend: Backend, name: str, where: Filter, size: int) -> list[FullItem]:
        after, listed = 0, list[FullItem]()
        for _ in itertools.count():
            page = await backend.list_items(name, where, size=size, after=after, view=View.VECTORS)
            assert len(page.items) <= size
            listed += page.items
            after = page.following
            if not after:
                break
        return listed

    def _check_list(self, kept: Kept, where: Filter, listed: list[FullItem]) -> None:
        assert [full.item.id for full in listed] == list(kept.matching(where))
        for full in listed:
            _check_full(kept, full)


def _check_full(kept: Kept, full: FullItem) -> None:
    expected = kept.entries[full.item.id]
    assert full.item == expected.item
    np.testing.assert_array_equal(full.vector, expected.vector)
    if expected.features is None:
        assert full.features is None
    else:
        np.testing.assert_array_equal(full.features, expected.features)


# More than any run of the tests makes: LOOKALIKE_TEST_EXAMPLES=100.
IndexMachine.TestCase.settings = settings(
    max_examples=examples(10),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestIndex = IndexMachine.TestCase
