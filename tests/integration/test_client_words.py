"""Words through the client and the command line, on services whose model reads them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lookalike import AsyncClient, CataloguePhoto, Client, ListingFilter, Part, Ranking
from lookalike.errors import InvalidArgumentError, ItemNotFoundError, WordsUnavailableError
from lookalike.serving.local_stack import LocalStack
from tests.conftest import DrawPhoto
from tests.text_towers import MOST_TOKENS

ROOT = Path(__file__).resolve().parents[2]
OURS = ListingFilter(categories=["words"])
LISTINGS = {
    "armchair": ("Green armchair", "Velvet, with oak legs."),
    "table": ("Oak table", "Seats six."),
    "bicycle": ("Bicycle", "Green, with a lamp.\n<b>Fast.</b>"),
}


@pytest.fixture(scope="module")
def client(reading_stack: LocalStack, draw_photo: DrawPhoto) -> Iterator[Client]:
    """A client of a catalogue of three listings, each with one photo."""
    gateway, embedder = (reading_stack.address(name) for name in ("gateway", "embedder_service"))
    with Client(gateway, embedder=embedder, timeout=30) as client:
        for number, (name, (title, description)) in enumerate(LISTINGS.items()):
            photo = CataloguePhoto(
                f"w-{name}", f"w-{name}", "words", title, description=description
            )
            client.ingest(photo, draw_photo(8800 + number))
        yield client
        for name in LISTINGS:
            client.delete(product_id=f"w-{name}")


def test_descriptions_are_kept_as_they_were_written(client: Client) -> None:
    told = {photo.item_id: photo.description for photo in client.listings(OURS)}
    assert told == {f"w-{name}": description for name, (_, description) in LISTINGS.items()}


def test_words_find_listings_and_say_by_what(client: Client) -> None:
    found = client.similar(text="green velvet armchair", where=OURS)
    # By vectors alone where the index finds no words.
    assert found.ranking in (Ranking.HYBRID, Ranking.FEATURES, Ranking.CATEGORY)
    assert {hit.photo.item_id for hit in found} == {f"w-{name}" for name in LISTINGS}
    assert [hit.likeness for hit in found] == [None] * 3
    by = [hit.ranked_by for hit in found]
    assert by == sorted(by)
    assert found.classification is not None
    assert found.classification.scores == client.classify(title="green velvet armchair").scores


def test_a_listing_is_judged_by_photo_by_words_and_by_both(
    client: Client, draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(8810)
    by_photo = client.classify(photo)
    by_words = client.classify(title="Green armchair", description="Velvet.")
    both = client.classify(photo, title="Green armchair", description="Velvet.")
    assert both.photos is not None
    assert both.photos[0] is not None
    assert both.photos[0].scores == by_photo.scores
    assert by_words.words is not None
    assert both.words == by_words.words
    assert by_words.scores == by_words.words.scores
    assert (by_words.words.tokens, by_words.words.truncated) == (5, False)
    assert both.scores not in (by_photo.scores, by_words.scores)
    long = client.classify(title="oak " * 100).words
    assert long is not None
    assert (long.tokens, long.truncated) == (MOST_TOKENS, True)


def test_a_mix_of_photo_words_and_item(client: Client, draw_photo: DrawPhoto) -> None:
    photo = draw_photo(8800)
    alone = client.similar(mix=[Part(image=photo)], where=OURS)
    assert alone.hits[0].photo.item_id == "w-armchair"
    assert alone.classification is None
    mixed = client.similar(
        mix=[Part(item_id="w-armchair"), Part(text="oak table"), Part(text="lamp", weight=-0.5)],
        where=OURS,
    )
    assert "w-armchair" not in {hit.photo.item_id for hit in mixed}
    assert len(mixed) == 2
    with pytest.raises(ItemNotFoundError, match="part 2 of the mix"):
        client.similar(mix=[Part(text="oak"), Part(item_id="w-nothing")])


def test_a_vector_of_words_finds_what_the_words_do(client: Client) -> None:
    names = [output.name for output in client.model().outputs]
    words = client.embed_text("green velvet armchair", outputs=names)
    assert (words.tokens, words.truncated) == (3, False)
    assert list(words.outputs) == names == ["category", "features"]
    assert np.linalg.norm(words.outputs["features"]) == pytest.approx(1, abs=1e-3)
    assert len(client.similar(vector=words, where=OURS)) == 3


def test_the_status_and_the_model_say_that_words_are_read(client: Client) -> None:
    assert client.status().embedder.text_encoder == "words"
    model = client.model()
    assert model.text is not None
    assert (model.text.encoder, model.text.max_tokens) == ("words", MOST_TOKENS)
    assert (model.text.photos_weight, model.text.words_weight) == (0.5, 1.5)
    assert model.limits.max_text_length == 8192


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda client: client.similar(text=""), "text"),
        (lambda client: client.similar(text=" \n"), "text"),
        (lambda client: client.similar(text="a" * 1025), "text"),
        (lambda client: client.similar(text="a" * (1 << 20)), "text"),
        (lambda client: client.similar(text="<b></b>\x00\x07"), "text"),
        (lambda client: client.similar(mix=[]), "mix.parts"),
        (lambda client: client.similar(mix=[Part(text="a", weight=-1)]), "mix.parts"),
        (lambda client: client.similar(mix=[Part(text="a", weight=11)]), "mix.parts[0].weight"),
        (lambda client: client.similar(mix=[Part(text="a")] * 17), "mix.parts"),
        (lambda client: client.similar(mix=[Part(text="a" * 1025)]), "mix.parts[0].text"),
        (lambda client: client.similar(mix=[Part(text="a"), Part(image=b"a")]), "mix.parts[1].im"),
        (lambda client: client.classify(title="a" * 8193), "title"),
        (lambda client: client.classify(title="a", description="a" * (1 << 20)), "description"),
        (lambda client: client.embed_text("a" * 8193), "title"),
        (lambda client: client.embed_text(""), "title"),
    ],
)
def test_words_that_cannot_be_used_are_refused_with_their_field(
    client: Client, ask: Callable[[Client], object], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        ask(client)
    assert refused.value.field.startswith(field)


@pytest.mark.parametrize(
    "text",
    [
        "\N{COUCH AND LAMP}\N{VARIATION SELECTOR-16} sofa",
        "\u202eكرسي بذراعين أخضر",
        "green\x00velvet\x1b[31m\r\narmchair",
        "<b>green</b> &amp;lt;velvet&gt; <script>armchair</script>",
    ],
)
def test_strange_words_have_an_answer(client: Client, text: str) -> None:
    assert len(client.similar(text=text, where=OURS)) == 3
    assert client.classify(title=text, description=text).words is not None
    assert client.similar(mix=[Part(text=text)], where=OURS).hits


def test_asyncio_has_the_same_words(client: Client, reading_stack: LocalStack) -> None:
    async def ask() -> None:
        gateway, embedder = (
            reading_stack.address(name) for name in ("gateway", "embedder_service")
        )
        async with AsyncClient(gateway, embedder=embedder, timeout=30) as other:
            found, read, words = await asyncio.gather(
                other.similar(text="oak table", where=OURS),
                other.classify(title="oak table"),
                other.embed_text("oak table"),
            )
            assert [hit.photo.item_id for hit in found] == [
                hit.photo.item_id for hit in client.similar(text="oak table", where=OURS)
            ]
            assert read.scores == client.classify(title="oak table").scores
            assert np.allclose(words, client.embed_text("oak table"))
            mixed = await other.similar(mix=[Part(text="oak table")], where=OURS)
            assert len(mixed) == 3

    asyncio.run(ask())


def test_a_model_without_a_text_tower_refuses_words(
    stack: LocalStack, draw_photo: DrawPhoto
) -> None:
    with Client(
        stack.address("gateway"), embedder=stack.address("embedder_service"), timeout=30
    ) as client:
        assert client.status().embedder.text_encoder == ""
        assert client.model().text is None
        for ask in (
            lambda: client.classify(draw_photo(1), title="Sofa"),
            lambda: client.similar(mix=[Part(text="Sofa")]),
            lambda: client.embed_text("Sofa"),
        ):
            with pytest.raises(WordsUnavailableError):
                ask()


def test_the_command_line_finds_by_words_and_draws_them(
    client: Client, reading_stack: LocalStack, draw_photo: DrawPhoto, tmp_path: Path
) -> None:
    for number, name in enumerate(LISTINGS):
        (tmp_path / f"w-{name}.jpg").write_bytes(draw_photo(8800 + number))

    def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "lookalike.cli", *arguments]
        command += ["--gateway", reading_stack.address("gateway")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    options = ["--category", "words", "--sheet", str(tmp_path / "sheet.png")]
    code, out, said = run("similar", "green velvet armchair", *options, "--images", str(tmp_path))
    assert code == 0, said
    assert "looked for green velvet armchair" in out
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    photo = str(tmp_path / "w-table.jpg")
    code, out, said = run("similar", photo, "--less", "oak^0.5", "--category", "words", "--json")
    assert code == 0, said
    assert json.loads(out)["listings"][0]["description"]
    code, out, said = run("classify", photo, "--title", "Oak table")
    assert code == 0, said
    assert "together" in out
    code, out, said = run("similar", "--text", "")
    assert (code, out) == (1, "")
    assert said.startswith("lookalike: text is empty")
