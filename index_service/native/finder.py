"""Finds neighbours: resolves queries, searches, ranks again, fuses, and reads the items found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

import numpy as np

from index_service import refusals
from index_service.native.memory.features import restored
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.reads import Reads, StaleStateError
from index_service.native.search.by_words import WordStage
from index_service.native.search.first_stage import NumberedQueries, RankingParams, hits_within
from index_service.native.search.fused import by_words_alone, fuse
from index_service.native.search.second_stage import features_at
from index_service.native.search.targets import Target
from index_service.native.search.vector_stage import VectorHits, VectorStage
from index_service.ranking import fusion
from index_service.ranking.queries import NamedItem, resolve
from index_service.ranking.shortfall import shortfall, words_shortfall
from index_service.records import (
    NO_FILTER,
    Answer,
    Collection,
    Matrix,
    Neighbors,
    PackedVectors,
    Queries,
    Query,
    QueryAnswer,
    RangeAnswer,
    Search,
    Vector,
)

# Rows to compare up to which a search is so quick that a change of threads would cost more.
_QUICK_ROWS = 50_000


class _Hits(Protocol):
    """Rows found for one query, and their distances."""

    @property
    def rows(self) -> list[int]: ...

    @property
    def distances(self) -> list[float]: ...


class Finder:
    """Answers searches; all methods block but `is_quick` and `find_in_memory`."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def find(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0, ef_search: int = 0
    ) -> Answer:
        """Finds the neighbours of each query; `ef_search` overrides the collection's own."""
        if isinstance(queries, PackedVectors) or not any(query.words for query in queries):
            return self._reads.read(
                lambda state: self._find(state, state.find(name), queries, search, ef_search),
                min_seq,
            )
        return self._reads.read_at_one_write(
            lambda state: self._find_with_words(state, name, queries, search, ef_search), min_seq
        )

    def is_quick(self, name: str, queries: Sequence[Query], search: Search) -> bool:
        """Returns whether memory probably has the answer within well under a millisecond."""
        if search.rerank or search.filter != NO_FILTER:
            return False
        rows = self._reads.state().find(name).segments.row_count
        plain = all(isinstance(query.target, Vector) and not query.words for query in queries)
        return plain and len(queries) * max(1000, rows) <= _QUICK_ROWS

    def find_in_memory(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0
    ) -> Answer | None:
        """Finds neighbours without blocking; None if memory lacks some of their items."""
        state = self._reads.state(min_seq)
        try:
            return self._find(state, state.find(name), queries, search, 0, from_memory=True)
        except StaleStateError:
            return None

    def search_range(self, name: str, query: Query, search: Search, min_seq: int) -> RangeAnswer:
        """Finds the nearest `k` items within `max_distance`, and counts all within it."""

        def read(state: State) -> RangeAnswer:
            snapshot = state.find(name)
            resolved = self._resolve(snapshot, [query], search)
            limit = math.inf if search.max_distance is None else search.max_distance
            condition = self._reads.condition(snapshot, search.filter)
            params = RankingParams(search.k, condition, search.distinct_products, limit)
            hits, total = hits_within(snapshot.segments, resolved, params)
            (found,) = self._with_items(snapshot, [hits])
            return RangeAnswer(found, total, state.seq, snapshot.collection)

        return self._reads.read(read, min_seq)

    def _find(
        self,
        state: State,
        snapshot: CollectionSnapshot,
        queries: Queries,
        search: Search,
        ef_search: int,
        *,
        from_memory: bool = False,
    ) -> Answer:
        resolved = self._resolve(snapshot, queries, search)
        hits = self._vector_stage(snapshot, search, ef_search).hits(resolved)
        found = self._with_items(snapshot, hits, from_memory=from_memory)
        results = [
            _by_vector(near, own, search, by_items=i in resolved.own_items)
            for i, (near, own) in enumerate(zip(found, hits, strict=True))
        ]
        return Answer(results, state.seq, snapshot.collection)

    def _find_with_words(
        self, state: State, name: str, queries: Sequence[Query], search: Search, ef_search: int
    ) -> Answer:
        """Finds neighbours where some of the queries have words; the store is of the same write."""
        snapshot = state.find(name)
        collection = snapshot.collection
        _check_words(queries, search, collection)
        results: dict[int, QueryAnswer] = {}
        if plain := [i for i, query in enumerate(queries) if not query.words]:
            alone = [queries[i] for i in plain]
            resolved = self._resolve(snapshot, alone, search, plain)
            hits = self._vector_stage(snapshot, search, ef_search).hits(resolved)
            found = self._with_items(snapshot, hits)
            for n, (i, near, own) in enumerate(zip(plain, found, hits, strict=True)):
                results[i] = _by_vector(near, own, search, by_items=n in resolved.own_items)
        condition = self._reads.condition(snapshot, search.filter)
        reader = self._reads.store.words(snapshot.key, len(collection.text_attributes))
        words = WordStage(snapshot.segments, condition, search, reader)
        for i, query in enumerate(queries):
            if query.words and query.target is None:
                order = words.order(query.words)
                best = by_words_alone(order, search.k)
                (near,) = self._with_items(snapshot, [best])
                why = words_shortfall(len(best.rows), search, is_empty=order.is_empty)
                results[i] = QueryAnswer(
                    near,
                    0,
                    why,
                    complete=order.complete,
                    words_matched=len(order.matching),
                    fused_scores=best.scores,
                )
        if both := [i for i, query in enumerate(queries) if query.words and query.target]:
            results |= self._fused(snapshot, queries, both, words, ef_search)
        return Answer([results[i] for i in range(len(queries))], state.seq, collection)

    def _fused(
        self,
        snapshot: CollectionSnapshot,
        queries: Sequence[Query],
        numbers: Sequence[int],
        words: WordStage,
        ef_search: int,
    ) -> dict[int, QueryAnswer]:
        """Answers those of the queries that have words and a target, by their numbers."""
        search, read = words.search, self._reads.store.features
        resolved = self._resolve(snapshot, [queries[i] for i in numbers], search, numbers)
        more = replace(search, k=fusion.places(search.k))
        hits = self._vector_stage(snapshot, more, ef_search).hits(resolved)
        results: dict[int, QueryAnswer] = {}
        for n, (i, near) in enumerate(zip(numbers, hits, strict=True)):
            target = Target.of(snapshot.segments, resolved.part([n]), search, read)
            order = words.order(queries[i].words, target)
            best = fuse(near, order, target, search)
            (found,) = self._with_items(snapshot, [best])
            complete = near.complete and order.complete
            results[i] = QueryAnswer(
                found._replace(first_distances=best.first_distances),
                near.scanned,
                shortfall(
                    len(best.rows),
                    search,
                    by_items=n in resolved.own_items,
                    ranked=near.ranked,
                    complete=near.complete,
                ),
                near.method,
                near.ranked,
                complete,
                len(order.matching),
                best.scores,
            )
        return results

    def _vector_stage(
        self, snapshot: CollectionSnapshot, search: Search, ef_search: int
    ) -> VectorStage:
        condition = self._reads.condition(snapshot, search.filter)
        effort = ef_search or snapshot.ef_search
        return VectorStage(snapshot, condition, search, effort, self._reads.store.features)

    def _resolve(
        self,
        snapshot: CollectionSnapshot,
        queries: Queries,
        search: Search,
        numbers: Sequence[int] | None = None,
    ) -> NumberedQueries:
        def read(ids: Sequence[str], with_features: bool) -> dict[str, NamedItem[int]]:
            return self._named_items(snapshot, ids, with_features=with_features)

        return resolve(queries, snapshot.collection, search, read, numbers)

    def _named_items(
        self, snapshot: CollectionSnapshot, ids: Sequence[str], *, with_features: bool
    ) -> dict[str, NamedItem[int]]:
        """Returns the items that exist; their keys are row numbers."""
        found = ((item_id, self._reads.row_of(snapshot, item_id)) for item_id in ids)
        numbers = {item_id: row for item_id, row in found if row is not None}
        rows = np.array(list(numbers.values()), np.int64)
        segments = snapshot.segments
        features: list[Matrix | None] = [None] * len(rows)
        if with_features:
            values, scales = features_at(segments, rows, self._reads.store.features)
            having = zip(restored(values, scales), scales.tolist(), strict=True)
            features = [row if scale else None for row, scale in having]
        products: list[int] = segments.take("products", rows).tolist()
        columns = zip(rows.tolist(), products, segments.vectors(rows), features, strict=True)
        return {
            item_id: NamedItem(*values) for item_id, values in zip(numbers, columns, strict=True)
        }

    def _with_items(
        self, snapshot: CollectionSnapshot, hits: Sequence[_Hits], *, from_memory: bool = False
    ) -> list[Neighbors]:
        keys = _keys(snapshot, hits)
        known = self._reads.cache.known(keys)
        items = [item for item in known if item is not None]
        if len(items) < len(keys):
            if from_memory:
                raise StaleStateError
            by_key = self._reads.items(keys)
            items = [by_key[key] for key in keys]
        found: list[Neighbors] = []
        start = 0
        for own in hits:
            end = start + len(own.distances)
            found.append(Neighbors(items[start:end], own.distances))
            start = end
        return found


def _keys(snapshot: CollectionSnapshot, hits: Sequence[_Hits]) -> list[int]:
    rows = list(chain.from_iterable(own.rows for own in hits))
    if not rows:
        return []
    keys: list[int] = snapshot.segments.take("keys", np.array(rows, np.int64)).tolist()
    return keys


def _by_vector(near: Neighbors, hits: VectorHits, search: Search, *, by_items: bool) -> QueryAnswer:
    why = shortfall(
        len(hits.rows), search, by_items=by_items, ranked=hits.ranked, complete=hits.complete
    )
    near = near._replace(first_distances=hits.first_distances)
    return QueryAnswer(near, hits.scanned, why, hits.method, hits.ranked, hits.complete)


def _check_words(queries: Sequence[Query], search: Search, collection: Collection) -> None:
    """Refuses words that the collection does not find, and what words alone cannot answer."""
    for number, query in enumerate(queries):
        if query.words and not collection.text_attributes:
            raise refusals.no_words(number, collection)
        if query.target is None:
            for field in ("rerank", "max_distance"):
                if getattr(search, field) is not None:
                    raise refusals.words_without_distance(number, field)
