"""The list of the fleet: one CSV row per borne, read and checked whole; every mistake with its line.

Columns: `serial, commune, identity, evse_ids, supply_a, phases, sockets, meters`. Lists within a field are separated by
spaces:

    ARD-0001,Sedan,FR-ARD-0001,FR*ARD*E0001*1 FR*ARD*E0001*2,52,3,T2+EF T2,eastron-sdm630:1 eastron-sdm630:2

A column `controllers` may follow. Where it is filled, external controllers handle the pilots of that borne, one per
point: `MODEL@HOST`, `MODEL@HOST:PORT` or `MODEL@/dev/LINE`, each with `MODEL:UNIT` where the unit is not the maker's.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chargepoint.config_check import meter_models
from chargepoint.config_hardware import controller_models
from chargepoint.config_lines import closest

COLUMNS = ("serial", "commune", "identity", "evse_ids", "supply_a", "phases", "sockets", "meters")
CONTROLLERS = "controllers"
"""The column that may be missing."""
SOCKETS = ("T2", "T2+EF", "cable")
"""A Type 2 socket, one with a domestic socket beside it, a tethered cable."""

EVSE_ID = re.compile(r"[A-Z]{2}\*[A-Z0-9]{3}\*E[A-Z0-9](?:[A-Z0-9*]{0,29})")
"""Country, operator, type E, number of the outlet (ISO 15118-2, Annex H), as in the French registry."""
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,24}")
"""OCPP 1.6: chargePointSerialNumber has 25 characters; it is a file name here, too."""
_CONTROLLER = re.compile(
    r"(?P<model>[^:@]+)(?::(?P<unit>\d{1,3}))?@"
    r"(?:(?P<device>/dev/[^@\s]+)|(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::(?P<port>\d{1,5}))?)"
)
"""Model, unit, and a serial device or a host (IPv6 in brackets) with its port."""
_IDENTITY = re.compile(r"[A-Za-z0-9*_=+|@.-]{1,48}")
"""OCPP-J 1.6, 3.1.1 and OCPP 2.0.1 identifierString: the last segment of the address. Without a colon (OCPP 2.0.1,
part 4, 3.1.1): it is the name of the basic authentication, where a colon begins the password."""


class FleetError(Exception):
    """The list cannot be used; the text has every mistake, each with its line."""

    def __init__(self, file: Path, mistakes: list[str]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"{file}: {count}", *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Controller:
    """An external pilot controller: on TCP (`host`, `port`) or on a serial line (`device`)."""

    model: str
    unit: int | None
    """None: as the maker delivers it."""
    host: str = ""
    port: int | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a borne."""

    evse_id: str
    socket: str
    meter: str
    unit: int
    controller: Controller | None = None
    """None: the carrier board handles the pilot."""


@dataclass(frozen=True, slots=True)
class Borne:
    """One row of the list."""

    serial: str
    commune: str
    identity: str
    supply_a: float
    phases: int
    points: tuple[Point, ...]
    line: int
    """Where it stands in the list."""


