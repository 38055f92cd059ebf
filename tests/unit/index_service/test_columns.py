"""Columns: appended to in place, and never changed where somebody reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from index_service.native.memory.columns import MISSING, Codes, Rows, appended, blank
from index_service.records import Collection
from tests.indexes import LISTINGS, rows

MOST = 1 << 20
TWO_ATTRIBUTES = replace(LISTINGS, indexed_attributes=("brand", "size"))


def some(count: int, first_key: int = 1, collection: Collection = LISTINGS) -> Rows:
    vectors = np.arange(first_key, first_key + count)[:, None] * np.ones(2)
    return rows(collection, vectors, first_key=first_key, prices=range(count))


def test_columns_that_have_room_are_appended_to_in_place() -> None:
    first = appended(some(0), 0, some(3), MOST, LISTINGS)
    second = appended(first, 3, some(2, 4), MOST, LISTINGS)
    assert second is first
    assert second.keys[:5].tolist() == [1, 2, 3, 4, 5]
    assert second.vectors[:5, 0].tolist() == [1, 2, 3, 4, 5]


def test_columns_without_room_are_copied_and_readers_keep_theirs() -> None:
    first = appended(some(0), 0, some(1000), MOST, LISTINGS)
    before = {name: array.copy() for name, array in first.part(slice(1000)).arrays().items()}
    second = appended(first, 1000, some(5000, 1001), MOST, LISTINGS)
    assert second is not first
    assert second.keys[:6000].tolist() == list(range(1, 6001))
    for name, array in first.part(slice(1000)).arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_columns_never_have_room_for_more_rows_than_allowed() -> None:
    assert len(appended(some(0), 0, some(900), 1000, LISTINGS)) == 1000
    assert len(appended(some(900), 900, some(100), 1000, LISTINGS)) == 1000


def test_columns_at_least_double_so_that_rows_are_rarely_copied() -> None:
    columns, size, copies = some(0), 0, 0
    while size < 50_000:
        before = columns
        columns = appended(columns, size, some(10, size + 1), MOST, LISTINGS)
        size, copies = size + 10, copies + (columns is not before)
    assert copies <= 7


def test_every_column_has_a_name_and_can_be_taken_by_it() -> None:
    given = rows(TWO_ATTRIBUTES, np.ones((2, 2)), codes=[[0, 1], [2, MISSING], [MISSING, 3]])
    assert list(given.arrays()) == [
        "keys",
        "vectors",
        "products",
        "prices",
        "features",
        "scales",
        "codes0",
        "codes1",
        "codes2",
    ]
    for name, array in given.arrays().items():
        assert given.column(name) is array
    assert given.part(np.array([1])).column("codes2").tolist() == [3]
    assert given.nbytes == sum(array.nbytes for array in given.arrays().values())


def test_blank_columns_have_the_shapes_that_the_collection_asks_for() -> None:
    described = {
        name: (array.dtype, array.shape)
        for name, array in blank(TWO_ATTRIBUTES, 3, 0).arrays().items()
    }
    expected = rows(TWO_ATTRIBUTES, np.ones((3, 2))).arrays()
    assert described == {name: (array.dtype, array.shape) for name, array in expected.items()}


def test_values_are_numbered_in_the_order_in_which_they_come() -> None:
    codes = Codes()
    assert [codes.code(value) for value in ["red", "blue", "red", None, ""]] == [0, 1, 0, -1, 2]
    assert codes.values() == ["red", "blue", ""]
    assert codes.known(["green", "blue"]) == [1]
    assert Codes(codes.values()).code("blue") == 1
