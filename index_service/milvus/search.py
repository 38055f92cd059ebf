"""Answers searches: neighbours by vector, neighbours ranked again, everything in a range.

Decides which stages a query goes through, and adds to what they find the items and the reasons why
there are no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index_service.milvus import schema
from index_service.milvus.best import SPARE, Near
from index_service.milvus.connection import Kept, MilvusConnection
from index_service.milvus.nearest import NearestRows
from index_service.milvus.probes import Probe
from index_service.milvus.ranges import Ranges
from index_service.milvus.second_stage import Ranked, SecondStage
from index_service.records import (
    Item,
    Method,
    Neighbors,
    QueryAnswer,
    Search,
    View,
)


class MilvusSearch:
    """Searches one collection as it was at one point or later.

    Args:
        milvus: The connection.
        kept: The collection.
        point: What every search must have seen.
        condition: Which rows count.
        search: What is wanted.
    """

    def __init__(
        self, milvus: MilvusConnection, kept: Kept, point: int, condition: str, search: Search
    ) -> None:
        self._milvus = milvus
        self._kept = kept
        self._point = point
        self._condition = condition
        self._search = search

    def neighbors(self, probes: Sequence[Probe]) -> list[QueryAnswer]:
        """Returns the neighbours of each probe; of one without features by vector alone."""
        if self._search.rerank is None:
            return list(self._by_vector(probes))
        by_vector = self._by_vector([probe for probe in probes if probe.features is None])
        again = self._ranked_again([probe for probe in probes if probe.features is not None])
        return [next(by_vector if probe.features is None else again) for probe in probes]

    def _by_vector(self, probes: Sequence[Probe]) -> Iterator[QueryAnswer]:
        search = self._search
        nearest = NearestRows(
            self._milvus,
            self._kept,
            self._point,
            self._condition,
            fields=() if search.view is View.IDS else schema.FULL_FIELDS,
            max_distance=search.max_distance,
        )
        for found in nearest.of(probes, search.k, distinct=search.distinct_products):
            hits = found.hits[: search.k]
            neighbors = Neighbors(
                [schema.item_of(hit.row) for hit in hits], [hit.distance for hit in hits]
            )
            shortfall = self._shortfall(len(hits), found.probe)
            exact = self._kept.exact
            yield QueryAnswer(neighbors, found.seen, shortfall, _method(exact), complete=exact)

    def _ranked_again(self, probes: Sequence[Probe]) -> Iterator[QueryAnswer]:
        ranked = SecondStage(
            self._milvus, self._kept, self._point, self._condition, self._search
        ).of(probes)
        found = self._with_items([each.best for each in ranked])
        for probe, how, neighbors in zip(probes, ranked, found, strict=True):
            yield QueryAnswer(
                neighbors,
                how.seen,
                self._shortfall(len(neighbors.items), probe, how),
                _method(how.exact),
                how.ranked,
                how.complete,
            )

    def within(self, probe: Probe) -> tuple[Neighbors, int]:
        """Returns the nearest `k` of what is within `max_distance`, and how many there are."""
        search = self._search
        assert search.max_distance is not None
        ranges = Ranges(self._milvus, self._kept, self._point, self._condition)
        near, total = ranges.within(
            probe, search.max_distance, search.k + SPARE, distinct=search.distinct_products
        )
        (found,) = self._with_items([near])
        return found._replace(first_distances=None), total

    def _with_items(self, found: Sequence[Sequence[Near]]) -> list[Neighbors]:
        """Returns the first `k` of each that are still there, with their items."""
        items: dict[tuple[str, int], Item] = {}
        gone: set[tuple[str, int]] = set()
        while True:
            left = [
                [near for near in own if _key(near) not in gone][: self._search.k] for own in found
            ]
            unread = {_key(near): near for own in left for near in own if _key(near) not in items}
            if not unread:
                break
            items |= self._read(list(unread.values()))
            # One that was deleted or replaced in between is not there any more.
            gone |= unread.keys() - items.keys()
        return [
            Neighbors(
                [items[_key(near)] for near in own],
                [near.distance for near in own],
                [near.first_distance for near in own],
            )
            for own in left
        ]

    def _read(self, rows: Sequence[Near]) -> dict[tuple[str, int], Item]:
        if self._search.view is View.IDS:
            return {_key(near): Item(near.item_id, near.product_id) for near in rows}
        ids = [near.item_id for near in rows]
        fields = [*schema.FULL_FIELDS, schema.POSITION]
        found = self._milvus.named(self._kept, ids, fields, self._point)
        return {(key, row[schema.POSITION]): schema.item_of(row) for key, row in found.items()}

    def _shortfall(self, found: int, probe: Probe, how: Ranked | None = None) -> str:
        """Says why a query got fewer than `k` neighbours; empty if it got `k`."""
        if found == self._search.k:
            return ""
        noun = "product" if self._search.distinct_products else "item"
        other = "other " if probe.without else ""
        text = f"the collection has {found or 'no'} {other}{noun}{'s' * (found != 1)}"
        reasons = []
        if self._condition or probe.without_products:
            reasons.append("that the filter lets through")
        if self._search.max_distance is not None:
            reasons.append(f"within max_distance {self._search.max_distance:g}")
        rerank = self._search.rerank
        if how is not None and rerank is not None and rerank.max_distance is not None:
            reasons.append(f"within rerank.max_distance {rerank.max_distance:g}")
        if how is not None and not how.complete:
            reasons.append(f"among the {how.ranked} candidates ranked")
        return " ".join([text, *reasons])


def _key(near: Near) -> tuple[str, int]:
    return near.item_id, near.position


def _method(exact: bool) -> Method:
    return Method.EXACT if exact else Method.APPROXIMATE
