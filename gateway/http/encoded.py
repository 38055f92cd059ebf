"""Photos as text, in JSON: base64, or a data URL of it (RFC 4648, RFC 2397)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from gateway.validation import MAX_IMAGES
from lookalike.errors import InvalidArgumentError

NAMES = ("image", "images")
_SCHEME = "data:"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def taken_photos(fields: dict[str, Any]) -> list[bytes]:
    """Takes the photos out of a JSON object's fields, and returns them.

    Raises:
        InvalidArgumentError: One is neither base64 nor a data URL, or there are too many.
    """
    photos = []
    for name in NAMES:
        given = fields.pop(name, [])
        several = given if isinstance(given, list) else [given]
        if len(several) > MAX_IMAGES:
            raise InvalidArgumentError(
                f"{name} has {len(several)} entries; it must have 1 to {MAX_IMAGES}", field=name
            )
        for number, photo in enumerate(several):
            photos.append(decoded(photo, f"{name}[{number}]" if several is given else name))
    return photos


def decoded(text: Any, field: str) -> bytes:
    """Returns the photo of a text; raises InvalidArgumentError naming the field."""
    if not isinstance(text, str):
        raise _refused(f"{field} is of type {type(text).__name__}", field)
    encoded = text.lstrip()
    if encoded[: len(_SCHEME)].lower() == _SCHEME:
        kind, comma, encoded = encoded.partition(",")
        if not comma or not kind.lower().endswith(";base64"):
            raise _refused(f"{field} is the data URL {kind[:60]!r}, which is not of base64", field)
    try:
        # As bytes, which takes half the time of text.
        digits = encoded.encode("ascii").translate(_URL_SAFE, b" \t\r\n")
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        reason = "it has other letters" if isinstance(error, UnicodeError) else error
        shown = text[:20] + ("…" if len(text) > 20 else "")
        raise _refused(f"{field} is {shown!r}, which is not base64 ({reason})", field) from None


def _refused(what: str, field: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{what}; send the encoded photo as base64 or as a data URL "
        "(data:image/jpeg;base64,…); addresses are not fetched",
        field=field,
    )
