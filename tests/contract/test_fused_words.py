"""Words beside a target: both orders are fused, and a typed title is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from index_service.backend import Backend
from index_service.records import Examples, Filter, Query, QueryAnswer, Rerank, View
from tests.contract.conftest import ONLY_NATIVE, Make
from tests.contract.listings import ids, item, nearest, vector, write
from tests.contract.worded import LISTINGS, TEXTS, words


def fuse(*orders: Sequence[str]) -> dict[str, float]:
    """The fusion by its definition, in the plainest way."""
    every = dict.fromkeys(key for order in orders for key in order)
    return {
        key: sum(1 / (60 + 1 + list(order).index(key)) for order in orders if key in order)
        for key in every
    }


def bm25(sought: str) -> dict[str, float]:
    """How well each listing with the words fits them, by FTS5 itself."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, a, b, tokenize='porter')")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(r[0], *r[3:5]) for r in LISTINGS])
        return dict(db.execute("SELECT id, -bm25(t, 0, 3, 1) FROM t WHERE t MATCH ?", (sought,)))


def check_fused(answer: QueryAnswer, *orders: Sequence[str]) -> None:
    scores = fuse(*orders)
    written = [row[0] for row in LISTINGS]
    expected = sorted(scores, key=lambda key: (-scores[key], written.index(key)))
    assert ids(answer) == expected
    assert answer.fused_scores == pytest.approx([scores[key] for key in expected])


OPTIONS: list[dict[str, Any]] = [
    {},
    {"exact": True},
    {"view": View.IDS},
    {"filter": Filter(max_price=90)},
    {"max_distance": 9.0},
    {"rerank": Rerank(100, 0.5)},
    {"rerank": Rerank(10, 0.0), "exact": True},
    {"rerank": Rerank(100, 0.5, max_distance=1.2)},
]


@ONLY_NATIVE
@pytest.mark.parametrize("how", OPTIONS, ids=str)
@pytest.mark.parametrize("target", [vector(3.4, 0), "d", Examples(("d", vector(3, 0)), ("a",))])
async def test_both_orders_are_fused_by_place(
    backend: Backend, shop: str, how: dict[str, Any], target: Any
) -> None:
    features = (0.3, 1.0) if "rerank" in how else ()
    alone = await nearest(backend, shop, Query(target, features), **how)
    distances = dict(zip(ids(alone), alone.neighbors.distances, strict=True))
    limits = {"max_distance", "rerank"}
    rest = {key: value for key, value in how.items() if key not in limits}
    by_words = ids(await nearest(backend, shop, words("oak table"), **rest))
    # What is too far, or named by the query, is no place of either order.
    by_words = [key for key in by_words if key in distances]
    answer = await nearest(backend, shop, Query(target, features, "oak table"), **how)
    scores = bm25("oak OR table")
    near = [key for key in by_words if scores[key] >= 0.8 * scores[by_words[0]]]
    close = [key for key in near if key in bm25("a : (oak OR table)")]
    titled = [key for key in by_words if key in bm25("a : (oak AND table)")]
    check_fused(answer, ids(alone), by_words, close, titled)
    assert answer.words_matched >= len(by_words)
    for i, key in enumerate(ids(answer)):
        assert answer.neighbors.distances[i] == pytest.approx(distances[key])
    assert (answer.method, answer.complete) == (alone.method, alone.complete)
    assert answer.candidates_scanned == alone.candidates_scanned
    assert (answer.neighbors.first_distances is None) == ("rerank" not in how)


@ONLY_NATIVE
async def test_what_words_alone_found_has_its_true_distances(backend: Backend, make: Make) -> None:
    name = await make(TEXTS)
    rows = [
        (item(f"{i:03}", title="oak" if i == 149 else "pine"), vector(i, 0)) for i in range(150)
    ]
    await write(backend, name, rows, **{f"{i:03}": (1.0, i / 10) for i in range(150)})
    answer = await nearest(backend, name, Query(vector(0, 0), (), "oak"), 3)
    # Its place by distance is the 150th, and 100 count.
    assert ids(answer) == ["149", "000", "001"]
    assert answer.fused_scores == pytest.approx([3 / 61, 1 / 61, 1 / 62])
    assert list(answer.neighbors.distances) == [149**2, 0, 1]
    query = Query(vector(0, 0), (1.0, 0.0), "oak")
    how = Rerank(100, 0.001)
    again = await nearest(backend, name, query, 3, rerank=how)
    (far,) = [i for i, key in enumerate(ids(again)) if key == "149"]
    assert again.neighbors.first_distances is not None
    assert again.neighbors.first_distances[far] == 149**2
    cosine = 1 - 1 / (1 + 14.9**2) ** 0.5
    assert again.neighbors.distances[far] == pytest.approx(cosine + 0.001 * 149**2, abs=0.01)


@ONLY_NATIVE
@pytest.mark.parametrize("distinct", [False, True])
async def test_typed_title_comes_before_what_is_near_and_has_some_of_its_words(
    backend: Backend, make: Make, distinct: bool
) -> None:
    name = await make(TEXTS)
    titles = ["Burgundy hairdryer", "Purple hairbrush", "Burgundy hairbrush", *["Sofa"] * 20]
    places = [0, 1, 90, *range(30, 50)]
    rows = [
        (item(f"{i:02}", title=title), vector(x, 0))
        for i, (title, x) in enumerate(zip(titles, places, strict=True))
    ]
    await write(backend, name, rows)
    query = Query(vector(0, 0), (), "burgundy hairbrush")
    answer = await nearest(backend, name, query, 3, distinct_products=distinct)
    assert ids(answer) == ["02", "00", "01"]


@ONLY_NATIVE
async def test_words_in_a_text_count_no_more_than_in_their_own_order(
    backend: Backend, make: Make
) -> None:
    name = await make(TEXTS)
    texts = [("Shoes", "Not for a bike: my daughter's"), ("Cycle", ""), ("Bike", ""), ("Lamp", "")]
    rows = [
        (item(title, title=title, text=text), vector(x, 0))
        for (title, text), x in zip(texts, [9, 0, 1, 8], strict=True)
    ]
    await write(backend, name, rows)
    answer = await nearest(backend, name, Query(vector(0, 0), (), "bike for my daughter"), 3)
    assert ids(answer) == ["Bike", "Shoes", "Cycle"]


@ONLY_NATIVE
async def test_rare_word_among_common_ones_is_found_among_the_first(
    backend: Backend, make: Make
) -> None:
    name = await make(TEXTS)
    rows = [
        (item(f"{i:02}", title="Old lamp", text="for sale"), vector(i % 7, 0)) for i in range(30)
    ]
    rows += [(item(f"x{i}", title="Chair"), vector(60, 0)) for i in range(30)]
    rows += [(item("sousaphone", title="Sousaphone"), vector(90, 0))]
    await write(backend, name, rows)
    query = Query(vector(0, 0), (), "old sousaphone for sale")
    assert ids(await nearest(backend, name, query, 1)) == ["sousaphone"]
