"""Reads Products.csv and Images.csv (docs/raw-format.md). Knows nothing of photos or pandas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.catalogue.categories import root_of
from lookalike.catalogue.records import read_records
from lookalike.catalogue.words import without_site
from lookalike.files import FileError
from lookalike.prices import parse_price

PRODUCT_COLUMNS = ("id", "product_name", "category", "product_description", "price", "location")
IMAGE_COLUMNS = ("id", "product_id")
MISSING = frozenset(("", "NaN", "nan", "N/A", "null", "None"))


@dataclass(frozen=True)
class ProductRow:
    """A complete listing.

    Attributes:
        product_id: Its id.
        title: Without the site's suffix.
        category: The whole path, such as `Home & Garden / Lighting`.
        description: Its lines end in line feeds.
        price: In `currency`.
        currency: As of ISO 4217; empty where the price has no sign or code of one.
        location: Where it is sold.
    """

    product_id: str
    title: str
    category: str
    description: str
    price: float
    currency: str
    location: str

    @property
    def root(self) -> str:
        """The root category."""
        return root_of(self.category).rstrip()


@dataclass(frozen=True)
class Products:
    """Products.csv: its complete listings by id, and the others counted by what is wrong."""

    rows: Mapping[str, ProductRow]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Catalogue:
    """Both tables together.

    Attributes:
        photos: The listing of each photo by the photo's id, in the order of Images.csv.
        products: The listings.
        orphans: Number of photos whose listing is incomplete or is not there.
    """

    photos: Mapping[str, ProductRow]
    products: Products
    orphans: int


def read_catalogue(products: Path, images: Path | None) -> Catalogue:
    """Reads both tables.

    Args:
        products: Products.csv.
        images: Images.csv; None where each listing has one photo, named by the listing's id.

    Raises:
        FileError: A table is unreadable or lacks a column.
    """
    listings = read_products(products)
    rows = listings.rows
    owners = {i: i for i in rows} if images is None else read_images(images)
    photos = {i: rows[owner] for i, owner in owners.items() if owner in rows}
    return Catalogue(photos, listings, len(owners) - len(photos))


def read_products(file: Path, roots: Sequence[str] = ()) -> Products:
    """Reads the listings.

    Args:
        file: Products.csv.
        roots: The root categories that there are; empty to take any.

    Raises:
        FileError: The table is unreadable or lacks a column, or a root category is unknown.
    """
    checks = [*(f"missing {column}" for column in PRODUCT_COLUMNS), "unreadable price"]
    dropped: Counter[str] = Counter()
    rows: dict[str, ProductRow] = {}
    for record in read_records(file, PRODUCT_COLUMNS, _is_product):
        product_id, name, category, description, written, location = fields = record.fields
        missing = [c for c, value in zip(PRODUCT_COLUMNS, fields, strict=True) if _lacks(value)]
        price = parse_price(written)
        if missing:
            dropped[f"missing {missing[0]}"] += 1
        elif price is None:
            dropped["unreadable price"] += 1
        elif product_id in rows:
            dropped["repeated id"] += 1
        else:
            row = ProductRow(
                product_id=product_id,
                title=without_site(_in_one_line(name)),
                category=_in_one_line(category).strip(),
                description=description.replace("\r", "\n"),
                price=price.amount,
                currency=price.currency,
                location=_in_one_line(location),
            )
            if roots and row.root not in roots:
                raise FileError(
                    f"{file}: line {record.line}: listing {product_id} has the root category "
                    f"'{row.root}', which is not one of the {len(roots)} known: {'; '.join(roots)}"
                )
            rows[product_id] = row
    reasons = [reason for reason in (*checks, "repeated id") if dropped[reason]]
    return Products(rows, {reason: dropped[reason] for reason in reasons})


def read_images(file: Path) -> dict[str, str]:
    """Reads Images.csv; returns the listing's id by the photo's, the first where one is repeated.

    Raises:
        FileError: The table is unreadable or lacks a column.
    """
    owners: dict[str, str] = {}
    for record in read_records(file, IMAGE_COLUMNS, _are_ids):
        image_id, product_id = record.fields
        if not (_lacks(image_id) or _lacks(product_id)):
            owners.setdefault(image_id, product_id)
    return owners


def _lacks(value: str) -> bool:
    return value.strip() in MISSING


def _is_product(fields: Sequence[str]) -> bool:
    """Says whether fields can be a listing only: a text of as many commas has no id and price."""
    product_id, *_, price, _ = fields
    return _are_ids([product_id]) and (_lacks(price) or parse_price(price) is not None)


def _are_ids(fields: Sequence[str]) -> bool:
    # In a text a space follows the comma.
    return all(field and not re.search(r"\s", field) for field in fields)


def _in_one_line(text: str) -> str:
    return text.replace("\r", " ")
