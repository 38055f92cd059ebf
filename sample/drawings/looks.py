"""The look of a drawn object: colours, proportions, details."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

Colour = tuple[int, int, int]
Option = TypeVar("Option")

# Every kind of object picks from this one palette, so that no colour betrays a category.
PALETTE: Final[dict[str, Colour]] = {
    "red": (188, 48, 46),
    "navy": (44, 58, 104),
    "light blue": (122, 170, 208),
    "green": (62, 124, 78),
    "teal": (38, 128, 128),
    "mustard": (210, 164, 56),
    "orange": (218, 116, 46),
    "pink": (224, 142, 164),
    "purple": (116, 78, 142),
    "cream": (232, 222, 194),
    "white": (236, 236, 232),
    "grey": (140, 143, 148),
    "black": (50, 50, 55),
    "brown": (124, 84, 56),
    "burgundy": (120, 36, 54),
    "sage": (152, 172, 142),
}
WOODS: Final[tuple[Colour, ...]] = ((186, 140, 92), (150, 104, 64), (212, 174, 128), (110, 74, 48))
METALS: Final[tuple[Colour, ...]] = ((178, 182, 188), (150, 154, 160), (196, 186, 150))


def shade(colour: Colour, factor: float) -> Colour:
    """Returns `colour` darker (factor below 1) or lighter (above 1), clipped to 0..255."""
    red, green, blue = (max(0, min(255, round(part * factor))) for part in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns `first` mixed with `share` (0..1) of `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def brightness(colour: Colour) -> float:
    """Returns the perceived brightness, 0..255 (ITU-R BT.601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


@dataclass(frozen=True)
class Look:
    """The appearance of one object, the same in each photo of it.

    A detail is derived from the seed *and its own name*, so that adding one to a drawing leaves the
    others unchanged.
    """

    seed: str
    main_name: str
    main: Colour
    second_name: str
    second: Colour
    wood: Colour
    metal: Colour

    def between(self, detail: str, low: float, high: float) -> float:
        """A number in `low`..`high`, fixed for this object and this detail."""
        return random.Random(f"{self.seed}/{detail}").uniform(low, high)

    def count(self, detail: str, low: int, high: int) -> int:
        """A whole number in `low`..`high` inclusive, fixed for this object and this detail."""
        return random.Random(f"{self.seed}/{detail}").randint(low, high)

    def pick(self, detail: str, options: Sequence[Option]) -> Option:
        """One of `options`, fixed for this object and this detail."""
        return random.Random(f"{self.seed}/{detail}").choice(options)

    def chance(self, detail: str, share: float) -> bool:
        """True for about `share` (0..1) of all objects, fixed for this one."""
        return random.Random(f"{self.seed}/{detail}").random() < share


def make_look(seed: str) -> Look:
    """Returns the look of a seed; its two colours differ clearly in brightness."""
    rng = random.Random(f"{seed}/colours")
    names = list(PALETTE)
    main_name = rng.choice(names)
    main = PALETTE[main_name]
    # 45 of 255: below that, a pattern in the second colour is hard to see in the first
    seconds = [name for name in names if abs(brightness(PALETTE[name]) - brightness(main)) > 45]
    second_name = rng.choice(seconds)
    return Look(
        seed=seed,
        main_name=main_name,
        main=shade(main, rng.uniform(0.93, 1.06)),
        second_name=second_name,
        second=shade(PALETTE[second_name], rng.uniform(0.93, 1.06)),
        wood=shade(rng.choice(WOODS), rng.uniform(0.92, 1.08)),
        metal=shade(rng.choice(METALS), rng.uniform(0.92, 1.08)),
    )
