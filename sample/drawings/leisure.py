"""Draws what people play, read, listen to and exercise with."""

import math

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import (
    Pen,
    arc_points,
    ellipse_points,
    rounded_points,
    smooth_points,
)

PAPER = (240, 232, 212)
DARK = (46, 44, 46)
TENNIS_BALL = (206, 220, 80)


def book_stack(pen: Pen, look: Look) -> None:
    """Books piled flat, their spines towards the camera."""
    covers = (look.main, look.second, (150, 60, 58), (70, 98, 132), (96, 122, 90), (206, 178, 120))
    books = look.count("books", 5, 7)
    top = 0.95
    for index in range(books):
        thick = look.between(f"thick {index}", 0.19, 0.3)
        half = look.between(f"half {index}", 0.62, 0.86)
        shift = look.between(f"shift {index}", -0.1, 0.1)
        left, right, y = shift - half, shift + half, top - thick
        tone = covers[index] if index < 2 else look.pick(f"cover {index}", covers)
        pen.poly(
            [(left, y), (left + 0.12, y - 0.1), (right + 0.12, y - 0.1), (right, y)],
            shade(tone, 1.15),
        )
        pen.poly(
            [(right, y), (right + 0.12, y - 0.1), (right + 0.12, top - 0.1), (right, top)], PAPER
        )
        for line in (0.3, 0.55, 0.8):
            edge_y = y + thick * line
            pen.stroke(
                [(right, edge_y), (right + 0.11, edge_y - 0.09)], 0.008, (190, 180, 158), edge=False
            )
        pen.rect(left, y, right, top, tone, radius=0.03)
        letters = mix(tone, (250, 240, 210), 0.75)
        pen.rect(left + 0.3, y + thick * 0.36, right - 0.34, y + thick * 0.62, letters, edge=False)
        for x in (left + 0.1, right - 0.16):
            pen.rect(x, y + 0.01, x + 0.05, top - 0.01, letters, edge=False)
        top = y
        if top < -0.75:
            break


def guitar(pen: Pen, look: Look) -> None:
    """An acoustic guitar upright: waisted body, sound hole, long neck."""
    body, neck = look.main, shade(look.wood, 0.75)
    pen.rect(-0.11, -1.08, 0.11, -0.82, shade(look.wood, 0.6), radius=0.03)
    for row in range(3):
        for side in (-1, 1):
            pen.oval(side * 0.14, -1.02 + row * 0.08, 0.04, 0.025, look.metal)
    upper, lower = look.between("upper", 0.3, 0.36), look.between("lower", 0.46, 0.54)
    shape = [(0.0, -0.14), (upper * 0.8, -0.1), (upper, 0.12), (upper * 0.8, 0.32), (lower, 0.6)]
    shape += [(lower * 0.8, 0.92), (0.0, 1.02)]
    shape += [(-x, y) for x, y in shape[-2:0:-1]]
    pen.blob(shape, shade(body, 0.72))
    pen.blob([(x * 0.93, 0.44 + (y - 0.44) * 0.94) for x, y in shape], body, edge=False)
    if look.chance("guard", 0.5):
        pen.blob([(0.06, 0.3), (0.26, 0.36), (0.3, 0.6), (0.12, 0.56)], DARK)
    pen.oval(0, 0.34, 0.19, 0.19, look.second)
    pen.oval(0, 0.34, 0.15, 0.15, (38, 30, 28))
    pen.rect(-0.07, -0.86, 0.07, 0.22, neck)
    for fret in range(9):
        y = -0.78 + fret * 0.1
        pen.stroke([(-0.06, y), (0.06, y)], 0.012, look.metal, edge=False)
    pen.rect(-0.2, 0.68, 0.2, 0.76, (60, 44, 36), radius=0.02)
    for x in (-0.045, -0.015, 0.015, 0.045):
        pen.stroke([(x, -0.84), (x * 1.3, 0.7)], 0.006, (226, 222, 210), edge=False)


