"""Writing items and reading them back, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from index_service.backend import Backend
from index_service.records import NO_FILTER, Batch, Collection, Item, Metric, Vector, View
from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    NonFiniteVectorError,
)
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, ids, item, listed, nearest, vector, write

HOSTILE = [
    'a"b',
    "a'b",
    "a\\",
    '\\"',
    "nul\0in",
    "\0",
    "line\nfeed",
    "carriage\rreturn",
    "tab\t",
    "\x01\x1f\x7f",
    '") or (id != "',
    "%22",
    "\\u0041",
    "{x}",
    " ",
    "é",
    "日本",
    "\U00020000",
    "\U0001f600",
    "\u2028",
    "e\u0301",
    "A" * 128,
    "\U0001f600" * 128,
]


async def test_item_comes_back_as_it_was_written(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 3, Metric.COSINE, ("colour",), 4))
    written = Item("a", "p", "Chairs", 0.0, {"colour": "red", "title": "a\0b", "empty": ""})
    values, features = (0.1, -2e-7, 3e5), (1.0, 2.5, -3.0, 1e-3)
    done = await backend.upsert_items(name, Batch([written], [vector(*values)], [features]))
    assert (done.inserted, done.replaced) == (1, 0)
    found, collection = await backend.item(name, "a")
    assert found.item == written
    assert collection.name == name
    assert np.array_equal(found.vector, np.array(values, np.float32))
    assert found.features is not None
    assert np.array_equal(found.features, np.array(features, np.float32))


async def test_what_is_missing_stays_missing(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.SQUARED_L2, ("colour",), 4))
    await write(backend, name, [(Item("a", "p"), vector(1, 2))])
    found, _ = await backend.item(name, "a")
    assert found.item == Item("a", "p", "", None, {})
    assert found.features is None


async def test_upsert_replaces_items_of_the_same_id(backend: Backend, line: str) -> None:
    await write(backend, line, [(item("a", price=1.0), vector(0, 0)), (item("b"), vector(1, 0))])
    done = await write(
        backend, line, [(item("c"), vector(2, 0)), (item("a", "other"), vector(9, 0))]
    )
    assert (done.inserted, done.replaced) == (1, 1)
    found, _ = await backend.item(line, "a")
    assert found.item == item("a", "other")
    assert (await backend.collection(line))[1] == 3
    assert ids(await nearest(backend, line, vector(0, 0))) == ["b", "c", "a"]


async def test_hostile_text_is_only_text(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.SQUARED_L2, ("k",)))
    rows = [
        (item(text, text, category=text, k=text), vector(float(i), 0))
        for i, text in enumerate(HOSTILE)
    ]
    assert (await write(backend, name, rows)).inserted == len(HOSTILE)
    assert (await write(backend, name, rows)).replaced == len(HOSTILE)
    for i, text in enumerate(HOSTILE):
        found, _ = await backend.item(name, text)
        assert found.item == rows[i][0]
        answer = await nearest(backend, name, text, k=1)
        assert ids(answer) != [text]
    await backend.delete_items(name, HOSTILE[::2], HOSTILE[1::4])
    left = [each.item.id for each in await listed(backend, name)]
    assert left == HOSTILE[3::4]


async def test_writes_have_growing_numbers(backend: Backend, line: str, alias: str) -> None:
    first = (await write(backend, line, [(item("a"), vector(0, 0))])).seq
    second = (await write(backend, line, [(item("a"), vector(1, 0))])).seq
    third = (await backend.delete_items(line, ["a"], [])).seq
    fourth = (await backend.set_alias(alias, line))[1]
    fifth = (await write(backend, line, [(item("b"), vector(1, 0))])).seq
    assert 0 < first < second < third < fourth < fifth
    assert (await backend.state()).applied_seq >= fifth


async def test_read_with_a_write_number_sees_the_write(backend: Backend, line: str) -> None:
    for number in range(5):
        seq = (await write(backend, line, [(item("a"), vector(number, 0))])).seq
        found, _ = await backend.item(line, "a", seq)
        assert found.vector[0] == number
        answer = await backend.count_items(line, NO_FILTER, seq)
        assert answer.items == 1
        assert answer.applied_seq >= seq


async def test_every_acknowledged_write_is_seen_by_the_next_read(
    backend: Backend, line: str
) -> None:
    for number in range(10):
        await write(backend, line, [(item(f"i{number}"), vector(number, 0))])
        assert ids(await nearest(backend, line, vector(number, 0), k=1)) == [f"i{number}"]
        await backend.delete_items(line, [f"i{number}"], [])
        with pytest.raises(ItemNotFoundError):
            await backend.item(line, f"i{number}")


async def test_deletion_by_id_and_by_product(backend: Backend, line: str) -> None:
    rows = [("a", "p"), ("b", "p"), ("c", "q"), ("d", "q"), ("e", "r")]
    await write(backend, line, [(item(i, p), vector(0, 0)) for i, p in rows])
    done = await backend.delete_items(line, ["a", "e", "unknown"], ["q", "nothing"])
    assert done.deleted == 4
    assert [each.item.id for each in await listed(backend, line)] == ["b"]
    again = await backend.delete_items(line, ["a"], ["q"])
    assert again.deleted == 0
    assert again.seq > done.seq


async def test_bad_vector_leaves_the_whole_batch_unwritten(backend: Backend, make: Make) -> None:
    name = await make(metric=Metric.COSINE)
    good = (item("good"), vector(1, 2))
    for bad, error in [
        (Vector((1.0, 2.0), "elsewhere"), EmbeddingSpaceMismatchError),
        (vector(1, 2, 3), DimensionMismatchError),
        (vector(1, float("nan")), NonFiniteVectorError),
        (vector(0, 0), InvalidArgumentError),
    ]:
        with pytest.raises(error) as caught:
            await write(backend, name, [good, (item("bad"), bad)])
        assert caught.value.field.startswith("items[1].vector")
    assert (await backend.collection(name))[1] == 0


async def test_features_must_fit_the_collection(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.SQUARED_L2, (), 3))
    with pytest.raises(DimensionMismatchError):
        await write(backend, name, [(item("a"), vector(1, 2))], a=(1.0, 2.0))
    with pytest.raises(NonFiniteVectorError):
        await write(backend, name, [(item("a"), vector(1, 2))], a=(1.0, float("inf"), 0.0))


async def test_unknown_item_is_not_found(backend: Backend, line: str) -> None:
    with pytest.raises(ItemNotFoundError, match="no item 'x'"):
        await backend.item(line, "x")


async def test_items_are_listed_in_the_order_of_writing(backend: Backend, line: str) -> None:
    order = [f"i{(i * 7) % 25:02}" for i in range(25)]
    for i in range(0, 25, 5):
        await write(backend, line, [(item(name), vector(0, 0)) for name in order[i : i + 5]])
    for size in (1, 4, 25, 1000):
        assert [e.item.id for e in await listed(backend, line, size=size)] == order


async def test_pages_end_where_the_items_do(backend: Backend, line: str) -> None:
    await write(backend, line, [(item(f"{i}"), vector(0, 0)) for i in range(4)])
    first = await backend.list_items(line, NO_FILTER, size=2, after=0, view=View.IDS)
    assert first.following > 0
    second = await backend.list_items(line, NO_FILTER, size=2, after=first.following, view=View.IDS)
    assert second.following == 0
    assert [e.item.id for e in second.items] == ["2", "3"]


async def test_item_written_between_two_pages_is_on_a_later_one(
    backend: Backend, line: str
) -> None:
    await write(backend, line, [(item(f"{i}"), vector(0, 0)) for i in range(4)])
    page = await backend.list_items(line, NO_FILTER, size=2, after=0, view=View.FULL)
    await write(backend, line, [(item("new"), vector(0, 0))])
    await backend.delete_items(line, ["2"], [])
    rest = await backend.list_items(line, NO_FILTER, size=9, after=page.following, view=View.FULL)
    assert [e.item.id for e in rest.items] == ["3", "new"]


async def test_view_says_how_much_of_an_item_is_listed(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.SQUARED_L2, (), 2))
    full = item("a", "p", category="Chairs", price=2.0, title="t")
    await write(backend, name, [(full, vector(1, 2))], a=(3.0, 4.0))
    (bare,) = await listed(backend, name, view=View.IDS)
    assert (bare.item.id, bare.item.product_id) == ("a", "p")
    (whole,) = await listed(backend, name, view=View.FULL)
    assert whole.item == full
    (vectors,) = await listed(backend, name, view=View.VECTORS)
    assert vectors.item == full
    assert vectors.vector.tolist() == [1, 2]
    assert vectors.features is not None
    assert vectors.features.tolist() == [3, 4]
