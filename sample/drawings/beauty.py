"""Draws what stands on a dressing table."""

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import Pen, Point, ellipse_points, rounded_points

GOLD = (208, 178, 104)
BRISTLE = (44, 42, 46)


def perfume_bottle(pen: Pen, look: Look) -> None:
    """A glass flacon with a spray cap: square, round or tall."""
    shape = look.pick("shape", ("square", "round", "tall"))
    liquid, glass = look.main, mix(look.main, (244, 248, 250), 0.62)
    cap = look.pick("cap", (GOLD, look.metal, shade(look.second, 0.95)))
    half, top = {"square": (0.66, -0.2), "round": (0.72, -0.3), "tall": (0.44, -0.4)}[shape]
    pen.rect(-0.14, top - 0.2, 0.14, top + 0.06, GOLD)
    pen.drum(0, top - 0.56, top - 0.14, 0.24, 0.24, cap, lip=0.12)
    if shape == "round":
        pen.oval(0, 0.32, half, 0.66, glass)
        pen.oval(0, 0.36, half * 0.84, 0.54, liquid, edge=False)
        pen.rect(-0.62, 0.02, 0.62, 0.16, glass, edge=False)
    else:
        pen.rect(-half, top, half, 0.96, glass, radius=0.12)
        level = top + look.between("level", 0.18, 0.4)
        pen.rect(-half + 0.09, level, half - 0.09, 0.86, liquid, radius=0.06, edge=False)
    pen.glow(rounded_points(-half * 0.72, 0.1, -half * 0.54, 0.7, 0.06), 0.5)
    pen.dusk(rounded_points(half * 0.6, 0.1, half * 0.74, 0.7, 0.06), 0.12)
    pen.rect(-0.28, 0.3, 0.28, 0.62, (248, 244, 234), radius=0.02)
    pen.stroke([(-0.16, 0.41), (0.16, 0.41)], 0.03, (70, 64, 60), edge=False)
    pen.stroke([(-0.1, 0.51), (0.1, 0.51)], 0.018, (120, 112, 104), edge=False)


def lipstick(pen: Pen, look: Look) -> None:
    """An open lipstick, its cap standing or lying beside it."""
    case, wax = look.pick("case", (GOLD, look.metal, look.second)), look.main
    pen.drum(-0.2, 0.2, 0.9, 0.3, 0.3, shade(case, 0.8), lip=0.14)
    pen.drum(-0.2, -0.12, 0.22, 0.25, 0.25, GOLD if case != GOLD else look.metal, lip=0.14)
    tip = look.between("tip", -0.98, -0.8)
    bullet: list[Point] = [(-0.4, -0.12), (-0.4, tip + 0.36), (-0.3, tip + 0.14), (-0.08, tip)]
    bullet += [(0.0, tip + 0.1), (0.0, -0.12)]
    pen.poly(bullet, wax)
    pen.poly(
        [(-0.4, tip + 0.36), (-0.3, tip + 0.14), (-0.08, tip), (-0.2, tip + 0.3)],
        shade(wax, 1.2),
        edge=False,
    )
    pen.glow([(-0.36, tip + 0.42), (-0.3, tip + 0.42), (-0.3, -0.14), (-0.36, -0.14)], 0.3)
    if look.chance("cap stands", 0.6):
        pen.drum(0.52, 0.1, 0.92, 0.3, 0.3, case, lip=0.14)
    else:
        pen.rect(0.2, 0.56, 1.0, 0.96, case, radius=0.08)
        pen.glow(rounded_points(0.28, 0.62, 0.92, 0.69, 0.03), 0.4)
        pen.oval(0.24, 0.76, 0.08, 0.2, shade(case, 0.5))


def hairdryer(pen: Pen, look: Look) -> None:
    """A hairdryer: nozzle to the left, cable from the grip."""
    body = look.main
    cable: list[Point] = [(0.34, 0.86), (0.5, 0.98), (0.82, 0.9), (0.96, 0.62)]
    pen.stroke(cable, 0.05, BRISTLE, smooth=True)
    lean = look.between("lean", 0.02, 0.16)
    pen.poly(
        [(0.1, -0.1), (0.46, -0.1), (0.42 + lean, 0.84), (0.2 + lean, 0.88)], shade(body, 0.88)
    )
    pen.rect(0.22 + lean * 0.5, 0.2, 0.34 + lean * 0.5, 0.42, look.second, radius=0.04)
    pen.poly([(-0.44, -0.66), (-0.98, -0.56), (-0.98, -0.2), (-0.44, -0.08)], BRISTLE)
    pen.blob(
        [
            (-0.5, -0.68),
            (0.1, -0.8),
            (0.6, -0.72),
            (0.84, -0.38),
            (0.6, -0.02),
            (0.1, 0.06),
            (-0.5, -0.06),
        ],
        body,
    )
    pen.oval(0.68, -0.37, 0.16, 0.28, shade(body, 0.6))
    for x in (-0.06, 0.0, 0.06):
        pen.stroke([(0.68 + x, -0.55), (0.68 + x, -0.2)], 0.02, BRISTLE, edge=False)
    pen.stroke([(-0.36, -0.68), (-0.36, -0.06)], 0.05, look.second)
    pen.glow(ellipse_points(0.06, -0.62, 0.42, 0.06, -4), 0.4)


def hairbrush(pen: Pen, look: Look) -> None:
    """A paddle brush, bristles up."""
    back, rx = look.main, look.between("rx", 0.4, 0.5)
    handle: list[Point] = [(-0.13, 0.1), (0.13, 0.1), (0.1, 0.5), (0.13, 0.96), (0, 1.04)]
    pen.blob([*handle, (-0.13, 0.96), (-0.1, 0.5)], back)
    pen.oval(0, 0.93, 0.035, 0.035, shade(back, 0.5))
    pen.blob(
        [
            (-0.14, 0.24),
            (-rx, -0.1),
            (-rx, -0.72),
            (0, -1.0),
            (rx, -0.72),
            (rx, -0.1),
            (0.14, 0.24),
        ],
        back,
    )
    pen.oval(0, -0.4, rx * 0.84, 0.48, look.second)
    for row in range(7):
        for column in range(-3, 4):
            x = column * rx * 0.22 + (row % 2) * rx * 0.11
            y = -0.76 + row * 0.12
            if (x / (rx * 0.74)) ** 2 + ((y + 0.4) / 0.42) ** 2 < 1:
                pen.stroke([(x, y), (x + 0.012, y - 0.06)], 0.014, BRISTLE, edge=False)
                pen.oval(x + 0.012, y - 0.065, 0.018, 0.018, GOLD, edge=False)
