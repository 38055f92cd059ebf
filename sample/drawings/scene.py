"""Turns a drawn object into a casual photo: framing, ground, shadow, light and sensor noise."""

import math
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from sample.drawings.looks import Colour, Look
from sample.drawings.pen import Pen, View
from sample.drawings.surfaces import GROUNDS, TOPS, WALL_FACES, Painter, Pixels, texture

Draw = Callable[[Pen, Look], None]

OVERSAMPLING: Final = 3  # the object is drawn three times as large, for smooth edges
LIGHT_SHIFT: Final = 3  # pixels between the two copies whose difference shades rounded rims


class Pose(Enum):
    """The pose of an object; the value is its usual tilt in degrees."""

    STANDING = 1.6
    HANGING = 2.5
    LYING = 24.0


_PAINTERS: Final[dict[Pose, tuple[Painter, ...]]] = {
    Pose.STANDING: GROUNDS,
    Pose.HANGING: WALL_FACES,
    Pose.LYING: TOPS,
}


def _frame(rng: Random, pose: Pose, width: int, height: int) -> View:
    """Returns a view with the object near the middle of a width x height photo."""
    scale = min(width, height) * 0.44 * rng.uniform(0.8, 1.04) * OVERSAMPLING
    # walking around a flat drawing narrows it, and shows as a slight shear
    squeeze, shear = rng.uniform(0.9, 1.0), rng.uniform(-0.05, 0.05)
    tilt = math.radians(rng.uniform(-pose.value, pose.value))
    cos, sin = math.cos(tilt) * scale, math.sin(tilt) * scale
    x = width * OVERSAMPLING * (0.5 + rng.uniform(-0.07, 0.07))
    low = 0.53 if pose is Pose.STANDING else 0.5
    y = height * OVERSAMPLING * (low + rng.uniform(-0.03, 0.03))
    return (cos * squeeze, cos * shear - sin, x, sin * squeeze, sin * shear + cos, y)


def _moved(mask: Image.Image, dx: float, dy: float) -> Image.Image:
    return mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy))


def _shadow(mask: Image.Image, rng: Random, pose: Pose) -> Pixels:
    """Returns the light that reaches each background pixel: [height, width, 1], 0..1."""
    lean = rng.choice((-1, 1)) * rng.uniform(0.5, 1.3)
    depth = rng.uniform(0.3, 0.5)
    if pose is Pose.STANDING:
        left, _, right, base = mask.getbbox() or (0, 0, *mask.size)
        # the object's outline thrown backwards on the ground: a third as high, and leaning
        cast = mask.transform(
            mask.size, Image.Transform.AFFINE, (1, -lean, lean * base, 0, 3.2, -2.2 * base)
        )
        soft = np.asarray(cast.filter(ImageFilter.GaussianBlur(4)), dtype=np.float32)
        foot = mask.crop((left, max(0, base - 9), right, base)).getbbox() or (0, 0, 9, 9)
        middle, reach = left + (foot[0] + foot[2]) / 2, (foot[2] - foot[0]) / 2 + 6
        y, x = np.ogrid[: mask.height, : mask.width]
        away = ((x - middle) / reach) ** 2 + ((y - base + 2) / (4 + reach * 0.09)) ** 2
        contact = 190 * np.exp(-away * 1.3)
        dark = np.maximum(soft * 0.85, contact.astype(np.float32))
    else:
        drop = _moved(mask, -3 * lean, 4).filter(ImageFilter.GaussianBlur(4))
        dark = np.asarray(drop, dtype=np.float32)
    return np.asarray(1 - depth * dark[:, :, None] / 255, dtype=np.float32)


def _rounded(colour: Pixels, mask: Image.Image, toward: int) -> Pixels:
    """Lightens rims that face the light and darkens the others, as on a solid body."""
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(5)), dtype=np.float32) / 255
    shift = (LIGHT_SHIFT, LIGHT_SHIFT * toward)
    slope = np.roll(soft, (-shift[0], -shift[1]), (0, 1)) - np.roll(soft, shift, (0, 1))
    falling = np.linspace(1.07, 0.9, mask.height, dtype=np.float32)[:, None]
    return np.asarray(colour * (falling * (1 + 0.55 * slope))[:, :, None], dtype=np.float32)


def _light(rng: Random, width: int, height: int) -> Pixels:
    """Returns the light of the room and the white balance: factors [height, width, 3]."""
    corners = np.array([[rng.uniform(0.84, 1.12) for _ in range(2)] for _ in range(2)])
    wide = Image.fromarray(corners.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - rng.uniform(0.02, 0.12) * (x * x + y * y)
    warmth = rng.uniform(-0.05, 0.05)
    balance = np.array((1 + warmth, 1.0, 1 - warmth)) * rng.uniform(0.94, 1.06)
    factors = (np.asarray(wide) * vignette)[:, :, None] * balance
    return np.asarray(factors, dtype=np.float32)


def photograph(
    draw: Draw, look: Look, pose: Pose, view_seed: str, size: tuple[int, int]
) -> Image.Image:
    """Draws an RGB photo of `size` (width, height) of the object that `draw` and `look` describe.

    `view_seed` decides everything else: framing, background and light.
    """
    width, height = size
    rng = Random(view_seed)
    pen = Pen(width * OVERSAMPLING, height * OVERSAMPLING, _frame(rng, pose, width, height))
    draw(pen, look)
    mask = pen.mask.reduce(OVERSAMPLING)
    cover = np.asarray(mask, dtype=np.float32)[:, :, None] / 255
    colour = np.asarray(pen.colour.reduce(OVERSAMPLING), dtype=np.float32)
    red, green, blue = (float(part) for part in colour.sum((0, 1)) / max(1.0, float(cover.sum())))
    mean: Colour = (round(red), round(green), round(blue))

    ground = rng.choice(_PAINTERS[pose])(rng, width, height, mean)
    ground *= _shadow(mask, rng, pose)
    photo = ground * (1 - cover) + _rounded(colour, mask, rng.choice((-1, 1)))
    photo *= _light(rng, width, height)
    photo += texture(rng, "grain", width, height) * rng.uniform(1.5, 4)
    return Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8))
