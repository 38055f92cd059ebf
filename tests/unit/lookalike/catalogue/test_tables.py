"""Products.csv and Images.csv: what is read, what is dropped and why, what is refused."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from lookalike.catalogue import records, tables
from lookalike.catalogue.tables import (
    ProductRow,
    Products,
    read_catalogue,
    read_images,
    read_products,
)
from lookalike.files import FileError

CATEGORIES = ("Home & Garden", "Appliances")
HEADER = ",id,product_name,category,product_description,price,location"
GOOD = {
    "id": "lamp",
    "product_name": "Lamp | in Leeds, West Yorkshire | Gumtree",
    "category": "Home & Garden / Lighting",
    "product_description": "A lamp.",
    "price": "£5.00",
    "location": "Leeds",
}


def record(**changes: str) -> str:
    row = GOOD | changes
    quoted = {
        name: '"' + text.replace('"', '""') + '"' if "," in text and text[:1] != '"' else text
        for name, text in row.items()
    }
    return ",".join(["0", *quoted.values()])


def read(folder: Path, *records: str, header: str = HEADER, newline: str = "\n") -> Products:
    file = folder / "Products.csv"
    file.write_bytes("".join(line + newline for line in (header, *records)).encode())
    return read_products(file, CATEGORIES)


def read_all(
    folder: Path, *records: str, header: str = HEADER, newline: str = "\n"
) -> list[ProductRow]:
    products = read(folder, *records, header=header, newline=newline)
    assert products.dropped == {}
    return list(products.rows.values())


def refusal(folder: Path, *records: str, header: str = HEADER) -> str:
    with pytest.raises(FileError) as refused:
        read(folder, *records, header=header)
    message = str(refused.value)
    assert message.startswith(f"{folder / 'Products.csv'}: ")
    assert "\n" not in message
    return message


def test_a_row_becomes_a_clean_listing(tmp_path: Path) -> None:
    (row,) = read_all(tmp_path, record())

    assert row == ProductRow(
        product_id="lamp",
        title="Lamp",
        category="Home & Garden / Lighting",
        description="A lamp.",
        price=5.0,
        currency="GBP",
        location="Leeds",
    )
    assert row.root == "Home & Garden"


def test_a_padded_category_path_is_stripped(tmp_path: Path) -> None:
    (row,) = read_all(tmp_path, record(category=" Home & Garden / Lighting "))

    assert (row.category, row.root) == ("Home & Garden / Lighting", "Home & Garden")


def test_bare_carriage_returns_in_unquoted_fields_end_no_record(tmp_path: Path) -> None:
    first = record(id="a", product_description="One\rtwo\r\rthree")
    second = record(id="b", product_description="four\r", product_name="La\rmp", location="\rx")
    rows = read_all(tmp_path, first, second, record(id="c"))

    assert [row.product_id for row in rows] == ["a", "b", "c"]
    assert [row.description for row in rows] == ["One\ntwo\n\nthree", "four\n", "A lamp."]
    assert (rows[1].title, rows[1].location) == ("La mp", " x")


def test_a_value_of_bare_carriage_returns_is_missing(tmp_path: Path) -> None:
    assert read(tmp_path, record(location="\r")).dropped == {"missing location": 1}


def test_a_parser_that_splits_records_is_found_out_by_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(lines: Iterable[str], **_: object) -> Iterator[list[str]]:
        return parse("".join(lines).replace("\0", "\n").splitlines(keepends=True))

    parse = csv.reader
    monkeypatch.setattr(records.csv, "reader", careless)
    message = refusal(tmp_path, record(id="a", product_description="One\rtwo"), record(id="b"))

    assert "3 rows parsed, but 2 records counted" in message


def test_quoted_fields_keep_commas_quotes_and_line_feeds(tmp_path: Path) -> None:
    text = '"Brass, 2 bulbs.\nCalled ""antique"", ""as seen"".\rNo box,\n"'
    rows = read_all(tmp_path, record(id="a", product_description=text), record(id="b"))

    assert [row.product_id for row in rows] == ["a", "b"]
    assert rows[0].description == 'Brass, 2 bulbs.\nCalled "antique", "as seen".\nNo box,\n'


def test_quotes_within_an_unquoted_field_stand_for_themselves(tmp_path: Path) -> None:
    rows = [
        record(id=str(n), product_name=name) for n, name in enumerate(('19" TV', 'Rug 3"', "x"))
    ]

    assert [row.title for row in read_all(tmp_path, *rows)] == ['19" TV', 'Rug 3"', "x"]


@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n"])
def test_blank_lines_at_the_end_are_no_records(tmp_path: Path, tail: str) -> None:
    file = tmp_path / "Products.csv"
    file.write_text(f"{HEADER}\n{record()}{tail}")

    assert list(read_products(file).rows) == ["lamp"]


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    row = record(product_description="One\rtwo")
    rows = read_all(tmp_path, row, record(id="b"), header="\ufeff" + HEADER, newline="\r\n")

    assert [row.description for row in rows] == ["One\ntwo", "A lamp."]
    assert [row.location for row in rows] == ["Leeds", "Leeds"]


@pytest.mark.parametrize(
    ("text", "price", "currency"),
    [
        ("£1,250.00", 1250.0, "GBP"),
        (" € 0.99 ", 0.99, "EUR"),
        ("US$5", 5.0, "USD"),
        ("5 CHF", 5.0, "CHF"),
        ("1,234,567", 1234567.0, ""),
    ],
)
def test_a_price_is_a_number_and_the_currency_that_it_names(
    tmp_path: Path, text: str, price: float, currency: str
) -> None:
    (row,) = read_all(tmp_path, record(price=text))

    assert (row.price, row.currency) == (price, currency)


@pytest.mark.parametrize(
    "junk",
    ["free", "£", "£12,50.00", "£1.2.3", "-£5", "£-5", "A$5", "5 ONO", "£1e9", "£" + "9" * 400],
)
def test_junk_for_a_price_drops_the_row_and_is_counted(tmp_path: Path, junk: str) -> None:
    listings = read(tmp_path, record(id="a", price=junk), record(id="b"))

    assert list(listings.rows) == ["b"]
    assert listings.dropped == {"unreadable price": 1}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Sofa | in Hove, East Sussex | Gumtree", "Sofa"),
        ("Sofa | bed | in York, North Yorkshire | Gumtree ", "Sofa | bed"),
        ("Sofa in Leeds", "Sofa in Leeds"),
        ("Gumtree mug | in Bath, Somerset", "Gumtree mug | in Bath, Somerset"),
    ],
)
def test_the_sites_suffix_is_cut_off_the_title(tmp_path: Path, name: str, title: str) -> None:
    assert [row.title for row in read_all(tmp_path, record(product_name=name))] == [title]


@pytest.mark.parametrize("column", tables.PRODUCT_COLUMNS)
@pytest.mark.parametrize("marker", ["", "NaN", "N/A", " "])
def test_a_missing_value_drops_the_row_and_is_counted_by_column(
    tmp_path: Path, column: str, marker: str
) -> None:
    listings = read(tmp_path, record(id="a"), record(**{"id": "b", column: marker}))

    assert list(listings.rows) == ["a"]
    assert listings.dropped == {f"missing {column}": 1}


def test_a_record_that_ends_early_counts_as_missing_what_it_lacks(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a"), "1,b,Lamp,Appliances / Ovens,Text,£3", "2,c,Lamp")

    assert list(listings.rows) == ["a"]
    assert listings.dropped == {"missing location": 1, "missing category": 1}


@pytest.mark.parametrize("position", [0, 1])
def test_a_record_with_more_fields_than_the_header_is_refused(
    tmp_path: Path, position: int
) -> None:
    records = [record(id="a"), record(id="b")]
    records[position] += ",surplus"

    words = f"line {position + 2}: the record has 8 fields, the header 7"
    assert words in refusal(tmp_path, *records)


def test_the_first_of_several_rows_with_one_id_is_kept(tmp_path: Path) -> None:
    rows = [record(id="a", location=place) for place in ("Leeds", "York", "Bath")]
    listings = read(tmp_path, *rows, record(id="b"))

    assert {id_: row.location for id_, row in listings.rows.items()} == {"a": "Leeds", "b": "Leeds"}
    assert listings.dropped == {"repeated id": 2}


def test_an_incomplete_row_does_not_count_as_the_first_of_its_id(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a", price="N/A"), record(id="a", location="York"))

    assert [row.location for row in listings.rows.values()] == ["York"]
    assert listings.dropped == {"missing price": 1}


def test_a_missing_column_is_refused_with_file_and_column(tmp_path: Path) -> None:
    message = refusal(tmp_path, "0,a,Lamp", header=",id,product_name")

    assert "column 'category' is missing" in message
    assert message.endswith("it has id, product_name")


def test_an_unknown_category_is_refused_with_file_listing_and_category(tmp_path: Path) -> None:
    rows = [record(id="a"), record(id="b", category="Boats / Canoes")]
    message = refusal(tmp_path, *rows)

    assert "line 3: listing b has the root category 'Boats'" in message
    assert "Home & Garden; Appliances" in message


def test_the_category_of_a_dropped_row_does_not_matter(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a"), record(id="b", category="Boats", price="N/A"))

    assert list(listings.rows) == ["a"]


def test_any_category_is_taken_where_none_are_named(tmp_path: Path) -> None:
    file = tmp_path / "Products.csv"
    file.write_text(f"{HEADER}\n{record(category='Boats / Canoes')}\n")

    assert [row.root for row in read_products(file).rows.values()] == ["Boats"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty; expected columns id, product_name"),
        (b" \n\n", r"is empty; expected columns id, product_name"),
        (b"\xff\xfe\x00broken", "is written in UTF-16"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "Products.csv"
    file.write_bytes(content)
    with pytest.raises(FileError, match=rf"Products\.csv: {words}"):
        read_products(file)


@pytest.mark.parametrize("reader", [read_products, read_images])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(FileError, match=r"nowhere\.csv: cannot be read: No such file"):
        reader(tmp_path / "nowhere.csv")


def test_a_long_description_is_read(tmp_path: Path) -> None:
    (row,) = read_all(tmp_path, record(product_description="x" * 200_000))

    assert len(row.description) == 200_000


def images(folder: Path, records: Sequence[str], header: str = ",id,product_id") -> dict[str, str]:
    file = folder / "Images.csv"
    file.write_bytes("".join(f"{line}\n" for line in (header, *records)).encode())
    return read_images(file)


def test_image_rows_without_an_id_or_a_listing_and_repeated_ones_are_left_out(
    tmp_path: Path,
) -> None:
    rows = ["0,p,lamp", "1,,lamp", "2,q,N/A", "3,r", "4,p,sofa", "5,s,lamp"]

    assert images(tmp_path, rows) == {"p": "lamp", "s": "lamp"}


def test_a_missing_column_of_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"Images\.csv: column 'product_id' is missing"):
        images(tmp_path, ["0,p,lamp"], header=",id,listing")


def test_photos_of_complete_listings_are_in_the_order_of_their_table(tmp_path: Path) -> None:
    read(tmp_path, record(id="lamp"), record(id="sofa"), record(id="dear", price="free"))
    images(tmp_path, ["0,p,sofa", "1,q,dear", "2,r,lamp", "3,s,sofa", "4,t,nobody"])
    catalogue = read_catalogue(tmp_path / "Products.csv", tmp_path / "Images.csv")

    owners = {photo: row.product_id for photo, row in catalogue.photos.items()}
    assert list(owners.items()) == [("p", "sofa"), ("r", "lamp"), ("s", "sofa")]
    assert (len(catalogue.products.rows), catalogue.orphans) == (2, 2)
    assert catalogue.products.dropped == {"unreadable price": 1}


def test_without_a_table_of_photos_each_listing_has_the_one_of_its_id(tmp_path: Path) -> None:
    read(tmp_path, record(id="lamp"), record(id="sofa"))
    catalogue = read_catalogue(tmp_path / "Products.csv", None)

    owners = {photo: row.product_id for photo, row in catalogue.photos.items()}
    assert owners == {"lamp": "lamp", "sofa": "sofa"}
