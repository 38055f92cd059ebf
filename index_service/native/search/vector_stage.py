"""Ranks rows by vector, and again by features where a search says so: the order by distance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from index_service import checks
from index_service.native.memory.features import query_of
from index_service.native.memory.state import CollectionSnapshot
from index_service.native.search.filters import Condition
from index_service.native.search.first_stage import (
    Hits,
    NumberedQueries,
    RankingParams,
    first_width,
    nearest_hits,
)
from index_service.native.search.planner import Plan, plan
from index_service.native.search.second_stage import Ranked, ReadFeatures, SecondStage
from index_service.ranking.rerank import Reranker
from index_service.records import Method, Search
from index_service.workers import stop_if_caller_left

# By how much a graph search is widened if it gave too little; after that, all rows are compared.
_GROWTH = 10


class VectorHits(NamedTuple):
    """The rows found for one query, nearest first, and how.

    Attributes:
        rows: Row numbers.
        distances: What they are ranked by.
        first_distances: Their distances by vector if they were ranked again.
        method: How they were found.
        scanned: How many rows were compared by vector.
        ranked: How many candidates were ranked again; 0 if they are ranked by vector.
        complete: Whether nothing nearer can be missing.
    """

    rows: list[int]
    distances: list[float]
    first_distances: list[float] | None
    method: Method
    scanned: int
    ranked: int
    complete: bool


@dataclass(frozen=True)
class VectorStage:
    """Ranks rows for the queries of one call.

    Attributes:
        snapshot: What is searched.
        condition: What rows must fulfil.
        search: What the queries have in common.
        ef_search: Size of the candidate list with which graphs are searched.
        read: Reads the features that memory does not hold.
    """

    snapshot: CollectionSnapshot
    condition: Condition
    search: Search
    ef_search: int
    read: ReadFeatures

    @property
    def params(self) -> RankingParams:
        """What every query asks for of the order by vector."""
        limit = math.inf if self.search.max_distance is None else self.search.max_distance
        return RankingParams(self.search.k, self.condition, self.search.distinct_products, limit)

    def hits(self, queries: NumberedQueries) -> list[VectorHits]:
        """Returns the hits of each query."""
        if self.search.rerank:
            return self._ranked_again(queries)
        return self._by_vector(queries)

    def _ranked_again(self, queries: NumberedQueries) -> list[VectorHits]:
        """Ranks the candidates of each query again; a query without features stays as it is."""
        segments, search, params = self.snapshot.segments, self.search, self.params
        reranker = Reranker.of(search, self.snapshot.collection.metric)
        chosen = self._plan(exact=search.exact)
        if search.exact:
            matching = round(chosen.source.size * chosen.share)
            checks.ranked(len(queries), matching, "exact")
        found: list[VectorHits] = []
        for number, features in enumerate(queries.features):
            stop_if_caller_left()
            query = queries.part([number])
            if features is None:
                found += self._by_vector(query)
                continue
            answering = chosen
            values = query_of(features)
            stage = SecondStage(segments, chosen, params, reranker, search.exact, self.read)
            ranked = stage.rank(query, values)
            if ranked.short:
                # A graph may miss rows that the filter lets through: compare all of them.
                answering = self._plan(exact=True)
                ranked = replace(stage, plan=answering).rank(query, values)
            found.append(_again(ranked, answering))
        return found

    def _by_vector(self, queries: NumberedQueries) -> list[VectorHits]:
        chosen, hits = self._nearest(queries)
        approximate, method = chosen.source.approximate, _method(chosen)
        scanned = first_width(chosen, self.params) if approximate else chosen.source.size
        return [VectorHits(*own, None, method, scanned, 0, not approximate) for own in hits]

    def _nearest(self, queries: NumberedQueries) -> tuple[Plan, list[Hits]]:
        segments, params = self.snapshot.segments, self.params
        chosen = self._plan(exact=self.search.exact)
        if not chosen.source.approximate:
            return chosen, nearest_hits(segments, chosen, queries, params)
        # A graph cannot stop at a distance: what is too far is cut off afterwards.
        unlimited = replace(params, max_distance=math.inf)
        for share in (chosen.share, chosen.share / _GROWTH):
            hits = nearest_hits(segments, chosen._replace(share=share), queries, unlimited)
            if all(len(own.rows) == params.k for own in hits):
                return chosen, [own.within(params.max_distance) for own in hits]
        # A graph may miss rows that the filter lets through: compare all of them.
        chosen = self._plan(exact=True)
        return chosen, nearest_hits(segments, chosen, queries, params)

    def _plan(self, *, exact: bool) -> Plan:
        return plan(self.snapshot.segments, self.condition, exact=exact, ef_search=self.ef_search)


def _again(ranked: Ranked, chosen: Plan) -> VectorHits:
    return VectorHits(
        ranked.rows,
        ranked.ranked_by,
        ranked.by_vector,
        _method(chosen),
        ranked.scanned,
        ranked.ranked,
        ranked.complete,
    )


def _method(chosen: Plan) -> Method:
    return Method.APPROXIMATE if chosen.source.approximate else Method.EXACT
