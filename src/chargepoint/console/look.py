"""The console's commands that only look."""

import itertools
import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chargepoint.config_check import ConfigError, load
from chargepoint.console import check, metering, pages, status, tracing
from chargepoint.console.borne import SafetySilent, when
from chargepoint.console.rpc import Refused, Unreachable
from chargepoint.console.session import Command, Lines, Session, Usage, tree, which
from chargepoint.energy.limits import Limit
from chargepoint.faults import row_of
from chargepoint.reader.variants import variants
from chargepoint.text import amps, clean, clean_all, mask, table

DEAD_LOG_LINES = 5


# --- status and why ------------------------------------------------------------------------------------------------


def show_status(session: Session, words: list[str]) -> Lines:
    live = "-w" in words
    named = [word for word in words if word != "-w"]
    place = session.place(named) if named else None
    while live:
        session.terminal.screen([*_screen(session, place), "", session.t("any key ends")])
        if session.terminal.pressed(1.0) or not session.terminal.interactive:
            return []
    return _screen(session, place)


def _screen(session: Session, place: tuple[int, int | None] | None = None) -> list[str]:
    try:
        shown = session.borne.station.ask("status")
        if place is None:
            return status.screen(shown, session.t)
        evse, connector = place
        shown["evses"] = [point for point in shown["evses"] if point["id"] == evse]
        if connector is None:
            return status.screen(shown, session.t)
        said = session.borne.station.ask("why", evse=evse, connector=connector, lang=session.t.name)
        return [*status.one_connector(shown["evses"][0], connector, session.t), *textwrap.wrap(clean(said, 1000), 80)]
    except Unreachable as error:
        return [*_station_dead(session, error), "", *_points_alone(session)]


def _station_dead(session: Session, error: Unreachable) -> list[str]:
    lines = [session.silence(error)]
    events = [event for event in session.borne.log_lines(200) if event["process"] == "station"][-DEAD_LOG_LINES:]
    if events:
        lines.append(session.t("Its last log lines:"))
        lines += ["  " + _event_line(event) for event in events]
    return lines


def _points_alone(session: Session) -> list[str]:
    """The points as the safety process itself reports them."""
    try:
        points, borne = session.borne.reports()
    except SafetySilent as error:
        return [session.silence(error)]
    rows = [[session.t(word) for word in ("point", "pilot", "contactor", "lock", "offered", "faults")]]
    for report in points.values():
        faults = ", ".join(fault.name for fault in report.faults) or "-"
        contactor = session.t("closed") if report.contactor_closed else session.t("open")
        if report.domestic_closed:
            contactor = session.t("domestic on")
        rows.append([str(report.evse), report.state, contactor, report.lock, amps(report.offered_a), faults])
    if borne is not None and borne.faults:
        rows.append(["-", "", "", "", "", ", ".join(fault.name for fault in borne.faults)])
    return table(rows)


def why(session: Session, words: list[str]) -> Lines:
    evse, connector = session.place(words)
    try:
        return [clean(session.borne.station.ask("why", evse=evse, lang=session.t.name, **which(connector)), 1000)]
    except Unreachable as error:
        return [*_station_dead(session, error), *_why_alone(session, evse)]


def _why_alone(session: Session, evse: int) -> list[str]:
    try:
        report = session.borne.reports()[0].get(evse)
    except SafetySilent as error:
        return [session.silence(error)]
    if report is None or not report.faults:
        return []
    return [_sentence(session, fault.name) for fault in report.faults]


def _sentence(session: Session, name: str) -> str:
    row = row_of(name)
    return row.fr if session.t.name == "fr" else row.en


# --- faults, limits, counters --------------------------------------------------------------------------------------


