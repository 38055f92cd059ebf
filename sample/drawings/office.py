"""Draws office furniture."""

from sample.drawings.looks import Look, shade
from sample.drawings.pen import Pen, Point, rounded_points

CASTOR = (48, 48, 52)
BLACK_PLASTIC = (62, 62, 68)


def swivel_chair(pen: Pen, look: Look) -> None:
    """An office chair: gas lift on a five-armed base with castors."""
    cloth, top = look.main, look.between("back", -0.98, -0.72)
    base = look.pick("base", (look.metal, BLACK_PLASTIC))
    feet: list[Point] = [(-0.6, 0.86), (-0.3, 0.96), (0.3, 0.96), (0.6, 0.86), (0.0, 0.8)]
    for x, y in feet:
        pen.oval(x, y, 0.075, 0.075, CASTOR)
        pen.stroke([(0, 0.68), (x, y - 0.05)], 0.07, base)
    pen.rect(-0.05, 0.3, 0.05, 0.72, look.metal)
    pen.rect(-0.09, 0.48, 0.09, 0.72, BLACK_PLASTIC)
    pen.rect(-0.06, -0.1, 0.06, 0.3, BLACK_PLASTIC)
    half = look.between("half", 0.4, 0.48)
    pen.rect(-half, top, half, -0.02, shade(cloth, 0.94), radius=look.between("round", 0.12, 0.3))
    if look.chance("mesh", 0.4):
        for row in range(5):
            y = top + 0.16 + row * 0.12
            pen.stroke([(-half + 0.1, y), (half - 0.1, y)], 0.02, shade(cloth, 0.7), edge=False)
    else:
        pen.glow(rounded_points(-half + 0.08, top + 0.07, half - 0.08, top + 0.16, 0.04), 0.2)
    pen.rect(-0.6, 0.14, 0.6, 0.38, cloth, radius=0.12)
    pen.glow(rounded_points(-0.5, 0.16, 0.5, 0.22, 0.03), 0.18)
    if look.chance("arms", 0.7):
        for side in (-1, 1):
            arm: list[Point] = [(side * 0.52, 0.3), (side * 0.72, 0.2), (side * 0.7, -0.12)]
            pen.stroke(arm, 0.05, BLACK_PLASTIC, smooth=True)
            pen.rect(side * 0.7 - 0.12, -0.2, side * 0.7 + 0.12, -0.1, BLACK_PLASTIC, radius=0.04)


def desk(pen: Pen, look: Look) -> None:
    """A writing desk with a drawer unit on one side."""
    top = look.main
    legs = look.pick("legs", (look.metal, BLACK_PLASTIC, look.wood))
    right_hand = look.chance("right-hand", 0.5)
    side = 1 if right_hand else -1
    pen.poly([(-0.84, -0.1), (0.84, -0.1), (0.84, 0.5), (-0.84, 0.5)], shade(top, 0.55))
    pen.hole([(-0.8, 0.26), (0.8, 0.26), (0.8, 0.52), (-0.8, 0.52)])
    for x in (-side * 0.98, -side * 0.74):
        low = 0.96 if abs(x) > 0.9 else 0.74
        pen.rect(x - 0.045, -0.06, x + 0.045, low, legs)
    left, right = (0.36, 1.02) if right_hand else (-1.02, -0.36)
    pen.rect(left, -0.06, right, 0.96, shade(top, 0.9))
    drawers = look.count("drawers", 2, 4)
    for index in range(drawers):
        y0 = -0.01 + index * 0.94 / drawers
        y1 = y0 + 0.94 / drawers - 0.03
        pen.rect(left + 0.04, y0, right - 0.04, y1, look.second if index == 0 else top)
        middle = (left + right) / 2
        pen.stroke(
            [(middle - 0.1, (y0 + y1) / 2), (middle + 0.1, (y0 + y1) / 2)], 0.035, look.metal
        )
    pen.poly([(-1.1, -0.12), (-0.92, -0.36), (0.92, -0.36), (1.1, -0.12)], shade(top, 1.14))
    pen.rect(-1.1, -0.13, 1.1, -0.03, top)
    if look.chance("desk lamp", 0.5):
        pen.oval(-side * 0.66, -0.24, 0.14, 0.045, CASTOR)
        arm: list[Point] = [(-side * 0.66, -0.26), (-side * 0.8, -0.62), (-side * 0.5, -0.86)]
        pen.stroke(arm, 0.04, look.metal)
        cone: list[Point] = [
            (-side * 0.54, -0.96),
            (-side * 0.4, -0.88),
            (-side * 0.26, -0.62),
            (-side * 0.56, -0.7),
        ]
        pen.poly(cone, look.second)
    else:
        pen.poly([(-0.26, -0.3), (0.2, -0.3), (0.24, -0.18), (-0.3, -0.18)], (244, 242, 236))


def filing_cabinet(pen: Pen, look: Look) -> None:
    """A metal cabinet of two to four drawers with label holders; one may stand open."""
    body, drawers = look.main, look.count("drawers", 2, 4)
    top = {2: -0.3, 3: -0.64, 4: -0.92}[drawers]
    pen.box(-0.58, top, 0.44, 0.96, body, depth=(0.24, 0.14))
    tall = (0.94 - top) / drawers
    opened = look.count("open drawer", 0, 2 * drawers)
    for index in range(drawers):
        y0, y1 = top + 0.03 + index * tall, top + (index + 1) * tall - 0.02
        shift = 0.0
        if index == opened:
            shift = -0.1
            pen.poly(
                [(-0.54, y0 + 0.03), (0.4, y0 + 0.03), (0.36, y0 + 0.16), (-0.66, y0 + 0.16)],
                (70, 66, 64),
            )
            for sheet in range(4):
                y = y0 + 0.02 + sheet * 0.03
                pen.rect(-0.54 - sheet * 0.02, y, 0.34 - sheet * 0.02, y + 0.12, (236, 226, 198))
            y0, y1 = y0 + 0.12, y1 + 0.06
        pen.rect(-0.54 + shift, y0, 0.4 + shift, y1, shade(body, 1.06), radius=0.02)
        middle = (y0 + y1) / 2
        pen.rect(-0.22 + shift, middle - 0.14, 0.08 + shift, middle - 0.03, (246, 244, 238))
        pen.stroke([(-0.2 + shift, middle + 0.07), (0.06 + shift, middle + 0.07)], 0.05, look.metal)
    pen.oval(0.32, top + 0.1, 0.03, 0.03, look.metal)
