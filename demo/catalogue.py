"""Fills the index through the gateway, several photos at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike import CataloguePhoto, Client
from lookalike.catalogue.categories import CATEGORIES
from lookalike.catalogue.photo_files import photo_path
from lookalike.errors import InvalidArgumentError, LookalikeError, StartupError
from lookalike.progress import track_photos
from training.embed import catalogue_photos

IN_FLIGHT = 16


@dataclass
class Filled:
    """The result of a fill: photos written, and those refused with the reason."""

    written: int = 0
    refused: list[str] = field(default_factory=list)


def fill(gateway: str, marketplace: Path) -> Filled:
    """Ingests every photo of a raw catalogue; bad photos are refused and listed."""
    filled = Filled()
    photos = dict(_photos(marketplace))
    pairs = list(photos.values())
    with Client(gateway) as client:
        outcomes = client.ingest_many(pairs, in_flight=IN_FLIGHT)
        for item_id, outcome in track_photos(outcomes, "Ingesting photos", total=len(pairs)):
            name = photos[item_id][1].name
            if isinstance(outcome, FileNotFoundError):
                filled.refused.append(f"{name}: no such file")
            elif isinstance(outcome, OSError):
                filled.refused.append(f"{name}: {outcome.strerror or outcome}")
            elif isinstance(outcome, InvalidArgumentError):
                filled.refused.append(f"{name}: {outcome.message}")
            elif isinstance(outcome, LookalikeError):
                raise StartupError(f"the gateway refused {name}: {outcome.message}")
            else:
                filled.written += 1
    return filled


def is_filled(marker: Path, wanted: dict[str, str]) -> bool:
    """Returns whether `mark_filled` recorded the same facts."""
    try:
        return bool(json.loads(marker.read_text()) == wanted)
    except (OSError, ValueError):
        return False  # never filled, or interrupted while recording it


def mark_filled(marker: Path, facts: dict[str, str]) -> None:
    """Records what an index was filled with."""
    marker.write_text(json.dumps(facts) + "\n")


def photo_of(row: Mapping[Any, Any]) -> CataloguePhoto:
    """Returns the photo of a row of `catalogue_photos`."""
    return CataloguePhoto(
        item_id=str(row["image_id"]),
        product_id=str(row["product_id"]),
        category=str(row["category"]),
        title=str(row["title"]),
        price=float(row["price"]),
        location=str(row["location"]),
        currency=str(row["currency"]),
    )


def _photos(marketplace: Path) -> Iterator[tuple[str, tuple[CataloguePhoto, Path]]]:
    for row in catalogue_photos(marketplace, CATEGORIES).to_dict("records"):
        photo = photo_of(row)
        yield photo.item_id, (photo, photo_path(marketplace / "images", photo.item_id))
