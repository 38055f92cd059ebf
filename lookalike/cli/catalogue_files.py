"""Reads Products.csv and Images.csv (docs/raw-format.md) without pandas. Knows nothing of photos.

What is dropped, and why, is what `training` drops; a test holds the two together.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.cli.console import CommandError
from lookalike.prices import parse_price

PRODUCT_COLUMNS = ("id", "product_name", "category", "product_description", "price", "location")
IMAGE_COLUMNS = ("id", "product_id")
# Of one field; the csv module's own 131,072 are fewer than some descriptions have.
_MOST_CHARACTERS = (1 << 31) - 1
MISSING = frozenset(("", "NaN", "nan", "N/A", "null", "None"))

# Titles end in where the thing is and the site's name: " | in Leeds, West Yorkshire | Gumtree".
_TITLE_SUFFIX = re.compile(r"\s*\|\s*in [^|]*\|\s*Gumtree\s*$")
# A quote opens a quoted field only where a field begins; elsewhere it stands for itself (19" TV).
_QUOTED_FIELD = re.compile(r'(?:^|(?<=[,\n]))"[^"]*(?:""[^"]*)*"')


@dataclass(frozen=True)
class ProductRow:
    """A listing as the seller wrote it: the root of its category, its price and the currency."""

    product_id: str
    title: str
    category: str
    price: float | None
    location: str
    currency: str = ""


@dataclass(frozen=True)
class CataloguePhoto:
    """A photo and the listing that it belongs to."""

    item_id: str
    product: ProductRow


@dataclass(frozen=True)
class Catalogue:
    """What the tables hold.

    Attributes:
        photos: Photos of complete listings, in the tables' order.
        listings: Number of complete listings.
        dropped: Listings that were left out, counted by reason.
        orphans: Photos whose listing was dropped or is not there.
    """

    photos: Sequence[CataloguePhoto]
    listings: int
    dropped: dict[str, int]
    orphans: int


def read_catalogue(products: Path, images: Path | None) -> Catalogue:
    """Reads both tables.

    Args:
        products: Products.csv.
        images: Images.csv; None where each listing has one photo, named by the listing's id.

    Raises:
        CommandError: A table is unreadable, or lacks a column.
    """
    rows, dropped = _read_products(products)
    if images is None:
        photos = [CataloguePhoto(row.product_id, row) for row in rows.values()]
        return Catalogue(photos, len(rows), dropped, 0)
    owners = _read_images(images)
    photos = [CataloguePhoto(i, rows[owner]) for i, owner in owners.items() if owner in rows]
    return Catalogue(photos, len(rows), dropped, len(owners) - len(photos))


def _read_products(file: Path) -> tuple[dict[str, ProductRow], dict[str, int]]:
    # Counted check by check, each over what the last let through: the order is `training`'s.
    checks = [f"missing {column}" for column in PRODUCT_COLUMNS]
    dropped: Counter[str] = Counter()
    rows: dict[str, ProductRow] = {}
    for record in _records(file, PRODUCT_COLUMNS):
        missing = [c for c in PRODUCT_COLUMNS if record[c].strip() in MISSING]
        price = parse_price(record["price"])
        if missing:
            dropped[f"missing {missing[0]}"] += 1
        elif price is None:
            dropped["unreadable price"] += 1
        elif record["id"] in rows:
            dropped["repeated id"] += 1
        else:
            rows[record["id"]] = ProductRow(
                product_id=record["id"],
                title=_TITLE_SUFFIX.sub("", record["product_name"]),
                category=record["category"].split(" / ")[0].strip(),
                price=price.amount,
                location=record["location"],
                currency=price.currency,
            )
    order = [*checks, "unreadable price", "repeated id"]
    return rows, {reason: dropped[reason] for reason in order if dropped[reason]}


def _read_images(file: Path) -> dict[str, str]:
    owners: dict[str, str] = {}
    for record in _records(file, IMAGE_COLUMNS):
        if not any(record[column].strip() in MISSING for column in IMAGE_COLUMNS):
            owners.setdefault(record["id"], record["product_id"])
    return owners


def _records(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yields a table's records by column; only a line feed ends one."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise CommandError(f"{file}: cannot be read as UTF-8: {error}") from None
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")  # saved anew on Windows
    # A bare carriage return stands inside a field; the csv module would end the record there.
    text = text.replace("\r", " ").replace("\0", " ")
    csv.field_size_limit(_MOST_CHARACTERS)
    try:
        table = list(csv.reader(line + "\n" for line in text.split("\n")))
    except csv.Error as error:
        raise CommandError(f"{file}: cannot be read as CSV: {error}") from None
    table = [record for record in table if "".join(record).strip() or len(record) > 1]
    if not table:
        raise CommandError(f"{file}: is empty; expected columns {', '.join(columns)}")
    header, *records = table
    if absent := [column for column in columns if column not in header]:
        have = ", ".join(header)
        raise CommandError(f"{file}: column '{absent[0]}' is missing; it has {have}")
    # Outside quotes every line feed ends a record: a check that no record was split or swallowed.
    counted = sum(1 for line in _QUOTED_FIELD.sub("", text).split("\n") if line.strip()) - 1
    if len(records) != counted:
        raise CommandError(f"{file}: {len(records)} rows parsed, but {counted} records counted")
    places = {column: header.index(column) for column in columns}
    for number, record in enumerate(records, 1):
        if len(record) > len(header):
            raise CommandError(
                f"{file}: record {number} has {len(record)} fields, the header {len(header)}"
            )
        yield {name: record[at] if at < len(record) else "" for name, at in places.items()}