def faults(session: Session, words: list[str]) -> Lines:
    if words[:1] == ["ack"]:
        return _acknowledge(session, words[1:])
    if words[:1] == ["history"]:
        return _fault_history(session, int(session.number(words, 1, 30, 1, 1000)))
    lines = []
    for where, fault in _active_faults(session):
        since = clean(fault.get("since", ""))
        lines.append(f"{where}  {fault['name']}  {since}  {clean(session.t.said(fault.get('detail', '')))}".rstrip())
        lines.append("  " + _sentence(session, fault["name"]))
    return lines or [session.t("No active fault.")]


def _acknowledge(session: Session, words: list[str]) -> Lines:
    if len(words) != 2:
        raise Usage(session.t("faults ack EVSE FAULT; `faults` shows the names; EVSE 0 is the borne"))
    evse = 0 if words[0] == "0" else session.evse(words)
    session.audit(f"acknowledge {words[1]}", evse)
    session.borne.station.ask("acknowledge", evse=evse, fault=words[1])
    return [session.t("Acknowledged.")]


def _active_faults(session: Session) -> list[tuple[str, dict[str, Any]]]:
    try:
        shown = clean_all(session.borne.station.ask("status"))
    except (Unreachable, Refused):
        points, borne = session.borne.reports()
        found = [
            (_point(session, p.evse), {"name": f.name, "detail": f.detail}) for p in points.values() for f in p.faults
        ]
        return found + [
            (session.t("borne"), {"name": f.name, "detail": f.detail}) for f in (borne.faults if borne else ())
        ]
    found = [(_point(session, evse["id"]), fault) for evse in shown["evses"] for fault in evse["faults"]]
    return found + [(session.t("borne"), fault) for fault in shown.get("faults", [])]


def _point(session: Session, evse: int) -> str:
    return session.t("point {evse}", evse=evse)


def _fault_history(session: Session, count: int) -> Lines:
    rows = [[session.t(word) for word in ("time", "point", "fault", "event", "detail")]]
    for at, event in session.borne.history(count):
        what = session.t(event.event)
        rows.append(
            [when(at), str(event.evse or "-"), clean(event.name, 40), what, clean(session.t.said(event.detail), 60)]
        )
    return table(rows)


def limits(session: Session, words: list[str]) -> Lines:
    shown = clean_all(session.borne.station.ask("status"))
    wanted = [session.evse(words)] if words else [evse["id"] for evse in shown["evses"]]
    lines: list[str] = []
    for evse in shown["evses"]:
        if evse["id"] not in wanted:
            continue
        lines.append(session.t("point {evse}: {amps} offered", evse=evse["id"], amps=amps(evse.get("offered"))))
        known = sorted(evse["limits"], key=lambda limit: (limit["amps"] is None, limit["amps"] or 0))
        rows = [[session.t(word) for word in ("limit", "current", "set by", "since", "until")]]
        for limit in known:
            times = [(limit.get(key) or "")[:16].replace("T", " ") for key in ("since", "until")]
            rows.append([limit["name"], amps(limit["amps"]), session.t.said(limit["owner"]), *times])
        said = ["", *("    " + _limit_sentence(session, limit) for limit in known)]
        lines += [line for pair in zip(table(rows, "  "), said, strict=True) for line in pair if line]
    return lines


def _limit_sentence(session: Session, limit: dict[str, Any]) -> str:
    try:
        known = Limit(limit["name"], limit["owner"], limit["amps"], 0.0, detail=limit.get("detail", ""))
    except ValueError:  # a name of another version
        return ""
    return "" if known.amps is None else known.sentence(session.t.name)


def counters(session: Session, _: list[str]) -> Lines:
    shown = clean_all(session.borne.station.ask("status"))
    names = sorted({name for evse in shown["evses"] for name in evse.get("counters", {})})
    rows = [["", *(_point(session, evse["id"]) for evse in shown["evses"])]]
    rows += [[name, *(str(evse["counters"].get(name, "-")) for evse in shown["evses"])] for name in names]
    return table(rows)


# --- log -----------------------------------------------------------------------------------------------------------

_SEVERITY = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}


