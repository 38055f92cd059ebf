"""Strings that no message can hold are refused with their field, by either client of the index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lookalike import Embedding
from lookalike.client.index import Collection, Item, ItemFilter, Query, calls
from lookalike.errors import InvalidArgumentError

BAD = "a\ud83d"  # the first half of an emoji
GOOD = Embedding(np.ones(2, np.float32), "space")
VECTOR = Embedding(np.ones(2, np.float32), BAD)
ANY: dict[str, Any] = {
    "k": 1,
    "where": None,
    "distinct_products": True,
    "exclude_same_product": True,
    "max_distance": None,
    "rerank": None,
    "exact": False,
    "min_seq": 0,
    "view": "full",
}


def item(**fields: Any) -> Item:
    return Item(**{"id": "a", "product_id": "b", **fields})


def find(query: Any, **more: Any) -> Any:
    return calls.neighbors("c", query, **{**ANY, **more})


def only(**conditions: Any) -> Any:
    return find("a", where=ItemFilter(**conditions))


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("queries[0].words", lambda: find(Query(words=BAD))),
        ("queries[0].words", lambda: find(Query("a", words=BAD))),
        ("queries[0].words", lambda: find(Query(["a", "b"], words=BAD))),
        ("queries[0].words", lambda: find(Query(GOOD, words=BAD))),
        ("queries[1].positives[0].item_id", lambda: find(["a", BAD])),
        ("queries[0].negatives[1].item_id", lambda: find(Query("a", ["b", BAD]))),
        ("queries[0].positives[0].vector.embedding_space", lambda: find(VECTOR)),
        ("filter.categories[0]", lambda: only(categories=BAD)),
        ("filter.product_ids[1]", lambda: only(product_ids=("a", BAD))),
        ("filter.exclude_product_ids[0]", lambda: only(exclude_product_ids=[BAD])),
        ("filter.attributes.key", lambda: only(attributes={BAD: ["a"]})),
        ("filter.attributes.values[0]", lambda: only(attributes={"a": BAD})),
        ("items[1].id", lambda: calls.upsert("c", [item(), item(id=BAD)], None)),
        ("items[0].product_id", lambda: calls.upsert("c", [item(product_id=BAD)], None)),
        ("items[0].category", lambda: calls.upsert("c", [item(category=BAD)], None)),
        (
            "items[0].attributes['b']",
            lambda: calls.upsert("c", [item(attributes={"a": "", "b": BAD})], None),
        ),
        (
            "a key of items[0].attributes",
            lambda: calls.upsert("c", [item(attributes={BAD: ""})], None),
        ),
        ("items[0].vector.embedding_space", lambda: calls.upsert("c", [item(vector=VECTOR)], None)),
        ("item.id", lambda: calls.Batches("c", 2, 9999).add(item(id=BAD))),
        ("request_id", lambda: calls.upsert("c", [item()], BAD)),
        ("collection", lambda: calls.upsert(BAD, [item()], None)),
        ("item_ids[0]", lambda: calls.delete("c", [BAD], [], None)),
        ("product_ids[0]", lambda: calls.delete("c", [], BAD, None)),
        ("item_id", lambda: calls.get("c", BAD, 0)),
        ("collection", lambda: calls.count(BAD, None, 0)),
        ("collection.name", lambda: calls.create_collection(Collection(BAD, "space", 2))),
        (
            "collection.text_attributes[0]",
            lambda: calls.create_collection(Collection("c", "space", 2, text_attributes=[BAD])),
        ),
        ("name", lambda: calls.get_collection(BAD)),
        ("name", lambda: calls.delete_collection(BAD)),
        ("collection", lambda: calls.set_alias("a", BAD)),
        ("name", lambda: calls.delete_alias(BAD)),
    ],
)
def test_half_an_emoji_is_refused_with_its_place(field: str, ask: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"character 2 is U\+D83D") as refused:
        ask()
    assert refused.value.field == field
