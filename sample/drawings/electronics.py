"""Draws phones and computers."""

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import Pen, Point, ellipse_points, rounded_points

DARK = (40, 41, 46)
SCREEN = (34, 40, 52)
APP_COLOURS = ((214, 74, 70), (88, 168, 96), (78, 128, 204), (230, 190, 70))


def _screen(pen: Pen, look: Look, box: tuple[float, float, float, float]) -> None:
    """A lit or dark screen with a reflection; `box` is left, top, right, bottom."""
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    showing = look.pick("screen", ("off", "hills", "stripes"))
    pen.rect(x0, y0, x1, y1, SCREEN)
    if showing == "hills":
        pen.rect(x0, y0, x1, y1, (132, 182, 216), edge=False)
        pen.oval(
            x0 + wide * 0.7, y0 + high * 0.3, high * 0.11, high * 0.11, (250, 230, 160), edge=False
        )
        crest: list[Point] = [(0, 0.66), (0.26, 0.44), (0.5, 0.7), (0.76, 0.5), (1, 0.68)]
        ridge = [(x0 + wide * x, y0 + high * y) for x, y in crest]
        pen.poly([*ridge, (x1, y1), (x0, y1)], (84, 134, 104), edge=False)
    elif showing == "stripes":
        pen.rect(x0, y0, x1, y1, (230, 234, 240), edge=False)
        pen.rect(x0, y0, x1, y0 + high * 0.14, look.second, edge=False)
        for row in range(4):
            y = y0 + high * (0.28 + 0.17 * row)
            end = x0 + wide * (0.55 + 0.3 * ((row * 7) % 3) / 2)
            pen.rect(x0 + wide * 0.1, y, end, y + high * 0.06, (160, 166, 178), edge=False)
    pen.glow([(x0, y0), (x0 + wide * 0.45, y0), (x0 + wide * 0.12, y1), (x0, y1)], 0.13)


def smartphone(pen: Pen, look: Look) -> None:
    """Two sides of a smartphone: the back with its cameras, the screen in front."""
    half, tone = look.between("half", 0.38, 0.43), look.main
    pen.rect(0.02, -0.94, 0.02 + 2 * half, 0.74, tone, radius=0.13)
    pen.glow([(0.1, -0.86), (0.3, -0.86), (0.2, 0.6), (0.1, 0.6)], 0.12)
    lenses = look.count("lenses", 2, 3)
    left = 2 * half - 0.38
    pen.rect(left, -0.86, left + 0.32, -0.44, shade(tone, 0.82), radius=0.08)
    for index in range(lenses):
        x, y = left + (0.1, 0.1, 0.23)[index], (-0.76, -0.55, -0.65)[index]
        pen.oval(x, y, 0.07, 0.07, DARK)
        pen.oval(x, y, 0.03, 0.03, (70, 90, 130))
    shift = -2 * half + 0.3
    pen.rect(shift - 0.3, -0.76, shift - 0.3 + 2 * half, 0.94, shade(tone, 0.8), radius=0.13)
    inner = (shift - 0.26, -0.71, shift - 0.34 + 2 * half, 0.89)
    pen.rect(*inner, DARK, radius=0.1)
    x0, y0, x1, y1 = inner
    pen.rect(x0 + 0.02, y0 + 0.03, x1 - 0.02, y1 - 0.03, look.second, radius=0.09, edge=False)
    pen.oval((x0 + x1) / 2, y0 + 0.09, 0.035, 0.035, DARK, edge=False)
    for row in range(look.count("rows", 3, 4)):
        for column in range(4):
            x, y = x0 + 0.08 + column * (x1 - x0 - 0.13) / 4, y0 + 0.3 + row * 0.24
            pen.rect(
                x,
                y,
                x + 0.12,
                y + 0.13,
                APP_COLOURS[(row * 3 + column) % 4],
                radius=0.035,
                edge=False,
            )
    pen.glow([(x0 + 0.03, y0 + 0.08), (x0 + 0.4, y0 + 0.08), (x0 + 0.05, y1 - 0.2)], 0.16)


