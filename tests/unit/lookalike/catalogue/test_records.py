"""Tables that would lose or mix records are refused by line; separators and encodings are named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.catalogue.tables import read_images, read_products
from lookalike.files import FileError
from tests.examples import examples

HEADER = ("", "id", "product_name", "category", "product_description", "price", "location")


def row(number: int, text: str = "Nice", **changes: str) -> list[str]:
    fields = dict(zip(HEADER, (str(number), f"p{number}", "Lamp", "Toys", text), strict=False))
    return list({**fields, "price": f"£{number}5", "location": "Leeds", **changes}.values())


def written(folder: Path, *rows: list[str], separator: str = ",") -> Path:
    """Writes fields as they are: quotes are the test's."""
    file = folder / "Products.csv"
    text = "".join(separator.join(fields) + "\n" for fields in (HEADER, *rows))
    file.write_bytes(text.encode())
    return file


def refusal(file: Path) -> str:
    with pytest.raises(FileError) as refused:
        read_products(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    "later",
    ["Nice", '24" wide', 'A rug, 3"', '"24 inch', '"24" wide', '"", ""', '""'],
)
@pytest.mark.parametrize("column", ["product_name", "product_description", "location"])
def test_a_lone_quote_that_opens_a_field_is_refused_by_its_line(
    tmp_path: Path, column: str, later: str
) -> None:
    stray = row(2, **{column: '"19 inch TV'})
    rows = [row(1), stray, row(3), row(4, **{column: later}), row(5)]

    assert refusal(written(tmp_path, *rows)).startswith("line 3: a quote opens a field")


@pytest.mark.parametrize("column", ["product_name", "product_description", "location"])
def test_a_lone_quote_that_a_later_inch_mark_closes_is_refused_too(
    tmp_path: Path, column: str
) -> None:
    rows = [row(1), row(2, **{column: '"Rug'}), row(3), row(4, **{column: 'Rug 3"'}), row(5)]

    assert "line 3: a quote opens a field that goes on to line 5, but line 4 is" in refusal(
        written(tmp_path, *rows)
    )


def test_a_lone_quote_of_a_listing_that_is_dropped_takes_no_other_price(tmp_path: Path) -> None:
    rows = [row(2, '"Rug', price="free"), row(3, 'Rug 3"')]

    assert "goes on to line 3, but line 3 is a record" in refusal(written(tmp_path, *rows))


def test_the_line_is_that_of_the_quote_where_a_proper_field_has_lines_before(
    tmp_path: Path,
) -> None:
    rows = [row(1), row(2, '"One\ntwo\nthree"', location='"Leeds'), row(3)]

    assert refusal(written(tmp_path, *rows)).startswith("line 5: a quote opens a field")


def test_a_quote_that_closes_before_its_fields_end_is_refused(tmp_path: Path) -> None:
    assert "line 2: a quote opens" in refusal(written(tmp_path, row(1, '"Best" lamp')))


def test_a_proper_text_of_many_lines_and_commas_is_read(tmp_path: Path) -> None:
    text = "a, b\nc, d, e, f, g, h, i\n\n1, 2, 3, 4, 5, £6, Leeds\nj, k, l, m, n"
    file = written(tmp_path, row(1, f'"{text}"'), row(2))

    assert [each.description for each in read_products(file).rows.values()] == [text, "Nice"]


WORDS = st.sampled_from(["lamp", 'TV 24"', '3"', "rug", '"as new"', "box, old", "£5", "two\nlines"])
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=examples(200), deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=6))
def test_what_a_csv_writer_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "written.csv"
    rows = [
        row(number, text, product_name=name, location=place)
        for number, (name, text, place) in enumerate(texts)
    ]
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([HEADER, *rows])
    read = read_products(file)

    assert not read.dropped
    assert [[each.title, each.description, each.location] for each in read.rows.values()] == [
        list(each) for each in texts
    ]


PLAIN = st.sampled_from(["lamp", 'TV 24"', '24" TV', '3"', "as new", 'a "b" c', '""', ""])


@settings(max_examples=examples(400), deadline=None)
@given(
    texts=st.lists(st.tuples(PLAIN, PLAIN, PLAIN), min_size=2, max_size=6),
    strays=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([2, 4, 6])), max_size=2),
)
def test_whatever_quotes_are_astray_no_listing_takes_anothers_values(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[tuple[str, str, str]],
    strays: list[tuple[int, int]],
) -> None:
    rows = [
        row(number, text, product_name=name, location=place + "x")
        for number, (name, text, place) in enumerate(texts)
    ]
    for number, column in strays:
        fields = rows[number % len(rows)]
        if fields[column] != '""':  # a third would end a field that an earlier line opened, by rule
            fields[column] = '"' + fields[column]
    file = written(tmp_path_factory.getbasetemp(), *rows)
    try:
        read = read_products(file)
    except FileError:
        return
    assert len(read.rows) + sum(read.dropped.values()) == len(rows)
    for product_id, listing in read.rows.items():
        assert listing.price == float(product_id[1:] + "5")


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "separated by ';'"), ("\t", "by tabs"), ("|", "by '|'")]
)
def test_another_separator_is_named_with_what_to_do(
    tmp_path: Path, separator: str, name: str
) -> None:
    rows = [row(number, f"one{separator}two") for number in range(3)]
    message = refusal(written(tmp_path, *rows, separator=separator))

    assert name in message
    assert "save it with commas" in message


def test_the_separator_that_excel_writes_into_the_first_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "Products.csv"
    file.write_text("sep=;\n" + ";".join(HEADER) + "\n")

    assert "separated by ';', as its first line says" in refusal(file)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "is written in UTF-16, not UTF-8; save it as UTF-8"),
        ("utf-32", "is written in UTF-32, not UTF-8; save it as UTF-8"),
        ("utf-16-le", "perhaps in UTF-16; save it as UTF-8"),
        ("utf-16-be", "perhaps in UTF-16; save it as UTF-8"),
        ("cp1252", "line 3: byte a3 is not UTF-8, but perhaps Windows-1252, where it is '£'"),
    ],
)
def test_another_encoding_is_named_with_what_to_do(
    tmp_path: Path, encoding: str, words: str
) -> None:
    file = written(tmp_path, row(1, price="5"), row(2))
    file.write_bytes(file.read_text("utf-8").encode(encoding))

    assert words in refusal(file)


def test_lines_that_end_in_carriage_returns_alone_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, row(1))
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r"))

    assert "its lines end in carriage returns" in refusal(file)


def test_the_table_of_photos_is_read_by_the_same_rules(tmp_path: Path) -> None:
    file = tmp_path / "Images.csv"
    file.write_text('id,product_id\np,"lamp\nq,sofa"\n')
    with pytest.raises(FileError, match=r"Images\.csv: line 2: a quote opens a field that goes on"):
        read_images(file)
