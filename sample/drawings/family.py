"""Draws what a family wears and its children use."""

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import Pen, Point, arc_points, rounded_points

TYRE = (52, 52, 56)
LEATHER = (134, 90, 58)
SOLE = (238, 236, 228)


def pram(pen: Pen, look: Look) -> None:
    """A pram from the side: hood up, handle to the right, two big wheels."""
    body, radius = look.main, look.between("wheel", 0.25, 0.31)
    pen.stroke([(-0.42, 0.3), (0.42, 0.72)], 0.06, look.metal)
    pen.stroke([(0.42, 0.3), (-0.46, 0.72)], 0.06, look.metal)
    pen.stroke([(0.5, 0.1), (0.8, -0.5), (0.98, -0.52)], 0.06, look.metal)
    pen.stroke([(0.82, -0.52), (1.0, -0.52)], 0.1, (58, 52, 50))
    for x in (-0.5, 0.48):
        pen.oval(x, 0.98 - radius, radius, radius, TYRE)
        pen.oval(x, 0.98 - radius, radius * 0.74, radius * 0.74, (222, 222, 224))
        for turn in range(0, 180, 45):
            (ax, ay), (bx, by) = (
                arc_points(x, 0.98 - radius, radius * 0.7, radius * 0.7, turn + side, turn + side)[
                    0
                ]
                for side in (0, 180)
            )
            pen.stroke([(ax, ay), (bx, by)], 0.025, look.metal, edge=False)
        pen.oval(x, 0.98 - radius, 0.05, 0.05, look.second)
    # the basket is the lower half of an oval, the hood a quarter of a circle above its left
    pen.poly(arc_points(0, -0.05, 0.78, 0.52, 0, 180), body)
    pen.rect(-0.8, -0.12, 0.8, 0.02, shade(body, 0.85), radius=0.05)
    hood = arc_points(-0.06, -0.08, 0.74, 0.82, 180, look.between("hood", 280, 305))
    pen.poly([(-0.06, -0.08), *hood], shade(body, 1.1))
    for turn in (212, 242, 268):
        rib = arc_points(-0.06, -0.08, 0.74, 0.82, turn, turn)[0]
        pen.stroke([(-0.06, -0.08), rib], 0.015, shade(body, 0.7), edge=False)
    pen.stroke(hood[-4:], 0.05, look.second)
    if look.chance("blanket", 0.6):
        pen.blob([(0.02, -0.16), (0.4, -0.24), (0.72, -0.1), (0.66, 0.1), (0.1, 0.06)], look.second)


def teddy_bear(pen: Pen, look: Look) -> None:
    """A sitting bear with round ears, a muzzle and perhaps a bow."""
    fur = look.main
    pale, dark = mix(fur, (250, 236, 214), 0.55), mix(fur, (30, 24, 22), 0.8)
    plump = look.between("plump", 0.44, 0.54)
    for side in (-1, 1):
        pen.oval(side * 0.38, -0.84, 0.2, 0.2, fur)
        pen.oval(side * 0.38, -0.84, 0.11, 0.11, pale)
    pen.blob(
        [(0, -0.2), (plump, 0.2), (plump, 0.66), (0, 0.92), (-plump, 0.66), (-plump, 0.2)], fur
    )
    pen.oval(0, 0.4, plump * 0.62, 0.34, pale, edge=False)
    for side in (-1, 1):
        pen.oval(side * (plump + 0.06), 0.2, 0.15, 0.36, shade(fur, 0.95), turn=side * -28)
        pen.oval(side * 0.5, 0.78, 0.27, 0.22, shade(fur, 1.05))
        pen.oval(side * 0.52, 0.8, 0.16, 0.14, pale)
    pen.oval(0, -0.44, 0.52, 0.46, fur)
    pen.oval(0, -0.3, 0.24, 0.2, pale)
    pen.oval(0, -0.39, 0.08, 0.055, dark)
    pen.stroke([(-0.1, -0.24), (0, -0.2), (0.1, -0.24)], 0.022, dark, smooth=True, edge=False)
    for side in (-1, 1):
        pen.oval(side * 0.2, -0.53, 0.052, 0.06, (28, 24, 24))
        pen.oval(side * 0.2 - 0.015, -0.55, 0.018, 0.018, (250, 250, 250), edge=False)
        if look.chance("bow", 0.65):
            pen.poly([(0, 0), (side * 0.26, -0.12), (side * 0.26, 0.12)], look.second)
    if look.chance("bow", 0.65):
        pen.oval(0, 0, 0.07, 0.07, shade(look.second, 0.85))