def keypad_phone(pen: Pen, look: Look) -> None:
    """An old mobile phone: small screen, keys, stub aerial."""
    half, body = look.between("half", 0.38, 0.46), look.main
    if look.chance("aerial", 0.6):
        pen.rect(half * 0.45, -1.06, half * 0.8, -0.7, shade(body, 0.7), radius=0.06)
    pen.blob(
        [
            (-half, -0.8),
            (0, -0.88),
            (half, -0.8),
            (half * 0.92, 0.1),
            (half, 0.86),
            (0, 0.98),
            (-half, 0.86),
            (-half * 0.92, 0.1),
        ],
        body,
    )
    pen.rect(-half * 0.76, -0.68, half * 0.76, -0.1, DARK, radius=0.06)
    pen.rect(-half * 0.64, -0.58, half * 0.64, -0.2, (152, 176, 120), radius=0.02)
    for y in (-0.5, -0.4, -0.3):
        pen.stroke([(-half * 0.5, y), (half * (0.1 - y * 0.5), y)], 0.025, (70, 86, 58), edge=False)
    pen.stroke([(-0.1, -0.76), (0.1, -0.76)], 0.03, shade(body, 0.55), edge=False)
    keys = look.pick("keys", (shade(look.second, 1.05), (232, 232, 228)))
    pen.oval(0, 0.06, 0.12, 0.08, keys)
    for side, tone in ((-1, (88, 168, 96)), (1, (214, 74, 70))):
        pen.rect(side * half * 0.6 - 0.09, 0.02, side * half * 0.6 + 0.09, 0.11, tone, radius=0.04)
    for row in range(4):
        for column in (-1, 0, 1):
            x, y = column * half * 0.58, 0.27 + row * 0.165
            pen.rect(x - 0.1, y - 0.055, x + 0.1, y + 0.055, keys, radius=0.05)
            pen.stroke([(x - 0.02, y), (x + 0.02, y)], 0.025, (80, 80, 84), edge=False)


def desk_telephone(pen: Pen, look: Look) -> None:
    """A telephone with a receiver on its cradle, with dial or keys."""
    body = look.main
    pen.blob(
        [
            (-0.52, -0.3),
            (0.52, -0.3),
            (0.7, 0.2),
            (0.94, 0.82),
            (0.5, 0.9),
            (-0.5, 0.9),
            (-0.94, 0.82),
            (-0.7, 0.2),
        ],
        body,
    )
    cord: list[Point] = [(-0.9 - 0.08 * (step % 2), -0.26 + step * 0.09) for step in range(13)]
    pen.stroke(cord, 0.035, shade(body, 0.75), smooth=True)
    for x in (-0.36, 0.36):
        pen.rect(x - 0.09, -0.46, x + 0.09, -0.2, shade(body, 0.8), radius=0.04)
    if look.chance("dial", 0.55):
        pen.oval(0, 0.3, 0.46, 0.42, (238, 234, 224))
        pen.oval(0, 0.3, 0.4, 0.365, shade(body, 0.86))
        for x, y in ellipse_points(0, 0.3, 0.29, 0.265)[4:38:4]:
            pen.oval(x, y, 0.062, 0.058, (240, 238, 230))
        pen.oval(0, 0.3, 0.15, 0.135, look.second)
    else:
        pen.rect(-0.4, -0.06, 0.4, 0.7, shade(body, 0.84), radius=0.05)
        for row in range(4):
            for column in (-1, 0, 1):
                x, y = column * 0.23, 0.05 + row * 0.18
                pen.rect(x - 0.08, y - 0.06, x + 0.08, y + 0.06, (240, 238, 230), radius=0.02)
    rest = shade(body, 0.92)
    pen.stroke([(-0.74, -0.46), (-0.4, -0.66), (0.4, -0.66), (0.74, -0.46)], 0.2, rest, smooth=True)
    for side in (-1, 1):
        pen.blob(
            [
                (side * 0.58, -0.56),
                (side * 0.86, -0.6),
                (side * 1.0, -0.3),
                (side * 0.8, -0.18),
                (side * 0.56, -0.26),
            ],
            rest,
        )
    pen.glow(rounded_points(-0.4, -0.74, 0.4, -0.69, 0.02), 0.35)


