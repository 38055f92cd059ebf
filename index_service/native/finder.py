"""Finds neighbours: resolves queries, plans, searches, ranks again, and reads the items found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from index_service import checks
from index_service.native.memory.features import query_of, restored
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.native.reads import Reads, StaleStateError
from index_service.native.search.filters import Condition
from index_service.native.search.first_stage import (
    Hits,
    NumberedQueries,
    RankingParams,
    first_width,
    hits_within,
    nearest_hits,
)
from index_service.native.search.planner import Plan, plan
from index_service.native.search.second_stage import Ranked, SecondStage, features_at
from index_service.ranking.queries import NamedItem, resolve
from index_service.ranking.rerank import Reranker
from index_service.ranking.shortfall import shortfall
from index_service.records import (
    NO_FILTER,
    Answer,
    Matrix,
    Method,
    Neighbors,
    Queries,
    Query,
    QueryAnswer,
    RangeAnswer,
    Search,
    Vector,
)
from index_service.workers import stop_if_caller_left

# Rows to compare up to which a search is so quick that a change of threads would cost more.
_QUICK_ROWS = 50_000
# By how much a graph search is widened if it gave too little; after that, all rows are compared.
_GROWTH = 10


class _How(NamedTuple):
    """How a query was answered, and how many rows were compared with it by vector."""

    method: Method
    scanned: int


class Finder:
    """Answers searches; all methods block but `is_quick` and `find_in_memory`."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def find(
        self, name: str, queries: Queries, search: Search, min_seq: int = 0, ef_search: int = 0
    ) -> Answer:
        """Finds the neighbours of each query; `ef_search` overrides the collection's own."""

        def read(state: State) -> Answer:
            return self._find(state, state.find(name), queries, search, ef_search)

        return self._reads.read(read, min_seq)

    def is_quick(self, name: str, queries: Sequence[Query], search: Search) -> bool:
        """Returns whether memory probably has the answer within well under a millisecond."""
        if search.rerank or search.filter != NO_FILTER:
            return False
        rows = self._reads.state().find(name).segments.row_count
        plain = all(isinstance(query.target, Vector) for query in queries)
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
            params = _params(search, self._reads.condition(snapshot, search.filter))
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
        params = _params(search, self._reads.condition(snapshot, search.filter))
        ef_search = ef_search or snapshot.ef_search
        if search.rerank:
            hits, ranked, how = self._reranked(snapshot, resolved, params, search, ef_search)
        else:
            chosen, hits = _by_vector(snapshot, resolved, params, search.exact, ef_search)
            ranked, how = [None] * len(hits), [_how(chosen, params)] * len(hits)
        found = self._with_items(snapshot, hits, from_memory=from_memory)
        results: list[QueryAnswer] = []
        for i, (near, again, (method, scanned)) in enumerate(zip(found, ranked, how, strict=True)):
            complete = again.complete if again else method is Method.EXACT
            count = again.ranked if again else 0
            by_items = i in resolved.own_items
            why = shortfall(
                len(near.items), search, by_items=by_items, ranked=count, complete=complete
            )
            if again:
                near = Neighbors(near.items, again.ranked_by, again.by_vector)  # noqa: PLW2901
            results.append(QueryAnswer(near, scanned, why, method, count, complete))
        return Answer(results, state.seq, snapshot.collection)

    def _resolve(
        self, snapshot: CollectionSnapshot, queries: Queries, search: Search
    ) -> NumberedQueries:
        def read(ids: Sequence[str], with_features: bool) -> dict[str, NamedItem[int]]:
            return self._named_items(snapshot, ids, with_features=with_features)

        return resolve(queries, snapshot.collection, search, read)

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

    def _reranked(
        self,
        snapshot: CollectionSnapshot,
        resolved: NumberedQueries,
        params: RankingParams,
        search: Search,
        ef_search: int,
    ) -> tuple[list[Hits], list[Ranked | None], list[_How]]:
        """Ranks the candidates of each query again; a query without features stays as it is."""
        segments = snapshot.segments
        reranker = Reranker.of(search, snapshot.collection.metric)
        read = self._reads.store.features
        chosen = plan(segments, params.condition, exact=search.exact, ef_search=ef_search)
        if search.exact:
            matching = round(chosen.source.size * chosen.share)
            checks.ranked(len(resolved), matching, "exact")
        hits: list[Hits] = []
        ranked: list[Ranked | None] = []
        how: list[_How] = []
        for number, features in enumerate(resolved.features):
            stop_if_caller_left()
            query = resolved.part([number])
            if features is None:
                answering, own = _by_vector(snapshot, query, params, search.exact, ef_search)
                hits += own
                ranked.append(None)
                how.append(_how(answering, params))
                continue
            answering = chosen
            numbers = query_of(features)
            stage = SecondStage(segments, chosen, params, reranker, search.exact, read)
            found = stage.rank(query, numbers)
            if found.short:
                # A graph may miss rows that the filter lets through: compare all of them.
                answering = plan(segments, params.condition, exact=True, ef_search=ef_search)
                found = replace(stage, plan=answering).rank(query, numbers)
            ranked.append(found)
            how.append(_How(_method(answering), found.scanned))
            hits.append(Hits(found.rows, found.by_vector))
        return hits, ranked, how

    def _with_items(
        self, snapshot: CollectionSnapshot, hits: Sequence[Hits], *, from_memory: bool = False
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


def _keys(snapshot: CollectionSnapshot, hits: Sequence[Hits]) -> list[int]:
    rows = list(chain.from_iterable(own.rows for own in hits))
    if not rows:
        return []
    keys: list[int] = snapshot.segments.take("keys", np.array(rows, np.int64)).tolist()
    return keys


def _by_vector(
    snapshot: CollectionSnapshot,
    queries: NumberedQueries,
    params: RankingParams,
    exact: bool,
    ef_search: int,
) -> tuple[Plan, list[Hits]]:
    segments, condition = snapshot.segments, params.condition
    chosen = plan(segments, condition, exact=exact, ef_search=ef_search)
    if not chosen.source.approximate:
        return chosen, nearest_hits(segments, chosen, queries, params)
    # A graph cannot stop at a distance: what is too far is cut off afterwards.
    unlimited = replace(params, max_distance=math.inf)
    for share in (chosen.share, chosen.share / _GROWTH):
        hits = nearest_hits(segments, chosen._replace(share=share), queries, unlimited)
        if all(len(own.rows) == params.k for own in hits):
            return chosen, [own.within(params.max_distance) for own in hits]
    # A graph may miss rows that the filter lets through: compare all of them.
    chosen = plan(segments, condition, exact=True, ef_search=ef_search)
    return chosen, nearest_hits(segments, chosen, queries, params)


def _method(chosen: Plan) -> Method:
    return Method.APPROXIMATE if chosen.source.approximate else Method.EXACT


def _how(chosen: Plan, params: RankingParams) -> _How:
    approximate = chosen.source.approximate
    scanned = first_width(chosen, params) if approximate else chosen.source.size
    return _How(_method(chosen), scanned)


def _params(search: Search, condition: Condition) -> RankingParams:
    limit = math.inf if search.max_distance is None else search.max_distance
    return RankingParams(search.k, condition, search.distinct_products, limit)
