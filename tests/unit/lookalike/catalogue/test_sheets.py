"""The contact sheet: its size, that every card is drawn, and that nothing runs out of its place."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lookalike.catalogue import sheets as drawing
from lookalike.catalogue.sheets import (
    BLANK,
    CARD_SIDE,
    COLUMNS,
    GAP,
    INK,
    MARGIN,
    QUERY_SIDE,
    Card,
    draw_contact_sheet,
    fitted,
    letters,
    one_line,
    shown,
)

Colour = tuple[int, ...]

RED, BLUE, PAPER = (200, 30, 30), (30, 30, 200), (255, 255, 255)
TOP = MARGIN + 36
LEFT = MARGIN + QUERY_SIDE + 2 * GAP
LONG = "Wardrobe with mirrors, drawers and a rail " * 5


def photo(folder: Path, colour: Colour, size: tuple[int, int] = (80, 60)) -> Path:
    file = folder / f"{colour}.png"
    Image.new("RGB", size, colour).save(file)
    return file


def card(folder: Path, colour: Colour, heading: str = "Lamp", *lines: str) -> Card:
    return Card([photo(folder, colour)], heading, lines)


def sheet(folder: Path, query: Card, hits: list[Card]) -> Image.Image:
    out = folder / "made/result.png"
    draw_contact_sheet(query, hits, out)
    return Image.open(io.BytesIO(out.read_bytes())).convert("RGB")


def colours(image: Image.Image, box: tuple[int, int, int, int]) -> set[Colour]:
    found = image.crop(box).getcolors(1 << 20)
    assert found is not None
    return {colour for _, colour in found if isinstance(colour, tuple)}


def below(number: int) -> tuple[int, int, int, int]:
    """The place of a hit's caption."""
    left = LEFT + number * (CARD_SIDE + GAP)
    return (left, TOP + CARD_SIDE, left + CARD_SIDE, TOP + CARD_SIDE + 110)


def test_the_sheet_holds_the_query_and_every_hit_in_order(tmp_path: Path) -> None:
    shades = [(20 * number, 100, 50) for number in range(5)]
    image = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, shade) for shade in shades])

    assert image.getpixel((MARGIN + QUERY_SIDE // 2, TOP + QUERY_SIDE // 2)) == RED
    middles = [LEFT + n * (CARD_SIDE + GAP) + CARD_SIDE // 2 for n in range(5)]
    assert [image.getpixel((x, TOP + CARD_SIDE // 2)) for x in middles] == shades


@pytest.mark.parametrize("hits", [0, 1, 5])
def test_the_sheet_is_as_wide_as_its_cards(tmp_path: Path, hits: int) -> None:
    image = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE)] * hits)

    columns = max(1, hits)
    assert image.width == 2 * MARGIN + QUERY_SIDE + GAP + columns * (CARD_SIDE + GAP)
    assert image.height > TOP + QUERY_SIDE + MARGIN


def test_a_heading_and_every_line_are_written(tmp_path: Path) -> None:
    bare = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE, "")])
    assert colours(bare, below(0)) == {PAPER}
    written = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE, "Lamp", "£5", "near")])
    rows = [
        y for y in range(below(0)[1], below(0)[3])
        if colours(written, (below(0)[0], y, below(0)[2], y + 1)) != {PAPER}
    ]  # fmt: skip
    lines = sum(1 for y in rows if y - 1 not in rows)
    assert lines == 3


def test_a_heading_is_green_where_the_hit_agrees(tmp_path: Path) -> None:
    agreeing = Card([photo(tmp_path, BLUE)], "Lamp", [], agrees=True)
    image = sheet(tmp_path, card(tmp_path, RED), [agreeing, card(tmp_path, BLUE)])

    green, ink = (any(g > r + 60 for r, g, _ in colours(image, below(n))) for n in (0, 1))
    assert green
    assert not ink


@pytest.mark.parametrize(("room", "whole"), [(1.0, True), (0.95, True), (0.5, False)])
def test_a_line_that_is_a_little_too_long_is_written_smaller_and_not_cut(
    monkeypatch: pytest.MonkeyPatch, room: float, whole: bool
) -> None:
    line = "almost certainly the same item"
    written: list[tuple[str, float]] = []

    def write(_: object, __: object, text: str, ___: object, font: Any) -> None:
        written.append((text, font.size))

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", write)
    width = int(letters(15).getlength(line) * room) + 1
    drawing.Sheet(400, 40).write((0, 0), line, 15, INK, width=width, smaller=True)

    ((text, size),) = written
    assert (text == line) == whole
    assert (size < 15) == (room == 0.95), "what is cut need not be small as well"
    assert size >= drawing.SMALLEST


