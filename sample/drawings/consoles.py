"""Draws game consoles and controllers."""

from sample.drawings.looks import Colour, Look, shade
from sample.drawings.pen import Pen, Point, ellipse_points

DARK = (40, 41, 46)
KEY_COLOURS = ((214, 74, 70), (88, 168, 96), (78, 128, 204), (230, 190, 70))


def _buttons(pen: Pen, x: float, y: float, size: float, tone: Colour) -> None:
    """Four round buttons in a diamond around (x, y)."""
    for index, (dx, dy) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
        button = KEY_COLOURS[index] if tone == DARK else tone
        pen.oval(x + dx * size, y + dy * size, size * 0.55, size * 0.55, button)


def gamepad(pen: Pen, look: Look) -> None:
    """A game controller: two grips, cross, buttons and sticks."""
    body, grip = look.main, look.between("grip", 0.62, 0.78)
    for side in (-1, 1):
        pen.rect(side * 0.56 - 0.2, -0.62, side * 0.56 + 0.2, -0.4, shade(body, 0.6), radius=0.08)
    shape: list[Point] = [(0.0, -0.46), (0.5, -0.54), (0.82, -0.4), (1.0, 0.1), (1.0, grip - 0.1)]
    shape += [(0.84, grip), (0.6, 0.42), (0.36, 0.28), (0.0, 0.28)]
    pen.blob([*shape, *[(-x, y) for x, y in shape[-2:0:-1]]], body)
    pen.rect(-0.2, -0.4, 0.2, -0.12, look.second, radius=0.05)
    for points in ((-0.72, -0.2, -0.4, -0.1), (-0.61, -0.31, -0.51, 0.01)):
        pen.rect(*points, DARK, radius=0.02)
    _buttons(pen, 0.57, -0.15, 0.14, look.pick("buttons", (DARK, DARK, look.second)))
    for side in (-1, 1):
        pen.oval(side * 0.28, 0.12, 0.17, 0.17, shade(body, 0.7))
        pen.oval(side * 0.28, 0.11, 0.12, 0.12, DARK)
        pen.oval(side * 0.28 - 0.02, 0.09, 0.06, 0.05, (84, 84, 90), edge=False)
    pen.glow(ellipse_points(-0.55, -0.42, 0.2, 0.05, -8), 0.3)


def handheld_console(pen: Pen, look: Look) -> None:
    """A handheld game console: wide with grips at both sides, or upright with a small screen."""
    body = look.main
    if look.chance("upright", 0.4):
        pen.rect(-0.56, -0.94, 0.56, 0.96, body, radius=0.1)
        pen.rect(-0.44, -0.82, 0.44, -0.02, (92, 94, 108), radius=0.06)
        pen.rect(-0.32, -0.7, 0.32, -0.12, (150, 176, 110))
        for x, y, size in ((-0.1, -0.3, 0.08), (0.12, -0.5, 0.06), (0.02, -0.22, 0.06)):
            pen.rect(x - size, y - size, x + size, y + size, (70, 92, 56), edge=False)
        for points in ((-0.46, 0.26, -0.1, 0.38), (-0.34, 0.14, -0.22, 0.5)):
            pen.rect(*points, DARK, radius=0.02)
        for x, y in ((0.14, 0.38), (0.36, 0.28)):
            pen.oval(x, y, 0.1, 0.1, look.second)
        for x in (-0.14, 0.08):
            pen.stroke([(x, 0.72), (x + 0.1, 0.68)], 0.05, (110, 110, 118))
        return
    for side, tone in ((-1, body), (1, look.second)):
        outer, inner = side * 1.12, side * 0.66
        pen.rect(min(outer, inner), -0.5, max(outer, inner), 0.5, tone, radius=0.2)
        pen.oval(side * 0.9, -0.22 if side < 0 else 0.2, 0.12, 0.12, DARK)
    pen.rect(-0.72, -0.5, 0.72, 0.5, DARK, radius=0.03)
    pen.rect(-0.64, -0.42, 0.64, 0.42, (118, 178, 222))
    pen.poly(
        [
            (-0.64, 0.2),
            (-0.2, 0.2),
            (-0.2, 0.06),
            (0.26, 0.06),
            (0.26, 0.24),
            (0.64, 0.24),
            (0.64, 0.42),
            (-0.64, 0.42),
        ],
        (94, 150, 84),
        edge=False,
    )
    pen.rect(-0.02, -0.14, 0.1, 0.06, (206, 70, 62))
    pen.oval(0.42, -0.2, 0.07, 0.07, (246, 214, 96))
    _buttons(pen, 0.9, -0.2, 0.085, (236, 236, 234))
    _buttons(pen, -0.9, 0.2, 0.085, DARK if look.main_name != "black" else (230, 230, 230))
    pen.glow([(-0.62, -0.4), (-0.2, -0.4), (-0.5, 0.4), (-0.62, 0.4)], 0.14)


def game_console(pen: Pen, look: Look) -> None:
    """A console with a disc slot, a controller on its cable in front."""
    body = look.main
    pen.box(-0.96, -0.42, 0.66, 0.02, body, depth=(0.28, 0.32))
    pen.poly([(-0.5, -0.5), (-0.3, -0.66), (0.5, -0.66), (0.36, -0.5)], shade(body, 0.95))
    pen.rect(-0.84, -0.3, 0.1, -0.24, DARK, radius=0.02)
    pen.oval(0.5, -0.22, 0.07, 0.07, look.second)
    for x in (-0.7, -0.34):
        pen.rect(x, -0.16, x + 0.26, -0.06, (60, 60, 66), radius=0.02)
    cable: list[Point] = [(-0.2, -0.1), (-0.16, 0.16), (0.24, 0.2), (0.22, 0.36)]
    pen.stroke(cable, 0.035, DARK, smooth=True, edge=False)
    pad = look.pick("pad", (shade(look.second, 0.95), (96, 98, 106)))
    outline: list[Point] = [
        (0.22, 0.36),
        (0.56, 0.34),
        (0.74, 0.62),
        (0.7, 0.88),
        (0.54, 0.84),
        (0.4, 0.7),
    ]
    pen.blob([*outline, *[(0.44 - x, y) for x, y in outline[:0:-1]]], pad)
    for points in ((-0.16, 0.5, 0.06, 0.56), (-0.08, 0.42, 0.02, 0.64)):
        pen.rect(*points, DARK, radius=0.01)
    _buttons(pen, 0.48, 0.52, 0.075, DARK)
