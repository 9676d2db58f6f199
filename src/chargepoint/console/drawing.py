"""Flat drawings of lines and texts, written as SVG by hand, or as PNG with Pillow where that is installed.

Pillow is an extra (`png`; Debian's python3-pil): the borne runs without it, and it is imported when a PNG is asked for.
"""

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

from chargepoint.console.terminal import fold

SUFFIXES: Final = (".svg", ".png")
SCALE: Final = 2
"""Pixels of a PNG for each unit of a drawing."""
FONT_FILE: Final = "DejaVuSans.ttf"
"""Of Debian's fonts-dejavu-core; without it Pillow's own font is taken, which has no accents."""
Point = tuple[float, float]


class NoPng(Exception):
    """This machine cannot write PNG: Pillow is missing, or too old to bring a font and there is none."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; `dash`: lengths drawn and left out, in turn. With `width` 0 and `fill`: an area."""

    points: Sequence[Point]
    colour: str = ""
    width: float = 1.0
    dash: str = ""
    fill: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text, on its base line."""

    at: Point
    text: str
    colour: str = "#000000"
    size: int = 12
    anchor: Literal["start", "middle", "end"] = "start"


Shape = Line | Text


def box(x: float, y: float, width: float, height: float, colour: str = "", fill: str = "") -> Line:
    """A rectangle."""
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y))
    return Line(corners, colour, fill=fill)


def svg(shapes: Sequence[Shape], width: int, height: int) -> str:
    """A document of its own: no script, no outside font or file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, *(_element(shape) for shape in shapes), "</svg>\n"])


def _element(shape: Shape) -> str:
    match shape:
        case Text(at=(x, y), text=text, colour=colour, size=size, anchor=anchor):
            style = f' font-size="{size}"' if size != 12 else ""
            style += f' text-anchor="{anchor}"' if anchor != "start" else ""
            return f'<text x="{x:.1f}" y="{y:.1f}"{style} fill="{colour}">{escape(text)}</text>'
        case Line(points=points, colour=colour, width=width, dash=dash, fill=fill):
            style = f'fill="{fill or "none"}"'
            style += f' stroke="{colour}" stroke-width="{width:g}"' if colour else ""
            style += f' stroke-dasharray="{dash}"' if dash else ""
            return f'<polyline {style} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def png(shapes: Sequence[Shape], width: int, height: int) -> bytes:
    """The same in pixels. Raises NoPng."""
    pillow, drawer = _pillow()
    image = pillow.new("RGB", (width * SCALE, height * SCALE), "white")
    canvas = drawer.Draw(image)
    for shape in shapes:
        match shape:
            case Text(at=(x, y), text=text, colour=colour, size=size, anchor=anchor):
                place = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]  # left, middle, right; on the base line
                font, folded = _font(size * SCALE)
                shown = fold(text) if folded else text
                canvas.text((x * SCALE, y * SCALE), shown, fill=colour, font=font, anchor=place)
            case Line(points=points, colour=colour, width=thick, dash=dash, fill=fill):
                pixels = [(x * SCALE, y * SCALE) for x, y in points]
                if fill:
                    canvas.polygon(pixels, fill=fill)
                for piece in dashes(pixels, [float(word) * SCALE for word in dash.split()]) if colour else ():
                    canvas.line(piece, fill=colour, width=max(1, round(thick * SCALE)), joint="curve")
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def can_png() -> bool:
    """Whether `png` would work here."""
    try:
        _pillow()
        _font(12)
    except NoPng:
        return False
    return True


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise NoPng from error
    return Image, ImageDraw


def _font(size: int) -> tuple[Any, bool]:
    """The font, and whether it is one without accents."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype(FONT_FILE, size), False
    except OSError:
        pass  # then the one that Pillow brings
    try:
        return ImageFont.load_default(size), True
    except TypeError as error:  # before 10.1 it brought none of any size
        raise NoPng from error


def dashes(points: Sequence[Point], lengths: Sequence[float]) -> Iterator[list[Point]]:
    """The pieces of a line that are drawn: `lengths` are drawn and left out in turn. Without any: the whole line."""
    if not lengths:
        yield list(points)
        return
    rest = itertools.cycle(lengths)
    left, drawn, piece = next(rest), True, [points[0]]
    for (x, y), end in itertools.pairwise(points):
        while (way := math.dist((x, y), end)) >= left > 0:
            x, y = x + (end[0] - x) * left / way, y + (end[1] - y) * left / way
            if drawn:
                yield [*piece, (x, y)]
            left, drawn, piece = next(rest), not drawn, [(x, y)]
        left -= way
        piece.append(end)
    if drawn and len(piece) > 1:
        yield piece
