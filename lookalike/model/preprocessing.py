"""From a photo's bytes to the network's pixels, for serving and training alike.

Every safety limit on photos is here. Knows nothing of models or requests.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pi_heif import register_heif_opener
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from lookalike.errors import ImageTooLargeError, InvalidImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF")

register_heif_opener()

_SRGB = ImageCms.createProfile("sRGB")

# Pillow would warn, and refuse only at twice its own limit; `decode` compares the header's size
# with the configured limit before a pixel is read.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageLimits:
    """Largest photo accepted: encoded bytes, and decoded pixels (width × height)."""

    max_bytes: int = 12 << 20
    max_pixels: int = 64_000_000


def preprocess(data: bytes, size: int, limits: ImageLimits) -> NDArray[np.uint8]:
    """Returns a photo as the network takes it.

    Args:
        data: Encoded photo.
        size: Side of the square, in pixels.
        limits: What is refused.

    Returns:
        uint8 of shape (size, size, 3), RGB, letterboxed on black.

    Raises:
        InvalidImageError: The bytes are no photo that can be decoded.
        ImageTooLargeError: A limit is exceeded.
    """
    return np.asarray(letterbox(decode(data, limits, fit=size), size))


def decode(data: bytes, limits: ImageLimits, *, fit: int = 0) -> Image.Image:
    """Returns an upright RGB image; transparent parts become white.

    Args:
        data: Encoded photo.
        limits: What is refused.
        fit: Side of the square that the photo will be letterboxed to: a JPEG is then decoded at the
            smallest fraction of its size that is not below that (a DCT-scaled decode costs a
            fraction of a full one); 0 for full size.
    """
    if not data:
        raise InvalidImageError("image is empty (0 bytes)", field="image")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"image has {len(data):,} bytes; the limit is {limits.max_bytes:,} "
            "(LOOKALIKE_EMBEDDER_MAX_IMAGE_BYTES)",
            field="image",
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image, limits)
            if fit:
                image.draft("RGB", _fitted(image.size, fit))
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


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """Returns the image scaled to fit a square of `size` pixels, centred on black."""
    if image.size == (size, size):
        return image
    width, height = _fitted(image.size, size)
    resized = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    square = Image.new("RGB", (size, size))
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return square


def _fitted(sides: tuple[int, int], size: int) -> tuple[int, int]:
    scale = size / max(sides)
    width, height = (max(1, round(side * scale)) for side in sides)
    return width, height


def _check_pixels(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"image is {width}×{height} = {width * height:,} pixels; the limit is "
            f"{limits.max_pixels:,} (LOOKALIKE_EMBEDDER_MAX_IMAGE_PIXELS)",
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
        # 16-bit and wider greys: Pillow's own conversion would clip at 255 instead of scaling.
        grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
        wide = image.mode.startswith("I;16") or grey.max(initial=0) > 255
        top = 65535.0 if wide else 255.0
        return Image.fromarray((grey.clip(0, top) * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
