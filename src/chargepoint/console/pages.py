"""Sessions and days as tables and pictures: what the journal kept, and what the running station has not written yet."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from chargepoint.connectors import TYPE_2
from chargepoint.console.drawing import SUFFIXES, can_png
from chargepoint.console.picture import Event, Picture, Series, Track
from chargepoint.console.rpc import Refused, Unreachable
from chargepoint.console.session import Lines, Session, Usage
from chargepoint.journal.tracks import Sample
from chargepoint.station.api import StopReason
from chargepoint.text import clean, mask, table

Timed = Sequence[tuple[float, Sample]]
"""Samples with their UTC seconds."""
PILOT_V: Final = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0, "F": -12.0}
"""The positive level of each state (IEC 61851-1, Table A.2); F is steady."""
LABELS: Final = {
    "tx": "number",
    "place": "point",
    "token": "badge",
    "began": "begun",
    "seconds": "seconds",
    "start_wh": "register at the start, Wh",
    "last_wh": "register at the end, Wh",
    "wh": "energy, Wh",
    "open": "still open",
    "reason": "ended by",
    "backend_id": "number at the central system",
}
DAY_S: Final = 86400.0
EVENTS_MAX: Final = 20


def sessions(session: Session, words: list[str]) -> Lines:
    if words[:1] in (["show"], ["plot"]):
        return _one_session(session, words)
    count = int(session.number(words, 0, 20, 1, 1000))
    rows = [[session.t(word) for word in ("number", "point", "begun", "minutes", "Wh", "badge", "ended by")]]
    for entry in session.borne.sessions(count):
        minutes = "?" if entry["seconds"] is None else f"{entry['seconds'] / 60:.0f}"
        reason = session.t("charging") if entry["open"] else _ended_by(session, entry["reason"])
        rows.append(
            [
                str(entry["tx"]),
                _place(entry),
                entry["began"],
                minutes,
                str(entry["wh"]),
                mask(entry["token"]),
                reason,
            ]
        )
    return table(rows) if len(rows) > 1 else [session.t("No session yet.")]


def _place(entry: dict[str, Any]) -> str:
    """The point; with its connector where that is not the Type 2 one, as commands take it."""
    return str(entry["evse"]) if entry["connector"] == TYPE_2 else f"{entry['evse']}.{entry['connector']}"


def _ended_by(session: Session, reason: str) -> str:
    """OCPP's word for why a session ended, in the person's language; what another version wrote stays as it is."""
    return session.t(reason) if reason in list(StopReason) else clean(reason)


def _one_session(session: Session, words: list[str]) -> Lines:
    number = int(session.number(words, 1, 0, 1, 10**9)) if len(words) > 1 else 0
    entry = next((entry for entry in session.borne.sessions(100_000) if entry["tx"] == number), None)
    if entry is None:
        raise Usage(session.t("There is no session of that number; `sessions` lists them."))
    entry["seconds"] = "?" if entry["seconds"] is None else f"{entry['seconds']:.0f}"
    entry["reason"] = _ended_by(session, entry["reason"])
    entry["open"] = session.t("yes") if entry["open"] else session.t("no")
    entry["place"] = _place(entry)
    told = {key: mask(value) if key == "token" else clean(value) for key, value in entry.items()}
    lines = table([[session.t(label), told[key]] for key, label in LABELS.items()])
    if words[0] == "show":
        return lines
    return [*lines, "", *_drawn(session, _session_page(session, entry), words[2:])]


def check_files(session: Session, files: Sequence[str]) -> None:
    """Whether pictures can be written so, before one is recorded for nothing. Raises Usage."""
    if not all(file.endswith(SUFFIXES) for file in files):
        raise Usage(session.t("A picture is written to a file whose name ends in .svg or .png."))
    if any(file.endswith(".png") for file in files) and not can_png():
        raise Usage(session.t("A PNG needs the packages python3-pil and fonts-dejavu-core; .svg needs nothing."))


def _drawn(session: Session, picture: Picture, files: list[str]) -> Lines:
    lines: list[str] = []
    check_files(session, files)
    for file in files:
        picture.write(Path(file))
        lines.append(session.t("Drawn to {file}.", file=clean(file)))
    return [*lines, *picture.sketch(session.terminal.size[0] - 2)]


# --- a session -----------------------------------------------------------------------------------------------------


def _session_page(session: Session, entry: dict[str, Any]) -> Picture:
    """Pilot, duty, currents, power, energy, temperature, and what happened."""
    number, evse = entry["tx"], entry["evse"]
    title = f"{session.config.station.id}, {session.t('point {evse}', evse=evse)}, {session.t('session')} {number}"
    samples = [*session.borne.track(number), *_unwritten(session, lambda row: row["tx"] == number)]
    if not samples:  # of a time before there were tracks
        return draw(title, session.borne.samples(number))
    t = session.t
    first = next((sample.energy_wh for _, sample in samples if sample.energy_wh is not None), 0) or 0
    tracks = [
        Track(t("pilot"), "V", [_line(t("pilot"), samples, lambda s: PILOT_V.get(s.state[:1]), step=True)], -12, 12),
        Track(t("duty"), "%", [_line(t("duty"), samples, lambda s: s.duty, step=True)], 0, 100),
        Track(
            t("current"),
            "A",
            [
                _line(t("offered"), samples, lambda s: s.offered_a, step=True),
                *(_line(f"L{i + 1}", samples, partial(_phase, i)) for i in range(3)),
            ],
            low=0,
        ),
        Track(t("power"), "kW", [_line(t("power"), samples, lambda s: _over(s.power_w, 1000))], low=0),
        Track(t("energy"), "Wh", [_line(t("energy"), samples, lambda s: _since(s.energy_wh, first))], low=0),
        Track(t("temperature"), "\u00b0C", [_line(t("temperature"), samples, lambda s: s.temperature_c)], low=0),
    ]
    end = samples[-1][0]
    return Picture(clean(title), tracks, _events(session, samples, evse, end), clock=samples[0][0] > DAY_S * 365)


def _events(session: Session, samples: Timed, evse: int, end: float) -> list[Event]:
    """Every change of the status, and the point's faults as they came and went."""
    found = []
    before = ""
    for at, sample in samples:
        if sample.status != before:
            before = sample.status
            found.append(Event(at, session.t(sample.status)))
    return sorted([*found, *_history(session, samples[0][0], end, evse)], key=lambda event: event.at)[:EVENTS_MAX]


