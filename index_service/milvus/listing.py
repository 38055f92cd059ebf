"""Reads rows in the order in which they were written, by which Milvus cannot sort.

Of more rows than it returns at once, Milvus returns any. But it counts quickly: so a range of
positions is cut in two until a part holds few enough rows, and these are sorted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index_service.milvus import schema
from index_service.milvus.connection import MAX_ROWS
from index_service.milvus.expressions import ID, PRODUCT_ID
from index_service.milvus.selection import Row, Selection
from index_service.records import Count, Page, View
from lookalike.errors import NotSupportedError

# To count products, every row's is read: some seconds for so many.
MAX_COUNTED = 1_000_000
_LAST = 2**63 - 1
_GROWTH = 8


class MilvusListing:
    """Lists and counts the selected rows.

    Args:
        selection: The rows.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def page(self, size: int, after: int, view: View) -> Page:
        """Returns the first `size` items behind the position `after`."""
        rows: list[Row] = []
        for part in self._parts(after, [ID, schema.POSITION], max(4 * size, 1_000)):
            rows += part
            if len(rows) > size:
                break
        following = int(rows[size - 1][schema.POSITION]) if len(rows) > size else 0
        collection = self._selection.collection
        fields = [ID, PRODUCT_ID, schema.VECTOR]
        if view is not View.IDS:
            fields = [*schema.FULL_FIELDS, schema.VECTOR]
        if view is View.VECTORS and collection.features_dimension:
            fields.append(schema.FEATURES)
        ids = [row[ID] for row in rows[:size]]
        found = self._selection.named(ids, fields)
        # Those that are missing were deleted in between.
        return Page(
            [schema.full_item_of(found[key]) for key in ids if key in found], following, collection
        )

    def rows(self, fields: Sequence[str], most: int) -> Iterator[list[Row]]:
        """Yields all rows in order, about `most` at a time; `fields` must have the position."""
        return self._parts(0, fields, most)

    def count(self) -> Count:
        """Counts items, and their products."""
        items = self._selection.count()
        if items > MAX_COUNTED:
            raise NotSupportedError(
                f"{items} items match; Milvus cannot count products, and reading those of more "
                f"than {MAX_COUNTED} items would take too long: narrow the filter"
            )
        # Counted again with the products, so that both are of the same rows.
        items, products = 0, set[str]()
        for part in self._parts(0, [PRODUCT_ID, schema.POSITION], MAX_ROWS // 2):
            items += len(part)
            products.update(row[PRODUCT_ID] for row in part)
        return Count(items, len(products), self._selection.read_ts)

    def _parts(self, after: int, fields: Sequence[str], most: int) -> Iterator[list[Row]]:
        """Yields all rows behind the position `after` in order, about `most` at a time."""
        for window in self._windows(after, most):
            ranges = [(*window, self._count(*window))]
            while ranges:
                low, high, number = ranges.pop()
                if number == 0:
                    continue
                if number <= most or high - low == 1:
                    rows = self._selection.query(_between(low, high), fields)
                    # More may have come since they were counted.
                    if len(rows) < MAX_ROWS or high - low == 1:
                        yield sorted(rows, key=_position)
                        continue
                    number = len(rows)
                middle = (low + high) // 2
                first = self._count(low, middle)
                ranges += [(middle, high, max(0, number - first)), (low, middle, first)]

    def _windows(self, after: int, most: int) -> Iterator[tuple[int, int]]:
        """Yields ranges that cover all positions behind `after`, the nearest ones narrowest.

        The first would hold `most` rows if they were all of one batch.
        """
        top = schema.position_now()
        since = self._selection.stored.since
        if after < since:
            # Only a service whose clock is slow has written anything here.
            yield after, since
            after = since
        width = most * schema.POSITION_STEP
        while after < top:
            yield after, min(after + width, top)
            after, width = after + width, width * _GROWTH
        yield max(after, top), _LAST

    def _count(self, low: int, high: int) -> int:
        return self._selection.count(_between(low, high))


def _between(low: int, high: int) -> str:
    return f"{schema.POSITION} > {low} and {schema.POSITION} <= {high}"


def _position(row: Row) -> int:
    return int(row[schema.POSITION])
