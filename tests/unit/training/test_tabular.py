"""Products.csv and Images.csv: what is read, what is dropped and why, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from training import tabular
from training.errors import TrainingError
from training.tabular import Listings, read_images, read_listings

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


def read(folder: Path, *records: str, header: str = HEADER, newline: str = "\n") -> Listings:
    file = folder / "Products.csv"
    file.write_bytes("".join(line + newline for line in (header, *records)).encode())
    return read_listings(file, CATEGORIES)


def refusal(folder: Path, *records: str, header: str = HEADER) -> str:
    with pytest.raises(TrainingError) as refused:
        read(folder, *records, header=header)
    message = str(refused.value)
    assert message.startswith(f"{folder / 'Products.csv'}: ")
    assert "\n" not in message
    return message


def test_a_row_becomes_a_clean_listing(tmp_path: Path) -> None:
    listings = read(tmp_path, record())

    assert listings.dropped == {}
    assert listings.table.to_dict("records") == [
        {
            "product_id": "lamp",
            "title": "Lamp",
            "category": "Home & Garden / Lighting",
            "root": "Home & Garden",
            "label": 0,
            "description": "A lamp.",
            "price": 5.0,
            "location": "Leeds",
            "currency": "GBP",
        }
    ]


def test_a_padded_category_path_is_stripped(tmp_path: Path) -> None:
    table = read(tmp_path, record(category=" Home & Garden / Lighting ")).table

    assert table["category"].tolist() == ["Home & Garden / Lighting"]
    assert table["root"].tolist() == ["Home & Garden"]


def test_bare_carriage_returns_in_unquoted_fields_end_no_record(tmp_path: Path) -> None:
    first = record(id="a", product_description="One\rtwo\r\rthree")
    listings = read(tmp_path, first, record(id="b", product_description="four\r"), record(id="c"))

    assert listings.table["product_id"].tolist() == ["a", "b", "c"]
    assert listings.table["description"].tolist() == ["One\ntwo\n\nthree", "four\n", "A lamp."]


def test_a_parser_that_splits_records_is_found_out_by_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(*inputs: object, lineterminator: str, **options: object) -> pd.DataFrame:
        return pd_read_csv(*inputs, **options)

    pd_read_csv = pd.read_csv
    monkeypatch.setattr(tabular.pd, "read_csv", careless)
    message = refusal(tmp_path, record(id="a", product_description="One\rtwo"), record(id="b"))

    assert message.endswith("3 rows parsed, but 2 records counted")


def test_quoted_fields_keep_commas_quotes_and_line_feeds(tmp_path: Path) -> None:
    text = '"Brass, 2 bulbs.\nCalled ""antique"", ""as seen"".\rNo box,\n"'
    listings = read(tmp_path, record(id="a", product_description=text), record(id="b"))

    assert listings.table["product_id"].tolist() == ["a", "b"]
    assert listings.table["description"][0] == (
        'Brass, 2 bulbs.\nCalled "antique", "as seen".\nNo box,\n'
    )


def test_quotes_within_an_unquoted_field_stand_for_themselves(tmp_path: Path) -> None:
    rows = [
        record(id=str(n), product_name=name) for n, name in enumerate(('19" TV', 'Rug 3"', "x"))
    ]
    listings = read(tmp_path, *rows)

    assert listings.table["title"].tolist() == ['19" TV', 'Rug 3"', "x"]


def test_a_quote_that_never_closes_is_refused(tmp_path: Path) -> None:
    rows = [record(product_name='"Lamp'), record(id="b", product_name="Lamp")]
    message = refusal(tmp_path, *rows)

    assert "cannot be read as CSV" in message


@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n"])
def test_blank_lines_at_the_end_are_no_records(tmp_path: Path, tail: str) -> None:
    file = tmp_path / "Products.csv"
    file.write_text(f"{HEADER}\n{record()}{tail}")

    assert len(read_listings(file, CATEGORIES).table) == 1


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    row = record(product_description="One\rtwo")
    listings = read(tmp_path, row, record(id="b"), header="\ufeff" + HEADER, newline="\r\n")

    assert listings.table["description"].tolist() == ["One\ntwo", "A lamp."]
    assert listings.table["location"].tolist() == ["Leeds", "Leeds"]


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
    table = read(tmp_path, record(price=text)).table

    assert table[["price", "currency"]].to_numpy().tolist() == [[price, currency]]


def test_a_table_whose_rows_are_all_dropped_keeps_its_columns(tmp_path: Path) -> None:
    table = read(tmp_path, record(price="free")).table

    assert table.empty
    assert table["price"].dtype == float


@pytest.mark.parametrize(
    "junk",
    ["free", "£", "£12,50.00", "£1.2.3", "-£5", "£-5", "A$5", "5 ONO", "£1e9", "£" + "9" * 400],
)
def test_junk_for_a_price_drops_the_row_and_is_counted(tmp_path: Path, junk: str) -> None:
    listings = read(tmp_path, record(id="a", price=junk), record(id="b"))

    assert listings.table["product_id"].tolist() == ["b"]
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
    assert read(tmp_path, record(product_name=name)).table["title"].tolist() == [title]


@pytest.mark.parametrize("column", tabular.PRODUCT_COLUMNS)
@pytest.mark.parametrize("marker", ["", "NaN", "N/A", " "])
def test_a_missing_value_drops_the_row_and_is_counted_by_column(
    tmp_path: Path, column: str, marker: str
) -> None:
    listings = read(tmp_path, record(id="a"), record(**{"id": "b", column: marker}))

    assert listings.table["product_id"].tolist() == ["a"]
    assert listings.dropped == {f"missing {column}": 1}


def test_a_record_that_ends_early_counts_as_missing_what_it_lacks(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a"), "1,b,Lamp,Appliances / Ovens,Text,£3", "2,c,Lamp")

    assert listings.table["product_id"].tolist() == ["a"]
    assert listings.dropped == {"missing location": 1, "missing category": 1}


@pytest.mark.parametrize("position", [0, 1])
def test_a_record_with_more_fields_than_the_header_is_refused(
    tmp_path: Path, position: int
) -> None:
    records = [record(id="a"), record(id="b")]
    records[position] += ",surplus"

    assert "fields" in refusal(tmp_path, *records)


def test_the_first_of_several_rows_with_one_id_is_kept(tmp_path: Path) -> None:
    rows = [record(id="a", location=place) for place in ("Leeds", "York", "Bath")]
    listings = read(tmp_path, *rows, record(id="b"))

    assert listings.table[["product_id", "location"]].to_numpy().tolist() == [
        ["a", "Leeds"],
        ["b", "Leeds"],
    ]
    assert listings.dropped == {"repeated id": 2}


def test_an_incomplete_row_does_not_count_as_the_first_of_its_id(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a", price="N/A"), record(id="a", location="York"))

    assert listings.table["location"].tolist() == ["York"]
    assert listings.dropped == {"missing price": 1}


def test_a_missing_column_is_refused_with_file_and_column(tmp_path: Path) -> None:
    message = refusal(tmp_path, "0,a,Lamp", header=",id,product_name")

    assert "column 'category' is missing" in message
    assert message.endswith("it has Unnamed: 0, id, product_name")


def test_an_unknown_category_is_refused_with_file_listing_and_category(tmp_path: Path) -> None:
    rows = [record(id="a"), record(id="b", category="Boats / Canoes")]
    message = refusal(tmp_path, *rows)

    assert "listing b has the root category 'Boats'" in message
    assert "Home & Garden; Appliances" in message


def test_the_category_of_a_dropped_row_does_not_matter(tmp_path: Path) -> None:
    listings = read(tmp_path, record(id="a"), record(id="b", category="Boats", price="N/A"))

    assert listings.table["product_id"].tolist() == ["a"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00broken"])
def test_a_file_that_is_no_csv_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "Products.csv"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"Products\.csv: cannot be read as CSV"):
        read_listings(file, CATEGORIES)


@pytest.mark.parametrize("reader", [lambda file: read_listings(file, CATEGORIES), read_images])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(TrainingError, match=r"nowhere\.csv: cannot be read: No such file"):
        reader(tmp_path / "nowhere.csv")


def images(folder: Path, records: Sequence[str], header: str = ",id,product_id") -> pd.DataFrame:
    file = folder / "Images.csv"
    file.write_bytes("".join(f"{line}\n" for line in (header, *records)).encode())
    return read_images(file)


def test_image_rows_without_an_id_or_a_listing_and_repeated_ones_are_left_out(
    tmp_path: Path,
) -> None:
    rows = ["0,p,lamp", "1,,lamp", "2,q,N/A", "3,r", "4,p,sofa", "5,s,lamp"]

    assert images(tmp_path, rows).to_dict("list") == {
        "image_id": ["p", "s"],
        "product_id": ["lamp", "lamp"],
    }


def test_a_missing_column_of_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Images\.csv: column 'product_id' is missing"):
        images(tmp_path, ["0,p,lamp"], header=",id,listing")
