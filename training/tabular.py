"""The raw tables as data frames, for what goes through them by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lookalike.catalogue import tables

_ATTRIBUTES = (
    "product_id", "title", "category", "root", "description", "price", "location", "currency",
)  # fmt: skip


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
    """Reads Products.csv.

    Args:
        file: The table.
        categories: Known root categories, in the order of their indices.

    Raises:
        FileError: The file is unreadable, a column is missing, or a category is unknown.
    """
    products = tables.read_products(file, categories)
    rows = list(products.rows.values())
    table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in _ATTRIBUTES})
    labels = table["root"].map({category: i for i, category in enumerate(categories)})
    table.insert(4, "label", labels.astype("int64"))
    return Listings(table.astype({"price": float}), dict(products.dropped))


def read_images(file: Path) -> pd.DataFrame:
    """Reads Images.csv; returns columns image_id and product_id, one row a photo.

    Raises:
        FileError: The file is unreadable or a column is missing.
    """
    owners = tables.read_images(file)
    return pd.DataFrame({"image_id": list(owners), "product_id": list(owners.values())})
