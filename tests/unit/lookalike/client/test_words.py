"""Words: of a listing to classify, to look for, to mix with photos, to embed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike import Part, Ranking
from lookalike.client import Classification, ReadWords, TextEmbedding, TextTower, Timings
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InvalidArgumentError, WordsUnavailableError
from lookalike.gateway.v1 import gateway_pb2 as pb
from tests.fake_services import SPACE, FakeEmbedder, FakeGateway, vector_of
from tests.unit.lookalike.client.test_calls import CLASSES, CLASSIFICATION

PHOTO, OTHER = b"a photo", b"another"
READ = pb.ReadWords(classification=CLASSES, tokens=7, truncated=True)
STRANGE = (
    "\N{COUCH AND LAMP}\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16}",
    "\u202eكرسي بذراعين أخضر",
    "a\x00b\x07\x1b[31m\r\n",
    "<b>green</b> &amp; <script>velvet</script>",
    " ",
    "sofa" * (1 << 18),
)


def answered(gateway: FakeGateway, **fields: Any) -> None:
    gateway.answers["ClassifyListing"] = pb.ClassifyListingResponse(
        classification=CLASSES, **fields
    )


@pytest.mark.parametrize(
    ("photo", "words", "sent"),
    [
        (None, {"title": "Sofa"}, {"title": "Sofa"}),
        ([], {"description": "Blue."}, {"description": "Blue."}),
        (
            PHOTO,
            {"title": "Sofa", "description": "Blue."},
            {"images": [PHOTO], "title": "Sofa", "description": "Blue."},
        ),
        ([PHOTO, OTHER], {"title": "Sofa"}, {"images": [PHOTO, OTHER], "title": "Sofa"}),
    ],
)
def test_a_listing_is_classified_by_photos_and_words(
    client: Any, gateway: FakeGateway, photo: Any, words: Any, sent: Any
) -> None:
    count = len(sent.get("images", ()))
    answered(gateway, photos=[CLASSES] * count, words=READ)
    found = client.classify(photo, **words)
    assert gateway.requests == {"ClassifyListing": [pb.ClassifyListingRequest(**sent)]}
    assert (found.category, found.probability) == ("b", 0.75)
    assert found.photos == (CLASSIFICATION,) * count
    assert found.words == ReadWords(CLASSIFICATION.scores, SPACE, tokens=7, truncated=True)
    assert isinstance(found.words, Classification)
    assert found.words.category == "b"


def test_photos_alone_are_asked_about_as_before(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["ClassifyImage"] = pb.ClassifyImageResponse(classification=CLASSES)
    found = client.classify(PHOTO, title="", description="")
    assert (found.photos, found.words) == (None, None)
    answered(gateway, photos=[CLASSES])
    assert client.classify([PHOTO]).words is None
    assert list(gateway.requests) == ["ClassifyImage", "ClassifyListing"]


@pytest.mark.parametrize("photo", [None, [], ()])
def test_nothing_to_classify_by_is_refused(client: Any, gateway: FakeGateway, photo: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="neither photos nor words"):
        client.classify(photo)
    assert gateway.requests == {}


def test_words_have_no_vector_of_their_photo(client: Any, gateway: FakeGateway) -> None:
    with pytest.raises(InvalidArgumentError, match="embed_text returns") as refused:
        client.classify(PHOTO, title="Sofa", include_vector=True)
    assert refused.value.field == "include_vector"


def test_a_model_that_reads_no_words_is_an_error_of_its_own(
    client: Any, gateway: FakeGateway, embedder: FakeEmbedder
) -> None:
    error = WordsUnavailableError("the model reads no words", field="title")
    gateway.answers["ClassifyListing"] = error
    gateway.answers["FindSimilarListings"] = error
    embedder.refuse[b"Sofa"] = error
    for call in (
        lambda: client.classify(title="Sofa"),
        lambda: client.similar(text="Sofa"),
        lambda: client.embed_text("Sofa"),
    ):
        with pytest.raises(WordsUnavailableError) as caught:
            call()
        assert (caught.value.message, caught.value.field) == (error.message, "title")


def test_words_are_looked_for(client: Any, gateway: FakeGateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        listings=[
            pb.SimilarListing(
                photo=pb.CataloguePhoto(item_id="x", description="Soft."),
                distance=2,
                ranked_by=0.25,
            )
        ],
        classification=CLASSES,
        ranking=pb.RANKING_METHOD_HYBRID,
    )
    found = client.similar(text="green velvet armchair", ranking="hybrid", k=3)
    assert gateway.requests["FindSimilarListings"] == [
        pb.FindSimilarListingsRequest(
            text="green velvet armchair", k=3, ranking=pb.RANKING_METHOD_HYBRID
        )
    ]
    assert found.ranking is Ranking.HYBRID
    assert found.classification == CLASSIFICATION
    (hit,) = found
    assert (hit.photo.description, hit.likeness, hit.ranked_by) == ("Soft.", None, 0.25)


def test_a_mix_has_photos_words_and_items_with_weights(
    client: Any, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    (tmp_path / "photo").write_bytes(PHOTO)
    parts = (
        Part(image=tmp_path / "photo"),
        Part(image=io.BytesIO(OTHER), weight=0.25),
        Part(text="blue", weight=0.5),
        Part(item_id="x", weight=-2),
    )
    assert client.similar(mix=parts).classification is None
    mix = pb.Mix(
        parts=[
            pb.MixPart(image=PHOTO, weight=1),
            pb.MixPart(image=OTHER, weight=0.25),
            pb.MixPart(text="blue", weight=0.5),
            pb.MixPart(item_id="x", weight=-2),
        ]
    )
    (request,) = gateway.requests["FindSimilarListings"]
    assert request == pb.FindSimilarListingsRequest(mix=mix, k=10)
    client.similar(mix=[Part(image=PHOTO), Part(text="blue")])  # nothing to read from a disk


def test_a_file_of_a_mix_that_is_not_there_is_the_usual_error(
    client: Any, gateway: FakeGateway
) -> None:
    with pytest.raises(FileNotFoundError):
        client.similar(mix=[Part(image="missing.jpg")])
    assert gateway.requests == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "nothing"),
        ({"weight": 2}, "nothing"),
        ({"text": "blue", "item_id": "x"}, "text and item_id"),
        ({"image": PHOTO, "text": ""}, "image and text"),
    ],
)
def test_a_part_is_one_thing(given: Any, told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"a Part has {told}; give image=, text="):
        Part(**given)


@pytest.mark.parametrize(
    "query",
    [
        {"photo": PHOTO, "text": "blue"},
        {"text": "blue", "item_id": "x"},
        {"text": "blue", "mix": [Part(text="blue")]},
        {"mix": [Part(text="blue")], "vector": [1.0]},
    ],
)
def test_two_queries_are_refused(client: Any, gateway: FakeGateway, query: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="text=, item_id=, vector= or mix=, and one al"):
        client.similar(**query)
    assert gateway.requests == {}


def test_what_is_empty_is_sent_for_the_gateway_to_say_what_is_wrong(
    client: Any, gateway: FakeGateway
) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    client.similar(text="")
    client.similar(mix=[])
    kinds = [each.WhichOneof("query") for each in gateway.requests["FindSimilarListings"]]
    assert kinds == ["text", "mix"]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_strange_words_arrive_as_they_are(
    client: Any, gateway: FakeGateway, embedder: FakeEmbedder, text: str
) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    answered(gateway)
    client.similar(text=text)
    client.similar(mix=[Part(text=text)])
    client.classify(title=text, description=text)
    client.embed_text(text)
    by_text, by_mix = gateway.requests["FindSimilarListings"]
    (listing,) = gateway.requests["ClassifyListing"]
    sent = {by_text.text, by_mix.mix.parts[0].text, listing.title, listing.description}
    assert sent == {text} == {embedder.words[0].title}


def test_words_that_are_no_text_are_a_type_error(client: Any) -> None:
    with pytest.raises(TypeError, match="text is a str, not bytes"):
        client.similar(text=b"sofa")


def test_words_have_the_vectors_of_photos(client: Any, embedder: FakeEmbedder) -> None:
    found = client.embed_text("Sofa", "Blue.", outputs=["category", "features"])
    assert embedder.words == [
        embedder_pb2.EmbedTextRequest(
            title="Sofa", description="Blue.", outputs=["category", "features"]
        )
    ]
    assert isinstance(found, TextEmbedding)
    assert (found.tokens, found.truncated, found.embedding_space) == (4, True, SPACE)
    assert list(found.outputs) == ["category", "features"]
    assert np.asarray(found).tolist() == vector_of(b"Sofa Blue.")
    assert found.timings == Timings(decode_ns=1, queue_ns=2, inference_ns=3)


def test_a_vector_of_words_is_looked_near_with_its_features(
    client: Any, gateway: FakeGateway
) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse()
    client.similar(vector=client.embed_text("Sofa", outputs=["category", "features"]))
    values = vector_of(b"Sofa ")
    assert gateway.requests["FindSimilarListings"][0].vector == pb.Vector(
        values=values, features=values, embedding_space=SPACE
    )


def test_the_model_says_how_it_reads_words(client: Any, embedder: FakeEmbedder) -> None:
    assert client.model().text is None
    embedder.limits.max_text_length = 8192
    embedder.text = embedder_pb2.TextTower(
        encoder="MiniLM",
        max_tokens=128,
        precision="int8",
        temperature=0.5,
        photos_weight=0.75,
        words_weight=1.25,
        photos_alone_weight=0.625,
    )
    model = client.model()
    assert model.text == TextTower("MiniLM", 128, "int8", 0.5, 0.75, 1.25, 0.625)
    assert model.limits.max_text_length == 8192
