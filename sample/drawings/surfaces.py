"""Paints the background that an object stands on, lies on or hangs from.

Every painter returns float32 [height, width, 3] with values 0..255, and picks colours away from
`avoid`, the object's mean colour, so that the object stays visible.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from sample.drawings.looks import Colour

Pixels = npt.NDArray[np.float32]
Coordinates = npt.NDArray[np.floating[Any]]
Painter = Callable[[Random, int, int, Colour], Pixels]

TILE: Final = 768  # side of the shared noise tiles; photos take a window of one at random
CLEAR_DISTANCE: Final = 80.0  # RGB distance from which an object stands out from its ground

WALLS: Final[tuple[Colour, ...]] = (
    (222, 216, 204),
    (206, 212, 216),
    (188, 200, 190),
    (214, 196, 178),
    (172, 184, 200),
    (148, 156, 160),
    (120, 142, 138),
    (222, 206, 206),
    (96, 108, 124),
)
BOARDS: Final[tuple[Colour, ...]] = (
    (178, 134, 90),
    (206, 172, 130),
    (132, 92, 62),
    (164, 152, 138),
    (226, 214, 196),
    (96, 70, 54),
)
CLOTHS: Final[tuple[Colour, ...]] = (
    (196, 188, 174),
    (156, 152, 150),
    (112, 120, 134),
    (150, 120, 98),
    (90, 98, 92),
    (214, 206, 196),
    (104, 84, 92),
    (170, 178, 188),
)
GRASSES: Final[tuple[Colour, ...]] = ((98, 132, 66), (116, 146, 84), (84, 112, 62))
PAVINGS: Final[tuple[Colour, ...]] = ((166, 162, 156), (190, 180, 164), (128, 128, 130))
BRICKS: Final[tuple[Colour, ...]] = ((160, 92, 74), (186, 150, 116), (128, 112, 104))


def away_from(rng: Random, options: Sequence[Colour], avoid: Colour) -> Colour:
    """Returns a random option far enough from `avoid`, or else the farthest one."""

    def distance(option: Colour) -> float:
        return math.dist(option, avoid)

    clear = [option for option in options if distance(option) >= CLEAR_DISTANCE]
    return rng.choice(clear) if clear else max(options, key=distance)


@lru_cache(maxsize=3)
def _tile(kind: str) -> Pixels:
    """A TILE x TILE texture with mean 0 and deviation 1: grain, blotches or streaks (along x)."""
    # a fixed seed: photos differ by the window that they take of the tile
    noise = np.random.default_rng(1)
    if kind == "blotches":
        coarse = noise.standard_normal((28, 28)).astype(np.float32)
        smooth = Image.fromarray(coarse).resize((TILE, TILE), Image.Resampling.BICUBIC)
        texture = np.asarray(smooth, dtype=np.float32)
    elif kind == "streaks":
        span = 48
        sums = np.cumsum(noise.standard_normal((TILE, TILE + span)), axis=1)
        texture = (sums[:, span:] - sums[:, :-span]).astype(np.float32)
    else:
        texture = noise.standard_normal((TILE, TILE)).astype(np.float32)
    return np.asarray((texture - texture.mean()) / texture.std(), dtype=np.float32)


def texture(rng: Random, kind: str, width: int, height: int) -> Pixels:
    """A random [height, width, 1] window of a texture with mean 0 and deviation about 1.

    Raises ValueError if the window is larger than the tile.
    """
    if max(width, height) > TILE:
        raise ValueError(f"a texture of {width}x{height} is asked for; the limit is {TILE}")
    left, top = rng.randint(0, TILE - width), rng.randint(0, TILE - height)
    return _tile(kind)[top : top + height, left : left + width, None]


def _flat(colour: Colour, width: int, height: int) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.float32)


def _grid(width: int, height: int) -> tuple[Pixels, Pixels]:
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    return x, y


def _plank_tones(rng: Random, along: Coordinates, across: Coordinates) -> Pixels:
    """Brightness factors [h, w, 1] of boards: one tone each, dark gaps between them.

    `along` and `across` are board coordinates; a board is 1 wide and about 4 long.
    """
    tones = np.array([rng.uniform(0.9, 1.08) for _ in range(31)], dtype=np.float32)
    board = np.floor(across)
    # every board's joints lie elsewhere, as on a real floor
    length = along / 4 + board * 0.37
    piece = (board * 7 + np.floor(length) * 3).astype(np.int64) % 31
    gap = (across - board < 0.045) | (length - np.floor(length) < 0.012)
    return np.asarray(np.where(gap, 0.66, tones[piece])[:, :, None], dtype=np.float32)


def plain_wall(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Painted plaster."""
    wall = _flat(away_from(rng, WALLS, avoid), width, height)
    return wall + texture(rng, "blotches", width, height) * 3


