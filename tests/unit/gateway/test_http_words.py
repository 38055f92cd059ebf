"""Words over HTTP: a listing's category by them, what to look for, routes of the earlier system."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.listings import RankingMethod, Words
from gateway.reading import ReadWords
from lookalike.catalogue.listings import CataloguePhoto
from lookalike.errors import InvalidArgumentError, WordsUnavailableError
from tests import http_face
from tests.http_face import LAMP, Asked, open_face, problem

PHOTO = b"a photo"
FILES = {"image": PHOTO}
ENCODED = base64.b64encode(PHOTO).decode()
PROBABILITIES = {"clothes": 0.7, "tools": 0.2, "books": 0.1}
LEGACY = {"Category": "clothes", "Probabilities": PROBABILITIES}
# Nothing of these is more than text: it arrives as it was sent.
TEXTS = [
    "🛋️👩‍👩‍👧 sofa",
    "أريكة زرقاء",
    "sofa כחול 青い ソファ",
    "<script>alert(1)</script> & <b>",
    "a\x00b\x1b[31m\u202e\ufeff\r\n\t",
    "x" * 1024,
]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    async with open_face(asked) as client:
        yield client


@pytest.mark.parametrize("text", TEXTS)
async def test_words_arrive_as_they_were_sent_from_form_json_and_query(
    client: httpx.AsyncClient, asked: Asked, text: str
) -> None:
    sent: list[dict[str, Any]] = [
        {"json": {"text": text}},
        {"data": {"text": text}},
        {"params": {"text": text}},
        {"files": {"text": (None, text.encode())}},
    ]
    for arguments in sent:
        response = await client.post("/v1/similar", **arguments)
        assert response.status_code == 200, response.text
        assert response.json()["classification"]["category"] == "clothes"
    assert [query for query, _ in asked.queries] == [Words(text)] * 4


@pytest.mark.parametrize("photos", [0, 1, 2])
async def test_listing_is_classified_by_photos_and_words(
    client: httpx.AsyncClient, asked: Asked, photos: int
) -> None:
    words = {"title": "Sofa", "description": "Blue, as new"}
    as_json = {**words, "images": [ENCODED] * photos, "include_vector": True}
    body = (await client.post("/v1/classify", json=as_json)).json()
    assert body["words"]["scores"][1] == {"category": "tools", "index": 2, "probability": 0.2}
    assert (body["words"]["category"], body["words"]["tokens"]) == ("clothes", 5)
    assert body["words"]["truncated"] is False
    assert body["photos"] == ([dict(body["photos"][0])] * photos if photos else None)
    assert body["vector"] == ([1, 3, 2] if photos else None)
    form = [("image", ("a.jpg", PHOTO))] * photos
    await client.post("/v1/classify", data=words, files=form, params={"include_vector": "1"})
    assert asked.words == [Words("Sofa", "Blue, as new")] * 2
    assert asked.photos == [PHOTO] * photos * 2


async def test_photo_alone_is_classified_as_before_there_were_words(
    client: httpx.AsyncClient, asked: Asked
) -> None:
    for sent in ({}, {"title": "", "description": ""}):
        body = (await client.post("/v1/classify", files=FILES, data=sent)).json()
        assert (body["words"], body["photos"], asked.words) == (None, None, [])
    await client.post("/v1/classify", files=[("image", PHOTO)] * 2)
    assert asked.words == [Words()]


async def test_words_that_were_cut_are_told(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ReadWords(http_face.VECTOR, http_face.CLASSIFICATION, 64, truncated=True)
    monkeypatch.setattr("tests.http_face.ReadWords", lambda *_, **__: read)
    words = (await client.post("/v1/classify", json={"title": "a"})).json()["words"]
    assert (words["tokens"], words["truncated"]) == (64, True)


async def test_description_is_ingested_and_told(client: httpx.AsyncClient, asked: Asked) -> None:
    fields = {"item_id": "i", "product_id": "p", "title": "T", "description": "As <new>"}
    await client.post("/v1/listings", data=fields, files=FILES)
    photo = CataloguePhoto("i", "p", title="T", description="As <new>")
    assert asked.listings == [(photo, "")]
    asked.found = replace(asked.found, hits=[asked.found.hits[0]._replace(photo=photo)])
    body = (await client.post("/v1/similar", files=FILES)).json()
    assert body["listings"][0]["description"] == "As <new>"
    for path in ("/v1/listings/lamp", "/v1/items/lamp-1", "/v1/listings"):
        photos = (await client.get(path)).json()["photos"]
        assert photos[0]["description"] == LAMP.description


async def test_map_leaves_descriptions_out(client: httpx.AsyncClient, asked: Asked) -> None:
    asked.catalogue = [(replace(LAMP, description="x" * 8192), http_face.VECTOR)]
    (point,) = (await client.get("/v1/map")).json()["points"]
    assert (point["title"], "description" in point) == ("Brass lamp", False)


async def test_status_says_what_reads_and_finds_words(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/status")).json()
    assert body["embedder"]["text_encoder"] == "a language model"
    assert body["index"]["finds_words"] is True


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"text": "a sofa"}},
        {"data": {"text": "a sofa"}},
        {"params": {"text": "a sofa"}},
        {"data": {"text": "a sofa", "other": "ignored"}},
    ],
)
async def test_earlier_route_of_words_answers_as_it_did(
    client: httpx.AsyncClient, asked: Asked, sent: dict[str, Any]
) -> None:
    response = await client.post("/predict/text", **sent)
    assert response.json() == LEGACY
    assert list(response.json()["Probabilities"]) == ["clothes", "tools", "books"]
    assert (asked.words, asked.photos) == ([Words(description="a sofa")], [])


@pytest.mark.parametrize("part", ["image", "file"])
async def test_earlier_route_of_photo_and_words_answers_as_it_did(
    client: httpx.AsyncClient, asked: Asked, part: str
) -> None:
    text = {"text": "a sofa"}
    response = await client.post("/predict/combined", files={part: PHOTO}, data=text)
    assert response.json() == LEGACY
    await client.post("/predict/combined", json={"image": ENCODED, **text})
    assert asked.words == [Words(description="a sofa")] * 2
    assert asked.photos == [PHOTO] * 2


@pytest.mark.parametrize(
    ("path", "sent", "field"),
    [
        ("/predict/text", {"text": "a"}, "text"),
        ("/predict/combined", {"text": "a", "image": ENCODED}, "text"),
        ("/v1/classify", {"title": "a", "description": "b"}, "title"),
        ("/v1/classify", {"description": "b", "image": ENCODED}, "description"),
        ("/v1/similar", {"text": "a"}, "text"),
        ("/v1/similar", {"image": ENCODED, "like": "a"}, "like"),
        ("/v1/similar", {"image": ENCODED, "unlike": "a"}, "unlike"),
        ("/v1/similar", {"mix": [{"text": "a"}]}, "mix"),
    ],
)
async def test_model_that_reads_no_words_is_a_problem_that_says_what_is_lacking(
    client: httpx.AsyncClient, asked: Asked, path: str, sent: dict[str, Any], field: str
) -> None:
    asked.error = WordsUnavailableError("model tiny 1 has no text tower; train one")
    response = await client.post(path, json=sent)
    assert "no text tower" in problem(response, 409, "WORDS_UNAVAILABLE", field)


@pytest.mark.parametrize(
    ("path", "sent", "error_field", "field"),
    [
        ("/v1/classify", {"description": "?"}, "title", "description"),
        ("/v1/classify", {"title": "a", "description": "?"}, "description", "description"),
        ("/predict/text", {"text": "?"}, "title", "text"),
        ("/v1/similar", {"text": "?"}, "text", "text"),
        ("/v1/similar", {"like": ["a", "?"], "item_id": "x"}, "mix.parts[2].text", "like"),
        ("/v1/similar", {"image": ENCODED, "unlike": "?"}, "mix.parts[0].image", "image"),
        ("/v1/similar", {"item_id": "x", "like": "a"}, "mix.parts[0].item_id", "item_id"),
        ("/v1/similar", {"like_item": "x", "like": "a"}, "mix.parts[1].item_id", "like_item"),
        ("/v1/similar", {"item_id": "x", "like": "a"}, "mix", "item_id"),
        ("/v1/similar", {"mix": [{"text": "a"}]}, "mix.parts[0].text", "mix"),
    ],
)
async def test_errors_name_the_field_that_was_sent(
    client: httpx.AsyncClient,
    asked: Asked,
    path: str,
    sent: dict[str, Any],
    *,
    error_field: str,
    field: str,
) -> None:
    asked.error = InvalidArgumentError("nothing can be read of that", field=error_field)
    response = await client.post(path, json=sent)
    assert problem(response, 400, "INVALID_ARGUMENT", field) == "nothing can be read of that"


@pytest.mark.parametrize(
    ("path", "field", "limit"),
    [
        ("/v1/similar", "like", 1024),
        ("/v1/similar", "unlike", 1024),
        ("/predict/text", "text", 8192),
        ("/v1/classify", "title", 8192),
        ("/v1/classify", "description", 8192),
    ],
)
async def test_a_megabyte_of_text_is_refused_by_the_limit_of_its_field(
    client: httpx.AsyncClient, path: str, field: str, limit: int
) -> None:
    size = (1 << 20) + 1  # more than a form's parser takes by itself
    for sent in ({"json": {field: "x" * size}}, {"files": {field: (None, b"x" * size)}}):
        detail = problem(await client.post(path, **sent), 400, "INVALID_ARGUMENT", field)
        assert detail == f"{field} has {size} characters; the limit is {limit}"


@pytest.mark.parametrize(
    ("path", "sent", "field", "words"),
    [
        ("/predict/text", {"json": {"text": ""}}, "text", "text is empty"),
        ("/predict/text", {"json": {"text": " \n\u00a0"}}, "text", "text is empty"),
        ("/predict/text", {"data": {"text": ""}}, "text", "Field required"),
        ("/predict/text", {}, "text", "Field required"),
        ("/predict/text", {"json": {"text": 7}}, "text", "valid string"),
        ("/predict/text", {"json": {"text": ["a", "b"]}}, "text", "given 2 times"),
        ("/predict/combined", {"files": FILES}, "text", "Field required"),
        ("/predict/combined", {"data": {"text": "a"}}, "image", "0 photos were sent"),
        ("/v1/classify", {"json": {"title": ["a", "b"]}}, "title", "given 2 times"),
        ("/v1/classify", {"json": {"title": None}}, "image", "0 photos were sent"),
        ("/v1/similar", {"json": {"like": ""}}, "like", "like is empty; say what to look for"),
        ("/v1/similar", {"files": FILES, "data": {"text": "a"}}, "image", "sent as `like`"),
    ],
)
async def test_words_that_cannot_be_used_are_told_why(
    client: httpx.AsyncClient, path: str, sent: dict[str, Any], field: str, words: str
) -> None:
    assert words in problem(await client.post(path, **sent), 400, "INVALID_ARGUMENT", field)


@pytest.mark.parametrize("path", ["/v1/similar", "/predict/text"])
async def test_half_a_character_is_refused(client: httpx.AsyncClient, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post(path, content=b'{"text": "\\ud83d"}', headers=headers)
    assert "half of a surrogate" in problem(response, 400, "INVALID_ARGUMENT", "text")


@pytest.mark.parametrize("ranking", [RankingMethod.HYBRID, RankingMethod.WORDS])
async def test_words_are_ranked_as_asked_and_the_answer_says_how(
    client: httpx.AsyncClient, asked: Asked, ranking: RankingMethod
) -> None:
    asked.ranking = ranking
    body = (await client.post("/v1/similar", json={"text": "a", "ranking": ranking})).json()
    assert (asked.queries[0][1].ranking, body["ranking"]) == (ranking, ranking.value)


async def test_words_and_mixes_are_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    similar = paths["/v1/similar"]["post"]
    form, as_json = (
        similar["requestBody"]["content"][kind]["schema"]["properties"]
        for kind in ("multipart/form-data", "application/json")
    )
    assert {"text", "like", "unlike", "like_item", "unlike_item", "image_weight"} < form.keys()
    assert ("mix" in form, as_json["mix"]["items"]["properties"].keys()) == (
        False,
        {"image", "text", "item_id", "weight"},
    )
    assert "mix" not in {each["name"] for each in similar["parameters"]}
    words = paths["/predict/text"]["post"]["requestBody"]["content"]
    assert words.keys() == {
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "application/json",
    }
    for path in ("/predict/text", "/predict/combined"):
        schema = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert "text" in schema["required"]
        assert ("image" in schema["properties"]) == (path == "/predict/combined")
