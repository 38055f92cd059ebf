"""Words on the command line: `similar` and `classify` by words, and mixes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lookalike.catalogue import sheets
from lookalike.cli import findings
from lookalike.cli.asking import is_photo
from lookalike.errors import InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2 as pb
from tests.command_line import Run
from tests.unit.lookalike.cli.conftest import Gateway, unix
from tests.unit.lookalike.cli.test_similar import rows


def sent(gateway: Gateway) -> pb.FindSimilarListingsRequest:
    (request,) = gateway.requests["FindSimilarListings"]
    assert isinstance(request, pb.FindSimilarListingsRequest)
    return request


@pytest.mark.parametrize(
    ("argument", "photo"),
    [
        ("green velvet armchair", False),
        ("sofa", False),
        ('19" TV, 50% off', False),
        ("jpg", False),
        ("", False),
        ("x" * 5000, False),
        ("a\0b", False),
        ("sofa.jpg", True),
        ("SOFA.HEIC", True),
        ("photos/sofa", True),
        ("/dev/null", True),
        ("-", True),
        ("here", True),
        ("folder", True),
    ],
)
def test_what_is_no_file_and_is_not_written_like_one_is_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, photo: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert is_photo(argument) == photo


@pytest.mark.parametrize("arguments", [["green velvet armchair"], ["green", "velvet", "armchair"]])
def test_words_are_looked_for_and_what_ranked_is_shown(
    run: Run, gateway: Gateway, arguments: list[str]
) -> None:
    ended = run("similar", *arguments, "-k", "2")
    assert (ended.code, ended.err) == (0, "")
    assert sent(gateway).text == "green velvet armchair"
    assert ended.out.splitlines()[:3] == [
        "looked for green velvet armchair",
        "category Home & Garden, confidence 70 %",
        "ranked by hybrid: what tells items apart, and the words of titles and descriptions",
    ]
    header, first, second = rows(ended.out)
    assert header[3:] == ["price", "hybrid", "distance", "photo id"]
    assert (first[4:], second[4:]) == (["0.000", "0.000", "photo-0"], ["0.143", "0.333", "photo-1"])


def test_words_that_nothing_has_are_an_answer_and_no_failure(run: Run, gateway: Gateway) -> None:
    gateway.answers["FindSimilarListings"] = pb.FindSimilarListingsResponse(
        ranking=pb.RANKING_METHOD_WORDS,
        shortfall="no item has these words",
        degraded="by the words of titles and descriptions alone: no embedder",
    )
    ended = run("similar", "armchair")
    assert (ended.code, ended.out) == (0, "looked for armchair\n")
    assert ended.err.splitlines() == [
        "no item has these words",
        "by the words of titles and descriptions alone: no embedder",
    ]


def test_where_words_alone_rank_there_is_no_distance(run: Run, gateway: Gateway) -> None:
    ended = run("similar", "armchair", "-k", "2", "--ranking", "words")
    assert sent(gateway).ranking == pb.RANKING_METHOD_WORDS
    assert "ranked by words: the words of titles and descriptions\n" in ended.out
    assert rows(ended.out)[0][3:] == ["price", "words", "photo id"]


def test_words_that_look_like_a_file_are_words_with_an_option(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("similar", "--text", str(photos / "a.jpg"), "-k", "1", "--json")
    assert ended.json["query"] == sent(gateway).text == str(photos / "a.jpg")
    assert ended.json["parts"] == [{"text": str(photos / "a.jpg"), "weight": 1.0}]
    assert ended.json["ranking"] == "hybrid"
    assert ended.json["listings"][0]["likeness"] is None
    assert "description" in ended.json["listings"][0]


def test_a_file_is_a_photo_whatever_its_name(run: Run, gateway: Gateway, photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "armchair")
    assert run("similar", photos / "armchair").code == 0
    assert sent(gateway).image == (photos / "armchair").read_bytes()


def test_photos_are_mixed_with_words_and_photos(run: Run, gateway: Gateway, photos: Path) -> None:
    mix = ["--more", "blue^0.5", "--less", "damaged", "--less", f"{photos / 'c.jpeg'}^2"]
    ended = run("similar", photos / "a.jpg", photos / "b.JPG", *mix, "-k", "1")
    assert ended.code == 0
    first, second, other = ((photos / name).read_bytes() for name in ("a.jpg", "b.JPG", "c.jpeg"))
    assert list(sent(gateway).mix.parts) == [
        pb.MixPart(image=first, weight=0.5),
        pb.MixPart(image=second, weight=0.5),
        pb.MixPart(text="blue", weight=0.5),
        pb.MixPart(text="damaged", weight=-1),
        pb.MixPart(image=other, weight=-2),
    ]
    assert not sent(gateway).allow_partial
    assert ended.out.startswith(
        f"looked for {photos / 'a.jpg'}, {photos / 'b.JPG'}, more blue^0.5, less damaged, "
        f"less {photos / 'c.jpeg'}^2\nranked by blend"
    )


@pytest.mark.parametrize("option", ["--item", "--item-id"])
def test_an_item_is_mixed_with_words(run: Run, gateway: Gateway, option: str) -> None:
    answer = run("similar", option, "x", "--more", "blue", "--json").json
    assert list(sent(gateway).mix.parts) == [
        pb.MixPart(item_id="x", weight=1),
        pb.MixPart(text="blue", weight=1),
    ]
    assert answer["query"] == "photo x, more blue"
    assert answer["parts"] == [{"item_id": "x", "weight": 1.0}, {"text": "blue", "weight": 1.0}]


def test_words_are_mixed_with_words_or_stand_in_a_mix_alone(run: Run, gateway: Gateway) -> None:
    assert run("similar", "armchair", "--less", "leather^0.25").code == 0
    assert run("similar", "--more", "armchair").code == 0
    first, second = (each.mix.parts for each in gateway.requests["FindSimilarListings"])
    armchair = pb.MixPart(text="armchair", weight=1)
    assert list(first) == [armchair, pb.MixPart(text="leather", weight=-0.25)]
    assert list(second) == [armchair]


@pytest.mark.parametrize(
    "words",
    [
        "\N{COUCH AND LAMP}\N{VARIATION SELECTOR-16} sofa",
        "\u202eكرسي بذراعين أخضر",
        "a\x07\x1b[31mb\r\nc",
        "<b>green & velvet",
        "  ",
        "sofa " * 200_000,
    ],
)
def test_strange_words_arrive_as_they_are_and_harm_no_terminal(
    run: Run, gateway: Gateway, words: str
) -> None:
    ended = run("similar", words, "-k", "1")
    assert ended.code == 0
    assert sent(gateway).text == words
    assert not {"\x1b", "\x07", "\u202e"} & set(ended.out)
    assert len(ended.out) < 5000


def test_what_the_gateway_says_of_words_is_one_line(run: Run, gateway: Gateway) -> None:
    gateway.answers["FindSimilarListings"] = InvalidArgumentError(
        "text is empty; say what to look for", field="text"
    )
    ended = run("similar", "--text", "")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "lookalike: text is empty; say what to look for (INVALID_ARGUMENT)\n"


@unix
@pytest.mark.parametrize("arguments", [["similar", "\udcff"], ["similar", "x", "--more", "\udcff"]])
def test_words_that_are_not_utf_8_are_one_line(
    run: Run, gateway: Gateway, arguments: list[str]
) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.err) == (2, "lookalike: '\\udcff' is not UTF-8\n")
    assert gateway.requests == {}


def test_a_sheet_shows_the_words_as_the_query(
    run: Run, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(sheets, "draw_contact_sheet", lambda *cards, **_: drawn.append(cards))
    run("similar", "armchair", "-k", "2", "--sheet", tmp_path / "sheet.png")
    run("similar", "--item", "x", "--more", "blue^0.5", "--sheet", tmp_path / "sheet.png")
    run("similar", "--more", "blue", "--less", "red", "--sheet", tmp_path / "sheet.png")
    (by_words, (_, hit), _), (by_mix, *_), (by_more, *_) = drawn
    assert (by_words.words, by_words.photos, by_words.heading) == ("armchair", [], "Home & Garden")
    assert by_words.lines == ["70 % confidence"]
    assert hit.lines == ["Appliances", "£1,250.00", "hybrid 0.143"]
    assert (by_mix.words, by_mix.photos, by_mix.heading) == ("", [None], "x")
    assert by_mix.lines == ["more blue^0.5"]
    assert (by_more.words, by_more.lines) == ("blue", ["more blue", "less red"])


def test_a_sheet_of_words_is_a_picture(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert run("similar", "green velvet armchair", "--sheet", sheet).code == 0
    with Image.open(sheet) as image:
        assert image.width > 1500


def cells(out: str) -> dict[str, list[str]]:
    return {row[0]: row[1:3] for row in rows(out)}


def test_a_listing_is_shown_by_photo_by_words_and_by_both(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("classify", photos / "a.jpg", photos / "b.JPG", "--title", "Sofa")
    assert ended.code == 0
    (request,) = gateway.requests["ClassifyListing"]
    assert (request.title, request.description, len(request.images)) == ("Sofa", "", 2)
    table = cells(ended.out)
    assert list(table) == [
        "listing by", str(photos / "a.jpg"), str(photos / "b.JPG"), "words", "together"
    ]  # fmt: skip
    assert table["words"] == ["Appliances", "80 %"]
    assert table["together"] == ["Home & Garden", "70 %"]
    assert ended.err == "of the words the first 128 tokens were read, and no more\n"


def test_a_listing_is_classified_by_words_alone(run: Run, gateway: Gateway) -> None:
    ended = run("classify", "--description", "Soft and blue.")
    assert ended.code == 0
    assert list(cells(ended.out)) == ["listing by", "words"]
    answer = run("classify", "--title", "Sofa", "--json", "--top", "1").json
    assert answer["photos"] == []
    words = answer["words"]
    assert (words["category"], words["probability"]) == ("Appliances", pytest.approx(0.8))
    assert (words["tokens"], words["truncated"], len(words["scores"])) == (128, True, 1)


def test_without_words_json_of_a_listing_is_as_before(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    answer = run("classify", photos / "a.jpg", "--listing", "--json").json
    assert "words" not in answer


def test_words_answer_where_no_photo_can_be_used(run: Run, gateway: Gateway, photos: Path) -> None:
    ended = run("classify", photos / "d.png", "--title", "Sofa", "--json")
    assert ended.code == 3
    assert "d.png: image is not one of JPEG (INVALID_IMAGE)" in ended.err
    assert ended.json["words"]["category"] == "Appliances"
    assert ended.json["photos"][0]["error"]["reason"] == "INVALID_IMAGE"
    (photos / "a.jpg").write_bytes(b"")
    assert run("classify", photos / "a.jpg", "--title", "Sofa").code == 3


def test_a_model_that_reads_no_words_is_one_line(run: Run, gateway: Gateway) -> None:
    gateway.text_encoder = ""
    ended = run("classify", "--title", "Sofa")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "lookalike: the model reads no words (WORDS_UNAVAILABLE)\n"


def test_a_narrow_terminal_shows_what_ranked(
    run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "has_room", lambda _: False)
    assert rows(run("similar", "armchair", "-k", "1").out)[0][3:] == ["price", "hybrid"]