def laptop(pen: Pen, look: Look) -> None:
    """An open laptop from the front, a little from above."""
    case, top = look.main, look.between("screen top", -0.84, -0.66)
    pen.rect(-0.8, top, 0.8, 0.34, case, radius=0.06)
    pen.rect(-0.77, top + 0.03, 0.77, 0.33, DARK, radius=0.04, edge=False)
    _screen(pen, look, (-0.71, top + 0.09, 0.71, 0.25))
    pen.poly([(-0.8, 0.36), (0.8, 0.36), (1.06, 0.84), (-1.06, 0.84)], shade(case, 1.08))
    pen.poly([(-1.06, 0.84), (1.06, 0.84), (1.04, 0.91), (-1.04, 0.91)], shade(case, 0.7))
    keys = look.pick("keys", (DARK, (228, 228, 226)))
    for row in range(4):
        y0, y1 = 0.4 + row * 0.065, 0.45 + row * 0.065
        for column in range(12):
            # keys follow the deck, which widens towards the viewer
            left = (-0.92 + column * 0.154) * (0.82 + y0 * 0.18)
            right = left + 0.128 * (0.82 + y0 * 0.18)
            pen.poly(
                [(left, y0), (right, y0), (right + 0.003, y1), (left - 0.003, y1)], keys, edge=False
            )
    pen.poly([(-0.22, 0.69), (0.22, 0.69), (0.24, 0.81), (-0.24, 0.81)], shade(case, 0.92))


def monitor(pen: Pen, look: Look) -> None:
    """A computer monitor on its foot."""
    case, half = look.main, look.between("half", 0.92, 1.06)
    low = look.between("low", 0.3, 0.42)
    pen.poly([(-0.1, low), (0.1, low), (0.14, 0.86), (-0.14, 0.86)], shade(look.metal, 0.85))
    pen.oval(0, 0.88, 0.42, 0.09, look.metal)
    pen.rect(-half, -0.86, half, low + 0.06, case, radius=0.04)
    pen.rect(-half + 0.04, -0.82, half - 0.04, low - 0.04, DARK, edge=False)
    _screen(pen, look, (-half + 0.06, -0.8, half - 0.06, low - 0.06))
    pen.oval(half - 0.12, low + 0.01, 0.02, 0.02, (120, 220, 140), edge=False)


def keyboard_and_mouse(pen: Pen, look: Look) -> None:
    """A keyboard seen from above, with its mouse at the right."""
    case, keys = look.main, mix(look.main, (255, 255, 255), 0.55)
    if look.chance("dark keys", 0.5):
        keys = mix(look.main, (20, 20, 24), 0.6)
    high = look.between("high", 0.36, 0.42)
    pen.rect(-1.12, -high, 0.62, high, case, radius=0.07)
    rows, wide = 5, 1.62 / 13
    for row in range(rows):
        y = -high + 0.08 + row * (2 * high - 0.12) / rows
        for column in range(13):
            if row == rows - 1 and 3 <= column <= 8:
                continue
            x = -1.06 + column * wide
            tone = look.second if (row, column) in ((0, 0), (2, 12)) else keys
            pen.rect(x, y, x + wide * 0.84, y + 0.115, tone, edge=False)
    y = -high + 0.08 + (rows - 1) * (2 * high - 0.12) / rows
    pen.rect(-1.06 + 3 * wide, y, -1.06 + 8.84 * wide, y + 0.115, keys, edge=False)
    cable: list[Point] = [(0.9, -0.26), (0.88, -0.5), (0.7, -0.62), (0.3, -0.6)]
    pen.stroke(cable, 0.025, (70, 70, 74), smooth=True, edge=False)
    pen.blob(
        [(0.76, -0.2), (0.91, -0.28), (1.06, -0.2), (1.1, 0.14), (0.91, 0.36), (0.72, 0.14)], case
    )
    pen.stroke([(0.91, -0.26), (0.91, 0.0)], 0.014, shade(case, 0.6), edge=False)
    pen.rect(0.88, -0.2, 0.94, -0.06, look.second, radius=0.03)
