"""Draws tools and the odds and ends of shed and attic."""

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import Pen, arc_points, ellipse_points, rounded_points

STEEL = (176, 182, 190)
DARK = (52, 52, 56)
CARDBOARD = (190, 150, 104)


def hammer(pen: Pen, look: Look) -> None:
    """A claw hammer lying upright: head on top, claw to the left."""
    grip = look.between("grip", 0.1, 0.4)
    handle = look.pick("handle", (look.wood, look.metal, shade(look.second, 0.9)))
    steel = look.pick("steel", (STEEL, (120, 126, 134), (88, 90, 96)))
    pen.poly([(-0.07, -0.6), (0.07, -0.6), (0.09, 0.9), (-0.09, 0.9)], handle)
    pen.blob(
        [
            (-0.1, grip),
            (0.1, grip),
            (0.13, 0.5),
            (0.12, 0.95),
            (0, 1.0),
            (-0.12, 0.95),
            (-0.13, 0.5),
        ],
        look.main,
    )
    for row in range(4):
        y = grip + 0.12 + row * 0.13
        pen.stroke([(-0.08, y), (0.08, y)], 0.018, shade(look.main, 0.65), edge=False)
    pen.blob(
        [
            (-0.12, -0.82),
            (-0.4, -0.8),
            (-0.72, -0.56),
            (-0.78, -0.36),
            (-0.5, -0.52),
            (-0.14, -0.52),
        ],
        steel,
    )
    pen.rect(-0.14, -0.86, 0.18, -0.48, shade(steel, 0.95), radius=0.03)
    pen.rect(0.16, -0.8, 0.36, -0.54, shade(steel, 0.86))
    pen.rect(0.34, -0.9, 0.6, -0.44, steel, radius=0.05)
    pen.glow(rounded_points(0.38, -0.85, 0.56, -0.78, 0.02), 0.5)
    pen.glow(rounded_points(-0.1, -0.82, 0.14, -0.77, 0.02), 0.4)


def saw(pen: Pen, look: Look) -> None:
    """A hand saw: toothed blade to the left, closed handle to the right."""
    tip = look.between("tip", 0.02, 0.16)
    blade = [(-1.05, -0.16), (0.5, -0.3), (0.5, 0.34), (-1.05, -0.14 + tip)]
    pen.poly(blade, STEEL)
    teeth = look.count("teeth", 18, 26)
    y_at_tip, y_at_heel = -0.14 + tip, 0.34
    for index in range(teeth):
        x = -1.05 + 1.55 * index / teeth
        step = 1.55 / teeth
        y = y_at_tip + (y_at_heel - y_at_tip) * index / teeth
        slope = (y_at_heel - y_at_tip) / teeth
        pen.poly([(x, y), (x + step, y + slope), (x + step * 0.7, y + 0.07)], STEEL, edge=False)
    pen.glow([(-0.95, -0.12), (0.46, -0.24), (0.46, -0.14), (-0.95, -0.07)], 0.45)
    pen.rect(-0.45, -0.08, 0.1, 0.04, look.second, edge=False)
    grip = look.main
    pen.blob(
        [
            (0.38, -0.3),
            (0.7, -0.42),
            (1.0, -0.36),
            (1.05, -0.1),
            (0.98, 0.4),
            (0.8, 0.56),
            (0.5, 0.42),
            (0.38, 0.2),
        ],
        grip,
    )
    pen.hole(rounded_points(0.6, -0.18, 0.82, 0.3, 0.1))
    for y in (-0.16, 0.2):
        pen.oval(0.48, y, 0.035, 0.035, (210, 180, 100))


