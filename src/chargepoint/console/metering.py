"""The console's `meters`: what they say, their registers, raw frames, the bus scan, and another unit number."""

from collections.abc import Iterator
from typing import Any

from chargepoint.console.session import Lines, Session, Usage, tree
from chargepoint.text import clean, clean_all, table

USAGE = "[registers EVSE | frames [COUNT] | scan [FROM-TO] | address UNIT NEW [MODEL]]"
ACTING = ("scan", "address")
"""What needs the PIN."""
_UNITS = {"voltage": "V", "current": "A", "power": "W", "energy": "Wh", "frequency": "Hz"}


def meters(session: Session, words: list[str]) -> Lines:
    match words:
        case []:
            found = clean_all(session.borne.station.ask("meters"))
            return list(tree(found, session.t)) or [session.t("There is none.")]
        case ["registers", *rest]:
            return _registers(session, session.evse(rest))
        case ["frames", *rest]:
            return _frames(session, int(session.number(rest, 0, 20, 1, 100)))
        case ["scan", *rest] if len(rest) <= 1:
            return _scan(session, rest[0] if rest else "1-32")
        case ["address", unit, new]:
            return _address(session, unit, new)
        case ["address", unit, new, model]:
            return _address(session, unit, new, model)
        case _:
            raise Usage(f"meters {USAGE}")


def _registers(session: Session, evse: int) -> Lines:
    """Every register that the model's map has, and the value of the last reading."""
    from chargepoint.meter import maps

    found = next((each for each in session.borne.station.ask("meters") if each["evse"] == evse), None)
    if found is None:
        return [session.t("There is none.")]
    known = maps.load(found["model"])
    reading: dict[str, Any] = clean_all(found["reading"])
    rows = [[session.t(word) for word in ("quantity", "register", "type", "value")]]
    for name, row in sorted(known.registers.items(), key=lambda item: item[1].address):
        value = _value(reading, name)
        unit = next((unit for word, unit in _UNITS.items() if name.startswith(word) and name != "power_factor"), "")
        shown = "-" if value is None else f"{value:g} {unit}" if isinstance(value, float) else f"{value} {unit}"
        rows.append([name, f"0x{row.address:04X}", row.type, shown.rstrip()])
    age = "-" if found["age"] is None else f"{found['age']:.1f} s"
    head = f"{clean(known.title)}, {session.t('unit')} {found['unit']}, {session.t('age')} {age}"
    return [head, *table(rows, "  ")]


def _value(reading: dict[str, Any], name: str) -> Any:
    """The reading's value for a row of the map."""
    base, _, phase = name.rpartition("_l")
    if base and phase in ("1", "2", "3"):
        field = {"voltage": "voltage_v", "current": "current_a", "power": "power_phases_w"}.get(base, "")
        return (reading.get(field) or [None] * 3)[int(phase) - 1]
    fields = {"power": "power_w", "energy_import": "energy_wh", "energy_export": "export_wh"}
    return reading.get({**fields, "frequency": "frequency_hz"}.get(name, name))


def _frames(session: Session, count: int) -> Lines:
    """Raw, as they were on the line."""
    rows = []
    for frame in clean_all(session.borne.station.ask("meter_frames", count=count)):
        arrow = "->" if frame["direction"] == "out" else "<-"
        rows.append(f"-{frame['ago']:7.3f} s {arrow} {frame['bytes']}")
    return rows or [session.t("There is none.")]


def _scan(session: Session, text: str) -> Lines:
    """Every Modbus unit that answers."""
    from chargepoint.console import busscan

    try:
        wanted = busscan.units(text)
    except ValueError as error:
        raise Usage(session.t("meters scan 1-32: from and to a Modbus unit, 1 to 247")) from error
    session.note("meters scan")
    return [session.t.said(line) for line in busscan.scan(session.config, wanted)] or [session.t("Nothing answers.")]


def _address(session: Session, unit: str, new: str, model: str = "") -> Iterator[str]:
    """Another unit number for a meter: what it is, a question, the change, and whether it took."""
    from chargepoint.console import busscan
    from chargepoint.meter.link import NoAnswer, Refused
    from chargepoint.meter.scan import NotChanged

    old_unit, new_unit = (int(session.number([word], 0, 0, 1, 247)) for word in (unit, new))
    try:
        known = busscan.may_change(session.config, old_unit, new_unit, model)
        yield session.t(
            "Unit {unit} is a {title}; it would answer as unit {new}.",
            unit=old_unit,
            title=clean(known.title),
            new=new_unit,
        )
        if not session.sure(session.t("Type yes: ")):
            yield session.t("Not done.")
            return
        session.note(f"meter unit {old_unit} becomes {new_unit}")
        done = busscan.change(session.config, old_unit, new_unit, known)
    except (NotChanged, NoAnswer, Refused) as error:
        yield clean(session.t.said(error), 300)
        return
    if done:
        yield session.t("It answers as unit {new}. Write that into the configuration.", new=new_unit)
    else:
        yield session.t("Written. Take its power away and give it back; then it answers as unit {new}.", new=new_unit)
