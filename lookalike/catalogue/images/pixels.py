"""From a decoder's pixels to upright RGB in sRGB, a strip at a time: whole copies cost memory."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_STRIP_PIXELS = 1 << 18
_SRGB = ImageCms.createProfile("sRGB")
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of a profile, the modes whose colours it describes.
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def upright_rgb(
    image: Image.Image, *, orientation: int, profile: bytes, fit: int = 0
) -> Image.Image:
    """Returns a decoded photo upright, as RGB in sRGB, transparent parts white.

    Args:
        image: The decoder's picture.
        orientation: EXIF's.
        profile: ICC profile of its colours; empty for sRGB.
        fit: Side of the square that it will be made to fit; what has to be converted or turned is
            made smaller, by whole numbers, to no less than twice that. 0 for full size.
    """
    colours = _Colours(profile)
    if image.mode == "RGB" and not colours.differ and not image.has_transparency_data:
        if orientation == 1:
            return image
        across, down = factors(image.size, fit)
        rgb = image if across == down == 1 else image.reduce((across, down))
    else:
        rgb = _converted(image, colours, factors(image.size, fit))
    return rgb.transpose(_TURNED[orientation]) if orientation in _TURNED else rgb


def fitted(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Returns width and height scaled to fit a square of `size` pixels."""
    scale = size / max(sides)
    width, height = (max(1, round(side * scale)) for side in sides)
    return width, height


def factors(sides: tuple[int, int], fit: int) -> tuple[int, int]:
    """Returns by what width and height may be divided to stay twice as large as they must be."""
    if not fit:
        return 1, 1
    across, down = (
        side // (2 * least) or 1 for side, least in zip(sides, fitted(sides, fit), strict=True)
    )
    return across, down


class _Colours:
    """Converts opaque pixels to sRGB, as a browser would: many phones' are in Display P3."""

    def __init__(self, profile: bytes) -> None:
        self._mode, self._transform = "", None
        if not profile:
            return
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = _SPACES.get(source.profile.xcolor_space, "")
            if mode and "sRGB" not in ImageCms.getProfileDescription(source):
                self._transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB")
                self._mode = mode
        except (ImageCms.PyCMSError, OSError, ValueError):
            return  # a damaged profile

    @property
    def differ(self) -> bool:
        """Whether any pixel is changed."""
        return self._transform is not None

    def __call__(self, pixels: Image.Image) -> Image.Image:
        """Returns the pixels as RGB; those of other colours than the profile's as they are."""
        if self._transform is not None and pixels.mode == self._mode:
            converted = ImageCms.applyTransform(pixels, self._transform)
            assert converted is not None
            return converted
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")


def _converted(image: Image.Image, colours: _Colours, smaller: tuple[int, int]) -> Image.Image:
    across, down = smaller
    width, height = image.size
    top = _most(image) if _is_wide(image) else 0.0
    result = Image.new("RGB", (-(-width // across), -(-height // down)))
    for strip, row in _strips(image, down):
        rgb = _opaque(Image.fromarray(_to_bytes(np.asarray(strip), top)) if top else strip, colours)
        result.paste(rgb if across == down == 1 else rgb.reduce(smaller), (0, row // down))
    return result


def _strips(image: Image.Image, multiple: int) -> Iterator[tuple[Image.Image, int]]:
    """Yields the picture in strips whose rows are a multiple, each with its first row."""
    rows = max(1, _STRIP_PIXELS // image.width // multiple) * multiple
    for row in range(0, image.height, rows):
        yield image.crop((0, row, image.width, min(row + rows, image.height))), row


def _opaque(strip: Image.Image, colours: _Colours) -> Image.Image:
    if not strip.has_transparency_data:
        grey = strip.mode == "1"
        known = strip.mode in ("L", "RGB", "CMYK")
        return colours(strip if known else strip.convert("L" if grey else "RGB"))
    rgba = strip.convert("RGBA")
    rgb = colours(strip.getchannel("L") if strip.mode == "LA" else rgba.convert("RGB"))
    rgb.putalpha(rgba.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), rgb).convert("RGB")


def _is_wide(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _most(image: Image.Image) -> float:
    """Returns the white of a wide grey: that of 16 bits if it has them or needs them, else 255."""
    wide = image.mode.startswith("I;16") or any(
        _floats(np.asarray(strip)).max(initial=0) > 255 for strip, _ in _strips(image, 1)
    )
    return 65535.0 if wide else 255.0


def _floats(grey: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.nan_to_num(grey.astype(np.float64))


def _to_bytes(grey: NDArray[np.generic], top: float) -> NDArray[np.uint8]:
    """Scales 16-bit and wider greys; Pillow's own conversion would clip them at 255."""
    return (_floats(grey).clip(0, top) * (255 / top)).astype(np.uint8)