def cordless_drill(pen: Pen, look: Look) -> None:
    """A cordless drill: bit to the left, battery at the foot of the grip."""
    body, rubber = look.main, DARK
    pen.stroke([(-1.05, -0.46), (-0.72, -0.46)], 0.05, STEEL)
    pen.poly([(-0.74, -0.54), (-0.48, -0.64), (-0.48, -0.28), (-0.74, -0.38)], rubber)
    pen.rect(-0.5, -0.66, -0.32, -0.26, shade(STEEL, 0.8), radius=0.03)
    lean = look.between("lean", 0.06, 0.2)
    pen.poly([(0.12, -0.3), (0.52, -0.3), (0.5 + lean, 0.62), (0.1 + lean, 0.62)], body)
    pen.poly([(0.16, -0.1), (0.36, -0.1), (0.36 + lean, 0.58), (0.14 + lean, 0.58)], rubber)
    pen.blob([(0.04, -0.2), (0.16, -0.22), (0.18, 0.06), (0.06, 0.04)], (188, 52, 46))
    pen.rect(-0.36, -0.74, 0.7, -0.2, body, radius=0.14)
    pen.rect(-0.34, -0.34, 0.1, -0.22, shade(body, 0.75), radius=0.04)
    pen.rect(0.5, -0.66, 0.7, -0.28, rubber, radius=0.08)
    for x in (0.2, 0.28, 0.36):
        pen.stroke([(x, -0.6), (x, -0.42)], 0.03, rubber, edge=False)
    pen.rect(-0.2, -0.62, 0.08, -0.46, look.second, radius=0.02)
    pen.glow(rounded_points(-0.28, -0.71, 0.48, -0.67, 0.02), 0.4)
    pen.rect(-0.16 + lean, 0.56, 0.66 + lean, 0.72, shade(body, 0.9), radius=0.04)
    pen.rect(-0.2 + lean, 0.7, 0.66 + lean, 0.96, rubber, radius=0.06)


def paint_tin(pen: Pen, look: Look) -> None:
    """A tin of paint: lid off, drips down its side, sometimes a brush across it."""
    paint, label = look.main, look.pick("label", ((236, 232, 222), look.second))
    pen.stroke(arc_points(0, -0.38, 0.72, 0.62, 180, 360), 0.035, look.metal)
    pen.drum(0, -0.4, 0.86, 0.68, 0.68, STEEL, lip=0.2, lid=(206, 210, 214))
    pen.oval(0, -0.4, 0.58, 0.11, shade(paint, 0.95))
    pen.poly(
        [
            (-0.68, -0.08),
            *arc_points(0, -0.02, 0.68, 0.14, 180, 0),
            *arc_points(0, 0.66, 0.68, 0.14, 0, 180),
        ],
        label,
    )
    pen.oval(0, 0.44, 0.24, 0.22, paint)
    for x in (-0.3, -0.06):
        pen.stroke([(x, 0.22), (x + 0.36, 0.22)], 0.03, shade(label, 0.55), edge=False)
    for index in range(look.count("drips", 2, 4)):
        x = look.between(f"drip {index}", -0.5, 0.5)
        low = look.between(f"length {index}", -0.1, 0.3)
        pen.stroke([(x, -0.3), (x, low)], 0.08, paint, edge=False)
    if look.chance("brush", 0.55):
        pen.stroke([(0.2, -0.5), (0.85, -0.86)], 0.09, look.wood)
        pen.poly([(0.24, -0.62), (0.36, -0.42), (0.06, -0.28), (-0.06, -0.46)], STEEL)
        pen.poly([(0.06, -0.28), (-0.06, -0.46), (-0.34, -0.3), (-0.22, -0.14)], paint)


def cardboard_box(pen: Pen, look: Look) -> None:
    """A cardboard box with coloured tape, open or shut."""
    high = look.between("height", -0.5, -0.15)
    pen.box(-0.86, high, 0.56, 0.92, CARDBOARD, depth=(0.36, 0.22))
    if look.chance("open", 0.5):
        inside = shade(CARDBOARD, 0.5)
        pen.poly([(-0.86, high), (-0.5, high - 0.22), (0.92, high - 0.22), (0.56, high)], inside)
        pen.poly(
            [(-0.86, high), (-0.5, high - 0.22), (-0.8, high - 0.5), (-1.12, high - 0.2)],
            shade(CARDBOARD, 1.1),
        )
        pen.poly(
            [(0.56, high), (0.92, high - 0.22), (1.14, high - 0.02), (0.8, high + 0.22)],
            shade(CARDBOARD, 0.95),
        )
        pen.poly(
            [(-0.86, high), (0.56, high), (0.46, high + 0.26), (-0.96, high + 0.26)],
            shade(CARDBOARD, 1.14),
        )
        pen.rect(-0.24, high + 0.28, -0.06, 0.92, look.main, edge=False)
    else:
        tape = [(-0.24, high), (-0.06, high), (0.3, high - 0.22), (0.12, high - 0.22)]
        pen.poly(tape, shade(look.main, 1.08), edge=False)
        pen.rect(-0.24, high, -0.06, high + 0.4, look.main, edge=False)
    if look.chance("label", 0.6):
        pen.rect(0.08, 0.36, 0.44, 0.64, (244, 242, 236))
        for y in (0.43, 0.5, 0.57):
            pen.stroke([(0.13, y), (0.38, y)], 0.02, (90, 90, 94), edge=False)
    else:
        for x in (0.2, 0.36):
            pen.stroke([(x, 0.7), (x, 0.42)], 0.035, DARK, edge=False)
            pen.poly([(x - 0.06, 0.46), (x, 0.36), (x + 0.06, 0.46)], DARK, edge=False)


