"""What filters ask of columns, and which plan answers them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from index_service.native.memory.columns import MISSING, Codes
from index_service.native.memory.compaction import with_graph
from index_service.native.memory.segments import Segments
from index_service.native.search.candidates import AllRows, GraphRows, SomeRows
from index_service.native.search.filters import EVERY_ROW, Condition, condition
from index_service.native.search.planner import plan
from index_service.records import Filter
from lookalike.errors import UnknownFilterFieldError
from tests.indexes import LISTINGS, segments_of

INDEXED = replace(LISTINGS, indexed_attributes=("brand", "size"), full_scan_threshold=100)
CODES = (Codes(["home", "garden"]), Codes(["acme", "umbrella"]), Codes(["s", "m", "l"]))
NUMBERS = {"lamp": 0, "sofa": 1, "desk": 2}


def asked(only: Filter) -> Condition:
    def numbers_of(ids: object) -> list[int]:
        assert isinstance(ids, tuple)
        return [NUMBERS[each] for each in ids if each in NUMBERS]

    return condition(only, INDEXED, CODES, numbers_of)


def filled(count: int = 4) -> Segments:
    """Four kinds of rows, over and over."""
    times = math.ceil(count / 4)
    return segments_of(
        INDEXED,
        np.arange(count)[:, None] * [1, 0],
        products=([0, 0, 1, 2] * times)[:count],
        prices=([1.0, np.nan, 0.0, 2.5] * times)[:count],
        codes=[
            ([0, 0, 1, 1] * times)[:count],
            ([0, 1, MISSING, 1] * times)[:count],
            ([MISSING, 2, 0, 1] * times)[:count],
        ],
    )


@pytest.mark.parametrize(
    ("only", "rows"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(categories=("home",)), [0, 1]),
        (Filter(categories=("home", "garden", "unknown")), [0, 1, 2, 3]),
        (Filter(categories=("unknown",)), []),
        (Filter(product_ids=("lamp", "desk")), [0, 1, 3]),
        (Filter(product_ids=("unknown",)), []),
        (Filter(exclude_product_ids=("lamp", "unknown")), [2, 3]),
        (Filter(exclude_product_ids=("unknown",)), [0, 1, 2, 3]),
        (Filter(product_ids=("lamp",), exclude_product_ids=("lamp",)), []),
        (Filter(min_price=0), [0, 2, 3]),
        (Filter(min_price=1), [0, 3]),
        (Filter(max_price=1), [0, 2]),
        (Filter(min_price=1, max_price=1), [0]),
        (Filter(min_price=2, max_price=1), []),
        (Filter(attributes=(("brand", ("umbrella",)),)), [1, 3]),
        (Filter(attributes=(("brand", ("umbrella", "acme")),)), [0, 1, 3]),
        (Filter(attributes=(("brand", ("umbrella",)), ("size", ("m", "s")))), [3]),
        (Filter(attributes=(("brand", ("umbrella",)), ("brand", ("acme",)))), []),
        (Filter(attributes=(("brand", ("unknown",)),)), []),
    ],
)
def test_filter_lets_through_what_holds_all_that_is_set(only: Filter, rows: list[int]) -> None:
    segments, wanted = filled(), asked(only)
    every = np.arange(4)
    assert np.flatnonzero(wanted.of_segment(segments.parts[0])).tolist() == rows
    assert np.flatnonzero(wanted.at(segments, every)).tolist() == rows
    assert wanted.at(segments, every.reshape(2, 2)).ravel().tolist() == [
        row in rows for row in every
    ]


def test_dead_rows_are_in_no_selection() -> None:
    part = filled().without(np.array([2])).parts[0]
    assert np.flatnonzero(EVERY_ROW.of_segment(part)).tolist() == [0, 2, 3]
    assert np.flatnonzero(asked(Filter(categories=("home",))).of_segment(part)).tolist() == [0]


def test_attribute_that_is_not_indexed_is_refused_naming_those_that_are() -> None:
    with pytest.raises(
        UnknownFilterFieldError, match=r"'colour'.*it indexes brand, size"
    ) as caught:
        asked(Filter(attributes=(("brand", ("acme",)), ("colour", ("red",)))))
    assert caught.value.field == "filter.attributes[1].key"
    with pytest.raises(UnknownFilterFieldError, match="it indexes none"):
        condition(Filter(attributes=(("brand", ("x",)),)), LISTINGS, CODES, lambda _: [])


def test_filter_that_asks_nothing_is_told_from_one_that_lets_nothing_through() -> None:
    assert asked(Filter()).is_empty
    assert not asked(Filter(categories=("unknown",))).is_empty
    assert asked(Filter(exclude_product_ids=("lamp",))).only_excludes_products
    assert not asked(Filter(exclude_product_ids=("lamp",), min_price=1)).only_excludes_products


RARE = Condition(among=(("products", (1,)),), min_price=0.0)  # every fourth row
COMMON = Condition(max_price=10.0)  # three of four
GRAPHS = {
    False: filled(80),
    True: replace(filled(1000), parts=(with_graph(filled(1000).parts[0], INDEXED, 1),)),
}


@pytest.mark.parametrize(
    ("large", "wanted", "exact", "source"),
    [
        (False, EVERY_ROW, False, AllRows),
        (False, COMMON, False, AllRows),
        (False, RARE, False, SomeRows),
        (False, Condition(none_of=(1,)), False, AllRows),
        (True, EVERY_ROW, False, GraphRows),
        (True, EVERY_ROW, True, AllRows),
        (True, COMMON, False, GraphRows),
        (True, COMMON, True, AllRows),
        (True, RARE, False, GraphRows),  # 250 rows are more than `exact_up_to`
        (True, RARE, True, SomeRows),
        (True, replace(RARE, max_price=-1.0), False, SomeRows),
        (True, Condition(none_of=(1,)), False, GraphRows),
    ],
)
def test_graph_is_asked_only_where_comparing_takes_long(
    large: bool, wanted: Condition, exact: bool, source: type
) -> None:
    assert type(plan(GRAPHS[large], wanted, exact=exact, ef_search=32).source) is source


def test_collection_without_a_graph_is_searched_exactly_however_large() -> None:
    chosen = plan(filled(1000), EVERY_ROW, exact=False, ef_search=32)
    assert isinstance(chosen.source, AllRows)
    assert not chosen.source.approximate


def test_plan_expects_what_the_filter_and_the_dead_leave() -> None:
    segments = filled(80)
    assert plan(segments, EVERY_ROW, exact=False, ef_search=32).share == 1
    assert plan(segments, COMMON, exact=False, ef_search=32).share == 0.75
    assert plan(segments, RARE, exact=False, ef_search=32).share == 1
    dead = segments.without(np.arange(1, 41))
    assert plan(dead, EVERY_ROW, exact=False, ef_search=32).share == 0.5
    assert plan(dead, RARE, exact=False, ef_search=32).source.size == 10
    nothing = segments.without(np.arange(1, 81))
    assert plan(nothing, EVERY_ROW, exact=False, ef_search=32).share == 1
