"""The names in a catalogue: of an alias's collections, and of the attributes of its items."""

from __future__ import annotations

import re

TITLE = "title"
DESCRIPTION = "description"
CURRENCY = "currency"
LOCATION = "location"
THUMBNAIL = "thumbnail"
PHOTO_SHA256 = "photo_sha256"
"""The SHA-256 of the encoded photo, in hexadecimal: tells identical photos from similar ones."""

NEAR_DUPLICATE = "near_duplicate"
NEAR_DUPLICATE_OF = "near_duplicate_of"
NEAR_DUPLICATE_PRODUCT = "near_duplicate_product"
NEAR_DUPLICATE_KIND = "near_duplicate_kind"
NEAR_DUPLICATE_DISTANCE = "near_duplicate_distance"

INGEST_REQUEST_ID = "ingest_request_id"
INGEST_REQUEST_SHA256 = "ingest_request_sha256"
REINDEXED_FROM = "reindexed_from"
"""Fingerprint of the item that a re-indexing made this one from."""

INDEXED_ATTRIBUTES = (LOCATION, NEAR_DUPLICATE)
"""The attributes that the gateway filters by, so every collection of a catalogue indexes them."""

TEXT_ATTRIBUTES = (TITLE, DESCRIPTION)
"""The attributes whose words are looked for; a title's words count for more."""

_SPACE_CHARACTERS = 12


def collection_name(alias: str, embedding_space: str) -> str:
    """Returns the name of the collection that holds an alias's items of one embedding space."""
    space = re.sub(r"[^a-z0-9_-]", "-", embedding_space.lower())
    return f"{alias}-{space[:_SPACE_CHARACTERS]}"
