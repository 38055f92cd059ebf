"""Draws what stands in a home: furniture, decoration and kitchen appliances."""

from sample.drawings.looks import Look, mix, shade
from sample.drawings.pen import Pen, arc_points, ellipse_points, rounded_points

GLASS = (58, 66, 76)
LEAF_GREENS = ((64, 118, 62), (88, 138, 72), (52, 98, 70), (112, 148, 80))
SILVERED = (186, 204, 214)


def armchair(pen: Pen, look: Look) -> None:
    """An upholstered chair from the front, on short wooden legs."""
    body, top = look.main, look.between("back", -0.9, -0.6)
    cushion = look.second if look.chance("two-tone", 0.3) else shade(body, 1.12)
    arm, arm_top = look.between("arm", 0.22, 0.3), look.between("arm top", -0.12, 0.08)
    for x in (-0.7, 0.7):
        pen.poly([(x - 0.07, 0.75), (x + 0.07, 0.75), (x + 0.035, 1), (x - 0.035, 1)], look.wood)
    pen.rect(-0.68, top, 0.68, 0.5, shade(body, 0.95), radius=look.between("round", 0.12, 0.42))
    if look.chance("buttons", 0.5):
        for row in range(2):
            for column in range(3 + row):
                x = (column - (2 + row) / 2) * 0.28
                pen.oval(x, top + 0.28 + row * 0.22, 0.028, 0.028, shade(body, 0.68))
    else:
        for x in (-0.2, 0.2):
            pen.stroke([(x, top + 0.1), (x, 0.2)], 0.012, shade(body, 0.75), edge=False)
    pen.rect(-0.66, 0.35, 0.66, 0.84, shade(body, 0.84), radius=0.05)
    pen.rect(-0.6, 0.16, 0.6, 0.48, cushion, radius=0.13)
    pen.glow(rounded_points(-0.5, 0.19, 0.5, 0.25, 0.03), 0.16)
    for side in (-1, 1):
        outer, inner = side * 0.92, side * (0.92 - arm)
        left, right = min(outer, inner), max(outer, inner)
        pen.rect(left, arm_top, right, 0.86, body, radius=arm * 0.48)
        pen.glow(ellipse_points((left + right) / 2 - 0.02, arm_top + 0.11, arm * 0.3, 0.05), 0.18)


def potted_plant(pen: Pen, look: Look) -> None:
    """A house plant in a pot: long blades, round leaves or a fern's arching fronds."""
    green = look.pick("green", LEAF_GREENS)
    style = look.pick("leaves", ("blades", "round", "fronds"))
    leaves = look.count("how many", 9, 13)
    pen.oval(0, 0.32, 0.36, 0.09, (70, 52, 40))
    for index in range(leaves):
        spread = (index - (leaves - 1) / 2) / (leaves / 2)  # -1..1 across the plant
        # every other leaf is shorter and lighter, so that it reads as standing in front
        reach = (1.25 if index % 2 else 0.95) * look.between(f"leaf {index}", 0.85, 1.05)
        tip_x, tip_y = spread * 0.85, 0.3 - reach * (1.1 - 0.45 * spread * spread)
        tone = shade(green, 1.18 if index % 2 == 0 else 0.9)
        if style == "blades":
            middle = (spread * 0.34, (0.3 + tip_y) / 2)
            pen.blob(
                [
                    (spread * 0.15, 0.34),
                    (middle[0] - 0.08, middle[1]),
                    (tip_x, tip_y),
                    (middle[0] + 0.08, middle[1]),
                ],
                tone,
            )
        elif style == "round":
            pen.stroke(
                [(spread * 0.1, 0.34), (spread * 0.4, (0.3 + tip_y) / 2), (tip_x, tip_y)],
                0.025,
                shade(green, 0.7),
                smooth=True,
                edge=False,
            )
            pen.oval(tip_x, tip_y, 0.2, 0.15, tone, turn=spread * 60)
            pen.stroke(
                [(tip_x - 0.1, tip_y), (tip_x + 0.1, tip_y)], 0.012, shade(tone, 1.2), edge=False
            )
        else:
            knee = (spread * 0.55, tip_y)
            end = (spread * 1.05, tip_y + 0.45 * abs(spread) + 0.05)
            for step in range(1, 9):
                t = step / 8
                x = (1 - t) ** 2 * spread * 0.1 + 2 * t * (1 - t) * knee[0] + t * t * end[0]
                y = (1 - t) ** 2 * 0.32 + 2 * t * (1 - t) * knee[1] + t * t * end[1]
                pen.oval(x, y, 0.11 * (1.2 - t * 0.6), 0.035, tone, turn=50 * spread + 90 * t)
    pen.drum(0, 0.34, 0.92, 0.44, look.between("foot", 0.26, 0.38), look.main, lip=0.0)
    pen.drum(0, 0.28, 0.42, 0.48, 0.46, shade(look.main, 1.08), lip=0.05, lid=(84, 62, 46))
    if look.chance("band", 0.4):
        pen.rect(-0.37, 0.58, 0.37, 0.68, look.second, edge=False)


