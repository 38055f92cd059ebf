"""Finding neighbours, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from index_service.backend import Backend
from index_service.records import (
    Collection,
    Examples,
    Filter,
    Item,
    Method,
    Metric,
    PackedVectors,
    Query,
    Search,
    Vector,
    View,
)
from lookalike.errors import (
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    NonFiniteVectorError,
    UnknownFilterFieldError,
)
from tests.contract.conftest import Make
from tests.contract.listings import (
    SPACE,
    exact_distances,
    find,
    ids,
    item,
    nearest,
    vector,
    write,
    write_on_a_line,
)


@pytest.mark.parametrize("metric", Metric)
async def test_neighbors_are_the_exact_ones(backend: Backend, make: Make, metric: Metric) -> None:
    random = np.random.default_rng(7)
    rows = random.normal(size=(400, 13)).astype(np.float32) * np.float32(3)
    name = await make(Collection("replaced", SPACE, 13, metric))
    await write(
        backend, name, [(item(f"{i:03}"), Vector(r.tolist(), SPACE)) for i, r in enumerate(rows)]
    )
    targets = random.normal(size=(5, 13)).astype(np.float32)
    answer = await find(backend, name, [Query(Vector(t.tolist(), SPACE)) for t in targets], k=20)
    assert answer.collection.name == name
    for target, result in zip(targets, answer.results, strict=True):
        exact = exact_distances(rows, target, metric)
        expected = sorted(range(400), key=exact.__getitem__)[:20]
        found = [int(item_id) for item_id in ids(result)]
        # A backend may keep vectors of length 1 for the cosine: two that are hardly different in
        # distance may then change places.
        if metric is not Metric.COSINE:
            assert found == expected
        distances = list(result.neighbors.distances)
        assert distances == pytest.approx([exact[i] for i in expected], abs=1e-7)
        assert distances == pytest.approx([exact[i] for i in found], abs=1e-7)
        assert result.method is Method.EXACT
        assert result.shortfall == ""
        assert result.candidates_scanned >= 20


async def test_ties_are_in_the_order_of_writing(backend: Backend, line: str) -> None:
    order = [f"{(i * 37) % 100:02}" for i in range(100)]
    await write(backend, line, [(item(name), vector(1, 1)) for name in order])
    assert ids(await nearest(backend, line, vector(0, 0), k=10)) == order[:10]
    await write(backend, line, [(item(order[0]), vector(1, 1))])
    assert ids(await nearest(backend, line, vector(0, 0), k=100)) == [*order[1:], order[0]]


async def test_query_by_item_leaves_the_item_out(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 1, "c": 3}, {"a": "p", "b": "p"})
    assert ids(await nearest(backend, line, "a")) == ["b", "c"]
    assert ids(await nearest(backend, line, "a", exclude_same_product=True)) == ["c"]
    with pytest.raises(ItemNotFoundError, match="'x'") as caught:
        await find(backend, line, [Query("a"), Query("x")])
    assert caught.value.field == "queries[1].item_id"


async def test_many_queries_are_answered_in_their_order(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {f"{i}": float(i) for i in range(30)})
    queries = [Query(vector(i, 0)) if i % 2 else Query(f"{i}") for i in range(1, 29)]
    answer = await find(backend, line, queries, k=1)
    # The neighbours of a queried item are equally far: the one that was written first comes first.
    expected = [f"{i}" if i % 2 else f"{i - 1}" for i in range(1, 29)]
    assert [ids(result)[0] for result in answer.results] == expected


async def test_packed_queries_are_queries_by_vector(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 1, "c": 3})
    packed = PackedVectors(np.array([0, 0, 3, 0], np.float32), SPACE)
    answer = await backend.find_neighbors(line, packed, Search(1))
    assert [ids(result) for result in answer.results] == [["a"], ["c"]]
    with pytest.raises(EmbeddingSpaceMismatchError):
        await backend.find_neighbors(
            line, PackedVectors(np.array([0, 0], np.float32), "other"), Search(1)
        )
    with pytest.raises(DimensionMismatchError):
        await backend.find_neighbors(
            line, PackedVectors(np.array([0, 0, 0], np.float32), SPACE), Search(1)
        )
    with pytest.raises(InvalidArgumentError, match="1001 entries"):
        await backend.find_neighbors(
            line, PackedVectors(np.zeros(2 * 1001, np.float32), SPACE), Search(1)
        )


async def test_query_must_fit_the_collection(backend: Backend, line: str) -> None:
    with pytest.raises(EmbeddingSpaceMismatchError):
        await nearest(backend, line, vector(0, 0, space="other"))
    with pytest.raises(DimensionMismatchError):
        await nearest(backend, line, vector(0, 0, 0))


async def test_examples_move_the_query(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 2, "c": 4, "d": 7})
    # The mean of 0 and 2 is 1, and 4 lies 3 to its right: 1 - 3 = -2.
    target = Examples((vector(0, 0), vector(2, 0)), (vector(4, 0),))
    answer = await nearest(backend, line, target)
    assert list(answer.neighbors.distances) == [4, 16, 36, 81]
    # Items among the examples are left out.
    assert ids(await nearest(backend, line, Examples(("a", "b"), ("c",)))) == ["d"]
    with pytest.raises(ItemNotFoundError):
        await nearest(backend, line, Examples(("a", "x")))


async def test_products_of_examples_are_left_out_on_demand(backend: Backend, line: str) -> None:
    products = {"a": "p", "b": "q", "c": "p", "d": "q"}
    await write_on_a_line(backend, line, {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}, products)
    target = Examples(("a",), ("b",))
    assert ids(await nearest(backend, line, target)) == ["c", "d", "e"]
    assert ids(await nearest(backend, line, target, exclude_same_product=True)) == ["e"]
    assert ids(await nearest(backend, line, Examples(("a",)), exclude_same_product=True)) == [
        "b",
        "d",
        "e",
    ]


@pytest.mark.parametrize(
    "examples",
    [
        Examples((vector(1, 0), vector(-2, 0))),
        Examples(("a", vector(-3, -1))),
        Examples((vector(1, 0), vector(1, 0), vector(1, 0), vector(-1, 0)), (vector(2, 0),)),
        # What is left is what float32 rounded off, and no direction.
        Examples((vector(1, 0), vector(0, 1), vector(-1, 0), vector(1e-8, -1))),
    ],
)
async def test_examples_that_cancel_out_have_no_direction(
    backend: Backend, make: Make, examples: Examples
) -> None:
    name = await make(metric=Metric.COSINE)
    await write(backend, name, [(item("a"), vector(3, 1))])
    with pytest.raises(InvalidArgumentError, match="cancel out") as caught:
        await find(backend, name, [Query(vector(1, 1)), Query(examples)])
    assert caught.value.field == "queries[1].examples"


async def test_examples_that_lead_beyond_float32_are_refused(backend: Backend, line: str) -> None:
    with pytest.raises(NonFiniteVectorError) as caught:
        await nearest(backend, line, Examples((vector(3e38, 0),), (vector(-3e38, 0),)))
    assert caught.value.field == "queries[0].examples"


async def test_distinct_products_are_filled_up(backend: Backend, line: str) -> None:
    # One product has the 60 nearest items, and each of the others one behind them.
    positions = {f"near{i:02}": i / 100 for i in range(60)}
    positions |= {f"far{i:02}": 10.0 + i for i in range(30)}
    products = {name: "crowd" for name in positions if name.startswith("near")}
    await write_on_a_line(backend, line, positions, products)
    answer = await nearest(backend, line, vector(0, 0), k=25, distinct_products=True)
    assert ids(answer) == ["near00", *(f"far{i:02}" for i in range(24))]
    assert answer.shortfall == ""
    rest = await nearest(backend, line, vector(0, 0), k=50, distinct_products=True)
    assert len(ids(rest)) == 31
    assert "31" in rest.shortfall
    other = await nearest(
        backend, line, "near30", k=3, distinct_products=True, exclude_same_product=True
    )
    assert ids(other) == ["far00", "far01", "far02"]


async def test_distinct_products_are_exact_with_jittered_photos(
    backend: Backend, make: Make
) -> None:
    random = np.random.default_rng(3)
    centers = random.normal(size=(60, 8))
    rows = np.repeat(centers, 7, axis=0) + random.normal(size=(420, 8)) * 0.3
    vectors = rows.astype(np.float32)
    name = await make(dimension=8)
    await write(
        backend,
        name,
        [
            (item(f"{i:03}", f"p{i // 7:02}"), Vector(row.tolist(), SPACE))
            for i, row in enumerate(vectors)
        ],
    )
    target = random.normal(size=8).astype(np.float32)
    expected: dict[int, str] = {}
    for _, i in sorted(
        zip(exact_distances(vectors, target, Metric.SQUARED_L2), range(420), strict=True)
    ):
        expected.setdefault(i // 7, f"{i:03}")
    query = Vector(target.tolist(), SPACE)
    answer = await nearest(backend, name, query, k=40, distinct_products=True)
    assert ids(answer) == list(expected.values())[:40]


async def test_greatest_distance_is_inclusive(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 1, "b": 2, "c": 3})
    answer = await nearest(backend, line, vector(0, 0), max_distance=4.0)
    assert ids(answer) == ["a", "b"]
    assert answer.shortfall


async def test_empty_collection_has_no_neighbors(backend: Backend, line: str) -> None:
    answer = await nearest(backend, line, vector(0, 0))
    assert ids(answer) == []
    assert answer.shortfall


async def test_ids_alone_come_where_they_are_enough(backend: Backend, line: str) -> None:
    written = item("a", "p", category="c", price=1.0, title="t")
    await write(backend, line, [(written, vector(0, 0))])
    (bare,) = (await nearest(backend, line, vector(0, 0), view=View.IDS)).neighbors.items
    assert (bare.id, bare.product_id) == ("a", "p")
    (full,) = (await nearest(backend, line, vector(0, 0))).neighbors.items
    assert full == written


async def test_answer_tells_a_write_that_it_includes(backend: Backend, line: str) -> None:
    seq = (await write(backend, line, [(item("a"), vector(0, 0))])).seq
    assert (await find(backend, line, [Query(vector(0, 0))])).applied_seq >= seq
    assert (await find(backend, line, [Query(vector(0, 0))], min_seq=seq)).applied_seq >= seq


CARS = [
    Item("a", "p1", "Cars", 100.0, {"colour": "red", "doors": "5"}),
    Item("b", "p1", "Cars", 250.5, {"colour": "blue"}),
    Item("c", "p2", "Vans", None, {"colour": ""}),
    Item("d", "p3", "Vans", 0.0, {}),
    Item("e", "p4", "", 99.5, {"colour": "red", "doors": "3"}),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), "abcde"),
        (Filter(categories=("Cars",)), "ab"),
        (Filter(categories=("Vans", "")), "cde"),
        (Filter(product_ids=("p1", "p4", "unknown")), "abe"),
        (Filter(exclude_product_ids=("p1", "unknown")), "cde"),
        (Filter(product_ids=("p1", "p2"), exclude_product_ids=("p2",)), "ab"),
        (Filter(min_price=0.0), "abde"),
        (Filter(min_price=-5.0), "abde"),
        (Filter(min_price=100.0), "ab"),
        (Filter(max_price=99.5), "de"),
        (Filter(min_price=99.5, max_price=100.0), "ae"),
        (Filter(max_price=1e300), "abde"),
        (Filter(attributes=(("colour", ("red",)),)), "ae"),
        (Filter(attributes=(("colour", ("",)),)), "c"),
        (Filter(attributes=(("colour", ("red", "blue")), ("doors", ("5", "4")))), "a"),
        (Filter(categories=("Cars",), max_price=150.0, attributes=(("doors", ("5",)),)), "a"),
        (Filter(categories=('Cars") or (id != "',)), ""),
    ],
)
async def test_filter_lets_through_what_meets_all_of_it(
    backend: Backend, make: Make, wanted: Filter, expected: str
) -> None:
    name = await make(Collection("replaced", SPACE, 2, Metric.SQUARED_L2, ("colour", "doors")))
    await write(backend, name, [(each, vector(i, 0)) for i, each in enumerate(CARS)])
    answer = await nearest(backend, name, vector(0, 0), filter=wanted)
    assert "".join(ids(answer)) == expected
    count = await backend.count_items(name, wanted)
    products = {each.product_id for each in CARS if each.id in expected}
    assert (count.items, count.products) == (len(expected), len(products))
    page = await backend.list_items(name, wanted, size=10, after=0, view=View.FULL)
    assert "".join(each.item.id for each in page.items) == expected


async def test_filter_names_only_indexed_attributes(backend: Backend, line: str) -> None:
    wanted = Filter(attributes=(("colour", ("red",)),))
    with pytest.raises(UnknownFilterFieldError, match="colour"):
        await nearest(backend, line, vector(0, 0), filter=wanted)
    with pytest.raises(UnknownFilterFieldError):
        await backend.count_items(line, wanted)


async def test_exact_search_is_exact(backend: Backend, line: str) -> None:
    await write_on_a_line(backend, line, {"a": 0, "b": 1})
    answer = await nearest(backend, line, vector(0.9, 0), exact=True)
    assert ids(answer) == ["b", "a"]
    assert answer.method is Method.EXACT
