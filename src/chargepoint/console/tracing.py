"""The console's `trace`: the pins of a point as the safety process sees them, and its currents; as CSV or drawn.

And what it has recorded around faults: the same pins, pass by pass, with every input and decision.
"""

import csv
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chargepoint.console import pages
from chargepoint.console.drawing import SUFFIXES
from chargepoint.console.picture import Event, Picture, Series, Track
from chargepoint.console.rpc import Refused, Unreachable
from chargepoint.console.session import Lines, Session, Usage
from chargepoint.evse.messages import Sample
from chargepoint.evse.recorder import DIRECTORY, SUFFIX, changes, records
from chargepoint.text import clean

INTERVAL_S: Final = 0.1
ASK_EVERY_S: Final = 1.0
"""The meter is read once a second."""
COLUMNS: Final = ("t", "cp_high_v", "cp_low_v", "pp_ohm", "duty", "state", "contactor", "temperature_c")
UNPLUGGED_OHM: Final = 1e6
Phases = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One moment: the pins, and what the meter last said."""

    pins: Sample
    current_a: Phases


def trace(session: Session, words: list[str]) -> Lines:
    if words == ["files"]:
        return [clean(file.name) for file in _recordings(session)] or [session.t("There is none.")]
    files = [word for word in words if word.endswith((".csv", *SUFFIXES))]
    pages.check_files(session, [file for file in files if not file.endswith(".csv")])
    words = [word for word in words if word not in files]
    if words and words[0].endswith(SUFFIX):
        return _recorded(session, words[0], files)
    evse = session.evse(words)
    seconds = session.number(words, 1, 10, 0.1, 3600)
    return _trace(session, evse, seconds, files)


def _trace(session: Session, evse: int, seconds: float, files: list[str]) -> Iterator[str]:
    lines: list[Line] = []
    heads = [session.t(word) for word in ("seconds", "high", "low", "duty", "state", "contactor", "PP", "socket")]
    yield "{:>8.8} {:>7} {:>8} {:>7} {:<5} {:<6.6} {:>6} {:>6.6}  L1   L2   L3 (A)".format(*heads)
    currents = _Currents(session, evse)
    for sample in session.borne.trace(evse, seconds, INTERVAL_S):
        lines.append(Line(sample, currents.now()))
        yield _shown(session, lines[-1], sample.t - lines[0].pins.t)
        if session.terminal.interactive and session.terminal.pressed(0):
            break
    yield from _kept(session, evse, lines, files)


def _kept(session: Session, evse: int, lines: list[Line], files: list[str]) -> Iterator[str]:
    """Write the files that were asked for, and sketch it."""
    for file in files:
        if file.endswith(".csv"):
            _write(Path(file), lines)
        else:
            _picture(session, evse, lines).write(Path(file))
        yield session.t("Written to {file}.", file=clean(file))
    if lines:
        yield from _picture(session, evse, lines).sketch(session.terminal.size[0] - 2)


def _recordings(session: Session) -> list[Path]:
    """The files of the safety process's recorder, the newest last."""
    found = (session.config.station.state_dir / DIRECTORY).glob(f"*{SUFFIX}")
    return sorted(found, key=lambda file: file.name.partition("-")[2])


def _recorded(session: Session, name: str, files: list[str]) -> Iterator[str]:
    file = next((each for each in _recordings(session) if each.name == name), None)
    if file is None:
        raise Usage(session.t("There is no recording {file}; `trace files` lists them.", file=clean(name, 100)))
    try:
        passes = list(map(_pass, records(file)))
        changed = list(changes(records(file)))
    except (OSError, ValueError) as error:
        raise Usage(session.t("{file} cannot be read: {reason}", file=clean(name), reason=clean(error))) from error
    return _replayed(session, name, files, passes, changed)


def _replayed(
    session: Session,
    name: str,
    files: list[str],
    passes: list[Line],
    changed: list[tuple[float, dict[str, object]]],
) -> Iterator[str]:
    yield session.t("{file}: seconds; the first pass whole, then what changes.", file=clean(name))
    for at, values in changed:
        yield f"{at - changed[0][0]:9.3f} " + " ".join(f"{key}={_value(value)}" for key, value in values.items())
    evse = name.removeprefix("evse").partition("-")[0]
    yield from _kept(session, int(evse) if evse.isdecimal() else 0, passes, files)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return "+".join(map(clean, value)) or "-"
    return clean(value) or "-"


def _pass(record: dict[str, Any]) -> Line:
    pp = record["pp_ohm"]
    pins = {name: record[name] for name in COLUMNS} | {"pp_ohm": pp if pp < UNPLUGGED_OHM else None}
    return Line(Sample(evse=0, **pins), (None, None, None))


class _Currents:
    """The point's currents, asked of the station now and then; unknown while it does not answer."""

    def __init__(self, session: Session, evse: int) -> None:
        self._session, self._evse = session, evse
        self._asked_at = float("-inf")
        self._last: Phases = (None, None, None)

    def now(self) -> Phases:
        if time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            try:
                found = self._session.borne.station.ask("meters", timeout_s=1.0)
            except (Unreachable, Refused):
                found = []
            mine: dict[str, Any] = next((meter["reading"] for meter in found if meter["evse"] == self._evse), {})
            one, two, three = mine.get("current_a") or (None, None, None)
            self._last = (one, two, three)
        return self._last


def _shown(session: Session, line: Line, at: float) -> str:
    sample = line.pins
    pp = "-" if sample.pp_ohm is None else f"{sample.pp_ohm:.0f}R"
    closed = session.t("closed") if sample.contactor else session.t("open")
    warm = "-" if sample.temperature_c is None else f"{sample.temperature_c:.1f}C"
    amps = " ".join("   -" if a is None else f"{a:4.1f}" for a in line.current_a)
    return (
        f"{at:8.2f} {sample.cp_high_v:6.2f}V {sample.cp_low_v:7.2f}V {sample.duty:6.1f}%"
        f" {sample.state:<5} {closed:<6.6} {pp:>6} {warm:>6} {amps}"
    )


def _write(file: Path, lines: list[Line]) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow((*COLUMNS, "current_l1_a", "current_l2_a", "current_l3_a"))
        for line in lines:
            pins = [getattr(line.pins, name) for name in COLUMNS]
            writer.writerow([*(int(value) if isinstance(value, bool) else value for value in pins), *line.current_a])


def _picture(session: Session, evse: int, lines: list[Line]) -> Picture:
    t = session.t

    def series(name: str, value: Callable[[Line], float | None]) -> Series:
        return Series(name, [(line.pins.t, value(line)) for line in lines])

    events = [
        Event(after.pins.t, f"{before.pins.state} -> {after.pins.state}")
        for before, after in itertools.pairwise(lines)
        if before.pins.state != after.pins.state
    ]
    pilot = [series(t("high"), lambda line: line.pins.cp_high_v), series(t("low"), lambda line: line.pins.cp_low_v)]
    currents = [
        series("L1", lambda line: line.current_a[0]),
        series("L2", lambda line: line.current_a[1]),
        series("L3", lambda line: line.current_a[2]),
    ]
    tracks = [
        Track(t("pilot"), "V", pilot, low=-12, high=12),
        Track(t("duty"), "%", [series(t("duty"), lambda line: line.pins.duty)], low=0, high=100),
        Track(t("current"), "A", currents, low=0),
    ]
    return Picture(t("point {evse}", evse=evse), tracks, events)
