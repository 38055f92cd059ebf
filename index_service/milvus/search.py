"""Answers searches: neighbours by vector, neighbours ranked again, everything in a range.

Decides which stages a query goes through, and adds the items, and why there may be fewer than
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index_service.milvus import schema
from index_service.milvus.nearest import NamedQuery, NearestRows
from index_service.milvus.ranges import Ranges
from index_service.milvus.second_stage import SecondStage
from index_service.milvus.selection import Selection
from index_service.milvus.top_rows import SPARE, RankedRow
from index_service.ranking.shortfall import shortfall
from index_service.records import Item, Method, Neighbors, QueryAnswer, Search, View


class MilvusSearch:
    """Searches the selected rows.

    Args:
        selection: The rows.
        search: What is asked for.
    """

    def __init__(self, selection: Selection, search: Search) -> None:
        self._selection = selection
        self._search = search

    def neighbors(self, queries: Sequence[NamedQuery]) -> list[QueryAnswer]:
        """Returns the neighbours of each query; by vector alone for a query without features."""
        if self._search.rerank is None:
            return list(self._by_vector(queries))
        by_vector = self._by_vector([query for query in queries if query.features is None])
        again = self._reranked([query for query in queries if query.features is not None])
        return [next(by_vector if query.features is None else again) for query in queries]

    def _by_vector(self, queries: Sequence[NamedQuery]) -> Iterator[QueryAnswer]:
        search = self._search
        nearest = NearestRows(
            self._selection,
            fields=() if search.view is View.IDS else schema.FULL_FIELDS,
            max_distance=search.max_distance,
        )
        exact = self._selection.stored.exact
        for found in nearest.of(queries, search.k, distinct=search.distinct_products):
            hits = found.hits[: search.k]
            neighbors = Neighbors(
                [schema.item_of(hit.row) for hit in hits], [hit.distance for hit in hits]
            )
            why = shortfall(len(hits), search, by_items=bool(found.query.own_items))
            yield QueryAnswer(neighbors, found.seen, why, _method(exact), complete=exact)

    def _reranked(self, queries: Sequence[NamedQuery]) -> Iterator[QueryAnswer]:
        ranked = SecondStage(self._selection, self._search).of(queries)
        found = self._with_items([each.best for each in ranked])
        for query, how, neighbors in zip(queries, ranked, found, strict=True):
            why = shortfall(
                len(neighbors.items),
                self._search,
                by_items=bool(query.own_items),
                ranked=how.ranked,
                complete=how.complete,
            )
            method = _method(how.exact)
            yield QueryAnswer(neighbors, how.seen, why, method, how.ranked, how.complete)

    def within(self, query: NamedQuery) -> tuple[Neighbors, int]:
        """Returns the nearest `k` rows within `max_distance`, and how many there are within it."""
        search = self._search
        assert search.max_distance is not None
        rows, total = Ranges(self._selection).within(
            query, search.max_distance, search.k + SPARE, distinct=search.distinct_products
        )
        (found,) = self._with_items([rows])
        return found._replace(first_distances=None), total

    def _with_items(self, found: Sequence[Sequence[RankedRow]]) -> list[Neighbors]:
        """Returns the first `k` of each that still exist, with their items."""
        items: dict[tuple[str, int], Item] = {}
        gone: set[tuple[str, int]] = set()
        while True:
            left = [
                [row for row in own if _key(row) not in gone][: self._search.k] for own in found
            ]
            unread = {_key(row): row for own in left for row in own if _key(row) not in items}
            if not unread:
                break
            items |= self._read(list(unread.values()))
            # Those that are missing were deleted or replaced in between.
            gone |= unread.keys() - items.keys()
        return [
            Neighbors(
                [items[_key(row)] for row in own],
                [row.distance for row in own],
                [row.first_distance for row in own],
            )
            for own in left
        ]

    def _read(self, rows: Sequence[RankedRow]) -> dict[tuple[str, int], Item]:
        if self._search.view is View.IDS:
            return {_key(row): Item(row.item_id, row.product_id) for row in rows}
        fields = [*schema.FULL_FIELDS, schema.POSITION]
        found = self._selection.named([row.item_id for row in rows], fields)
        return {(key, row[schema.POSITION]): schema.item_of(row) for key, row in found.items()}


def _key(row: RankedRow) -> tuple[str, int]:
    return row.item_id, row.position


def _method(exact: bool) -> Method:
    return Method.EXACT if exact else Method.APPROXIMATE