def test_a_caption_of_four_lines_stays_within_its_card(tmp_path: Path) -> None:
    many = card(tmp_path, BLUE, "Lamp", "Appliances", "£5", "97 %", "almost certainly so")
    image = sheet(tmp_path, card(tmp_path, RED), [many] * 6)

    bottom = TOP + CARD_SIDE + drawing.CARD_CAPTION
    left = LEFT + 2
    assert colours(image, (left, bottom - 8, left + CARD_SIDE, bottom)) == {PAPER}


@pytest.mark.parametrize("title", ["Wardrobe with a mirror and a rail", LONG])
def test_a_long_title_is_cut_within_its_card(tmp_path: Path, title: str) -> None:
    long, blank = card(tmp_path, BLUE, title, title), card(tmp_path, BLUE, "")
    image = sheet(tmp_path, Card([photo(tmp_path, RED)], title, [title]), [long, blank, long])

    assert colours(image, below(0)) != {PAPER}
    assert colours(image, below(1)) == {PAPER}, "the first card's title ends before the second's"
    first, last = below(0)[0], below(2)[2]
    assert colours(image, (first - 2 * GAP + 1, TOP, first, image.height)) == {PAPER}
    assert colours(image, (last, TOP, image.width, image.height)) == {PAPER}


def test_a_title_with_line_breaks_keeps_to_one_line(tmp_path: Path) -> None:
    whole = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE, "Lamp and shade", "£5")])
    broken = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE, "Lamp\nand\r shade", "£5")])

    assert broken.tobytes() == whole.tobytes()


def test_photos_of_any_shape_fill_their_place(tmp_path: Path) -> None:
    for size in ((1, 1), (900, 10), (10, 900)):
        hit = Card([photo(tmp_path, BLUE, size)], "Lamp", [])
        image = sheet(tmp_path, card(tmp_path, RED), [hit])
        inside = (LEFT + 1, TOP + 1, LEFT + CARD_SIDE - 1, TOP + CARD_SIDE - 1)
        assert colours(image, inside) == {BLUE}


def test_a_photo_that_is_stored_turned_is_shown_upright(tmp_path: Path) -> None:
    turned = Image.new("RGB", (60, 60), BLUE)
    turned.paste(RED, (0, 0, 30, 60))  # red at the left; with orientation 6 that is the top
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    hit = Card([tmp_path / "turned.png"], "", [])
    image = sheet(tmp_path, card(tmp_path, RED), [hit])

    middle = LEFT + CARD_SIDE // 2
    assert image.getpixel((middle, TOP + 20)) == RED
    assert image.getpixel((middle, TOP + CARD_SIDE - 20)) == BLUE


def middle(number: int) -> tuple[int, int]:
    row, column = divmod(number, COLUMNS)
    x = LEFT + column * (CARD_SIDE + GAP) + CARD_SIDE // 2
    return x, TOP + row * (CARD_SIDE + drawing.CARD_CAPTION) + CARD_SIDE // 2


@pytest.mark.parametrize("made", ["missing", "text", "directory", "none", "bytes"])
def test_a_photo_that_cannot_be_shown_leaves_a_grey_place(tmp_path: Path, made: str) -> None:
    file = tmp_path / "odd.jpg"
    if made == "text":
        file.write_text("not a photo")
    elif made == "directory":
        file.mkdir()
    shown = {"none": None, "bytes": b"not a photo"}.get(made, file)
    image = sheet(tmp_path, card(tmp_path, RED), [Card([shown], "Lamp", []), card(tmp_path, BLUE)])

    grey = tuple(int(BLANK[i : i + 2], 16) for i in (1, 3, 5))
    assert image.getpixel((LEFT + 10, TOP + 10)) == grey
    assert image.getpixel(middle(1)) == BLUE


def test_more_than_five_hits_go_on_in_the_next_row(tmp_path: Path) -> None:
    shades = [(20 * number, 100, 50) for number in range(12)]
    image = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, shade) for shade in shades])

    assert [image.getpixel(middle(number)) for number in range(12)] == shades
    assert image.width == 2 * MARGIN + QUERY_SIDE + GAP + COLUMNS * (CARD_SIDE + GAP)


def test_several_photos_share_the_place_of_the_query(tmp_path: Path) -> None:
    shades: list[Colour] = [RED, BLUE, (10, 200, 10)]
    query = Card([photo(tmp_path, shade) for shade in shades], "Lamp", [])
    image = sheet(tmp_path, query, [card(tmp_path, BLUE)])

    quarter = QUERY_SIDE // 4
    places = [(quarter, quarter), (3 * quarter, quarter), (quarter, 3 * quarter)]
    assert [image.getpixel((MARGIN + x, TOP + y)) for x, y in places] == shades