def vinyl_record(pen: Pen, look: Look) -> None:
    """A record half out of its sleeve."""
    centre = look.between("out", 0.24, 0.42)
    pen.oval(centre, 0, 0.7, 0.7, (34, 34, 38))
    for radius in (0.64, 0.56, 0.48, 0.4, 0.32):
        pen.ring(centre, 0, radius, radius, 0.006, (66, 66, 72))
    for turn in (-60, 40):
        pen.glow([(centre, 0), *arc_points(centre, 0, 0.68, 0.68, turn, turn + 16)], 0.22)
    pen.oval(centre, 0, 0.24, 0.24, look.second)
    pen.oval(centre, 0, 0.03, 0.03, (230, 230, 230))
    pen.rect(-1.02, -0.74, 0.36, 0.74, look.main)
    cover = look.pick("cover", ("circle", "stripes", "hills"))
    if cover == "circle":
        pen.oval(-0.33, 0.08, 0.42, 0.42, look.second)
        pen.oval(-0.33, 0.08, 0.2, 0.2, look.main)
    elif cover == "stripes":
        for index in range(5):
            y = -0.3 + index * 0.2
            pen.poly(
                [(-0.98, y), (0.32, y - 0.2), (0.32, y - 0.1), (-0.98, y + 0.1)],
                look.second,
                edge=False,
            )
    else:
        pen.oval(-0.1, -0.2, 0.2, 0.2, (240, 206, 120))
        crest = smooth_points(
            [(-1.0, 0.3), (-0.6, -0.1), (-0.2, 0.24), (0.1, 0.02), (0.34, 0.3)], closed=False
        )
        pen.poly([*crest, (0.34, 0.72), (-1.0, 0.72)], look.second, edge=False)
    pen.rect(-0.9, -0.64, -0.1, -0.54, (246, 242, 232), edge=False)
    pen.glow([(-1.0, -0.72), (-0.9, -0.72), (-1.0, 0.5)], 0.2)


def _wheel(pen: Pen, x: float, y: float, radius: float, look: Look) -> None:
    pen.ring(x, y, radius, radius, 0.05, DARK)
    pen.ring(x, y, radius - 0.045, radius - 0.045, 0.018, look.metal)
    for turn in range(0, 180, 30):
        dx = (radius - 0.05) * math.cos(math.radians(turn))
        dy = (radius - 0.05) * math.sin(math.radians(turn))
        pen.stroke([(x - dx, y - dy), (x + dx, y + dy)], 0.008, (170, 172, 176), edge=False)
    pen.oval(x, y, 0.04, 0.04, look.metal)


def bicycle(pen: Pen, look: Look) -> None:
    """A bicycle from the side, facing left."""
    radius = look.between("wheel", 0.4, 0.44)
    axle = 0.92 - radius
    back, front = (0.66, axle), (-0.66, axle)
    saddle_tube, head, crank = (0.3, -0.3), (-0.42, -0.36), (0.08, axle + 0.02)
    for x, y in (back, front):
        _wheel(pen, x, y, radius, look)
    step_through = look.chance("step-through", 0.35)
    frame = [(crank, back), (back, saddle_tube), (saddle_tube, crank), (crank, head)]
    frame.append((head, (0.2, 0.1)) if step_through else (head, saddle_tube))
    for start, end in [*frame, (head, front)]:
        pen.stroke([start, end], 0.065, look.main)
    pen.stroke([saddle_tube, (0.36, -0.5)], 0.04, look.metal)
    pen.blob(
        [(0.16, -0.54), (0.5, -0.58), (0.56, -0.5), (0.34, -0.46)],
        look.pick("saddle", (DARK, (120, 78, 50))),
    )
    pen.stroke([head, (-0.48, -0.62)], 0.045, look.metal)
    if look.chance("drop bars", 0.4):
        bar = [(-0.44, -0.62), (-0.68, -0.62), (-0.74, -0.48), (-0.6, -0.42)]
    else:
        bar = [(-0.6, -0.66), (-0.46, -0.62), (-0.26, -0.6)]
    pen.stroke(bar, 0.055, DARK, smooth=True)
    if look.chance("basket", 0.35):
        pen.poly([(-0.98, -0.5), (-0.58, -0.5), (-0.64, -0.18), (-0.92, -0.18)], (186, 146, 96))
    pen.ring(*crank, 0.12, 0.12, 0.025, look.metal)
    pen.stroke([(-0.02, axle + 0.2), (0.18, axle - 0.14)], 0.03, DARK)


