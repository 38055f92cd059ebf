"""Words of a collection's texts: alone, beside a target, under every condition, and hostile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from index_service.backend import Backend
from index_service.records import (
    Filter,
    Method,
    Query,
    Rerank,
    Search,
)
from lookalike.errors import InvalidArgumentError, WordsUnavailableError
from tests.contract.conftest import NAME, ONLY_NATIVE, Make
from tests.contract.listings import find, ids, item, nearest, vector, write
from tests.contract.worded import TEXTS, words


@ONLY_NATIVE
async def test_texts_of_a_collection_are_described(backend: Backend, make: Make) -> None:
    found, _ = await backend.collection(await make(TEXTS))
    assert found.text_attributes == ("title", "text")
    kept = await backend.create_collection(replace(TEXTS, name="words-kept"))
    assert kept.text_attributes == ("title", "text")
    await backend.delete_collection("words-kept")


@pytest.mark.skipif(NAME == "native", reason="about Milvus alone")
async def test_backend_without_words_says_so(backend: Backend, make: Make) -> None:
    name = await make(TEXTS)
    assert (await backend.collection(name))[0].text_attributes == ()
    await write(backend, name, [(item("a", title="oak"), vector(0, 0))])
    for query in (words("oak"), Query(vector(0, 0), (), "oak")):
        with pytest.raises(WordsUnavailableError, match="native") as caught:
            await nearest(backend, name, query)
        assert caught.value.field == "queries[0].words"


@ONLY_NATIVE
async def test_collection_without_texts_refuses_words(backend: Backend, line: str) -> None:
    for query in (words("oak"), Query(vector(0, 0), (), "oak")):
        with pytest.raises(WordsUnavailableError, match="text_attributes") as caught:
            await find(backend, line, [Query(vector(0, 0)), query])
        assert caught.value.field == "queries[1].words"


@ONLY_NATIVE
async def test_words_alone_find_what_has_one_of_them_best_first(
    backend: Backend, shop: str
) -> None:
    answer = await nearest(backend, shop, words("oak"))
    # In a title it counts for more; equal texts come in the order of writing.
    assert ids(answer) == ["a", "b", "c", "f"]
    assert (answer.words_matched, answer.method, answer.complete) == (4, Method.EXACT, True)
    assert answer.candidates_scanned == 0
    assert answer.fused_scores == [1 / 61, 1 / 62, 1 / 63, 1 / 64]
    assert list(answer.neighbors.distances) == [0, 0, 0, 0]
    assert answer.shortfall == "the collection has 4 items with one of the words"
    assert answer.neighbors.items[3].attributes["title"] == "Bookcase of pine"


@ONLY_NATIVE
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("armchair", ["c"]),
        ("ARMCHAIRS!", ["c"]),
        ("cafe", ["d"]),
        ("CAFÉ", ["d"]),
        ("bookcases", ["f"]),
        ("table lamp", ["e", "a", "b"]),
        ("sofa", []),
    ],
)
async def test_case_accents_and_plurals_do_not_matter(
    backend: Backend, shop: str, text: str, expected: list[str]
) -> None:
    assert ids(await nearest(backend, shop, words(text))) == expected


SPELLINGS = [
    # as a seller wrote it, what finds it
    ("𝗩𝗶𝗻𝘁𝗮𝗴𝗲 vase", "vintage"),
    ("Ｖｉｎｔａｇｅ vase", "vintage"),
    ("Vin\u200btage vase", "vintage"),
    ("vin\u00adtage vase", "vintage"),
    ("\u202dvintage\u202c vase", "vintage"),
    ("vintage vase", "𝓿𝓲𝓷𝓽𝓪𝓰𝓮"),
    ("Oﬃce chair", "office"),
    ("vintage\0vase", "vase"),
    ("Straße", "STRASSE"),
    ("STRASSE", "straße"),
    ("Ångström", "Ångström"),
    ("İstanbul", "istanbul"),
]


@ONLY_NATIVE
@pytest.mark.parametrize(("title", "text"), SPELLINGS)
async def test_words_are_found_however_they_are_spelt(
    backend: Backend, make: Make, title: str, text: str
) -> None:
    name = await make(TEXTS)
    rows = [(item("a", title=title), vector(0, 0)), (item("b", title="lamp"), vector(0, 0))]
    await write(backend, name, rows)
    assert ids(await nearest(backend, name, words(text))) == ["a"]
    # What is taken out of the index is what was put in.
    await write(backend, name, [(item("a", title="sofa"), vector(0, 0))])
    assert ids(await nearest(backend, name, words(text))) == []


@ONLY_NATIVE
async def test_k_cuts_what_words_find(backend: Backend, shop: str) -> None:
    answer = await nearest(backend, shop, words("oak"), 2)
    assert (ids(answer), answer.words_matched, answer.shortfall) == (["a", "b"], 4, "")


HOSTILE = [
    "?",
    " \t\n",
    "🛋️ 🪑",
    "\0",
    "\x01\x1f\x7f",
    '"',
    "'",
    "*",
    "^",
    "(((",
    "-",
    "title:",
    "\u202e\u200f",
    "'); DROP INDEX items; --",
    "AND",
    "NEAR(a b)",
    "NOT OR AND",
    "x" * 1024,
    " ".join("xyzw" * 128),
    " ".join(chr(0x4E00 + i) for i in range(512)),
    "كرسي أحمر",
    "\ud7ff\ue000",
]


@ONLY_NATIVE
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_words_are_words_or_nothing(backend: Backend, shop: str, text: str) -> None:
    answer = await nearest(backend, shop, words(text))
    assert ids(answer) == []
    assert (answer.words_matched, answer.complete) == (0, True)
    assert answer.shortfall
    both = await nearest(backend, shop, Query(vector(0, 0), (), text))
    assert ids(both) == ids(await nearest(backend, shop, vector(0, 0)))
    assert both.words_matched == 0


@ONLY_NATIVE
@pytest.mark.parametrize(
    "text",
    ['"oak"', "oak*", "^oak", "NOT oak", "title:oak", "(oak", "oak\0lamps AND", "NEAR(oak, 2)"],
)
async def test_signs_of_a_query_language_are_no_more_than_signs(
    backend: Backend, shop: str, text: str
) -> None:
    found = ids(await nearest(backend, shop, words(text)))
    assert {"a", "b", "c", "f"} <= set(found)
    assert set(found) <= {"a", "b", "c", "f", "e"}


@ONLY_NATIVE
async def test_words_of_which_nothing_is_left_say_so(backend: Backend, shop: str) -> None:
    answer = await nearest(backend, shop, words("!?"))
    assert "neither letters nor digits" in answer.shortfall
    both = await nearest(backend, shop, Query(vector(0, 0), (), "!?"), 2)
    assert (ids(both), both.shortfall) == (["a", "b"], "")
    assert both.fused_scores == [1 / 61, 1 / 62]


@ONLY_NATIVE
async def test_any_text_of_an_item_can_be_written_and_found(backend: Backend, make: Make) -> None:
    name = await make(TEXTS)
    titles = ["a\0b", '"quoted" words', "日本 の 椅子", "🛋️", "", "x" * 8192, "NOT AND OR"]
    rows = [(item(f"{i}", title=title), vector(i, 0)) for i, title in enumerate(titles)]
    await write(backend, name, rows)
    asked = {"b": ["0"], "QUOTED": ["1"], "椅子": ["2"], "x" * 1024: [], "not": ["6"]}
    for text, expected in asked.items():
        assert ids(await nearest(backend, name, words(text))) == expected
    await backend.delete_items(name, [f"{i}" for i in range(len(titles))], [])
    for text in asked:
        assert ids(await nearest(backend, name, words(text))) == []


@ONLY_NATIVE
@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (Filter(categories=("chairs",)), ["c"]),
        (Filter(product_ids=("p1", "p9")), ["a", "b"]),
        (Filter(max_price=60), ["a", "b", "f"]),
        (Filter(min_price=60), ["c"]),
        (Filter(attributes=(("colour", ("red", "blue")),)), ["c"]),
        (Filter(exclude_product_ids=("p1",)), ["c", "f"]),
        (Filter(categories=("none",)), []),
    ],
)
async def test_filters_hold_for_words(
    backend: Backend, shop: str, only: Filter, expected: list[str]
) -> None:
    answer = await nearest(backend, shop, words("oak"), filter=only)
    assert (ids(answer), answer.words_matched) == (expected, len(expected))
    both = await nearest(backend, shop, Query(vector(9, 0), (), "oak"), filter=only)
    plain = await nearest(backend, shop, vector(9, 0), filter=only)
    assert set(ids(both)) == set(ids(plain))
    assert both.words_matched == len(expected)


@ONLY_NATIVE
async def test_products_come_once(backend: Backend, shop: str) -> None:
    answer = await nearest(backend, shop, words("oak"), distinct_products=True)
    assert ids(answer) == ["a", "c", "f"]
    assert answer.words_matched == 4
    assert answer.shortfall == "the collection has 3 products with one of the words"
    # The nearest photo of a product stands for it, though words found another one first.
    both = await nearest(backend, shop, Query(vector(1, 0), (), "oak"), distinct_products=True, k=2)
    assert ids(both) == ["b", "c"]
    assert both.neighbors.distances == [0, 1]


@ONLY_NATIVE
async def test_own_items_and_products_are_left_out(backend: Backend, shop: str) -> None:
    answer = await nearest(backend, shop, Query("a", (), "oak"))
    assert "a" not in ids(answer)
    assert answer.words_matched == 3
    answer = await nearest(backend, shop, Query("a", (), "oak"), exclude_same_product=True)
    assert not {"a", "b"} & set(ids(answer))
    assert answer.words_matched == 2


@ONLY_NATIVE
async def test_queries_of_one_call_may_differ(backend: Backend, shop: str) -> None:
    asked = [Query(vector(0, 0)), words("lamp"), Query("f", (), "red"), Query("f"), words("?")]
    answer = await find(backend, shop, asked, 3)
    alone = [await find(backend, shop, [query], 3) for query in asked]
    assert list(answer.results) == [each.results[0] for each in alone]
    assert [bool(each.fused_scores is None) for each in answer.results] == [1, 0, 0, 1, 0]


@ONLY_NATIVE
@pytest.mark.parametrize("how", [{"max_distance": 1.0}, {"rerank": Rerank(10, 1.0)}], ids=str)
async def test_words_alone_have_no_distance_to_limit_or_rank_by(
    backend: Backend, shop: str, how: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"queries\[1\] has words alone") as caught:
        await find(backend, shop, [Query(vector(0, 0), (1.0, 0.0)), words("oak")], **how)
    assert caught.value.field == next(iter(how))


@ONLY_NATIVE
async def test_replaced_and_deleted_items_are_found_by_their_new_words_or_not_at_all(
    backend: Backend, shop: str
) -> None:
    done = await write(backend, shop, [(item("a", "p1", title="Pine table"), vector(0, 0))])
    assert ids(await nearest(backend, shop, words("oak"), min_seq=done.seq)) == ["b", "c", "f"]
    assert ids(await nearest(backend, shop, words("pine"))) == ["a", "f"]
    await backend.delete_items(shop, ["b"], ["p5"])
    assert ids(await nearest(backend, shop, words("oak"))) == ["c"]
    assert ids(await nearest(backend, shop, words("pine"))) == ["a"]


@ONLY_NATIVE
async def test_words_of_a_deleted_collection_are_gone(backend: Backend, make: Make) -> None:
    name = await make(TEXTS)
    for title in ("oak", "pine"):
        await write(backend, name, [(item("a", title=title), vector(0, 0))])
        assert ids(await nearest(backend, name, words(title))) == ["a"]
        await backend.delete_collection(name)
        await backend.create_collection(replace(TEXTS, name=name))
        assert ids(await nearest(backend, name, words(title))) == []


@ONLY_NATIVE
async def test_common_words_do_not_hide_rare_ones(backend: Backend, make: Make) -> None:
    name = await make(TEXTS)
    rows = [
        (item(f"{i:02}", title=f"for sale {'oak' * (i == 7)}"), vector(i, 0)) for i in range(30)
    ]
    await write(backend, name, rows)
    answer = await nearest(backend, name, words("oak for sale"), 5)
    assert ids(answer)[0] == "07"
    assert (answer.words_matched, answer.complete) == (30, True)


@ONLY_NATIVE
async def test_search_by_words_takes_its_options_together(backend: Backend, shop: str) -> None:
    search = Search(5, distinct_products=True, filter=Filter(max_price=60), exact=True)
    answer = await backend.find_neighbors(shop, [Query("d", (), "oak tables")], search)
    assert ids(answer.results[0]) == ["b", "f"]
    assert answer.results[0].shortfall.endswith("that the filter lets through")
