"""Draws photos of marketplace objects, so that demo and tests need no download.

This module lists the kinds of objects; the modules beside it draw them.
"""

from dataclasses import dataclass
from typing import Final

from PIL import Image

from sample.drawings import (
    beauty,
    consoles,
    electronics,
    family,
    household,
    leisure,
    office,
    workshop,
)
from sample.drawings.looks import Look, make_look
from sample.drawings.scene import Draw, Pose, photograph

__all__ = ["KINDS", "Kind", "Look", "draw_photo", "kinds_of", "make_look"]


@dataclass(frozen=True)
class Kind:
    """A kind of object: its root category, its pose and its drawing function."""

    name: str
    category: str
    pose: Pose
    draw: Draw


_HOME: Final = "Home & Garden"
_BABY: Final = "Baby & Kids Stuff"
_DIY: Final = "DIY Tools & Materials"
_MUSIC: Final = "Music, Films, Books & Games"
_PHONES: Final = "Phones, Mobile Phones & Telecoms"
_CLOTHES: Final = "Clothes, Footwear & Accessories"
_OTHER: Final = "Other Goods"
_BEAUTY: Final = "Health & Beauty"
_SPORTS: Final = "Sports, Leisure & Travel"
_APPLIANCES: Final = "Appliances"
_COMPUTERS: Final = "Computers & Software"
_OFFICE: Final = "Office Furniture & Equipment"
_GAMES: Final = "Video Games & Consoles"

KINDS: Final[tuple[Kind, ...]] = (
    Kind("armchair", _HOME, Pose.STANDING, household.armchair),
    Kind("potted plant", _HOME, Pose.STANDING, household.potted_plant),
    Kind("table lamp", _HOME, Pose.STANDING, household.table_lamp),
    Kind("mirror", _HOME, Pose.HANGING, household.mirror),
    Kind("pram", _BABY, Pose.STANDING, family.pram),
    Kind("teddy bear", _BABY, Pose.STANDING, family.teddy_bear),
    Kind("building blocks", _BABY, Pose.STANDING, family.building_blocks),
    Kind("cot", _BABY, Pose.STANDING, family.cot),
    Kind("hammer", _DIY, Pose.LYING, workshop.hammer),
    Kind("saw", _DIY, Pose.LYING, workshop.saw),
    Kind("cordless drill", _DIY, Pose.STANDING, workshop.cordless_drill),
    Kind("paint tin", _DIY, Pose.STANDING, workshop.paint_tin),
    Kind("book stack", _MUSIC, Pose.STANDING, leisure.book_stack),
    Kind("guitar", _MUSIC, Pose.STANDING, leisure.guitar),
    Kind("vinyl record", _MUSIC, Pose.LYING, leisure.vinyl_record),
    Kind("smartphone", _PHONES, Pose.LYING, electronics.smartphone),
    Kind("keypad phone", _PHONES, Pose.LYING, electronics.keypad_phone),
    Kind("desk telephone", _PHONES, Pose.STANDING, electronics.desk_telephone),
    Kind("t-shirt", _CLOTHES, Pose.LYING, family.t_shirt),
    Kind("shoe", _CLOTHES, Pose.STANDING, family.shoe),
    Kind("handbag", _CLOTHES, Pose.STANDING, family.handbag),
    Kind("dress", _CLOTHES, Pose.HANGING, family.dress),
    Kind("cardboard box", _OTHER, Pose.STANDING, workshop.cardboard_box),
    Kind("umbrella", _OTHER, Pose.STANDING, workshop.umbrella),
    Kind("birdcage", _OTHER, Pose.STANDING, workshop.birdcage),
    Kind("biscuit tin", _OTHER, Pose.STANDING, workshop.biscuit_tin),
    Kind("perfume bottle", _BEAUTY, Pose.STANDING, beauty.perfume_bottle),
    Kind("lipstick", _BEAUTY, Pose.STANDING, beauty.lipstick),
    Kind("hairdryer", _BEAUTY, Pose.LYING, beauty.hairdryer),
    Kind("hairbrush", _BEAUTY, Pose.LYING, beauty.hairbrush),
    Kind("bicycle", _SPORTS, Pose.STANDING, leisure.bicycle),
    Kind("football", _SPORTS, Pose.STANDING, leisure.football),
    Kind("dumbbell", _SPORTS, Pose.LYING, leisure.dumbbell),
    Kind("tennis racket", _SPORTS, Pose.LYING, leisure.tennis_racket),
    Kind("washing machine", _APPLIANCES, Pose.STANDING, household.washing_machine),
    Kind("kettle", _APPLIANCES, Pose.STANDING, household.kettle),
    Kind("fridge", _APPLIANCES, Pose.STANDING, household.fridge),
    Kind("toaster", _APPLIANCES, Pose.STANDING, household.toaster),
    Kind("laptop", _COMPUTERS, Pose.STANDING, electronics.laptop),
    Kind("monitor", _COMPUTERS, Pose.STANDING, electronics.monitor),
    Kind("keyboard and mouse", _COMPUTERS, Pose.LYING, electronics.keyboard_and_mouse),
    Kind("swivel chair", _OFFICE, Pose.STANDING, office.swivel_chair),
    Kind("desk", _OFFICE, Pose.STANDING, office.desk),
    Kind("filing cabinet", _OFFICE, Pose.STANDING, office.filing_cabinet),
    Kind("gamepad", _GAMES, Pose.LYING, consoles.gamepad),
    Kind("handheld console", _GAMES, Pose.LYING, consoles.handheld_console),
    Kind("game console", _GAMES, Pose.LYING, consoles.game_console),
)


def kinds_of(category: str) -> tuple[Kind, ...]:
    """Returns the kinds of a root category; KeyError if there are none."""
    kinds = tuple(kind for kind in KINDS if kind.category == category)
    if not kinds:
        raise KeyError(category)
    return kinds


def draw_photo(kind: Kind, look: Look, view_seed: str, size: tuple[int, int]) -> Image.Image:
    """Draws an RGB photo of `size` (width, height) pixels; deterministic in its arguments.

    `look` decides the object, `view_seed` its framing, background and light: two photos of one
    listing share the look and differ in the view.
    """
    return photograph(kind.draw, look, kind.pose, view_seed, size)
