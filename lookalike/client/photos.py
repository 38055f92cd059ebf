"""Converts photos in all accepted forms to encoded bytes, without decoding any."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Photo: TypeAlias = (
    "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | NDArray[np.uint8] | Image"
)
"""Encoded bytes; a path, also as a str; a file opened for reading bytes; with Pillow installed, one
of its images or an array of height x width x 3 (RGB) of uint8."""

# The service decodes every mode by rules of its own (wide greys are scaled, profiles of CMYK are
# applied), so a mode is kept: in a PNG where that has it, or else in a TIFF.
_PNG_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"))
# No file holds these; nothing is lost.
_SIMPLER = {
    "HSV": "RGB",
    "La": "LA",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
}

PhotoOrPhotos: TypeAlias = "Photo | Sequence[Photo]"


def read_photo(photo: Photo) -> bytes:
    """Returns the encoded bytes of a photo.

    A file is read, and its OSError is raised unchanged. Pixels are encoded without loss, as
    PNG, or as TIFF where PNG lacks their mode: the vector is that of a file with these pixels.

    Raises:
        OSError: The file cannot be read.
        TypeError: It is not one of the types of `Photo`.
        ImportError: It needs Pillow, which is not installed.
    """
    match photo:
        case bytes():
            return photo
        case bytearray() | memoryview():
            return bytes(photo)
        case str() | os.PathLike():
            return Path(photo).read_bytes()
        case np.ndarray():
            return _encode(_from_pixels(photo))
    if hasattr(photo, "read"):
        content = photo.read()
        if isinstance(content, bytes):
            return content
        raise TypeError("a photo's file must be opened for reading bytes: open(path, 'rb')")
    # An image of Pillow's can only exist if Pillow is imported.
    if (pillow := sys.modules.get("PIL.Image")) and isinstance(photo, pillow.Image):
        return _encode(photo)
    raise TypeError(
        f"a photo is bytes, a path, a binary file, a Pillow image or an array of uint8, "
        f"not {type(photo).__name__}"
    )


def is_several(photo: PhotoOrPhotos | None) -> TypeGuard[Sequence[Photo]]:
    """Whether it is a list or tuple of photos, of any length, rather than one photo."""
    return isinstance(photo, list | tuple)


def read_photos(photo: PhotoOrPhotos) -> list[bytes]:
    """Returns the encoded bytes of each photo, or of the one."""
    if is_several(photo):
        return [read_photo(one) for one in photo]
    return [read_photo(cast("Photo", photo))]


def is_in_memory(photo: Photo) -> bool:
    """Whether `read_photo` needs no I/O."""
    return isinstance(photo, bytes | bytearray | memoryview)


def _from_pixels(pixels: NDArray[Any]) -> Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise TypeError(
            f"an array of {pixels.dtype} of shape {pixels.shape} is no photo; "
            "it must be uint8 of shape (height, width, 3), RGB"
        )
    try:
        from PIL import Image  # noqa: PLC0415 - not needed but here
    except ImportError:
        raise ImportError("a photo as an array needs Pillow: pip install pillow") from None
    return Image.fromarray(np.ascontiguousarray(pixels))


def _encode(image: Image) -> bytes:
    from PIL import Image, ImageOps, features  # noqa: PLC0415 - see above

    # As the service does with encoded photos; a PNG here would lose the orientation.
    image = ImageOps.exif_transpose(image)
    if image.mode == "I;16N":  # of the processor's byte order; Pillow would convert it to black
        mode = "I;16" if sys.byteorder == "little" else "I;16B"
        pixels, info = image.tobytes(), image.info
        image = Image.frombytes(mode, image.size, pixels)
        image.info = info
    if (simpler := _SIMPLER.get(image.mode)) is not None:
        image = image.convert(simpler)
    out = io.BytesIO()
    if image.mode in _PNG_MODES:
        image.save(out, "PNG", compress_level=1)
    else:
        compression = "tiff_adobe_deflate" if features.check("libtiff") else "raw"
        image.save(out, "TIFF", compression=compression)
    return out.getvalue()