def table_lamp(pen: Pen, look: Look) -> None:
    """A lamp with a cone of a shade; some are switched on."""
    stem, top = look.pick("stem", (look.wood, look.metal, look.second)), -0.95
    rim, crown = look.between("rim", 0.58, 0.72), look.between("crown", 0.26, 0.44)
    low = look.between("shade height", -0.2, 0.0)
    pen.drum(0, 0.86, 0.95, 0.36, 0.38, shade(stem, 0.9), lip=0.18)
    if look.chance("bulging foot", 0.5):
        pen.ball(0, 0.48, 0.34, stem)
        pen.rect(-0.06, low, 0.06, 0.2, look.metal)
    else:
        pen.drum(0, low, 0.86, 0.06, 0.08, stem, lip=0.1)
    lit = look.chance("switched on", 0.4)
    cloth = mix(look.main, (255, 232, 176), 0.4) if lit else look.main
    pen.drum(0, top, low, crown, rim, cloth, lip=0.1, lid=shade(cloth, 1.1 if lit else 0.8))
    if look.chance("trim", 0.5):
        pen.stroke(arc_points(0, low, rim, rim * 0.1, 180, 0), 0.035, look.second, edge=False)


def mirror(pen: Pen, look: Look) -> None:
    """A wall mirror: round, oval, arched or rectangular."""
    shape = look.pick("shape", ("round", "oval", "arch", "rectangle"))
    frame = look.main
    width = look.between("width", 0.07, 0.15)

    def outline(inset: float) -> list[tuple[float, float]]:
        if shape == "round":
            return ellipse_points(0, 0, 0.88 - inset, 0.88 - inset)
        if shape == "oval":
            return ellipse_points(0, 0, 0.66 - inset, 0.95 - inset)
        if shape == "arch":
            half = 0.6 - inset
            dome = arc_points(0, -0.35, half, half, 180, 360)
            return [(-half, 0.95 - inset), *dome, (half, 0.95 - inset)]
        return rounded_points(-0.68 + inset, -0.95 + inset, 0.68 - inset, 0.95 - inset, 0.04)

    pen.poly(outline(0), frame)
    pen.poly(outline(width * 0.5), shade(frame, 1.18), edge=False)
    pen.poly(outline(width), SILVERED)
    pen.poly(outline(width + 0.03), shade(SILVERED, 1.1), edge=False)
    # two slanting streaks of light say that it is glass
    for left, span in ((-0.28, 0.2), (0.04, 0.08)):
        slant = [(left, 0.4), (left + span, 0.4), (left + span + 0.3, -0.45), (left + 0.3, -0.45)]
        pen.glow(slant, 0.55)


def washing_machine(pen: Pen, look: Look) -> None:
    """A front loader: porthole, detergent drawer, dial."""
    body = look.main
    pen.box(-0.78, -0.8, 0.66, 0.96, body, depth=(0.16, 0.12))
    pen.rect(-0.78, -0.8, 0.66, -0.5, mix(body, (255, 255, 255), 0.3))
    pen.rect(-0.72, -0.74, -0.3, -0.56, shade(body, 0.92), radius=0.03)
    dial = look.between("dial", -0.1, 0.1)
    pen.oval(dial, -0.65, 0.09, 0.09, look.metal)
    pen.stroke([(dial, -0.65), (dial + 0.05, -0.71)], 0.02, (60, 60, 66), edge=False)
    pen.rect(0.22, -0.71, 0.56, -0.59, (40, 52, 58), radius=0.02)
    pen.rect(0.28, -0.68, 0.42, -0.62, (110, 210, 190), edge=False)
    size = look.between("porthole", 0.46, 0.55)
    pen.oval(-0.06, 0.2, size, size, look.pick("door", (look.metal, shade(body, 0.8))))
    pen.oval(-0.06, 0.2, size * 0.8, size * 0.8, (34, 38, 44))
    pen.oval(-0.06, 0.2, size * 0.7, size * 0.7, GLASS)
    pen.blob([(-0.38, 0.3), (-0.1, 0.22), (0.24, 0.32), (0.1, 0.5), (-0.2, 0.5)], look.second)
    pen.glow(ellipse_points(-0.2, 0.04, size * 0.3, size * 0.16, -40), 0.3)
    pen.rect(size - 0.16, 0.12, size - 0.04, 0.3, (70, 72, 78), radius=0.03)
    pen.stroke([(-0.74, 0.84), (0.62, 0.84)], 0.012, shade(body, 0.65), edge=False)