def read(path: Path) -> list[Borne]:
    """Every borne of the list. Raises FleetError with all mistakes; OSError when the file cannot be opened."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FleetError(path, [f"byte {error.start}: not UTF-8; save the sheet as CSV UTF-8"]) from error
    # Spreadsheets of French desks write semicolons.
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    rows = csv.DictReader(text.splitlines(), delimiter=delimiter)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise FleetError(path, [f"line 1: column {name} is missing" for name in missing])
    names = rows.fieldnames or ()
    if CONTROLLERS not in names:  # it may be missing, but not for a slip of the pen
        meant = [(name, closest(name, [CONTROLLERS])) for name in names if name not in COLUMNS]
        if slips := [f"line 1: column {name} is not known{near}" for name, near in meant if near]:
            raise FleetError(path, slips)
    bornes: list[Borne] = []
    mistakes: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        line = rows.line_num
        if None in row or None in row.values():
            fields = len(rows.fieldnames or ())
            mistakes.append(f"line {line}: not {fields} fields; quote one that holds a {delimiter!r}")
            continue
        cells = {name: str(row.get(name, "")).strip() for name in (*COLUMNS, CONTROLLERS)}
        wrong = [*_wrong(cells), *_twice(cells, line, seen)]
        mistakes += [f"line {line}: {text}" for text in wrong]
        if not wrong:
            bornes.append(_borne(cells, line))
    if not bornes and not mistakes:
        mistakes.append("line 2: the list has no borne")
    if mistakes:
        raise FleetError(path, mistakes)
    return bornes


def _wrong(cells: dict[str, str]) -> Iterator[str]:
    if not _SERIAL.fullmatch(cells["serial"]):
        yield f"serial {cells['serial']!r}: write 1 to 25 letters, digits, dots, dashes or underscores"
    if not _IDENTITY.fullmatch(cells["identity"]):
        yield f"identity {cells['identity']!r}: write 1 to 48 letters, digits or one of *-_=+|@."
    if not cells["commune"]:
        yield "commune is empty"
    if not _between(cells["supply_a"], 6, 1000):
        yield f"supply_a {cells['supply_a']!r}: write amperes per phase, 6 to 1000"
    if cells["phases"] not in ("1", "3"):
        yield f"phases {cells['phases']!r}: write 1 or 3"
    yield from _wrong_points(cells)


def _wrong_points(cells: dict[str, str]) -> Iterator[str]:
    ids, sockets, meters = cells["evse_ids"].split(), cells["sockets"].split(), cells["meters"].split()
    if not ids:
        yield "evse_ids is empty"
    if not len(ids) == len(sockets) == len(meters):
        yield f"{len(ids)} evse_ids, {len(sockets)} sockets and {len(meters)} meters: each point needs one of each"
    for evse_id in ids:
        if not EVSE_ID.fullmatch(evse_id):
            yield f"EVSE id {evse_id!r}: write it like FR*ARD*E0001*1"
    for socket in sockets:
        if socket not in SOCKETS:
            yield f"socket {socket!r}: write {', '.join(SOCKETS)}"
    yield from _wrong_controllers(cells[CONTROLLERS].split(), len(ids))
    models, units = meter_models(), [meter.partition(":")[2] for meter in meters]
    for meter in meters:
        model, _, unit = meter.partition(":")
        if model not in models:
            yield f"meter {model!r} is not known{closest(model, models)}"
        if not _between(unit, 1, 247) or not unit.isdigit():
            yield f"meter {meter!r}: write MODEL:UNIT with a Modbus unit of 1 to 247"
        elif units.count(unit) > 1:
            yield f"meter {meter!r}: unit {unit} stands twice on the bus of this borne"


def _wrong_controllers(texts: list[str], points: int) -> Iterator[str]:
    if texts and len(texts) != points:
        yield f"{len(texts)} controllers for {points} points: each point has one, or leave the field empty"
    models = controller_models()
    for text in texts:
        found = _CONTROLLER.fullmatch(text)
        if found is None:
            yield f"controller {text!r}: write MODEL@HOST, MODEL@HOST:PORT, MODEL@/dev/LINE, or MODEL:UNIT@..."
            continue
        if found["model"] not in models:
            yield f"controller {found['model']!r} is not known{closest(found['model'], models)}"
        if found["unit"] and not _between(found["unit"], 1, 255):
            yield f"controller {text!r}: its Modbus unit is 1 to 255"
        if found["port"] and not _between(found["port"], 1, 65535):
            yield f"controller {text!r}: its port is 1 to 65535"


def _twice(cells: dict[str, str], line: int, seen: dict[tuple[str, str], int]) -> Iterator[str]:
    values = [("serial", cells["serial"]), ("identity", cells["identity"])]
    values += [("EVSE id", evse_id) for evse_id in cells["evse_ids"].split()]
    for name, value in values:
        first = seen.setdefault((name, _compared(name, value)), line)
        if first != line:
            yield f"{name} {value!r} stands in line {first} already"
    ids = [_compared("EVSE id", evse_id) for evse_id in cells["evse_ids"].split()]
    for evse_id in dict.fromkeys(cells["evse_ids"].split()):
        if ids.count(_compared("EVSE id", evse_id)) > 1:
            yield f"EVSE id {evse_id!r} stands twice in this line"


def _compared(name: str, value: str) -> str:
    """As registries do: without regard to case, and the stars of an EVSE id are only there to be read."""
    return value.upper().replace("*", "") if name == "EVSE id" else value.upper()


def _between(text: str, least: float, most: float) -> bool:
    try:
        return least <= float(text) <= most
    except ValueError:
        return False


def _borne(cells: dict[str, str], line: int) -> Borne:
    points = []
    controllers = [_controller(text) for text in cells[CONTROLLERS].split()]
    lists = (cells["evse_ids"].split(), cells["sockets"].split(), cells["meters"].split())
    for number, (evse_id, socket, meter) in enumerate(zip(*lists, strict=True)):
        model, _, unit = meter.partition(":")
        points.append(Point(evse_id, socket, model, int(unit), controllers[number] if controllers else None))
    return Borne(
        serial=cells["serial"],
        commune=cells["commune"],
        identity=cells["identity"],
        supply_a=float(cells["supply_a"]),
        phases=int(cells["phases"]),
        points=tuple(points),
        line=line,
    )


def _controller(text: str) -> Controller:
    found = _CONTROLLER.fullmatch(text)
    if found is None:
        raise ValueError(text)  # `_wrong_controllers` has judged it
    return Controller(
        model=found["model"],
        unit=int(found["unit"]) if found["unit"] else None,
        host=(found["host"] or "").strip("[]"),
        port=int(found["port"]) if found["port"] else None,
        device=found["device"] or "",
    )
