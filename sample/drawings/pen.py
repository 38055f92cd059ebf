"""Draws shapes given in object coordinates onto a large canvas.

Object coordinates: x to the right, y down, the object roughly within -1..1 both ways. An affine
view maps them to pixels, so that one drawing routine serves every distance, tilt and angle: all
shapes become polygons or strokes whose points are transformed by the view.
"""

import math
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from sample.drawings.looks import Colour, shade

Point = tuple[float, float]
View = tuple[float, float, float, float, float, float]  # x' = a*x + b*y + c; y' = d*x + e*y + f

WHITE: Final[Colour] = (255, 255, 255)
BLACK: Final[Colour] = (0, 0, 0)
EDGE_SHADE: Final = 0.7  # how dark a shape's outline is next to its fill
EDGE_WIDTH: Final = 0.014  # in object units: about one pixel of the finished photo
STRIPS: Final = 14  # vertical bands that make a cylinder look round
CURVE_STEPS: Final = 7  # points between two knots of a smooth curve


def ellipse_points(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> list[Point]:
    """40 points on an ellipse, turned clockwise by `turn` degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for step in range(40):
        x = rx * math.cos(step * math.tau / 40)
        y = ry * math.sin(step * math.tau / 40)
        points.append((cx + x * cos - y * sin, cy + x * sin + y * cos))
    return points


def arc_points(  # noqa: PLR0917 - the measures in the order one draws them
    cx: float, cy: float, rx: float, ry: float, start: float, end: float
) -> list[Point]:
    """Points on an arc from `start` to `end` degrees (0 is right, 90 is down)."""
    steps = max(3, round(abs(end - start) / 9))
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles]


def rounded_points(x0: float, y0: float, x1: float, y1: float, radius: float) -> list[Point]:
    """A rectangle's outline with rounded corners."""
    radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    if radius <= 0:
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return [
        *arc_points(x1 - radius, y0 + radius, radius, radius, -90, 0),
        *arc_points(x1 - radius, y1 - radius, radius, radius, 0, 90),
        *arc_points(x0 + radius, y1 - radius, radius, radius, 90, 180),
        *arc_points(x0 + radius, y0 + radius, radius, radius, 180, 270),
    ]


def smooth_points(knots: Sequence[Point], *, closed: bool) -> list[Point]:
    """A Catmull-Rom curve through `knots`."""
    count = len(knots)
    around = [knots[-1], *knots, *knots[:2]] if closed else [knots[0], *knots, knots[-1]]
    points: list[Point] = []
    for index in range(count if closed else count - 1):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = around[index : index + 4]
        for step in range(CURVE_STEPS):
            t = step / CURVE_STEPS
            t2, t3 = t * t, t * t * t
            wa, wb = -0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1
            wc, wd = -1.5 * t3 + 2 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2
            points.append(
                (wa * ax + wb * bx + wc * cx + wd * dx, wa * ay + wb * by + wc * cy + wd * dy)
            )
    if not closed:
        points.append(knots[-1])
    return points


class Pen:
    """Draws one object: its colours, and the mask of its coverage of the background.

    The colour canvas starts black and so holds colours times coverage once it is scaled down;
    the scene relies on that to blend edges without dark or light fringes. Translucent shapes
    (`glow`, `dusk`) therefore must stay inside shapes already drawn.
    """

    def __init__(self, width: int, height: int, view: View) -> None:
        """`width` and `height` are the large canvas's, in pixels, as is `view`'s target."""
        self.colour = Image.new("RGB", (width, height))
        self.mask = Image.new("L", (width, height))
        self._paint = ImageDraw.Draw(self.colour)
        self._glaze = ImageDraw.Draw(self.colour, "RGBA")  # this mode blends instead of replacing
        self._cover = ImageDraw.Draw(self.mask)
        self._view = view
        self._scale = math.sqrt(abs(view[0] * view[4] - view[1] * view[3]))

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        a, b, c, d, e, f = self._view
        return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self._scale))

    def poly(self, points: Sequence[Point], fill: Colour, *, edge: bool = True) -> None:
        """A filled polygon; `edge` adds a thin darker outline."""
        placed = self._placed(points)
        self._paint.polygon(placed, fill=fill)
        self._cover.polygon(placed, fill=255)
        if edge:
            width = self._pixels(EDGE_WIDTH)
            placed.append(placed[0])
            self._paint.line(placed, fill=shade(fill, EDGE_SHADE), width=width)
            self._cover.line(placed, fill=255, width=width)

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Colour,
        *,
        radius: float = 0.0,
        edge: bool = True,
    ) -> None:
        """A rectangle from its left, top, right and bottom, with rounded corners on request."""
        self.poly(rounded_points(x0, y0, x1, y1, radius), fill, edge=edge)

    def oval(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        fill: Colour,
        *,
        turn: float = 0.0,
        edge: bool = True,
    ) -> None:
        """An ellipse around (cx, cy), turned clockwise by `turn` degrees."""
        self.poly(ellipse_points(cx, cy, rx, ry, turn), fill, edge=edge)

    def blob(self, knots: Sequence[Point], fill: Colour, *, edge: bool = True) -> None:
        """A smooth closed shape through `knots`."""
        self.poly(smooth_points(knots, closed=True), fill, edge=edge)

    def stroke(
        self,
        points: Sequence[Point],
        width: float,
        fill: Colour,
        *,
        smooth: bool = False,
        edge: bool = True,
    ) -> None:
        """A line with round ends, `width` in object units."""
        placed = self._placed(smooth_points(points, closed=False) if smooth else points)
        inner = self._pixels(width)
        if edge:
            outer = inner + 2 * self._pixels(EDGE_WIDTH * 0.7)
            self._line(placed, outer, shade(fill, EDGE_SHADE))
        self._line(placed, inner, fill)

    def _line(self, placed: list[Point], width: int, fill: Colour) -> None:
        self._paint.line(placed, fill=fill, width=width, joint="curve")
        self._cover.line(placed, fill=255, width=width, joint="curve")
        reach = width / 2
        for x, y in (placed[0], placed[-1]):
            cap = (x - reach, y - reach, x + reach, y + reach)
            self._paint.ellipse(cap, fill=fill)
            self._cover.ellipse(cap, fill=255)

    def ring(  # noqa: PLR0917 - the measures in the order one draws them
        self, cx: float, cy: float, rx: float, ry: float, width: float, fill: Colour
    ) -> None:
        """An ellipse's outline; what lies inside stays as it was."""
        points = ellipse_points(cx, cy, rx, ry)
        self.stroke([*points, points[0]], width, fill)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Colour,
        *,
        depth: Point = (0.2, 0.12),
    ) -> None:
        """A box seen from the front, a little from above and from the side `depth` points to."""
        dx, dy = depth
        self.poly([(x0, y0), (x0 + dx, y0 - dy), (x1 + dx, y0 - dy), (x1, y0)], shade(fill, 1.14))
        x = x1 if dx > 0 else x0
        self.poly([(x, y0), (x + dx, y0 - dy), (x + dx, y1 - dy), (x, y1)], shade(fill, 0.76))
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def drum(  # noqa: PLR0917 - the measures in the order one draws them
        self,
        cx: float,
        y0: float,
        y1: float,
        top: float,
        bottom: float,
        fill: Colour,
        *,
        lip: float = 0.22,
        lid: Colour | None = None,
    ) -> None:
        """An upright cylinder or cone from y0 down to y1, with its `top` and `bottom` radius.

        `lip` is the flatness of its ends (0: seen level). `lid` colours the upper end.
        """
        self.oval(cx, y1, bottom, bottom * lip, shade(fill, 0.62))
        for strip in range(STRIPS):
            # equal angles, not widths: bands narrow towards the rim, as on a real cylinder
            left = -math.cos(math.pi * strip / STRIPS)
            right = -math.cos(math.pi * (strip + 1) / STRIPS)
            sag0 = lip * math.sin(math.pi * strip / STRIPS)
            sag1 = lip * math.sin(math.pi * (strip + 1) / STRIPS)
            middle = (left + right) / 2
            light = 1.16 - 0.5 * abs(middle + 0.35) ** 1.5
            self.poly(
                [
                    (cx + left * top, y0),
                    (cx + right * top, y0),
                    (cx + right * bottom, y1 + sag1 * bottom),
                    (cx + left * bottom, y1 + sag0 * bottom),
                ],
                shade(fill, light),
                edge=False,
            )
        if lip > 0:
            self.oval(cx, y0, top, top * lip, lid or shade(fill, 1.12))

    def ball(self, cx: float, cy: float, radius: float, fill: Colour) -> None:
        """A sphere lit from the upper left."""
        self.oval(cx, cy, radius, radius, shade(fill, 0.72))
        for step in range(1, 7):
            share = step / 7
            shift = radius * 0.3 * share
            size = radius * (1 - 0.85 * share)
            self.oval(
                cx - shift, cy - shift, size, size, shade(fill, 0.72 + 0.5 * share), edge=False
            )

    def glow(self, points: Sequence[Point], strength: float) -> None:
        """Lightens a polygon of what is drawn already; `strength` 0..1."""
        self._glaze.polygon(self._placed(points), fill=(*WHITE, round(255 * strength)))

    def dusk(self, points: Sequence[Point], strength: float) -> None:
        """Darkens a polygon of what is drawn already; `strength` 0..1."""
        self._glaze.polygon(self._placed(points), fill=(*BLACK, round(255 * strength)))

    def hole(self, points: Sequence[Point]) -> None:
        """Cuts a polygon out, so that the background shows through."""
        placed = self._placed(points)
        self._paint.polygon(placed, fill=BLACK)
        self._cover.polygon(placed, fill=0)
