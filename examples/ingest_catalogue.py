"""Adds listings to the catalogue: `python examples/ingest_catalogue.py LISTINGS.csv`

The file has a header and the columns item_id, product_id, category, title, price, currency (such as
GBP), location, photo; the last is a path, relative to the file.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from lookalike import CataloguePhoto, Client
from lookalike.client import Ingested


def photos(file: Path) -> Iterator[tuple[CataloguePhoto, Path]]:
    """Yields each row's photo of the catalogue with the path of its image."""
    with file.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            photo = CataloguePhoto(
                item_id=row["item_id"],
                product_id=row["product_id"],
                category=row["category"],
                title=row["title"],
                price=float(row["price"]) if row["price"] else None,
                currency=row["currency"],
                location=row["location"],
            )
            yield photo, file.parent / row["photo"]


def main() -> int:
    """Ingests all rows; those that fail are named, and the exit status says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("listings", type=Path)
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    arguments = parser.parse_args()

    written = failed = 0
    with Client(arguments.gateway) as client:
        for item_id, outcome in client.ingest_many(photos(arguments.listings)):
            if isinstance(outcome, Ingested):
                written += 1
            else:
                failed += 1
                print(f"{item_id}: {outcome}", file=sys.stderr)
    print(f"{written} photos written, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
