"""The guided check of a new borne: every value against its bound, and a report that stays with the borne."""

import html
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chargepoint import __version__
from chargepoint.console import selftests
from chargepoint.console.session import Session
from chargepoint.text import clean, clean_all, file_name

VOLTAGE_TOLERANCE = 0.10
"""Of the nominal voltage, EN 50160."""
PILOT_A_V = (11.0, 13.0)
"""State A at the socket, IEC 61851-1 Table A.4 (12 V +- 1 V as the borne measures it)."""
SOCKET_C = (-30.0, 50.0)
"""IEC 61851-1 gives -25 to 40 degrees for the air outside; a cabinet in the sun is warmer."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    what: str
    measured: str
    bound: str
    passed: bool


def commission(session: Session, directory: Path) -> Generator[str, None, Path]:
    """Measure, test, ask; tell each verdict as it falls; write the report, and answer where."""
    checks: list[Check] = []
    for check in _checks(session):
        checks.append(check)
        verdict = session.t("passed") if check.passed else session.t("FAILED")
        yield f"{check.what}: {check.measured} ({check.bound}): {verdict}"
    name = f"{file_name(session.config.station.id)}-commissioning-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
    target = directory / name
    target.write_text(report(session, checks), encoding="utf-8")
    failed = sum(not check.passed for check in checks)
    yield (
        session.t("All {count} checks passed.", count=len(checks))
        if not failed
        else session.t("{failed} of {count} checks failed.", failed=failed, count=len(checks))
    )
    return target


def _checks(session: Session) -> Iterator[Check]:
    t = session.t
    status = clean_all(session.borne.station.ask("status"))
    yield Check(t("PIN of the console"), t("set") if session.access.pin_set else "-", t("set"), session.access.pin_set)
    synchronised = bool(status["clock"].get("synchronised"))
    yield Check(t("clock"), str(status["clock"].get("source")), t("synchronised"), synchronised)
    connected = bool(status["ocpp"].get("connected"))
    yield Check(t("central system"), str(status["ocpp"].get("url")), t("connected"), connected)
    names = ", ".join(fault["name"] for fault in status.get("faults", []))
    yield Check(t("faults of the borne"), names or "-", t("none"), not names)
    yield from _readers(session)
    if session.config.buzzer.enabled:
        passed, said = selftests.buzzer(session)
        yield Check(t("buzzer"), said, t("all tones heard"), passed)
    reports = session.borne.reports()[0]
    for evse in status["evses"]:
        yield from _point(session, evse, reports.get(evse["id"]))


def _point(session: Session, evse: dict[str, Any], report: Any) -> Iterator[Check]:
    t, where = session.t, session.t("point {evse}", evse=evse["id"])
    names = ", ".join(fault["name"] for fault in evse["faults"])
    yield Check(f"{where}, {t('faults')}", names or "-", t("none"), not names)
    if report is not None and report.cp_high_v is not None:
        yield _within(f"{where}, {t('pilot without a car')}", report.cp_high_v, PILOT_A_V, "V")
        if report.temperature_c is not None:
            yield _within(f"{where}, {t('socket temperature')}", report.temperature_c, SOCKET_C, "°C")
    nominal = session.config.supply.voltage
    for index, voltage in enumerate(evse.get("voltage") or ()):
        if voltage is not None:
            bounds = (nominal * (1 - VOLTAGE_TOLERANCE), nominal * (1 + VOLTAGE_TOLERANCE))
            yield _within(f"{where}, {t('voltage')} L{index + 1}", voltage, bounds, "V")
    register = evse.get("energy")
    yield Check(f"{where}, {t('register')}", f"{register} Wh", t("readable"), register is not None)
    if not session.config.external_pilots:
        yield from _tested(session, where, evse["id"])


def _within(what: str, value: float, bounds: tuple[float, float], unit: str) -> Check:
    low, high = bounds
    return Check(what, f"{value:.1f} {unit}", f"{low:.0f} - {high:.0f} {unit}", low <= value <= high)


def _tested(session: Session, where: str, evse: int) -> Iterator[Check]:
    """The self-tests, with the point out of service meanwhile; it is put back as it was."""
    station = session.borne.station
    point = next(point for point in station.ask("status")["evses"] if point["id"] == evse)
    if point["operative"]:
        station.ask("availability", evse=evse, operative=False)
    try:
        for what in selftests.SWITCHED:
            passed, said = selftests.switched(session, evse, what)
            yield Check(f"{where}, {session.t('self-test')} {what}", said, session.t("passed"), passed)
        passed, said = selftests.lamps(session, evse)
        yield Check(f"{where}, {session.t('lamp')}", said, session.t("all colours seen"), passed)
    finally:
        if point["operative"]:
            station.ask("availability", evse=evse, operative=True)


def _readers(session: Session) -> Iterator[Check]:
    """A badge read by each reader is worth more than its answer."""
    t = session.t
    for reader in clean_all(session.borne.station.ask("readers")):
        name = t("reader {number}", number=reader["id"])
        asked = time.monotonic()
        session.terminal.ask(t("Hold a badge at reader {number}, then Enter: ", number=reader["id"]))
        shown = next(each for each in session.borne.station.ask("readers") if each["id"] == reader["id"])
        ago = shown["last"]["ago"] if shown["last"] else None
        measured = t.said(shown["trouble"] or "silent") if ago is None else f"{ago:.0f} s"
        bound = time.monotonic() - asked
        yield Check(name, clean(measured), f"< {bound:.0f} s", ago is not None and ago < bound)


def report(session: Session, checks: list[Check]) -> str:
    """The page: no script, nothing from outside."""
    t = session.t
    e = html.escape
    rows = "\n".join(
        f'<tr class="{"good" if check.passed else "bad"}"><td>{e(check.what)}</td><td>{e(check.measured)}</td>'
        f"<td>{e(check.bound)}</td><td>{e(t('passed') if check.passed else t('FAILED'))}</td></tr>"
        for check in checks
    )
    station = session.config.station
    return f"""<!doctype html>
<html lang="{t.name}"><meta charset="utf-8"><title>{e(station.id)}</title>
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto }}
td, th {{ text-align: left; padding: .2em 1em }}
.bad {{ background: #fdd; font-weight: bold }}</style>
<h1>{e(t("Commissioning of {station}", station=station.id))}</h1>
<p>{e(station.vendor)} {e(station.model)}, {e(station.serial)}; chargepoint {e(__version__)};
{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}; {e(session.who)}</p>
<table><tr><th>{e(t("what"))}</th><th>{e(t("measured"))}</th><th>{e(t("bound"))}</th><th>{e(t("verdict"))}</th></tr>
{rows}
</table>
</html>
"""
