"""Mixes over HTTP: this photo, but blue, less damaged."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.listings import ItemId, Mix, MixPart, Words
from tests.http_face import Asked, open_face, problem

PHOTO = b"a photo"
ENCODED = base64.b64encode(PHOTO).decode()
ONE = [("image", ("1.jpg", b"one"))]
TWO = [*ONE, ("image", ("2.jpg", b"two"))]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked, max_image_bytes=2048) as client:
        yield client


def words(text: str, weight: float = 1.0) -> MixPart:
    return MixPart(Words(text), weight)


@pytest.mark.parametrize(
    ("photos", "fields", "parts"),
    [
        (
            ONE,
            {"like": "blue", "unlike": "damaged"},
            [MixPart(b"one"), words("blue"), words("damaged", -1)],
        ),
        (
            ONE,
            {"like": ["blue^0.5", "large^2"], "unlike": "old^.25", "image_weight": "3"},
            [MixPart(b"one", 3), words("blue", 0.5), words("large", 2), words("old", -0.25)],
        ),
        (TWO, {"like": "blue"}, [MixPart(b"one", 0.5), MixPart(b"two", 0.5), words("blue")]),
        (TWO, {"image_weight": ["1", "-0.5"]}, [MixPart(b"one", 1), MixPart(b"two", -0.5)]),
        ([], {"like": ["a", "b^3"]}, [words("a"), words("b", 3)]),
        ([], {"text": "sofa", "unlike": "leather"}, [words("sofa"), words("leather", -1)]),
        (
            [],
            {"item_id": "x", "like_item": "y^0.5", "unlike_item": ["z", "a^b^2"]},
            [
                MixPart(ItemId("x")),
                MixPart(ItemId("y"), 0.5),
                MixPart(ItemId("z"), -1),
                MixPart(ItemId("a^b"), -2),
            ],
        ),
        # What has no number behind the last ^ is words to the end.
        ([], {"like": ["a^b", "x^", "^2", "2^2^1", "a^1e3", "a^nan", "a^inf"]}, [
            words("a^b"), words("x^"), words("^2"), words("2^2"), words("a^1e3"), words("a^nan"),
            words("a^inf"),
        ]),
        ([], {"like": "ソファ 🛋️ أزرق^0.5"}, [words("ソファ 🛋️ أزرق", 0.5)]),
    ],
)  # fmt: skip
async def test_form_writes_a_mix_with_weights(
    client: httpx.AsyncClient,
    asked: Asked,
    photos: list[Any],
    fields: dict[str, Any],
    parts: list[MixPart],
) -> None:
    response = await client.post("/v1/similar", files=photos, data=fields)
    assert response.status_code == 200, response.text
    assert asked.queries[0][0] == Mix(tuple(parts))
    assert response.json()["classification"] is None


async def test_json_writes_a_mix_as_a_list_or_as_a_form_does(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    mix = [
        {"image": f"data:image/jpeg;base64,{ENCODED}"},
        {"text": "blue", "weight": 0.5},
        {"item_id": "x", "weight": -2, "text": None},
    ]
    await client.post("/v1/similar", json={"mix": mix, "k": 3})
    await client.post("/v1/similar", json={"image": ENCODED, "like": "blue", "unlike": ["old^2"]})
    (first, options), (second, _) = asked.queries
    assert first == Mix((MixPart(PHOTO), words("blue", 0.5), MixPart(ItemId("x"), -2)))
    assert options.k == 3
    assert second == Mix((MixPart(PHOTO), words("blue"), words("old", -2)))


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"like": "a^0"}, "like", "like is 'a' with the weight 0; it must be above 0 and at most"),
        ({"like": "a^-1"}, "like", "what leads the other way is `unlike`"),
        ({"unlike": "a^-1"}, "unlike", "what leads the other way is `like`"),
        ({"like": "a^10.1"}, "like", "with the weight 10.1; it must be above 0 and at most 10"),
        ({"like": " ^2"}, "like", "like is empty"),
        ({"like": ["a"] * 17}, "like", "17 things were sent to mix (like); it must be 1 to 16"),
        ({"unlike": "a"}, "unlike", "everything that was sent leads away"),
        ({"unlike_item": "a"}, "unlike_item", "no weight is above 0"),
        ({"like_item": "a" * 129}, "like_item", "like_item has 129 characters"),
        ({"item_id": "", "like": "a"}, "item_id", "item_id has 0 characters"),
        ({"image": ENCODED, "image_weight": -1}, "image", "everything that was sent leads away"),
        ({"image": ENCODED, "image_weight": 0}, "image_weight", "image_weight is 0.0; it must be"),
        ({"image": ENCODED, "image_weight": "nan"}, "image_weight", "image_weight is nan; it must"),
        ({"image": ENCODED, "image_weight": [1, 2]}, "image_weight", "2 entries, and there are 1"),
        ({"image_weight": 1, "like": "a"}, "image_weight", "1 entries, and there are 0 photos"),
        ({"image": ENCODED, "image_weight": "much"}, "image_weight.0", "(it is 'much')"),
        ({"vector": [1], "embedding_space": "s", "like": "a"}, "vector", "cannot be mixed"),
        ({"mix": []}, "mix", "0 things were sent to mix"),
        ({"mix": ["a"]}, "mix", "mix[0] is of type str; it must be a JSON object"),
        ({"mix": {"text": "a", "colour": "b"}}, "mix", "mix[0] has no field 'colour'"),
        ({"mix": [{"text": "a"}, {}]}, "mix", "mix[1] has nothing; it must have one of image"),
        ({"mix": [{"text": "a", "item_id": "b"}]}, "mix", "mix[0] has text and item_id"),
        ({"mix": [{"text": "a", "weight": "1"}]}, "mix", "mix[0].weight is of type str"),
        ({"mix": [{"text": "a", "weight": True}]}, "mix", "mix[0].weight is of type bool"),
        ({"mix": [{"text": "a", "weight": 0}]}, "mix", "mix[0].weight is 0; it must be -10 to 10"),
        (
            {"mix": [{"text": "a", "weight": 1e-300}]},
            "mix",
            "1e-300; it must be -10 to 10, and no n",
        ),
        ({"mix": [{"text": "a", "weight": 10**400}]}, "mix", "mix[0].weight is 1000"),
        ({"mix": [{"text": "a", "weight": -1}]}, "mix", "no weight is above 0"),
        ({"mix": [{"text": 7}]}, "mix", "mix[0].text is of type int"),
        ({"mix": [{"text": ""}]}, "mix[0].text", "mix[0].text is empty"),
        ({"mix": [{"item_id": "a" * 129}]}, "mix", "mix[0].item_id has 129 characters"),
        ({"mix": [{"image": "https://x/a.jpg"}]}, "mix", "addresses are not fetched"),
        ({"mix": [{"text": "a"}] * 17}, "mix", "mix has 17 entries; it must have 1 to 16"),
        ({"mix": [{"text": "a"}], "like": "b"}, "mix", "mix was sent with like; put all"),
        ({"mix": [{"text": "a"}], "image": ENCODED, "text": "b"}, "mix", "with image, text; put"),
        ({"mix": [{"text": "\ud800"}]}, "mix", "half of a surrogate pair"),
    ],
)
async def test_mix_that_makes_no_sense_is_told_why(
    client: httpx.AsyncClient, asked: Asked, sent: dict[str, Any], field: str, said: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/similar", content=json.dumps(sent), headers=headers)
    assert said in problem(response, 400, "INVALID_ARGUMENT", field.partition("[")[0])
    assert not asked.queries


async def test_photo_of_a_mix_has_the_limit_of_any_photo(client: httpx.AsyncClient) -> None:
    mix = [{"image": base64.b64encode(b"a" * 2049).decode()}]
    response = await client.post("/v1/similar", json={"mix": mix})
    assert "2,049 bytes; the limit is 2,048" in problem(response, 413, "IMAGE_TOO_LARGE", "image")