def brick_wall(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Bricks in stretcher bond."""
    x, y = _grid(width, height)
    tall = height / rng.uniform(11, 15)
    row = np.floor(y / tall)
    column = x / (tall * 2.6) + (row % 2) * 0.5
    tones = np.array([rng.uniform(0.88, 1.1) for _ in range(29)], dtype=np.float32)
    tone = tones[(row * 11 + np.floor(column) * 5).astype(np.int64) % 29]
    mortar = (y / tall - row < 0.13) | (column - np.floor(column) < 0.05)
    colour = _flat(away_from(rng, BRICKS, avoid), width, height) * tone[:, :, None]
    colour = np.where(mortar[:, :, None], np.float32(190), colour)
    return np.asarray(colour + texture(rng, "grain", width, height) * 5, dtype=np.float32)


def fence(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Upright wooden boards."""
    x, y = _grid(width, height)
    boards = x / (width / rng.uniform(7, 11)) + y * 0
    each = np.array([rng.uniform(0.9, 1.08) for _ in range(12)], dtype=np.float32)
    gap = boards - np.floor(boards) < 0.06
    tones = np.where(gap, 0.6, each[np.floor(boards).astype(np.int64)])
    colour = _flat(away_from(rng, BOARDS, avoid), width, height) * tones[:, :, None]
    streaks = texture(rng, "streaks", height, width).transpose(1, 0, 2)
    return np.asarray(colour + streaks * 5, dtype=np.float32)


def carpet(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Short pile."""
    pile = _flat(away_from(rng, CLOTHS, avoid), width, height)
    pile += texture(rng, "grain", width, height) * rng.uniform(5, 10)
    return pile + texture(rng, "blotches", width, height) * 4


def grass(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """A lawn."""
    lawn = _flat(away_from(rng, GRASSES, avoid), width, height)
    blades = texture(rng, "streaks", height, width).transpose(1, 0, 2)
    lawn += blades * 7 + texture(rng, "grain", width, height) * 11
    return lawn + texture(rng, "blotches", width, height) * np.array((9, 7, 4), dtype=np.float32)


def floorboards(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Boards seen from straight above, at an angle."""
    x, y = _grid(width, height)
    turn, wide = rng.uniform(-0.5, 0.5), width / rng.uniform(4, 7)
    across, along = (y + x * turn) / wide + 50, (x - y * turn) / wide + 50
    colour = _flat(away_from(rng, BOARDS, avoid), width, height)
    colour *= _plank_tones(rng, along, across)
    return colour + texture(rng, "streaks", width, height) * 4


def bedsheet(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Cloth with soft folds."""
    cloth = _flat(away_from(rng, (*WALLS, *CLOTHS), avoid), width, height)
    x, y = _grid(width, height)
    bend = texture(rng, "blotches", width, height)
    slope = rng.uniform(-1, 1)
    folds = np.sin((x * slope + y)[:, :, None] / rng.uniform(16, 30) + bend * 0.5)
    return np.asarray(cloth * (1 + 0.05 * folds) + bend * 2, dtype=np.float32)


def paving(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Concrete, with specks."""
    stone = _flat(away_from(rng, PAVINGS, avoid), width, height)
    stone += texture(rng, "grain", width, height) * 7
    return stone + texture(rng, "blotches", width, height) * 6


def table_top(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Polished wood with a long grain."""
    wood = _flat(away_from(rng, BOARDS, avoid), width, height)
    wood += texture(rng, "streaks", width, height) * 6
    return wood + texture(rng, "blotches", width, height) * 4


def receding_boards(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Floorboards running away from the camera; the first row is the far end."""
    x, y = _grid(width, height)
    near = (y + height * 0.55) / (height * 1.55)  # 0.35 at the far end, 1 at the camera
    across = (x - width * rng.uniform(0.2, 0.8)) / near / (width / rng.uniform(5, 8)) + 50
    colour = _flat(away_from(rng, BOARDS, avoid), width, height)
    colour *= _plank_tones(rng, 6 / near + x * 0, across)
    return colour + texture(rng, "streaks", width, height) * 3


def receding_tiles(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """Kitchen tiles running away from the camera."""
    x, y = _grid(width, height)
    near = (y + height * 0.55) / (height * 1.55)
    size = rng.uniform(3.5, 5.5)
    across = (x - width / 2) / near / (width / size) + 50
    along = size * 1.3 / near + x * 0
    joint = (across - np.floor(across) < 0.04) | (along - np.floor(along) < 0.05)
    dark = (np.floor(across) + np.floor(along)) % 2 * (0.16 if rng.random() < 0.4 else 0.02)
    colour = _flat(away_from(rng, (*PAVINGS, *WALLS), avoid), width, height)
    tones = np.where(joint, 0.8, 1 - dark)[:, :, None].astype(np.float32)
    return np.asarray(colour * tones, dtype=np.float32)


def _room(upper: Sequence[Painter], lower: Sequence[Painter], skirting: float) -> Painter:
    """A ground that meets a wall; `skirting` is the share of rooms with a skirting board."""

    def paint(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
        horizon = round(height * rng.uniform(0.5, 0.72))
        wall = rng.choice(upper)(rng, width, height, avoid)
        wall[horizon:] = rng.choice(lower)(rng, width, height - horizon, avoid)
        if rng.random() < skirting:
            tall = max(4, round(height * rng.uniform(0.035, 0.06)))
            wall[horizon - tall : horizon] = (228, 225, 218)
            wall[horizon - tall] = (188, 184, 178)
        # the wall throws a soft shade on the ground where they meet
        reach = min(height - horizon, 16)
        fade = np.linspace(0.74, 1, reach, dtype=np.float32)[:, None, None]
        wall[horizon : horizon + reach] *= fade
        return wall

    return paint


def sweep(rng: Random, width: int, height: int, avoid: Colour) -> Pixels:
    """A sheet or paper that bends from wall to ground without an edge."""
    paper = _flat(away_from(rng, WALLS, avoid), width, height)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    return np.asarray(paper * (1.02 - 0.14 * np.exp(-6 * (y - 0.1) ** 2)), dtype=np.float32)


GROUNDS: Final[tuple[Painter, ...]] = (
    _room((plain_wall,), (receding_boards, receding_tiles, carpet), 0.75),
    _room((plain_wall,), (receding_boards, carpet), 0.75),
    _room((plain_wall, brick_wall), (table_top,), 0.0),
    _room((fence, brick_wall), (grass, paving), 0.0),
    *(sweep,) * 5,
)
WALL_FACES: Final[tuple[Painter, ...]] = (*(plain_wall,) * 6, brick_wall, fence)
# Half of the backgrounds are quiet: a network trained from scratch has a minute to learn to tell
# objects from their surroundings.
TOPS: Final[tuple[Painter, ...]] = (floorboards, grass, paving, table_top, *(bedsheet, carpet) * 3)