def log(session: Session, words: list[str]) -> Lines:
    follow = "-f" in words
    words = [word for word in words if word != "-f"]
    least = next((_SEVERITY[word] for word in words if word in _SEVERITY), 0)
    session_wanted = next((word[3:] for word in words if word.startswith("tx=")), None)
    words = [word for word in words if word not in _SEVERITY and not word.startswith("tx=")]
    evse = session.evse(words) if words else None

    def wanted(event: dict[str, Any]) -> bool:
        if session_wanted is not None and str(event.get("tx")) != session_wanted:
            return False
        return _SEVERITY.get(str(event.get("level")), 1) >= least and evse in (None, event.get("evse"))

    events = session.borne.log_lines(2000)
    shown = [event for event in events if wanted(event)][-200 if not follow else -20 :]
    lines = [_event_line(event) for event in shown]
    return itertools.chain(lines, _follow(session, events, wanted)) if follow else lines


def _follow(session: Session, before: list[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> Iterator[str]:
    """What was not there `before`. The time tells nothing of that: two events may have the same, a clock is set, and
    of two processes one writes later."""
    seen = Counter(map(_identity, before))
    while not session.terminal.pressed(0.5):
        now = session.borne.log_lines(500)
        for event in now:
            if seen[_identity(event)] > 0:
                seen[_identity(event)] -= 1
            elif wanted(event):
                yield _event_line(event)
        seen = Counter(map(_identity, now))
        if not session.terminal.interactive:
            return


def _identity(event: dict[str, Any]) -> str:
    return json.dumps(event)


def _event_line(event: dict[str, Any]) -> str:
    rest = {k: v for k, v in event.items() if k not in ("timestamp", "level", "event", "process", "exception")}
    pairs = " ".join(f"{clean(key)}={clean(value, 60)}" for key, value in rest.items())
    at = str(event.get("timestamp", ""))[11:19]
    return clean(
        f"{at} {event.get('level', '')!s:<7} {event.get('process')}: {event.get('event')} {pairs}", 400
    ).rstrip()


# --- devices, configuration, OCPP ----------------------------------------------------------------------------------


def reader(session: Session, words: list[str]) -> Lines:
    """The readers; the last badge in every spelling, to who gave the PIN, and masked to others."""
    lines: list[str] = []
    for entry in clean_all(session.borne.station.ask("readers")):
        last = entry.pop("last")
        lines += tree(entry, session.t)
        if last is not None and session.who:
            ago = session.t("last badge, {seconds} s ago:", seconds=f"{last['ago']:.0f}")
            lines += [ago, *table([list(pair) for pair in variants(bytes.fromhex(last["uid"]))], "  ")]
        elif last is not None:
            lines.append(session.t("last badge: {badge} (its spellings need the PIN)", badge=mask(last["uid"])))
        lines.append("")
    return lines


def tic(session: Session, words: list[str]) -> Lines:
    """What the meters of the connection leave, as the station understood them."""
    supply = clean_all(session.borne.station.ask("status")).get("supply", {})
    return list(tree(supply, session.t))


def config(session: Session, words: list[str]) -> Lines:
    from chargepoint.console.settings import differences, origins

    match words:
        case [] | ["show"]:
            return origins(session)
        case ["validate"]:
            try:
                wrong = check.beyond_the_file(load(Path(session.config_file)))
                if wrong:
                    raise ConfigError(Path(session.config_file), wrong)
            except ConfigError as error:
                return [clean(line, 400) for line in error.said(session.t.name).splitlines()]
            return [session.t("No mistake in {file}.", file=clean(session.config_file))]
        case ["diff"]:
            return differences(session)
        case _:
            raise Usage(session.t("config show, config validate or config diff"))


def ocpp(session: Session, words: list[str]) -> Lines:
    match words:
        case []:
            return list(tree(clean_all(session.borne.station.ask("status")["ocpp"]), session.t))
        case ["messages", *rest]:
            count = int(session.number(rest, 0, 20, 1, 500))
            found = clean_all(session.borne.station.ask("messages", count=count))
            return [f"{entry['at']} {entry['direction']:>3} {entry['text']}" for entry in found]
        case ["certificates"]:
            return _certificates(session)
        case ["connect" | "disconnect" as what]:
            session.audit(f"ocpp {what}")
            session.borne.station.ask(what)
            return [session.t("Asked for.")]
        case _:
            raise Usage(session.t("ocpp, ocpp messages [COUNT], ocpp certificates, ocpp connect or ocpp disconnect"))


def _certificate_row(where: str, certificate: Any) -> list[str]:
    left = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    return [where, clean(certificate.subject.rfc4514_string(), 40), str(left)]


def _installed(kept: Any) -> Iterator[str]:
    """Every certificate, in PEM form, in what the journal keeps; keys stand beside them and are passed over."""
    match kept:
        case dict():
            for item in kept.values():
                yield from _installed(item)
        case list():
            for item in kept:
                yield from _installed(item)
        case str() if "BEGIN CERTIFICATE-----" in kept and "PRIVATE" not in kept:
            yield kept


def _certificates(session: Session) -> list[str]:
    """The certificates that the configuration names and those that were installed, with the days each has left."""
    from cryptography import x509  # slow to import, and seldom asked for

    rows = [[session.t(word) for word in ("file", "subject", "days left")]]
    ocpp = session.config.ocpp
    for file in (ocpp.csms_ca_file, ocpp.client_certificate_file):
        if file is None:
            continue
        try:
            found = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError) as error:
            rows.append([clean(file), clean(session.t.said(error), 60), "?"])
            continue
        rows += [_certificate_row(clean(file), certificate) for certificate in found]
    for pem in _installed(session.borne.stored("certificates")):
        found = x509.load_pem_x509_certificates(pem.encode())
        rows += [_certificate_row(session.t("journal"), certificate) for certificate in found]
    return table(rows) if len(rows) > 1 else [session.t("There is none.")]


LOOK = (
    Command(
        "status",
        "[-w] [EVSE[.CONNECTOR]]",
        "every point, who limits it, faults, link and clock, or one alone; -w: live",
        show_status,
    ),
    Command("why", "EVSE[.CONNECTOR]", "why a point is, or is not, charging", why),
    Command(
        "faults",
        "[history [COUNT] | ack EVSE FAULT]",
        "active faults with what to do; those of the past; acknowledge one",
        faults,
        acting=("ack",),
    ),
    Command("log", "[-f] [LEVEL] [EVSE] [tx=N]", "what happened; -f: as it happens", log, live=True),
    Command(
        "sessions",
        "[COUNT | show N | plot N [FILE.svg|FILE.png]]",
        "the last sessions; one of them; its picture",
        pages.sessions,
    ),
    Command("day", "[YYYY-MM-DD] [FILE.svg|FILE.png]", "a day of the borne: points, supply, who waited", pages.day),
    Command(
        "trace",
        "EVSE [SECONDS] [FILE.csv] [FILE.svg|FILE.png] | files | FILE.rec [FILE.csv] [FILE.svg|FILE.png]",
        "pilot, contactor, currents, live; recordings of faults",
        tracing.trace,
        live=True,
    ),
    Command("limits", "[EVSE]", "every limit, who set it and since when", limits),
    Command(
        "meters",
        metering.USAGE,
        "the energy meters: what they say, raw frames, bus scan, another unit number",
        metering.meters,
        acting=metering.ACTING,
        live=True,
    ),
    Command("reader", "", "the badge readers and the last badge", reader),
    Command("tic", "", "what the Linky and the building's meter leave of the supply", tic),
    Command("config", "[show | validate | diff]", "the configuration and where each value comes from", config),
    Command(
        "ocpp",
        "[messages [COUNT] | certificates | connect | disconnect]",
        "the link to the central system",
        ocpp,
        acting=("connect", "disconnect"),
    ),
    Command("counters", "", "contactor closings, trips, wake-ups, ...", counters),
)