def building_blocks(pen: Pen, look: Look) -> None:
    """Toy blocks stacked: cubes, an arch and a roof on top."""
    bright = ((206, 62, 54), (66, 116, 184), (232, 186, 62), (88, 152, 92), look.main, look.second)
    first = look.count("first colour", 0, 5)

    def tone(index: int) -> tuple[int, int, int]:
        return bright[(first + index) % len(bright)]

    for index, x in enumerate((-0.92, -0.3, 0.32)):
        pen.box(x, 0.42, x + 0.56, 0.98, tone(index), depth=(0.1, 0.08))
        pen.ring(x + 0.28, 0.7, 0.13, 0.13, 0.05, (250, 246, 234))
    if look.chance("arch", 0.5):
        pen.box(-0.62, -0.12, 0.62, 0.32, tone(3), depth=(0.1, 0.08))
        pen.poly([(-0.3, 0.32), *arc_points(0, 0.32, 0.3, 0.3, 180, 360)], (74, 62, 54))
    else:
        for index, x in enumerate((-0.62, 0.04)):
            pen.box(x, -0.2, x + 0.54, 0.32, tone(3 + index), depth=(0.1, 0.08))
            pen.poly([(x + 0.12, 0.2), (x + 0.27, -0.08), (x + 0.42, 0.2)], (250, 246, 234))
    top = -0.2
    if look.chance("tower", 0.5):
        pen.box(-0.26, -0.56, 0.26, -0.22, tone(5), depth=(0.1, 0.08))
        top = -0.62
    pen.poly([(-0.34, top), (0.04, top - 0.36), (0.4, top)], tone(2))
    pen.poly([(0.4, top), (0.04, top - 0.36), (0.5, top - 0.08)], shade(tone(2), 0.7))


def cot(pen: Pen, look: Look) -> None:
    """A barred cot with a mattress and, in some, a toy mobile."""
    paint = look.main
    high = look.between("head", -0.62, -0.45)
    bars = look.count("bars", 8, 11)
    pen.poly([(-0.88, 0.36), (-0.68, 0.16), (0.98, 0.16), (0.88, 0.36)], (244, 242, 236))
    for index in range(bars):
        x = -0.72 + 1.6 * index / (bars - 1)
        pen.stroke([(x, -0.42), (x, 0.3)], 0.03, shade(paint, 0.72), edge=False)
    pen.stroke([(-0.72, -0.42), (0.94, -0.42)], 0.06, shade(paint, 0.8))
    pen.rect(-0.88, 0.3, 0.88, 0.56, look.second, radius=0.04)
    pen.glow(rounded_points(-0.84, 0.32, 0.84, 0.4, 0.03), 0.3)
    pen.rect(-0.7, 0.12, -0.3, 0.34, (250, 250, 248), radius=0.09)
    for index in range(bars):
        x = -0.84 + 1.68 * index / (bars - 1)
        pen.stroke([(x, -0.26), (x, 0.7)], 0.045, paint)
    pen.rect(-0.9, -0.32, 0.9, -0.2, shade(paint, 1.06), radius=0.04)
    pen.rect(-0.9, 0.64, 0.9, 0.78, paint, radius=0.03)
    for x in (-0.9, 0.9):
        pen.rect(x - 0.07, high, x + 0.07, 0.98, shade(paint, 0.95), radius=0.05)
    if look.chance("mobile", 0.5):
        pen.stroke([(-0.9, high), (-0.86, -1.0), (-0.2, -1.0)], 0.035, paint)
        for index, x in enumerate((-0.62, -0.42, -0.22)):
            pen.stroke([(x, -1.0), (x, -0.8)], 0.012, (90, 90, 90), edge=False)
            pen.oval(x, -0.74, 0.08, 0.08, (look.main, look.second, (240, 200, 90))[index])