def umbrella(pen: Pen, look: Look) -> None:
    """An open umbrella from the side with a crook handle."""
    panels, ferrule = look.count("panels", 5, 7), (66, 62, 60)
    pen.stroke([(0, -0.9), (0, -0.98)], 0.04, ferrule)
    pen.stroke([(0, -0.7), (0, 0.78)], 0.045, look.metal)
    crook = [(0, 0.66), (0, 0.84), (0.1, 0.96), (0.22, 0.92), (0.26, 0.78)]
    pen.stroke(crook, 0.085, look.wood, smooth=True)
    striped = look.chance("striped", 0.5)
    for index in range(panels):
        left, right = -1 + 2 * index / panels, -1 + 2 * (index + 1) / panels
        tone = (
            look.second if striped and index % 2 else shade(look.main, 1.12 - 0.3 * index / panels)
        )

        def rib(at: float) -> list[tuple[float, float]]:
            return [
                (at * bulge, -0.9 + drop)
                for bulge, drop in ((0.0, 0.0), (0.55, 0.1), (0.86, 0.34), (1.0, 0.72))
            ]

        middle = (left + right) / 2
        scallop = [(right, -0.18), (middle, -0.3), (left, -0.18)]
        pen.poly([*rib(left), *scallop[::-1], *rib(right)[::-1]], tone)
    pen.glow([(0, -0.86), (-0.5, -0.72), (-0.72, -0.46), (-0.5, -0.46)], 0.16)


def birdcage(pen: Pen, look: Look) -> None:
    """A domed wire cage with a perch."""
    wire, bars = look.main, look.count("bars", 7, 9)
    half = look.between("half", 0.5, 0.6)
    pen.ring(0, -0.92, 0.07, 0.07, 0.035, wire)
    pen.stroke([(0, -0.3), (0, -0.84)], 0.015, look.metal, edge=False)
    pen.stroke([(-0.2, 0.02), (0.2, 0.02)], 0.05, look.wood)
    for x in (-0.19, 0.19):
        pen.stroke([(x, 0.02), (0, -0.5)], 0.012, look.metal, edge=False)
    if look.chance("bird", 0.5):
        pen.blob([(-0.14, -0.12), (0, -0.24), (0.12, -0.06), (0.3, 0.2), (0.04, 0.06)], look.second)
        pen.oval(-0.1, -0.2, 0.09, 0.09, look.second)
        pen.poly([(-0.18, -0.22), (-0.27, -0.17), (-0.17, -0.15)], (230, 160, 60))
    for index in range(bars):
        x = -half + 2 * half * index / (bars - 1)
        knots = [(0.0, -0.84), (x * 0.55, -0.74), (x * 0.9, -0.48), (x, -0.2), (x, 0.8)]
        pen.stroke(knots, 0.022, wire, smooth=True, edge=False)
    for y in (-0.2, 0.3):
        pen.stroke(arc_points(0, y, half, 0.07, 180, 0), 0.03, wire, edge=False)
    pen.drum(0, 0.74, 0.9, half + 0.06, half + 0.04, mix(wire, DARK, 0.2), lip=0.14)
    pen.oval(0, 0.73, half, half * 0.1, (206, 186, 140))


def biscuit_tin(pen: Pen, look: Look) -> None:
    """A round lidded tin with a patterned lid."""
    tin, high = look.main, look.between("height", -0.1, 0.12)
    pen.drum(0, high, 0.66, 0.86, 0.84, tin, lip=0.34)
    pen.drum(0, high - 0.1, high + 0.08, 0.9, 0.9, shade(look.second, 1.0), lip=0.34)
    pen.oval(0, high - 0.1, 0.78, 0.27, shade(look.second, 0.94))
    petals = look.count("petals", 6, 9)
    for x, y in ellipse_points(0, high - 0.1, 0.42, 0.14)[:: max(1, 40 // petals)]:
        pen.oval(x, y, 0.15, 0.06, tin)
    pen.oval(0, high - 0.1, 0.16, 0.06, (232, 196, 92))
    spots = look.count("spots", 4, 6)
    for index in range(spots):
        x = -0.62 + 1.24 * index / (spots - 1)
        sag = 0.3 * (1 - x * x) ** 0.5
        pen.oval(x, high + 0.22 + sag + (0.64 - high) * 0.25, 0.09, 0.09, look.second)
