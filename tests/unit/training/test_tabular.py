"""The raw tables as data frames."""

from __future__ import annotations

from pathlib import Path

from training.tabular import read_images, read_listings

HEADER = ",id,product_name,category,product_description,price,location"
LAMP = '0,lamp,"Lamp | in Leeds, Kent | Gumtree", Home & Garden / Lighting ,A lamp.,£5,Leeds'
CATEGORIES = ("Appliances", "Home & Garden")


def read(folder: Path, *records: str) -> Path:
    file = folder / "Products.csv"
    file.write_text("\n".join([HEADER, *records]))
    return file


def test_a_listing_is_a_row_with_its_label(tmp_path: Path) -> None:
    listings = read_listings(read(tmp_path, LAMP, LAMP), CATEGORIES)

    assert listings.dropped == {"repeated id": 1}
    assert listings.table.to_dict("records") == [
        {
            "product_id": "lamp",
            "title": "Lamp",
            "category": "Home & Garden / Lighting",
            "root": "Home & Garden",
            "label": 1,
            "description": "A lamp.",
            "price": 5.0,
            "location": "Leeds",
            "currency": "GBP",
        }
    ]


def test_a_table_whose_rows_are_all_dropped_keeps_its_columns_and_their_types(
    tmp_path: Path,
) -> None:
    full = read_listings(read(tmp_path, LAMP), CATEGORIES).table
    empty = read_listings(read(tmp_path, LAMP.replace("£5", "free")), CATEGORIES).table

    assert empty.empty
    assert list(empty) == list(full)
    assert empty[["price", "label"]].dtypes.tolist() == full[["price", "label"]].dtypes.tolist()


def test_a_photo_is_a_row_with_its_listing(tmp_path: Path) -> None:
    file = tmp_path / "Images.csv"
    file.write_text("id,product_id\np,lamp\nq,lamp\n")

    assert read_images(file).to_dict("list") == {
        "image_id": ["p", "q"],
        "product_id": ["lamp", "lamp"],
    }
