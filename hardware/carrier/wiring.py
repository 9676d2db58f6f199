"""Draws the wiring of a borne with two Type 2 and two domestic sockets: `python -m hardware.carrier.wiring`."""

import schemdraw
import schemdraw.elements as elm
from hardware.carrier.draw import FONT, SHEETS, svg_text
from schemdraw import flow

W, H = 4.4, 1.5


def _box(d: schemdraw.Drawing, x: float, y: float, text: str, width: float = W) -> flow.Box:
    box: flow.Box = d.add(flow.Box(w=width, h=H).at((x, y)).anchor("W").label(text, fontsize=FONT))
    return box


def _wire(d: schemdraw.Drawing, start: object, end: object, text: str = "") -> None:
    d += elm.Wire("-").at(start).to(end).label(text, "top", fontsize=FONT - 2)


def _title(d: schemdraw.Drawing, y: float, text: str) -> None:
    d += elm.Label().at((0, y)).label(text, fontsize=FONT + 4, halign="left")


def power() -> str:
    """The mains from the supply to the four sockets."""
    with schemdraw.Drawing(show=False, canvas="svg", fontsize=FONT) as d:
        _title(d, 6.8, "Power: L1 L2 L3 N PE from the supply to two Type 2 and two domestic sockets")
        supply = _box(d, 0, 0, "supply meter (Linky),\nmain switch,\nsurge arrester")
        psu = _box(d, 0, -6.2, "24 V DIN supply,\nthen 24 V to 5 V / 6 A\nfor the Pi")
        d += elm.Wire("-").at(supply.S).to(psu.N).label("2 A fuse", "right", fontsize=FONT - 2)
        for point, y in ((1, 2.4), (2, -2.4)):
            rcbo = _box(d, 6.2, y + 1, f"RCBO {point}: 4P 40 A C,\n30 mA type A\n(aux. contact: rcd_{point})")
            rdc = _box(d, 12.4, y + 1, f"RDC-DD {point} (6 mA DC)\naround L1 L2 L3 N")
            meter = _box(d, 18.6, y + 1, f"meter {point}, MID\nRS-485 unit {point}")
            contactor = _box(d, 24.8, y + 1, f"contactor {point}: 4P 40 A AC-1\n24 V coil, mirror contact")
            socket = _box(d, 31, y + 1, f"Type 2 socket {point}\nlock, NTC, CP, PP")
            dom_rcbo = _box(d, 6.2, y - 1, f"RCBO {point}d: 2P 16 A C,\n30 mA type A")
            dom_contactor = _box(d, 24.8, y - 1, f"contactor {point}d: 2P 20 A\n24 V coil, mirror contact")
            domestic = _box(d, 31, y - 1, f"domestic socket {point}\n(Type E/F), plug switch")
            _wire(d, supply.E, rcbo.W, "5 x 10 mm2" if point == 1 else "")
            for a, b in ((rcbo, rdc), (rdc, meter), (meter, contactor), (contactor, socket)):
                _wire(d, a.E, b.W)
            _wire(d, supply.E, dom_rcbo.W)
            _wire(d, dom_rcbo.E, dom_contactor.W, "3 x 2.5 mm2")
            _wire(d, dom_contactor.E, domestic.W)
        return svg_text(d)


def control() -> str:
    """What goes from the carrier's terminals to the cabinet; one point, the second is alike."""
    rows = (
        ("J_CP", "CP, PP, PE", "Type 2 socket", "twisted, shorter than 3 m, apart from mains"),
        ("J_NTC", "NTC 10 k", "at the socket's contacts", ""),
        ("J_LK", "motor +, -, feedback 3.3 V, closed, open", "lock of the socket", ""),
        ("J_COIL", "coil of the contactor", "contactor", "no other suppressor: the carrier's gives the quick release"),
        ("J_DOM", "coil of the domestic contactor", "domestic contactor", ""),
        ("J_IN", "24 V, mirror NC, RCD aux. NC, bay, plug, domestic mirror NC", "contactors, RCBO, switches", ""),
        ("J_L", "load L1, N, PE", "behind the contactor", "fuse 0.5 A, 230 V: keep 8 mm away"),
        ("J_S", "supply L1", "before the contactor", "fuse 0.5 A; watches the earth"),
        ("J_RD", "12 V, ground, fault, test", "RDC-DD sensor around L1 L2 L3 N", "order of its pins: the data sheet"),
        ("J_TE", "test coil of the RCBO", "RCBO with remote test", "where there is one; driven for 2 s at most"),
        ("J_LA", "24 V, red, green, blue", "lamp ring", ""),
        (
            "J20",
            "emergency stop NC, door NC",
            "once per borne",
            "the stop also cuts 24 V of the coils by its second contact",
        ),
        ("J21", "two contacts, 24 V", "grid operator, once per borne", "an open one is also what a broken wire shows"),
        ("J42", "24 V, buzzer", "buzzer with its own oscillator, once per borne", "where there is one"),
        ("J32", "RS-485 A, B, GND", "both meters", "shielded; J31 bridged at the carrier, 120 ohm at the far end"),
        ("J33", "5 V, TX, RX, GND", "badge reader", ""),
        ("J34", "I1, I2", "TIC of the Linky", "no polarity"),
        ("J30", "USB-B", "a USB port of the Pi", "40 cm"),
    )
    with schemdraw.Drawing(show=False, canvas="svg", fontsize=FONT) as d:
        _title(d, 2.2, "Control wiring, by the carrier's terminals (of the points: one; the second is alike)")
        for index, (terminal, signals, to, note) in enumerate(rows):
            y = -index * 1.9
            left = _box(d, 0, y, terminal, width=2.6)
            right = _box(d, 13, y, f"{to}\n{note}" if note else to, width=12)
            _wire(d, left.E, right.W, signals)
        return svg_text(d)


def main() -> None:
    for name, text in (("wiring-power.svg", power()), ("wiring-control.svg", control())):
        (SHEETS.parent.parent / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