def kettle(pen: Pen, look: Look) -> None:
    """A kettle on its base: spout to the left, handle to the right."""
    body, trim = look.main, (54, 54, 58)
    foot, neck = look.between("foot", 0.58, 0.68), look.between("neck", 0.36, 0.48)
    pen.drum(-0.08, 0.88, 0.94, 0.66, 0.68, trim, lip=0.12)
    handle = [(neck - 0.1, -0.62), (0.62, -0.68), (0.92, -0.35), (0.84, 0.2), (foot - 0.1, 0.6)]
    pen.stroke(handle, 0.14, trim, smooth=True)
    pen.poly([(-neck, -0.5), (-0.92, -0.6), (-0.62, -0.05), (-neck - 0.08, 0.2)], shade(body, 0.85))
    pen.drum(-0.08, -0.58, 0.86, neck, foot, body, lip=0.1)
    pen.blob([(-0.08 - neck, -0.58), (-0.08, -0.78), (neck - 0.08, -0.58), (-0.08, -0.52)], trim)
    pen.oval(-0.08, -0.8, 0.09, 0.07, look.second)
    if look.chance("window", 0.6):
        pen.rect(-0.16, -0.2, -0.04, 0.5, (150, 190, 210), radius=0.05)
        pen.rect(-0.15, 0.12, -0.05, 0.49, (96, 150, 190), radius=0.04, edge=False)
    else:
        pen.rect(-0.36, 0.6, 0.2, 0.68, look.second, radius=0.03)


def fridge(pen: Pen, look: Look) -> None:
    """A tall fridge freezer with two doors and long handles."""
    body, half = look.main, look.between("half", 0.4, 0.48)
    split = look.pick("split", (-0.35, 0.2, 0.3))
    pen.box(-half - 0.08, -0.9, half - 0.08, 0.95, body, depth=(0.18, 0.08))
    for y0, y1 in ((-0.9, split), (split, 0.88)):
        pen.rect(-half - 0.08, y0 + 0.015, half - 0.08, y1 - 0.015, body, radius=0.03)
        pen.glow([(-half, y0 + 0.04), (-half + 0.1, y0 + 0.04), (-half, y1 - 0.1)], 0.18)
    pen.rect(-half - 0.08, 0.88, half - 0.08, 0.95, (60, 60, 64), edge=False)
    handle = half - 0.2
    pen.stroke([(handle, max(-0.75, split - 0.5)), (handle, split - 0.08)], 0.05, look.metal)
    pen.stroke([(handle, split + 0.08), (handle, min(0.75, split + 0.45))], 0.05, look.metal)
    if look.chance("dispenser", 0.4):
        pen.rect(-half + 0.05, split - 0.4, -half + 0.28, split - 0.12, (50, 54, 60), radius=0.02)
    else:
        for index, tone in enumerate((look.second, (214, 90, 80), (240, 220, 120))):
            x, y = -half + 0.12 + 0.13 * index, split - 0.28 - 0.07 * (index % 2)
            pen.rect(x, y, x + 0.09, y + 0.1, tone)


def toaster(pen: Pen, look: Look) -> None:
    """A two-slot toaster, with or without toast in it."""
    body, crust = look.main, (176, 118, 62)
    high = look.between("height", -0.42, -0.28)
    if look.chance("toast", 0.75):
        for x, lift in ((-0.5, 0.0), (0.06, 0.06)):
            pen.rect(x, high - 0.34 + lift, x + 0.46, 0.2, crust, radius=0.12)
            pen.rect(
                x + 0.05, high - 0.28 + lift, x + 0.41, 0.2, (226, 184, 122), radius=0.1, edge=False
            )
    for x in (-0.7, 0.7):
        pen.rect(x - 0.12, 0.6, x + 0.12, 0.76, (50, 50, 54), radius=0.04)
    pen.rect(-0.92, high, 0.92, 0.7, body, radius=look.between("round", 0.18, 0.36))
    pen.rect(-0.62, high + 0.03, 0.62, high + 0.1, (46, 44, 44), radius=0.03)
    pen.glow(rounded_points(-0.76, high + 0.2, 0.5, high + 0.27, 0.03), 0.35)
    pen.rect(-0.9, 0.52, 0.9, 0.64, look.pick("trim", (look.second, look.metal)), edge=False)
    pen.rect(0.66, -0.1, 0.72, 0.4, (52, 52, 56), radius=0.02)
    lever = look.between("lever", -0.06, 0.2)
    pen.rect(0.6, lever, 0.8, lever + 0.1, (34, 34, 38), radius=0.04)
    pen.oval(0.4, 0.36, 0.08, 0.08, look.metal)
