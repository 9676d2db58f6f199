"""A label for each point: its id to read, and a QR code to scan. SVG, 70 by 40 mm, and one PDF page per point."""

from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from chargepoint.provision.fleet import Borne, Point

if TYPE_CHECKING:
    import segno

WIDTH_MM, HEIGHT_MM = 70, 40
QUIET = 4
"""Modules of white around a QR code (ISO/IEC 18004, 6.3.8)."""
MISSING = "labels need segno: pip install 'chargepoint[provision]'"


class LabelsMissing(Exception):
    """segno is not installed."""


def target(template: str, point: Point) -> str:
    """What a phone opens: `{evse_id}` in the template is replaced, its `*` escaped."""
    return template.replace("{evse_id}", point.evse_id.replace("*", "%2A"))


def svg(borne: Borne, point: Point, number: int, template: str) -> str:
    """The label of one point. Raises LabelsMissing without segno."""
    rows = _matrix(target(template, point))
    size = len(rows) + 2 * QUIET
    modules = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    box = f'width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {box}>
<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>
<svg x="2" y="2" width="36" height="36" viewBox="0 0 {size} {size}">
<path d="{modules}" shape-rendering="crispEdges"/>
</svg>
<g font-family="sans-serif" font-size="3.2">
<text x="40" y="9" font-size="7" font-weight="bold">{number}</text>
<text x="40" y="17">{escape(point.evse_id)}</text>
<text x="40" y="23">{escape(borne.commune)}</text>
<text x="40" y="29">{escape(borne.serial)}</text>
<text x="40" y="35">{escape(point.socket)}</text>
</g>
</svg>
"""


def pdf(point: Point, template: str) -> bytes:
    """The QR code alone as a PDF page. Raises LabelsMissing without segno."""
    out = BytesIO()
    _code(target(template, point)).save(out, kind="pdf", border=QUIET, scale=4, compresslevel=9)
    return out.getvalue()


def write(folder: Path, borne: Borne, template: str) -> list[Path]:
    """The labels of all points of a borne."""
    written = []
    for number, point in enumerate(borne.points, start=1):
        name = f"{borne.serial}-{number}"  # a serial may have dots: nothing after one is a suffix
        picture, page = folder / f"{name}.svg", folder / f"{name}.pdf"
        picture.write_text(svg(borne, point, number, template), encoding="utf-8")
        page.write_bytes(pdf(point, template))
        written += [picture, page]
    return written


def _matrix(text: str) -> list[list[bool]]:
    return [[bool(dark) for dark in row] for row in _code(text).matrix]


def _code(text: str) -> "segno.QRCode":
    try:
        import segno
    except ImportError as error:
        raise LabelsMissing(MISSING) from error
    return segno.make(text, error="m", micro=False)
