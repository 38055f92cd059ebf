"""Reads Products.csv and Images.csv (docs/raw-format.md). Knows nothing of photos or pandas."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.catalogue.categories import root_of
from lookalike.files import FileError
from lookalike.prices import parse_price

PRODUCT_COLUMNS = ("id", "product_name", "category", "product_description", "price", "location")
IMAGE_COLUMNS = ("id", "product_id")
MISSING = frozenset(("", "NaN", "nan", "N/A", "null", "None"))
# Of one field; the csv module's own 131,072 are fewer than some descriptions have.
_MOST_CHARACTERS = (1 << 31) - 1

# Titles end in where the thing is and the site's name: " | in Leeds, West Yorkshire | Gumtree".
_TITLE_SUFFIX = re.compile(r"\s*\|\s*in [^|]*\|\s*Gumtree\s*$")
# A quote opens a quoted field only where a field begins; elsewhere it stands for itself (19" TV).
_QUOTED_FIELD = re.compile(r'(?:^|(?<=[,\n]))"[^"]*(?:""[^"]*)*"')


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
    for number, fields in _records(file, PRODUCT_COLUMNS):
        product_id, name, category, description, written, location = fields
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
                title=_TITLE_SUFFIX.sub("", _in_one_line(name)),
                category=_in_one_line(category).strip(),
                description=description.replace("\r", "\n"),
                price=price.amount,
                currency=price.currency,
                location=_in_one_line(location),
            )
            if roots and row.root not in roots:
                raise FileError(
                    f"{file}: record {number}: listing {product_id} has the root category "
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
    for _, (image_id, product_id) in _records(file, IMAGE_COLUMNS):
        if not (_lacks(image_id) or _lacks(product_id)):
            owners.setdefault(image_id, product_id)
    return owners


def _lacks(value: str) -> bool:
    return value.strip() in MISSING


def _in_one_line(text: str) -> str:
    return text.replace("\r", " ")


def _records(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields each record's number and its fields of these columns; only a line feed ends one."""
    text = _text(file)
    csv.field_size_limit(_MOST_CHARACTERS)
    # A bare carriage return stands inside a field, but the csv module would end the record there.
    shielded = text.replace("\r", "\0")
    try:
        table = list(csv.reader(line + "\n" for line in shielded.split("\n")))
    except csv.Error as error:
        raise FileError(f"{file}: cannot be read as CSV: {error}") from None
    table = [record for record in table if len(record) > 1 or "".join(record).strip()]
    if not table:
        raise FileError(f"{file}: is empty; expected columns {', '.join(columns)}")
    header, *records = table
    if absent := [column for column in columns if column not in header]:
        have = ", ".join(name for name in header if name)
        raise FileError(f"{file}: column '{absent[0]}' is missing; it has {have}")
    # Outside quotes every line feed ends a record: a check that no record was split or swallowed.
    counted = sum(1 for line in _QUOTED_FIELD.sub("", text).split("\n") if line.strip()) - 1
    if len(records) != counted:
        raise FileError(
            f"{file}: {len(records)} rows parsed, but {counted} records counted; is a quote that "
            "opens a field never closed?"
        )
    places = [header.index(column) for column in columns]
    for number, record in enumerate(records, 1):
        if len(record) > len(header):
            raise FileError(
                f"{file}: record {number} has {len(record)} fields, the header {len(header)}"
            )
        fields = [record[place] if place < len(record) else "" for place in places]
        yield number, [field.replace("\0", "\r") for field in fields]


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except OSError as error:
        raise FileError(f"{file}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{file}: cannot be read as UTF-8: {error}") from None
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")  # saved anew on Windows
    return text.replace("\0", " ")
