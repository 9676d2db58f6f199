"""The carrier board as a netlist: blocks of `blocks.toml`, parts of `parts.toml`, lines of the software's own pin map.

`python -m hardware.carrier.netlist` checks it and writes `netlist.txt`, `bom.csv` and `pins.csv`.
"""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chargepoint.board.pins import PULLED_UP_AT_BOOT, SIGNALS, Kind, Pull, parse_line, reference

HERE = Path(__file__).parent
POINTS = (1, 2)

HEADER = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19, 9: 21, 25: 22, 11: 23,
    8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35, 16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
"""Position on the 40-pin header of each GPIO line; alike on Raspberry Pi 4, 5 and the CM4 I/O board."""
HEADER_GROUND = (6, 9, 14, 20, 25, 30, 34, 39)
HEADER_5V = (2, 4)
FIXED_LINES = {2: "I2C_SDA", 3: "I2C_SCL", 9: "SPI_MISO", 10: "SPI_MOSI", 11: "SPI_CLK"}
CHIP_SELECTS = {"SPI0.0": 8, "SPI0.1": 7}
EXTRA_LINES = {"modem_off": "EXP7"}
"""Lines that the carrier uses and the program does not (yet) drive; they rest at their pull."""

RAILS_EVERYWHERE = {"V24", "V15P", "V15N", "V12P", "V12N", "V5", "V3V3", "VREF", "V2V5", "GND", "USB_VBUS"}
RAILS_OF_A_LOCK = {"reserve", "v12_lock", "v33_lock"}
RAILS = frozenset(RAILS_EVERYWHERE | RAILS_OF_A_LOCK)
OPEN = "-"


CHECKED = ("sheet", "seen", "coded")
"""How an ordering code was checked, strongest first; `checked.toml` says what each means."""


class BoardError(Exception):
    """The board's files contradict themselves; the text names reference, pin or net."""


@dataclass(frozen=True)
class Part:
    name: str
    kind: str
    mpn: str
    maker: str
    text: str
    pins: tuple[str, ...]
    power: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """One part on the board: which pin is on which net."""

    ref: str
    part: Part
    block: str
    pins: Mapping[str, str]


def parts(path: Path = HERE / "parts.toml") -> dict[str, Part]:
    library: dict[str, Part] = {}
    for kind, entries in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for name, e in entries.items():
            pins = tuple(e.get("pins", "1 2").split())
            power = tuple(e.get("power", "").split())
            library[name] = Part(name, kind, e.get("mpn", name), e["maker"], e["text"], pins, power)
    return library


