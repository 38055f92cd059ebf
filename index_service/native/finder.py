"""Finds neighbours: plan, search, rank again, and the items that belong to the rows found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from index_service import checks
from index_service.native.memory.state import Live, State
from index_service.native.reads import OvertakenError, Reads
from index_service.native.search.filters import Condition
from index_service.native.search.planner import Plan, plan
from index_service.native.search.probes import Sought, sought_of
from index_service.native.search.ranking import (
    Hits,
    Probes,
    Wanted,
    first_width,
    search,
    within,
)
from index_service.native.search.second_stage import Ranked, SecondStage
from index_service.records import (
    EVERYTHING,
    Answer,
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
# How many times as much a graph is asked for where it gave too little; then everything is compared.
_WIDER = 10


class _How(NamedTuple):
    """How one query was answered, and by how many rows that were compared by vector."""

    method: Method
    scanned: int


class Finder:
    """Answers searches; blocking, but for `is_quick` and `find_in_memory`."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def find(
        self, name: str, queries: Queries, wanted: Search, min_seq: int = 0, effort: int = 0
    ) -> Answer:
        """Finds the neighbours of each query; graphs are searched with `effort` if it is given."""

        def read(state: State) -> Answer:
            return self._find(state, state.find(name), queries, wanted, effort)

        return self._reads.read(read, min_seq)

    def is_quick(self, name: str, queries: Sequence[Query], wanted: Search) -> bool:
        """Returns whether memory probably has the answer, and well under a millisecond later."""
        if wanted.rerank or wanted.filter != EVERYTHING:
            return False
        rows = self._reads.state().find(name).segments.row_count
        plain = all(isinstance(query.target, Vector) for query in queries)
        return plain and len(queries) * max(1000, rows) <= _QUICK_ROWS

    def find_in_memory(
        self, name: str, queries: Queries, wanted: Search, min_seq: int = 0
    ) -> Answer | None:
        """Finds neighbours without blocking; None if memory has not all of their items."""
        state = self._reads.state(min_seq)
        try:
            return self._find(state, state.find(name), queries, wanted, 0, from_memory=True)
        except OvertakenError:
            return None

    def search_range(self, name: str, query: Query, wanted: Search, min_seq: int) -> RangeAnswer:
        """Finds the nearest `k` of what is within `max_distance`, and counts it."""

        def read(state: State) -> RangeAnswer:
            live = state.find(name)
            reads = self._reads
            sought = sought_of(live, [query], wanted, reads.row_of, reads.store.features)
            rule = _rule(wanted, reads.condition(live, wanted.filter))
            hits, total = within(live.segments, sought.probes, rule)
            (found,) = self._with_items(live, [hits])
            return RangeAnswer(found, total, state.seq, live.collection)

        return self._reads.read(read, min_seq)

    def _find(
        self,
        state: State,
        live: Live,
        queries: Queries,
        wanted: Search,
        effort: int,
        *,
        from_memory: bool = False,
    ) -> Answer:
        reads = self._reads
        sought = sought_of(live, queries, wanted, reads.row_of, reads.store.features)
        rule = _rule(wanted, reads.condition(live, wanted.filter))
        effort = effort or live.effort
        if wanted.rerank:
            hits, ranked, how = self._ranked_again(live, sought, rule, wanted, effort)
        else:
            chosen, hits = _searched(live, sought.probes, rule, wanted.exact, effort)
            ranked, how = [None] * len(hits), [_how(chosen, rule)] * len(hits)
        found = self._with_items(live, hits, from_memory=from_memory)
        results: list[QueryAnswer] = []
        for i, (near, again, own) in enumerate(zip(found, ranked, how, strict=True)):
            method, scanned = own
            complete = again.complete if again else method is Method.EXACT
            count = again.ranked if again else 0
            among = 0 if complete else count
            why = _shortfall(len(near.items), i in sought.by_items, wanted, among)
            sums = Neighbors(near.items, again.sums, again.distances) if again else near
            results.append(QueryAnswer(sums, scanned, why, method, count, complete))
        return Answer(results, state.seq, live.collection)

    def _ranked_again(
        self, live: Live, sought: Sought, rule: Wanted, wanted: Search, effort: int
    ) -> tuple[list[Hits], list[Ranked | None], list[_How]]:
        """Ranks each query's candidates again; one without features stays as it is."""
        assert wanted.rerank is not None
        chosen = plan(live.segments, rule.condition, exact=wanted.exact, effort=effort)
        if wanted.exact:
            matching = round(chosen.source.size * chosen.share)
            checks.ranked(len(sought.features), matching, "exact")
        read = self._reads.store.features
        hits: list[Hits] = []
        ranked: list[Ranked | None] = []
        how: list[_How] = []
        for number, query in enumerate(sought.features):
            stop_if_caller_left()
            probe = sought.probes.part([number])
            if query is None:
                answering, own = _searched(live, probe, rule, wanted.exact, effort)
                hits += own
                ranked.append(None)
                how.append(_how(answering, rule))
                continue
            answering = chosen
            stage = SecondStage(live.segments, chosen, rule, wanted.rerank, wanted.exact, read)
            found = stage.rank(probe, query)
            if found.short:
                # It may miss what a filter left: nobody gets fewer than there are.
                answering = plan(live.segments, rule.condition, exact=True, effort=effort)
                found = replace(stage, plan=answering).rank(probe, query)
            ranked.append(found)
            how.append(_How(_method(answering), found.scanned))
            hits.append(Hits(found.rows, found.distances))
        return hits, ranked, how

    def _with_items(
        self, live: Live, hits: Sequence[Hits], *, from_memory: bool = False
    ) -> list[Neighbors]:
        keys = _keys(live, hits)
        known = self._reads.cache.known(keys)
        items = [item for item in known if item is not None]
        if len(items) < len(keys):
            if from_memory:
                raise OvertakenError
            by_key = self._reads.items(keys)
            items = [by_key[key] for key in keys]
        found: list[Neighbors] = []
        start = 0
        for own in hits:
            end = start + len(own.distances)
            found.append(Neighbors(items[start:end], own.distances))
            start = end
        return found