def _history(session: Session, begin: float, end: float, *evses: int) -> list[Event]:
    """Faults and interventions at these points, from the journal."""
    return [
        Event(at, f"{event.evse or '-'} {clean(event.name, 40)}: {session.t(event.event)}")
        for at, event in session.borne.history(1000)
        if at is not None and begin <= at <= end and event.evse in evses
    ]


def _unwritten(session: Session, wanted: Callable[[dict[str, Any]], bool]) -> list[tuple[float, Sample]]:
    """What the running station holds in memory still."""
    try:
        rows = session.borne.station.ask("tracks")
        return [(float(row["at"]), msgspec.convert(row["sample"], Sample)) for row in rows if wanted(row)]
    except (Unreachable, Refused):
        return []  # it is dead, or of another version: the journal has the rest


def _line(name: str, samples: Timed, value: Callable[[Sample], float | None], step: bool = False) -> Series:
    return Series(name, [(at, value(sample)) for at, sample in samples], step)


def _phase(index: int, sample: Sample) -> float | None:
    return sample.current_a[index] if index < len(sample.current_a) else None


def _over(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def _since(value: int | None, first: int) -> float | None:
    return None if value is None else float(value - first)


def draw(title: str, samples: list[tuple[float, list[dict[str, Any]]]]) -> Picture:
    """A session from its samples: a track per measurand, a line per phase."""
    series: dict[tuple[str, str], dict[str, list[tuple[float, float | None]]]] = {}
    for at, values in samples:
        for value in values:
            track = series.setdefault((clean(value["measurand"]), clean(value["unit"])), {})
            track.setdefault(clean(value.get("phase") or value["measurand"]), []).append((at, float(value["value"])))
    tracks = [Track(name, unit, [Series(n, p) for n, p in lines.items()]) for (name, unit), lines in series.items()]
    return Picture(clean(title), tracks)


# --- a day ---------------------------------------------------------------------------------------------------------


def day(session: Session, words: list[str]) -> Lines:
    """Both points, the supply and who waited, from midnight to midnight (UTC)."""
    files = [word for word in words if word.endswith(SUFFIXES)]
    dates = [word for word in words if word not in files]
    begin = _midnight(session, dates)
    picture = _day_page(session, begin)
    if all(value is None for track in picture.tracks for series in track.series for _, value in series.points):
        return [session.t("Nothing is kept of that day.")]
    return _drawn(session, picture, files)


def _midnight(session: Session, dates: list[str]) -> float:
    if not dates:
        return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    try:
        return datetime.strptime(dates[0], "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Usage(session.t("A day is written like 2026-01-31.")) from None


def _day_samples(session: Session, evse: int, begin: float) -> list[tuple[float, Sample]]:
    end = begin + DAY_S
    waiting = _unwritten(session, lambda row: row["evse"] == evse and begin <= row["at"] < end)
    return [*session.borne.tracks(evse, begin, end), *waiting]


def _day_page(session: Session, begin: float) -> Picture:
    t, end = session.t, begin + DAY_S
    supply = _day_samples(session, 0, begin)
    tracks = [Track(t("supply"), "A", [_line(t("limit"), supply, lambda s: s.offered_a, step=True)], low=0)]
    waits = []
    evses = [evse.id for evse in session.config.evse]
    for evse in evses:
        samples = _day_samples(session, evse, begin)
        name = t("point {evse}", evse=evse)
        offered = _line(t("offered"), samples, lambda s: s.offered_a, step=True)
        drawn = _line(t("drawn"), samples, lambda s: max((a for a in s.current_a if a is not None), default=None))
        tracks.append(Track(name, "A", [drawn, offered], low=0))
        waits.append(_line(name, samples, lambda s: float(s.status == "SuspendedEVSE"), step=True))
    tracks.append(Track(t("waits for current"), t("0 no, 1 yes"), waits, low=0, high=1))
    title = f"{session.config.station.id}, {datetime.fromtimestamp(begin, UTC):%Y-%m-%d} UTC"
    events = sorted(_history(session, begin, end, 0, *evses), key=lambda event: event.at)[:EVENTS_MAX]
    return Picture(clean(title), tracks, events, clock=True, span=(begin, end))