def titles(path: Path = HERE / "blocks.toml") -> dict[str, str]:
    return {name: block["title"] for name, block in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def pin_map() -> dict[str, str]:
    """Signal to line, as the software reads it, and the carrier's own extra lines."""
    return {**reference().lines, **EXTRA_LINES}


def board() -> list[Placed]:
    """Every part of the board. Raises BoardError on an unknown part or pin."""
    library = parts()
    placed: list[Placed] = []
    for name, block in tomllib.loads((HERE / "blocks.toml").read_text(encoding="utf-8")).items():
        points = POINTS if block["per"] == "point" else (None,)
        for point in points:
            for ref, (part_name, wiring) in block["parts"].items():
                if part_name not in library:
                    raise BoardError(f"{ref} of block {name}: there is no part {part_name!r} in parts.toml")
                part = library[part_name]
                suffix = "" if point is None else f"_{point}"
                pins = {pin: _net(net, suffix) for pin, net in _wiring(ref, part, wiring)}
                placed.append(Placed(f"{ref}{suffix}", part, name, pins))
    placed += _lines(library, pin_map())
    return placed


def _wiring(ref: str, part: Part, text: str) -> Iterator[tuple[str, str]]:
    words = text.split()
    if all("=" not in word for word in words) and len(words) == len(part.pins) == 2:
        yield from zip(part.pins, words, strict=True)
        return
    given = dict(word.split("=", 1) if "=" in word else (word, "") for word in words)
    for pin in given:
        if pin not in part.pins:
            raise BoardError(f"{ref}: {part.name} has no pin {pin!r}; it has {', '.join(part.pins)}")
    for pin in part.pins:
        if not given.get(pin):
            raise BoardError(f"{ref}: pin {pin} of {part.name} is on no net; write {pin}=- to leave it open")
        yield pin, given[pin]


def _net(name: str, suffix: str) -> str:
    return name if name == OPEN or name.isupper() else f"{name}{suffix}"


def _lines(library: Mapping[str, Part], lines: Mapping[str, str]) -> list[Placed]:
    """The header and the two expanders, wired by the pin map."""
    header = {str(n): OPEN for n in range(1, 41)}
    header |= {str(n): "GND" for n in HEADER_GROUND} | {str(n): "V5" for n in HEADER_5V}
    header |= {str(HEADER[line]): net for line, net in FIXED_LINES.items()}
    expanders = [dict.fromkeys(library["MCP23017-E-SO"].pins, OPEN) for _ in range(2)]
    for number, pins in enumerate(expanders):
        pins |= {"SDA": "I2C_SDA", "SCL": "I2C_SCL", "RESET": "EXP_RESET", "VDD": "V3V3", "VSS": "GND"}
        pins |= {"A0": "V3V3" if number else "GND", "A1": "GND", "A2": "GND"}
        expanders[number] = pins
    for signal, text in lines.items():
        if text in CHIP_SELECTS:
            header[str(HEADER[CHIP_SELECTS[text]])] = signal.replace("adc_", "adc_cs_")
            continue
        line = parse_line(text)
        pins, pin = (
            (header, str(HEADER[line.offset])) if line.on_header else (expanders[line.chip - 1], _bank(line.offset))
        )
        if pins[pin] != OPEN:
            raise BoardError(f"{text} is used by {pins[pin]} and {signal}")
        pins[pin] = signal
    out = [Placed("J10", library["J_HEADER"], "lines", header)]
    out += [Placed(f"U5{n}", library["MCP23017-E-SO"], "lines", pins) for n, pins in enumerate(expanders)]
    pull = library["R_2k2"]
    out += [Placed(f"R5{n}", pull, "lines", {"1": net, "2": "V3V3"}) for n, net in enumerate(("I2C_SDA", "I2C_SCL"))]
    return out


def _bank(offset: int) -> str:
    return f"GP{'AB'[offset // 8]}{offset % 8}"


def nets(placed: list[Placed]) -> dict[str, list[tuple[str, str]]]:
    """Net to its (reference, pin) pairs."""
    out: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for part in placed:
        for pin, net in part.pins.items():
            if net != OPEN:
                out[net].append((part.ref, pin))
    return dict(sorted(out.items()))


def mistakes(placed: list[Placed]) -> list[str]:
    """What an electrical rule check finds: lone pins, powerless parts, lines without a pull, doubled references."""
    found = []
    refs = [part.ref for part in placed]
    found += [f"{ref} stands twice" for ref in sorted(set(refs)) if refs.count(ref) > 1]
    for net, pins in nets(placed).items():
        if len(pins) < 2:
            found.append(f"net {net} ends at {pins[0][0]} pin {pins[0][1]}")
    for part in placed:
        for pin in part.part.power:
            if part.pins[pin] not in RAILS and part.pins[pin].rsplit("_", 1)[0] not in RAILS:
                found.append(f"{part.ref}: power pin {pin} is on {part.pins[pin]}, which is no rail")
    for row in line_states(placed):
        if row["pull"] == "":
            found.append(f"{row['signal']} on {row['line']} has no resistor that holds it before the software runs")
        elif row["kind"] in ("output", "pwm") and not row["pull"].endswith("GND"):
            found.append(f"{row['signal']} on {row['line']} is pulled to {row['pull']}: every output must rest low")
    declared, fitted = reference().pulls, pulls(placed)
    for line in sorted({*declared, *fitted}):
        if declared.get(line) != fitted.get(line):
            found.append(
                f"pins.toml says that {line} is held {declared.get(line, 'by nothing')}, "
                f"the board holds it {fitted.get(line, 'by nothing')}"
            )
    return found


def pulls(placed: list[Placed]) -> dict[str, Pull]:
    """Digital line to the way in which the board holds it: what `[pulls]` of the pin map has to say."""
    rows = [row for row in line_states(placed) if row["pull"] and row["line"] not in CHIP_SELECTS]
    return {row["line"]: "down" if row["pull"].endswith("GND") else "up" for row in rows}


AT_REST = {
    "heartbeat": "no edges: the watchdog drops both coils",
    "emergency_stop": "reads pressed until 24 V is there",
    "coil_watchdog": "reads dropped",
    "door": "reads open until 24 V is there",
    "grid_a": "reads open until 24 V is there",
    "grid_b": "reads open until 24 V is there",
    "pilot": "steady -12 V: state F, not available",
    "adc": "ADC deselected",
    "contactor": "coil off",
    "mirror": "reads main contacts closed until 24 V is there: no closing",
    "load_live": "reads dead unless there is mains behind the contactor",
    "rcd": "reads tripped until 24 V is there",
    "rdc": "reads tripped until the sensor has its 12 V and is sound",
    "pe": "reads lost until mains is there",
    "rcd_test": "no test",
    "lamp_red": "dark",
    "lamp_green": "dark",
    "lamp_blue": "dark",
    "bay": "reads free",
    "lock_close": "motor off",
    "lock_open": "motor off",
    "lock_is_closed": "reads not closed",
    "lock_is_open": "reads not open",
    "domestic_contactor": "coil off",
    "domestic_plug": "reads no plug",
    "domestic_mirror": "reads closed until 24 V is there: no closing",
    "wiegand_zero": "reads no pulse",
    "wiegand_one": "reads no pulse",
    "modem_off": "modem powered",
    "buzzer": "silent",
}


def line_states(placed: list[Placed]) -> list[dict[str, str]]:
    """One row per line of the pin map: what holds it before the software runs, and what that means."""
    rows = []
    for signal, text in pin_map().items():
        base = signal.rstrip("0123456789").rstrip("_")
        kind = SIGNALS[base].kind if base in SIGNALS else Kind.OUTPUT
        net = signal.replace("adc_", "adc_cs_") if kind is Kind.SPI else signal
        if text in CHIP_SELECTS:
            position, chip_pull = str(HEADER[CHIP_SELECTS[text]]), "up"
        elif (line := parse_line(text)).on_header:
            position = str(HEADER[line.offset])
            chip_pull = "up" if line.offset in PULLED_UP_AT_BOOT else "down"
        else:
            position, chip_pull = f"U5{line.chip - 1} {_bank(line.offset)}", "none"
        rows.append(
            {
                "line": text,
                "position": position,
                "signal": signal,
                "kind": kind.value,
                "chip_pull_at_reset": chip_pull,
                "pull": _pull(placed, net),
                "until_the_software_runs": AT_REST[base],
            }
        )
    return rows


def _pull(placed: list[Placed], net: str) -> str:
    """`R_CON_1 10 kohm to GND`, or nothing. The resistor must go straight from the line to a rail."""
    for part in placed:
        if part.part.name.startswith("R_") and net in part.pins.values():
            others = [other for other in part.pins.values() if other != net]
            if others and others[0] in ("GND", "V3V3"):
                return f"{part.ref} {part.part.text.split(' 1 %')[0]} to {others[0]}"
    return ""


def bill(placed: list[Placed]) -> list[dict[str, str]]:
    """One row per orderable part, most used last."""
    used: dict[str, list[str]] = defaultdict(list)
    checked = tomllib.loads((HERE / "checked.toml").read_text(encoding="utf-8"))
    by_name = {part.part.name: part.part for part in placed}
    for item in placed:
        used[item.part.name].append(item.ref)
    return [
        {
            "quantity": str(len(refs)),
            "manufacturer": by_name[name].maker,
            "part_number": by_name[name].mpn,
            "text": by_name[name].text,
            "checked": checked.get(by_name[name].mpn, "no"),
            "references": " ".join(sorted(refs)),
        }
        for name, refs in sorted(used.items(), key=lambda item: (by_name[item[0]].kind, item[0]))
    ]


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def netlist_text(placed: list[Placed]) -> str:
    lines = ["# net: reference.pin ...; made by netlist.py from blocks.toml, parts.toml and board/pins.toml"]
    lines += [f"{net}: {' '.join(f'{ref}.{pin}' for ref, pin in pins)}" for net, pins in nets(placed).items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    placed = board()
    found = mistakes(placed)
    if found:
        raise SystemExit("\n".join(found))
    (HERE / "netlist.txt").write_text(netlist_text(placed), encoding="utf-8")
    write_csv(HERE / "bom.csv", bill(placed))
    write_csv(HERE / "pins.csv", line_states(placed))


if __name__ == "__main__":
    main()