def t_shirt(pen: Pen, look: Look) -> None:
    """A T-shirt laid flat: plain, striped or with a motif."""
    cloth, sleeve = look.main, look.between("sleeve", 0.16, 0.34)
    half = look.between("width", 0.5, 0.58)
    motif = look.pick("motif", ("plain", "stripes", "sun", "band"))
    sleeves = look.second if look.chance("raglan", 0.25) else shade(cloth, 0.95)
    for side in (-1, 1):
        cuff: list[Point] = [
            (side * 0.3, -0.86),
            (side * half, -0.74),
            (side * 0.98, -0.3 + sleeve * 0.4),
            (side * 0.74, -0.06 + sleeve * 0.5),
            (side * half * 0.98, -0.24),
        ]
        pen.poly(cuff, sleeves)
    pen.blob(
        [
            (-half, 0.94),
            (-half * 0.96, 0),
            (-half, -0.74),
            (-0.26, -0.9),
            (0, -0.84),
            (0.26, -0.9),
            (half, -0.74),
            (half * 0.96, 0),
            (half, 0.94),
            (0, 0.97),
        ],
        cloth,
    )
    if motif == "stripes":
        for row in range(look.count("stripes", 4, 7)):
            y = -0.5 + row * 0.22
            pen.rect(-half * 0.93, y, half * 0.93, y + 0.09, look.second, edge=False)
    elif motif == "sun":
        pen.oval(0, -0.15, 0.26, 0.26, look.second)
        pen.rect(-0.3, -0.04, 0.3, 0.0, cloth, edge=False)
        pen.rect(-0.3, 0.04, 0.3, 0.07, cloth, edge=False)
    elif motif == "band":
        pen.rect(-half * 0.94, -0.3, half * 0.94, 0.02, look.second, edge=False)
    pen.oval(0, -0.86, 0.24, 0.14, look.second)
    pen.oval(0, -0.88, 0.19, 0.1, shade(cloth, 0.6))
    for x in (-0.2, 0.16):
        pen.dusk([(x, 0.5), (x + 0.05, 0.5), (x + 0.12, 0.94), (x + 0.02, 0.94)], 0.1)


def shoe(pen: Pen, look: Look) -> None:
    """A trainer from the side, toe to the left, with laces and a stripe."""
    upper = look.main
    high = look.between("ankle", -0.66, -0.36)
    pen.blob(
        [
            (0.86, 0.5),
            (0.9, -0.1),
            (0.78, high),
            (0.36, high + 0.02),
            (0.12, -0.16),
            (-0.4, 0.1),
            (-0.92, 0.24),
            (-0.96, 0.5),
            (0, 0.54),
        ],
        upper,
    )
    pen.blob([(0.74, high + 0.05), (0.42, high + 0.06), (0.5, -0.1), (0.7, -0.12)], (62, 58, 58))
    toe = [(-0.97, 0.5), (-0.94, 0.22), (-0.6, 0.18), (-0.48, 0.34), (-0.52, 0.52)]
    pen.blob(toe, look.pick("toe", (SOLE, shade(upper, 0.8))))
    if look.chance("swoosh", 0.6):
        stripe = [(-0.2, 0.4), (0.2, 0.36), (0.8, -0.06), (0.3, 0.22), (-0.1, 0.28)]
        pen.blob(stripe, look.second)
    else:
        for x in (0.1, 0.32, 0.54):
            pen.poly([(x, 0.46), (x + 0.1, 0.46), (x + 0.02, 0), (x - 0.08, 0)], look.second)
    pen.poly([(0.36, high), (0.48, high + 0.1), (-0.18, 0.2), (-0.36, 0.1)], shade(upper, 1.14))
    for step in range(5):
        t = step / 4
        x, y = 0.36 - 0.62 * t, high + 0.1 + (0.02 - high) * t
        pen.stroke([(x - 0.12, y - 0.04), (x + 0.1, y + 0.1)], 0.045, SOLE)
    pen.blob(
        [(-0.98, 0.5), (0, 0.55), (0.9, 0.48), (0.94, 0.7), (0, 0.76), (-0.9, 0.74)],
        look.pick("sole", (SOLE, SOLE, (70, 66, 64))),
    )
    pen.dusk(rounded_points(-0.86, 0.68, 0.88, 0.72, 0.02), 0.3)


