"""Encodes photos as plain JPEGs, and as the odd or broken files that real archives hold."""

from collections.abc import Callable
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw

ORIENTATION_TAG: Final = 0x0112
TURN_RIGHT: Final = 6  # EXIF: viewers turn the photo 90 degrees clockwise
TINY: Final = (40, 30)

Encode = Callable[[Image.Image], bytes]


def encode_jpeg(photo: Image.Image, quality: int = 85) -> bytes:
    """Returns a plain baseline JPEG."""
    stream = BytesIO()
    photo.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _empty(_: Image.Image) -> bytes:
    return b""


def _truncated(photo: Image.Image) -> bytes:
    whole = encode_jpeg(photo)
    return whole[: len(whole) * 2 // 5]


def _text(_: Image.Image) -> bytes:
    return b"<html><body>This photo is no longer available.</body></html>\n"


def _png_with_alpha(photo: Image.Image) -> bytes:
    corners = Image.new("L", photo.size)
    width, height = photo.size
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, width - 1, height - 1), 40, fill=255)
    photo = photo.copy()
    photo.putalpha(corners)
    stream = BytesIO()
    # 3 of 9: the usual 6 takes twice as long for a file a few percent smaller
    photo.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _cmyk(photo: Image.Image) -> bytes:
    return encode_jpeg(photo.convert("CMYK"))


def _grayscale(photo: Image.Image) -> bytes:
    return encode_jpeg(photo.convert("L"))


def _exif_rotated(photo: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURN_RIGHT
    stream = BytesIO()
    # stored turned to the left, so that the turn to the right shows it upright
    photo.transpose(Image.Transpose.ROTATE_90).save(stream, "JPEG", quality=85, exif=exif)
    return stream.getvalue()


def _very_small(photo: Image.Image) -> bytes:
    return encode_jpeg(photo.resize(TINY, Image.Resampling.BOX))


# Each takes the photo an honest upload would have held, and returns the file's bytes.
ODD_FILES: Final[dict[str, Encode]] = {
    "empty": _empty,
    "truncated": _truncated,
    "text": _text,
    "png_with_alpha": _png_with_alpha,
    "cmyk": _cmyk,
    "grayscale": _grayscale,
    "exif_rotated": _exif_rotated,
    "very_small": _very_small,
}
