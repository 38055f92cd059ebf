"""Reads and cleans Products.csv and Images.csv. Knows nothing of pixels."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lookalike.prices import parse_price
from training.errors import TrainingError

PRODUCT_COLUMNS = ("id", "product_name", "category", "product_description", "price", "location")
IMAGE_COLUMNS = ("id", "product_id")
MISSING = ("", "NaN", "nan", "N/A", "null", "None")

# Titles end in where the thing is and the site's name: " | in Leeds, West Yorkshire | Gumtree".
_TITLE_SUFFIX = r"\s*\|\s*in [^|]*\|\s*Gumtree\s*$"
# A quote opens a quoted field only where a field begins; elsewhere it stands for itself (19" TV).
_QUOTED_FIELD = re.compile(r'(?:^|(?<=[,\n]))"[^"]*(?:""[^"]*)*"')


@dataclass(frozen=True)
class Listings:
    """Cleaned listings.

    Attributes:
        table: Columns product_id, title, category, root, label, description, price, location,
            currency; the last is empty where the price has no sign or code of one.
        dropped: Rows that were left out, counted by reason.
    """

    table: pd.DataFrame
    dropped: dict[str, int]


def read_listings(file: Path, categories: Sequence[str]) -> Listings:
    """Reads Products.csv and cleans it.

    Args:
        file: Records are separated by a line feed alone; descriptions may hold bare carriage
            returns.
        categories: Known root categories, in the order of their indices.

    Raises:
        TrainingError: The file is unreadable, a column is missing, or a category is unknown.
    """
    raw = _read_csv(file, PRODUCT_COLUMNS)
    dropped: dict[str, int] = {}

    def keep(table: pd.DataFrame, good: pd.Series, reason: str) -> pd.DataFrame:
        if not good.all():
            dropped[reason] = int((~good).sum())
        return table[good]

    for column in PRODUCT_COLUMNS:
        raw = keep(raw, ~raw[column].str.strip().isin(MISSING), f"missing {column}")
    prices = raw["price"].map(parse_price)
    raw = keep(raw, prices.notna(), "unreadable price")
    raw = keep(raw, ~raw["id"].duplicated(), "repeated id")
    roots = raw["category"].str.split(" / ").str[0].str.strip()
    _check_categories(file, raw, roots, categories)
    table = pd.DataFrame(
        {
            "product_id": raw["id"],
            "title": raw["product_name"].str.replace(_TITLE_SUFFIX, "", regex=True),
            "category": raw["category"].str.strip(),
            "root": roots,
            "label": roots.map({category: i for i, category in enumerate(categories)}),
            "description": raw["product_description"].str.replace("\r", "\n"),
            "price": prices[raw.index].map(lambda price: price.amount).astype(float),
            "location": raw["location"],
            "currency": prices[raw.index].map(lambda price: price.currency).astype(str),
        }
    )
    return Listings(table.reset_index(drop=True), dropped)


def read_images(file: Path) -> pd.DataFrame:
    """Reads Images.csv; returns columns image_id and product_id, one row a photo.

    Raises:
        TrainingError: The file is unreadable or a column is missing.
    """
    raw = _read_csv(file, IMAGE_COLUMNS)
    for column in IMAGE_COLUMNS:
        raw = raw[~raw[column].str.strip().isin(MISSING)]
    table = pd.DataFrame({"image_id": raw["id"], "product_id": raw["product_id"]})
    return table.drop_duplicates("image_id").reset_index(drop=True)


def _read_csv(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        if text.partition("\n")[0].endswith("\r"):
            text = text.replace("\r\n", "\n")  # saved anew on Windows
        # Everything as text: what counts as missing is decided above, not by pandas.
        table = pd.read_csv(
            io.StringIO(text), lineterminator="\n", dtype=str, keep_default_na=False
        ).fillna("")  # only what a short record lacks
    except OSError as error:
        raise TrainingError(f"{file}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TrainingError(f"{file}: cannot be read as CSV: {str(error).strip()}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the surplus for row names
        raise TrainingError(f"{file}: the first record has more fields than the header")
    absent = [column for column in columns if column not in table.columns]
    if absent:
        have = ", ".join(str(column) for column in table.columns)
        raise TrainingError(f"{file}: column '{absent[0]}' is missing; it has {have}")
    # Outside quotes every line feed ends a record: a check that no record was split or swallowed.
    lines = _QUOTED_FIELD.sub("", text).split("\n")
    records = sum(1 for line in lines if line.strip()) - 1
    if len(table) != records:
        raise TrainingError(f"{file}: {len(table)} rows parsed, but {records} records counted")
    return table


def _check_categories(
    file: Path, raw: pd.DataFrame, roots: pd.Series, categories: Sequence[str]
) -> None:
    unknown = ~roots.isin(list(categories))
    if unknown.any():
        listing, category = raw["id"][unknown].iloc[0], roots[unknown].iloc[0]
        raise TrainingError(
            f"{file}: listing {listing} has the root category '{category}', which is "
            f"not one of the {len(categories)} known: {'; '.join(categories)}"
        )