def football(pen: Pen, look: Look) -> None:
    """A ball with pentagon patches in the second colour."""
    radius, turn = 0.86, look.between("turn", 0, 72)
    base, patch = look.main, look.second
    pen.ball(0, 0.08, radius, base)

    def pentagon(
        cx: float, cy: float, size: float, spin: float, squeeze: float
    ) -> list[tuple[float, float]]:
        # patches near the rim are seen at an angle: squeezed along the line to the centre
        away = math.atan2(cy, cx)
        points = []
        for corner in range(5):
            angle = math.radians(spin + corner * 72)
            along, across = size * squeeze * math.cos(angle), size * math.sin(angle)
            points.append(
                (
                    cx + along * math.cos(away) - across * math.sin(away),
                    0.08 + cy + along * math.sin(away) + across * math.cos(away),
                )
            )
        return points

    for corner in range(5):
        angle = math.radians(turn + corner * 72)
        x, y = 0.66 * math.cos(angle), 0.66 * math.sin(angle)
        pen.stroke([(x * 0.4, 0.08 + y * 0.4), (x, 0.08 + y)], 0.02, shade(base, 0.6), edge=False)
        for swing in (-36, 36):
            side = math.radians(turn + corner * 72 + swing)
            end = (0.62 * math.cos(side), 0.08 + 0.62 * math.sin(side))
            pen.stroke([(x * 0.86, 0.08 + y * 0.86), end], 0.02, shade(base, 0.6), edge=False)
            rim = (0.84 * math.cos(side), 0.08 + 0.84 * math.sin(side))
            pen.stroke([end, rim], 0.02, shade(base, 0.6), edge=False)
        pen.poly(pentagon(x, y, 0.24, 180, 0.6), patch)
    centre = [
        (
            0.28 * math.cos(math.radians(turn + k * 72)),
            0.08 + 0.28 * math.sin(math.radians(turn + k * 72)),
        )
        for k in range(5)
    ]
    pen.poly(centre, patch)
    pen.glow(ellipse_points(-0.3, -0.26, 0.26, 0.18, -40), 0.25)
    pen.dusk(arc_points(0, 0.08, 0.82, 0.82, -10, 110), 0.16)


def dumbbell(pen: Pen, look: Look) -> None:
    """A dumbbell: two sets of plates on a short bar."""
    plates, hexagonal = look.count("plates", 1, 3), look.chance("hexagonal", 0.4)
    pen.rect(-1.02, 0.0, 1.02, 0.12, look.metal, radius=0.03)
    pen.rect(-0.3, -0.03, 0.3, 0.15, (70, 70, 74), radius=0.04)
    for x in (-0.24, -0.12, 0.0, 0.12, 0.24):
        pen.stroke([(x, 0.0), (x, 0.12)], 0.02, (110, 110, 114), edge=False)
    wide = 0.5 / plates if plates > 1 else 0.4
    for side in (-1, 1):
        for index in range(plates):
            tall = 0.62 - 0.12 * index
            near = side * (0.34 + index * wide)
            far = side * (0.34 + (index + 0.92) * wide)
            left, right = min(near, far), max(near, far)
            tone = look.second if index == 1 else look.main
            if hexagonal:
                bevel, blunt = 0.08, tall * 0.6
                upper = [(left, 0.06 - blunt), (left + bevel, 0.06 - tall)]
                upper += [(right - bevel, 0.06 - tall), (right, 0.06 - blunt)]
                lower = [(x, 0.12 - y) for x, y in reversed(upper)]
                pen.poly([*upper, *lower], tone)
            else:
                pen.rect(left, 0.06 - tall, right, 0.06 + tall, tone, radius=0.07)
            pen.glow(rounded_points(left + 0.03, 0.12 - tall, right - 0.03, 0.3 - tall, 0.04), 0.3)
            pen.dusk(rounded_points(left + 0.02, tall - 0.2, right - 0.02, tall + 0.04, 0.04), 0.25)


def tennis_racket(pen: Pen, look: Look) -> None:
    """A racket standing on its grip, mostly with a ball beside it."""
    rx, ry = look.between("rx", 0.4, 0.46), look.between("ry", 0.52, 0.58)
    middle = -0.46
    for index in range(-5, 6):
        share = index / 6
        half = (1 - share * share) ** 0.5
        pen.stroke(
            [(share * rx, middle - half * ry), (share * rx, middle + half * ry)],
            0.009,
            (232, 232, 224),
            edge=False,
        )
        pen.stroke(
            [(-half * rx, middle + share * ry), (half * rx, middle + share * ry)],
            0.009,
            (232, 232, 224),
            edge=False,
        )
    for side in (-1, 1):
        pen.stroke([(side * rx * 0.7, middle + ry * 0.72), (side * 0.03, 0.42)], 0.06, look.main)
    pen.ring(0, middle, rx, ry, 0.075, look.main)
    pen.stroke(arc_points(0, middle, rx, ry, 225, 315), 0.075, look.second)
    pen.rect(-0.06, 0.32, 0.06, 0.56, look.main)
    pen.rect(-0.08, 0.5, 0.08, 1.04, look.pick("grip", (DARK, look.second)), radius=0.04)
    for row in range(5):
        y = 0.56 + row * 0.1
        pen.stroke([(-0.07, y + 0.05), (0.07, y)], 0.012, (110, 108, 106), edge=False)
    if look.chance("ball", 0.7):
        pen.ball(0.46, 0.66, 0.17, TENNIS_BALL)
        pen.stroke(arc_points(0.3, 0.56, 0.18, 0.18, 0, 60), 0.02, (244, 246, 230), edge=False)
