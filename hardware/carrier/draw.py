"""Draws the board: `python -m hardware.carrier.draw` (needs schemdraw, dependency group `hardware`).

One sheet per block, made from the netlist: every part with its net names at its pins. And one sheet of the pilot's
analogue path drawn with its wires, because that is the one to understand.
"""

from pathlib import Path

import schemdraw
import schemdraw.elements as elm
from hardware.carrier.netlist import OPEN, Placed, board, titles

SHEETS = Path(__file__).parent / "sheets"
COLUMNS = 4
CELL_W, GAP = 9.0, 2.2
TWO = {"R": elm.ResistorIEC, "C": elm.Capacitor, "D": elm.Diode, "F": elm.Fuse, "Y": elm.Crystal, "B": elm.BatteryCell}
FONT = 10


def _height(part: Placed) -> float:
    return 1.0 if len(part.pins) == 2 and part.part.kind == "two" else 0.75 * (len(part.pins) + 1) / 2 + 1.2


def _symbol(drawing: schemdraw.Drawing, part: Placed, x: float, y: float) -> None:
    if part.part.kind == "two":
        first, second = part.pins.values()
        kind = TWO.get(part.part.name[0], elm.ResistorIEC)
        label = f"{part.ref}  {part.part.name.split('_', 1)[1].replace('_', ' ')}"
        element = kind().at((x, y)).right(2.4).label(label, "top", fontsize=FONT)
        drawing += element.label(first, "left", fontsize=FONT, halign="right").label(
            second, "right", fontsize=FONT, halign="left"
        )
        return
    names = list(part.pins)
    half = (len(names) + 1) // 2
    pins = [
        elm.IcPin(name=name, side="L" if i < half else "R", pin="" if part.pins[name] == OPEN else part.pins[name])
        for i, name in enumerate(names)
    ]
    title = f"{part.ref}  {part.part.mpn}"
    box = elm.Ic(pins=pins, pinspacing=0.75, leadlen=0.9, edgepadW=0.9, lblsize=FONT - 1, plblsize=FONT - 1)
    drawing += box.at((x, y)).anchor("center").label(title, "top", fontsize=FONT)


def sheet(block: str, title: str, placed: list[Placed]) -> str:
    """The block as SVG text. Of a point's block the first point is drawn; the second is alike."""
    shown = [part for part in placed if part.block == block and not part.ref.endswith("_2")]
    shown.sort(key=lambda part: -_height(part))
    with schemdraw.Drawing(show=False, canvas="svg", fontsize=FONT) as drawing:
        drawing += elm.Label().at((0, 2.5)).label(title, fontsize=FONT + 4, halign="left")
        y = 0.0
        for start in range(0, len(shown), COLUMNS):
            row = shown[start : start + COLUMNS]
            tallest = max(_height(part) for part in row)
            y -= tallest / 2 + GAP / 2
            for column, part in enumerate(row):
                offset = -1.2 if part.part.kind == "two" else 0.0
                _symbol(drawing, part, column * CELL_W + 3 + offset, y)
            y -= tallest / 2 + GAP / 4
        return svg_text(drawing)


def svg_text(drawing: schemdraw.Drawing) -> str:
    data: bytes = drawing.get_imagedata("svg")
    return data.decode("utf-8").rstrip() + "\n"


def pilot_path() -> str:
    """From the pin to the ADC, with wires: driver, source, divider, buffer, both holds."""
    with schemdraw.Drawing(show=False, canvas="svg", fontsize=FONT) as d:
        d += (
            elm.Label()
            .at((0, 7))
            .label("Control pilot of a point: from the header to the ADC", fontsize=14, halign="left")
        )
        driver = elm.Ic(
            pins=[
                elm.IcPin(name="pilot", side="L"),
                elm.IcPin(name="gen", side="R", anchorname="gen"),
                elm.IcPin(name="+12 V", side="T"),
                elm.IcPin(name="-12 V", side="B"),
            ],
            edgepadW=1.2,
            edgepadH=0.8,
        ).label("level shift and IXDN602", "bottom", ofst=(0, -1.0))
        d += driver
        source = d.add(elm.ResistorIEC().at(driver.gen).right(3).label("R_CP 1k00"))
        d += elm.Dot().at(source.end).label("cp: socket", "top")
        d.push()
        d += elm.Capacitor().at(source.end).down().label("C_CP 470p, TVS", "bottom")
        d += elm.Ground()
        d.pop()
        a = d.add(elm.ResistorIEC().at(source.end).right(3).label("R_A 402k"))
        d += elm.Dot().at(a.end).label("u = 0.11 cp + 1.65 V", "bottom", ofst=(1.1, -0.9), fontsize=8)
        d.push()
        d += elm.ResistorIEC().at(a.end).down(2.2).label("R_C 113k4", "bottom")
        d += elm.Ground()
        d.pop()
        d.push()
        d += elm.ResistorIEC().at(a.end).up(2.2).label("R_B 88k4", "bottom")
        d += elm.Vdd().label("VREF 3.3 V")
        d.pop()
        d += elm.Line().at(a.end).right(2)
        buffer = d.add(elm.Opamp(leads=True).anchor("in2").label("buffer", "center", ofst=(-0.3, -0.05), fontsize=8))
        d += elm.Line().at(buffer.in1).up(1.0)
        d += elm.Line().tox(buffer.out)
        d += elm.Line().toy(buffer.out)
        d += elm.Dot().at(buffer.out)
        for sign, name in ((1, "cp_high"), (-1, "cp_low")):
            d += elm.Line().at(buffer.out).right(1)
            d += elm.Line().up(3.5) if sign > 0 else elm.Line().down(3.5)
            d += elm.Line().right(0.8)
            op = d.add(elm.Opamp(leads=True).right().anchor("in2"))
            d += elm.Line().at(op.out).right(0.3)
            diode = d.add(elm.Diode().right(2) if sign > 0 else elm.Diode().right(2).reverse())
            d += elm.Dot().at(diode.end)
            d.push()
            d += elm.Line().at(diode.end).up(1.4)
            d += elm.Line().tox(op.in1)
            d += elm.Line().toy(op.in1)
            d.pop()
            attack = d.add(elm.ResistorIEC().at(diode.end).right(2.5).label("47R"))
            d += elm.Dot().at(attack.end).label(f"{name} to the ADC", "top", ofst=(1.0, 0.2))
            d += elm.Capacitor().at(attack.end).down(1.8).label("47n C0G", "bottom", fontsize=8)
            d += elm.Ground()
            d += elm.Line().at(attack.end).right(2.6)
            if sign > 0:
                d += elm.ResistorIEC().down(1.8).label("10M; 61k9\nwhile high", "bottom", fontsize=8)
                d += elm.Ground()
            else:
                d += elm.ResistorIEC().up(1.2).label("2M2", "bottom", fontsize=8)
                d += elm.Vdd().label("VREF", fontsize=8)
        return svg_text(d)


def sheets() -> dict[str, str]:
    """File name to SVG text."""
    placed = board()
    made = {f"{block}.svg": sheet(block, title, placed) for block, title in titles().items()}
    made["lines.svg"] = sheet("lines", "Header and expanders, wired by the pin map", placed)
    made["pilot-path.svg"] = pilot_path()
    return made


def main() -> None:
    SHEETS.mkdir(exist_ok=True)
    for name, text in sheets().items():
        (SHEETS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
