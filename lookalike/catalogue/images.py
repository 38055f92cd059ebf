"""From a photo's bytes to upright RGB in sRGB; every safety limit on photos. Knows no model.

The embedder, training, thumbnails and contact sheets all see what is decoded here.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from lookalike.errors import ImageTooLargeError, InvalidImageError

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
if importlib.util.find_spec("pi_heif"):  # comes with the services, not with the command line
    import pi_heif

    pi_heif.register_heif_opener()
    FORMATS.append("HEIF")

# What cannot be made smaller before it is converted is held several times at its full size.
MAX_UNREDUCED_PIXELS = 16_000_000
_REDUCIBLE = {"L", "LA", "RGB", "RGBA", "CMYK"}
_ROWS = 256  # of wide greys, at a time: as floats they take 24 bytes a pixel
_SRGB = ImageCms.createProfile("sRGB")

# Pillow would warn, and refuse only at twice its own limit; `decode` compares the header's size
# with the configured limit before a pixel is read.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageLimits:
    """Largest photo accepted: encoded bytes, and decoded pixels (width × height).

    `settings` begins the names of the settings that change them, for a refusal to tell.
    """

    max_bytes: int = 12 << 20
    max_pixels: int = 64_000_000
    settings: str = ""

    def named(self, setting: str) -> str:
        """Returns what a refusal says of a setting, if there is one."""
        return f" ({self.settings}_{setting})" if self.settings else ""


def decode(data: bytes, limits: ImageLimits, *, fit: int = 0, reduce: bool = False) -> Image.Image:
    """Returns an upright RGB image in sRGB; transparent parts become white.

    Args:
        data: Encoded photo.
        limits: What is refused.
        fit: Side of the square that the photo will be made to fit: a JPEG is then decoded at the
            smallest fraction of its size that is not below that (a DCT-scaled decode costs a
            fraction of a full one); 0 for full size.
        reduce: Make other photos smaller too, to fit, before anything makes a copy of them.

    Raises:
        InvalidImageError: The bytes are no photo that can be decoded.
        ImageTooLargeError: A limit is exceeded.
    """
    if not data:
        raise InvalidImageError("image is empty (0 bytes)", field="image")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"image has {len(data):,} bytes; the limit is {limits.max_bytes:,}"
            + limits.named("MAX_IMAGE_BYTES"),
            field="image",
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image, limits)
            if fit:
                image.draft("RGB", fitted(image.size, fit))
            if reduce:
                _reduce(image, fit)
            return _to_rgb(_to_srgb(ImageOps.exif_transpose(image)))
    except (ImageTooLargeError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise InvalidImageError(
            f"image is not one of {', '.join(FORMATS)}; it begins with {data[:8].hex(' ')}",
            field="image",
        ) from None
    except Exception as error:  # a decoder fed hostile bytes may raise anything
        raise InvalidImageError(f"image cannot be decoded: {error}", field="image") from error


def thumbnail(data: bytes, limits: ImageLimits, side: int) -> Image.Image:
    """Returns a small copy of a photo, at most `side` pixels wide and high; raises as `decode`."""
    # Decoded twice as large, since the smallest steps of a JPEG and of `_reduce` are coarse.
    small = decode(data, limits, fit=2 * side, reduce=True)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return small


def fitted(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Returns width and height scaled to fit a square of `size` pixels."""
    scale = size / max(sides)
    width, height = (max(1, round(side * scale)) for side in sides)
    return width, height


def _check_pixels(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"image is {width}×{height} = {width * height:,} pixels; the limit is "
            f"{limits.max_pixels:,}{limits.named('MAX_IMAGE_PIXELS')}",
            field="image",
        )


def _reduce(image: Image.Image, side: int) -> None:
    """Makes a photo smaller in place, before what comes after makes copies of it."""
    # The one colour that stands for transparency in some would be mixed with others.
    if image.mode in _REDUCIBLE and "transparency" not in image.info:
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    elif image.width * image.height > MAX_UNREDUCED_PIXELS:
        raise ImageTooLargeError(
            f"image has {image.width * image.height:,} pixels of mode {image.mode}; "
            f"the limit of that is {MAX_UNREDUCED_PIXELS:,}",
            field="image",
        )


def _to_srgb(image: Image.Image) -> Image.Image:
    """Applies a colour profile, as a browser would: many phones' photos are in Display P3."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a damaged profile, or one of other colours than the photo's
    return converted or image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_bytes(grey: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """Scales 16-bit and wider greys; Pillow's own conversion would clip them at 255."""
    parts = range(0, len(grey), _ROWS)

    def floats(start: int) -> NDArray[np.float64]:
        return np.nan_to_num(grey[start : start + _ROWS].astype(np.float64))

    wide = mode.startswith("I;16") or any(floats(start).max(initial=0) > 255 for start in parts)
    top = 65535.0 if wide else 255.0
    scaled = np.empty(grey.shape, np.uint8)
    for start in parts:
        scaled[start : start + _ROWS] = floats(start).clip(0, top) * (255 / top)
    return scaled
