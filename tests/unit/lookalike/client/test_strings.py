"""Strings that no message can hold are refused with their field, by either client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lookalike import CataloguePhoto, Embedding, ListingFilter, Part
from lookalike.errors import InvalidArgumentError
from tests.fake_services import FakeGateway

PHOTO = b"a photo"
NO_TEXT = "a\ud83d"  # the first half of an emoji


def _only(name: str) -> ListingFilter:
    return ListingFilter(**{name: ["a", NO_TEXT]})  # type: ignore[arg-type]


def _listing(name: str) -> CataloguePhoto:
    ids = {"item_id": "a", "product_id": "b"}
    return CataloguePhoto(**{**ids, name: NO_TEXT})


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("text", lambda client: client.similar(text=NO_TEXT)),
        ("mix.parts[1].text", lambda c: c.similar(mix=[Part(text="a"), Part(text=NO_TEXT)])),
        ("title", lambda client: client.classify(title=NO_TEXT)),
        ("description", lambda client: client.classify(PHOTO, description=NO_TEXT)),
        ("title", lambda client: client.embed_text(NO_TEXT)),
        ("description", lambda client: client.embed_text("a", NO_TEXT)),
        ("outputs[1]", lambda client: client.embed_text("a", outputs=["b", NO_TEXT])),
        ("outputs[0]", lambda client: client.embed(PHOTO, outputs=[NO_TEXT])),
        ("item_id", lambda client: client.similar(item_id=NO_TEXT)),
        ("mix.parts[0].item_id", lambda client: client.similar(mix=[Part(item_id=NO_TEXT)])),
        (
            "vector.embedding_space",
            lambda client: client.similar(vector=[1.0], embedding_space=NO_TEXT),
        ),
        (
            "vector.embedding_space",
            lambda c: c.similar(vector=Embedding(np.ones(1, np.float32), NO_TEXT)),
        ),
        *(
            (f"filter.{name}[1]", lambda c, name=name: c.similar(PHOTO, where=_only(name)))
            for name in ("categories", "locations", "product_ids", "exclude_product_ids")
        ),
        ("filter.locations[1]", lambda client: client.page(_only("locations"))),
        ("page_token", lambda client: client.page(page_token=NO_TEXT)),
        *(
            (f"photo.{name}", lambda c, name=name: c.ingest(_listing(name), PHOTO))
            for name in ("item_id", "product_id", "category", "title", "location", "currency")
        ),
        ("photo.description", lambda client: client.ingest(_listing("description"), PHOTO)),
        ("request_id", lambda c: c.ingest(CataloguePhoto("a", "b"), PHOTO, request_id=NO_TEXT)),
        ("item_id", lambda client: client.get(item_id=NO_TEXT)),
        ("product_id", lambda client: client.delete(product_id=NO_TEXT)),
        ("request_id", lambda client: client.delete(item_id="a", request_id=NO_TEXT)),
    ],
)
def test_half_an_emoji_is_refused_with_its_place(
    client: Any, gateway: FakeGateway, field: str, ask: Any
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"character 2 is U\+D83D") as refused:
        ask(client)
    assert refused.value.field == field
    assert gateway.requests == {}