def handbag(pen: Pen, look: Look) -> None:
    """A handbag with a flap or a zip and one or two handles."""
    hide, wide = look.main, look.between("width", 0.78, 0.94)
    strap = look.pick("strap", (shade(look.main, 0.75), LEATHER, look.second))
    rise = look.between("handle", 0.62, 0.92)
    pen.stroke(arc_points(0.06, -0.08, 0.4, rise, 180, 360), 0.07, shade(strap, 0.8))
    pen.stroke(arc_points(0, -0.02, 0.44, rise, 180, 360), 0.08, strap)
    pen.poly(
        [
            (-wide * 0.82, -0.14),
            (wide * 0.82, -0.14),
            *rounded_points(-wide, 0.4, wide, 0.88, 0.14)[11:33],
        ],
        hide,
    )
    if look.chance("flap", 0.6):
        pen.blob(
            [
                (-wide * 0.84, -0.16),
                (0, -0.2),
                (wide * 0.84, -0.16),
                (wide * 0.7, 0.24),
                (0, 0.4),
                (-wide * 0.7, 0.24),
            ],
            shade(hide, 1.1),
        )
        pen.rect(-0.1, 0.26, 0.1, 0.44, (206, 176, 96), radius=0.03)
    else:
        pen.stroke([(-wide * 0.76, -0.08), (wide * 0.76, -0.08)], 0.04, look.metal)
        pen.rect(-wide * 0.6, 0.2, wide * 0.6, 0.68, shade(hide, 0.9), radius=0.08)
        pen.oval(0, 0.26, 0.05, 0.05, (206, 176, 96))
    for side in (-1, 1):
        pen.oval(side * 0.44, -0.06, 0.06, 0.06, (206, 176, 96))


def dress(pen: Pen, look: Look) -> None:
    """A dress on a hanger: fitted above a belt, wide below."""
    cloth, hem = look.main, look.between("hem", 0.5, 0.76)
    waist, length = look.between("waist", 0.22, 0.27), look.between("length", 0.82, 0.97)
    pen.stroke([(0, -0.86), (0, -0.94), (0.06, -0.99), (0.1, -0.94)], 0.03, look.metal, smooth=True)
    pen.stroke([(-0.36, -0.68), (0, -0.86), (0.36, -0.68)], 0.045, look.wood)
    pen.poly([(-waist, -0.08), (waist, -0.08), (hem, length), (-hem, length)], cloth)
    for index in range(-3, 4):
        x = index / 3.5
        pen.dusk([(waist * x, 0), (hem * x + 0.05, length), (hem * x - 0.03, length)], 0.14)
    pen.blob(
        [(-hem, length - 0.02), (0, length - 0.06), (hem, length - 0.02), (0, length + 0.05)],
        shade(cloth, 0.9),
    )
    if look.chance("sleeves", 0.5):
        for side in (-1, 1):
            pen.poly(
                [
                    (side * 0.28, -0.74),
                    (side * 0.58, -0.42),
                    (side * 0.42, -0.3),
                    (side * 0.26, -0.44),
                ],
                cloth,
            )
    top = [(-0.34, -0.72), (-0.2, -0.78), (0, -0.56), (0.2, -0.78), (0.34, -0.72)]
    pen.poly([*top, (0.27, -0.42), (waist, -0.06), (-waist, -0.06), (-0.27, -0.42)], cloth)
    pen.rect(-waist - 0.01, -0.14, waist + 0.01, -0.02, look.second)
    if look.chance("dots", 0.45):
        for row in range(4):
            for column in range(-2, 3):
                y = 0.14 + row * 0.18
                x = column * (0.07 + 0.09 * (y + 0.1)) + (row % 2) * 0.06
                pen.oval(x, y, 0.035, 0.035, look.second, edge=False)
    else:
        pen.stroke(
            [(-hem * 0.94, length - 0.1), (hem * 0.94, length - 0.1)], 0.04, look.second, edge=False
        )