def test_a_photo_may_come_as_bytes(tmp_path: Path) -> None:
    image = sheet(
        tmp_path, card(tmp_path, RED), [Card([photo(tmp_path, BLUE).read_bytes()], "Lamp", [])]
    )

    assert image.getpixel(middle(0)) == BLUE


def test_without_a_font_that_has_it_the_pound_is_spelt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_FONTS", (("nothing.ttf", "nothing.ttf"),))
    monkeypatch.setattr(drawing, "_from_matplotlib", list)
    caches = (drawing.letters, drawing._font_files)
    try:
        for cache in caches:
            cache.cache_clear()
        assert one_line("£5 – now") == "GBP 5 - now"
        image = sheet(tmp_path, card(tmp_path, RED), [card(tmp_path, BLUE, "£5")])
    finally:
        for cache in caches:
            cache.cache_clear()
    assert colours(image, below(0)) != {PAPER}


@pytest.mark.parametrize("whole", [True, False])
def test_a_tile_has_no_letterbox(tmp_path: Path, whole: bool) -> None:
    photo = Image.new("RGB", (64, 64))
    photo.paste((200, 60, 60), (0, 16, 64, 48))
    photo.save(tmp_path / "photo.jpg", quality=95)
    tile = np.asarray(shown(tmp_path / "photo.jpg", (30, 30), whole=whole))

    assert tile.shape == (30, 30, 3)
    assert tile.max(axis=2).min() > 150, "no black is left"
    assert (tile[0, 0].min() > 250) == whole, "room is white"


def test_a_black_photo_is_shown_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.jpg")

    tile = shown(tmp_path / "photo.jpg", (30, 30), whole=False)
    assert tile is not None
    assert tile.getextrema() == ((0, 0),) * 3


def test_a_caption_is_cut_to_its_room() -> None:
    font = letters(15)

    assert fitted("short\none", font, 200) == "short one"
    cut = fitted("Clothes, Footwear & Accessories", font, 120)
    assert cut.endswith("…")
    assert font.getlength(cut) <= 120


def tile(folder: Path, words: str) -> Image.Image:
    image = sheet(folder, Card([], "", [], words=words), [card(folder, BLUE)])
    return image.crop((MARGIN, TOP, MARGIN + QUERY_SIDE, TOP + QUERY_SIDE))


def inked(image: Image.Image) -> tuple[int, int, int, int]:
    """The box of what is written in a tile, without its frame."""
    dark = image.convert("L").point(lambda value: 255 * (value < 160))
    box = dark.getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(
    "words",
    [
        "sofa",
        "green velvet armchair",
        "a" * 300,
        "sofa " * 400,
        "\u202eكرسي بذراعين أخضر",
        "\N{COUCH AND LAMP}\N{ZERO WIDTH JOINER}\x00\x1b[31m",
        "<b>green</b>\n\nvelvet",
    ],
)
def test_words_stay_within_the_tile_that_they_stand_in(tmp_path: Path, words: str) -> None:
    left, top, right, bottom = inked(tile(tmp_path, words))
    assert left >= GAP // 2
    assert top >= GAP // 2
    assert right <= QUERY_SIDE - GAP // 2
    assert bottom <= QUERY_SIDE - GAP // 2


def test_few_words_are_written_larger_than_many(tmp_path: Path) -> None:
    def height(words: str) -> int:
        _, top, _, bottom = inked(tile(tmp_path, words))
        return bottom - top

    assert height("sofa") > letters(30).size / 2
    assert height("sofa") < height("green velvet armchair with oak legs")


def test_words_that_do_not_fit_end_in_an_ellipsis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = ImageDraw.ImageDraw.text

    def noted(self: Any, at: Any, text: str, *arguments: Any, **options: Any) -> None:
        written.append(text)
        write(self, at, text, *arguments, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    tile(tmp_path, "armchair " * 400)
    lines = [line for line in written if "armchair" in line]
    assert lines[-1].endswith("…")
    assert len(lines) < 25


def test_photos_of_a_query_come_before_its_words(tmp_path: Path) -> None:
    query = Card([photo(tmp_path, RED)], "", [], words="sofa")
    image = sheet(tmp_path, query, [card(tmp_path, BLUE)])
    assert image.getpixel((MARGIN + QUERY_SIDE // 2, TOP + QUERY_SIDE // 2)) == RED
