"""Keeping the best of what comes a page at a time, in the backend of Milvus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index_service.milvus.top_rows import RankedRow, TopRows

drawn_row = st.builds(
    lambda distance, product: (float(distance), f"p{product}"), st.integers(0, 5), st.integers(0, 6)
)


def rows_of(drawn: list[tuple[float, str]]) -> list[RankedRow]:
    return [RankedRow(d, 0.0, i, f"{i}", product) for i, (d, product) in enumerate(drawn)]


@pytest.mark.parametrize("distinct", [False, True])
@given(drawn=st.lists(drawn_row, max_size=40), number=st.integers(1, 8), size=st.integers(1, 12))
def test_best_of_all_pages_are_those_of_one(
    distinct: bool, drawn: list[tuple[float, str]], number: int, size: int
) -> None:
    rows = rows_of(drawn)
    best = TopRows(number, distinct=distinct)
    for start in range(0, len(rows), size):
        best.add(sorted(rows[start : start + size]))
    expected = sorted(rows)
    if distinct:
        expected = [
            row
            for i, row in enumerate(expected)
            if row.product_id not in {before.product_id for before in expected[:i]}
        ]
    assert best.rows == expected[:number]


def test_ties_are_in_the_order_of_writing() -> None:
    best = TopRows(3, distinct=False)
    for position in (7, 3, 9, 1):
        best.add([RankedRow(1.0, 0.0, position, f"{position}", "p")])
    assert [row.position for row in best.rows] == [1, 3, 7]