def _keys(live: Live, hits: Sequence[Hits]) -> list[int]:
    rows = list(chain.from_iterable(own.rows for own in hits))
    if not rows:
        return []
    keys: list[int] = live.segments.take("keys", np.array(rows, np.int64)).tolist()
    return keys


def _searched(
    live: Live, probes: Probes, rule: Wanted, exact: bool, effort: int
) -> tuple[Plan, list[Hits]]:
    chosen = plan(live.segments, rule.condition, exact=exact, effort=effort)
    if not chosen.source.approximate:
        return chosen, search(live.segments, chosen, probes, rule)
    # A graph knows nothing of a distance: what is too far is cut off afterwards.
    near = replace(rule, max_distance=math.inf)
    for share in (chosen.share, chosen.share / _WIDER):
        hits = search(live.segments, chosen._replace(share=share), probes, near)
        if all(len(own.rows) == rule.k for own in hits):
            return chosen, [own.within(rule.max_distance) for own in hits]
    # It may miss what a filter left: nobody gets fewer than there are.
    chosen = plan(live.segments, rule.condition, exact=True, effort=effort)
    return chosen, search(live.segments, chosen, probes, rule)


def _method(chosen: Plan) -> Method:
    return Method.APPROXIMATE if chosen.source.approximate else Method.EXACT


def _how(chosen: Plan, rule: Wanted) -> _How:
    approximate = chosen.source.approximate
    scanned = first_width(chosen, rule) if approximate else chosen.source.size
    return _How(_method(chosen), scanned)


def _rule(wanted: Search, condition: Condition) -> Wanted:
    """Returns what the rows found must be."""
    limit = math.inf if wanted.max_distance is None else wanted.max_distance
    return Wanted(wanted.k, condition, wanted.distinct_products, limit)


def _shortfall(found: int, by_items: bool, wanted: Search, among: int) -> str:
    """Says why a query got fewer than `k` neighbours; empty if it got `k`.

    `among` is how many candidates were ranked, if others may have been better.
    """
    if found >= wanted.k:
        return ""
    noun = "product" if wanted.distinct_products else "item"
    other = "other " if by_items else ""
    reasons = ""
    if replace(wanted.filter, exclude_product_ids=()) != EVERYTHING:
        reasons += " that the filter lets through"
    if wanted.max_distance is not None:
        reasons += " within max_distance"
    if wanted.rerank and wanted.rerank.max_distance is not None:
        reasons += " within rerank.max_distance"
    if among:
        reasons += f" among the {among} candidates ranked"
    if wanted.filter.exclude_product_ids or wanted.exclude_same_product:
        reasons += " besides those left out"
    return f"the collection has {found or 'no'} {other}{noun}{'s' * (found != 1)}{reasons}"
