"""The console's `test`: what can be tried on a borne, each with what was measured, its bound and a verdict."""

from collections.abc import Iterator
from typing import Any

from chargepoint.connectors import DOMESTIC
from chargepoint.console.rpc import Refused
from chargepoint.console.session import Lines, Session, Usage
from chargepoint.text import clean, clean_all

USAGE = "rcd|lock|contactor|pilot|lamps|all EVSE[.CONNECTOR] | buzzer|reader|meter|modem"
SWITCHED = ("rcd", "lock", "contactor", "pilot")
"""What the safety process does by itself, in this order; `all` is these and the lamps."""
SHARED = ("rcd", "contactor")
"""Of these, what a domestic socket has part in: its point's protection, and a contactor that must not be closed."""
LISTENED = ("reader", "meter", "modem")
METER_AGE_S = 5.0
"""A meter in service is read every second; its last answer may be so old."""


def test(session: Session, words: list[str]) -> Lines:
    what = words[0] if words else ""
    if what in LISTENED:
        return _listen(session, what)
    if what == "buzzer":
        return _buzzer(session)
    if what not in (*SWITCHED, "lamps", "all"):
        raise Usage(f"test {USAGE}")
    evse, connector = session.place(words[1:])
    known = SHARED if connector == DOMESTIC else (*SWITCHED, "lamps")
    if what not in (*known, "all"):
        tests = " ".join(known)
        raise Usage(session.t("The domestic socket has no {what}; try {tests} there.", what=what, tests=tests))
    return _run(session, known if what == "all" else (what,), evse, connector)


def _run(session: Session, tests: tuple[str, ...], evse: int, connector: int | None) -> Iterator[str]:
    refuse_in_service(session, evse)
    where = evse if connector is None else f"{evse}.{connector}"
    for what in tests:
        session.audit(f"self-test {what}", evse, connector)
        yield session.t("Testing {what} at point {evse}...", what=what, evse=where)
        passed, said = lamps(session, evse) if what == "lamps" else switched(session, evse, what)
        verdict = session.t("PASSED") if passed else session.t("FAILED")
        yield f"  {verdict}: {said}"


def refuse_in_service(session: Session, evse: int) -> None:
    """Raises Refused while a customer could use the point, or does. The safety process refuses a plug by itself."""
    point = next(point for point in session.borne.station.ask("status")["evses"] if point["id"] == evse)
    if point["transaction"] is not None:
        raise Refused("a session is going on at this point: end it first")
    if point["plugged"] or any(connector["plugged"] for connector in point.get("connectors", ())):
        raise Refused("a plug is in the socket: unplug first")
    if point.get("operative"):
        raise Refused(f"the point is in service: take it out first with `availability {evse} off`")


def switched(session: Session, evse: int, what: str) -> tuple[bool, str]:
    """A test of the safety process: whether it passed, and what was measured or is wrong."""
    try:
        answer = session.borne.station.ask("self_test", evse=evse, what=what, timeout_s=60.0)
    except Refused as error:
        return False, clean(session.t.said(error), 400)
    return True, clean(session.t.said(answer.get("detail") or what), 400)


def lamps(session: Session, evse: int) -> tuple[bool, str]:
    """Every lamp in turn, and the person says what was seen: no feedback tells."""
    session.borne.station.ask("test_lamps", evse=evse)
    question = session.t("Lamp {evse}: red, green, blue, white, dark, a second each. Seen?", evse=evse)
    seen = session.sure(question + session.t(" (yes/no) "))
    return seen, session.t("all colours seen") if seen else session.t("not all colours seen")


def _buzzer(session: Session) -> Iterator[str]:
    passed, said = buzzer(session)
    yield f"{session.t('buzzer')}: {session.t('PASSED') if passed else session.t('FAILED')}: {said}"


def buzzer(session: Session) -> tuple[bool, str]:
    """The tones for a badge, a refusal and a fault, and the person says whether they were heard."""
    session.audit("self-test buzzer")
    session.borne.station.ask("test_buzzer")
    heard = session.sure(session.t("Buzzer: badge accepted, badge refused, fault. Heard?") + session.t(" (yes/no) "))
    return heard, session.t("all tones heard") if heard else session.t("not all tones heard")


def _listen(session: Session, what: str) -> Iterator[str]:
    """Verdicts on what the station hears anyway: nothing is switched."""
    found = {"reader": _readers, "meter": _meters, "modem": _modem}[what](session)
    for name, passed, measured in found:
        verdict = session.t("PASSED") if passed else session.t("FAILED")
        yield f"{name}: {verdict}: {measured}"


def _readers(session: Session) -> Iterator[tuple[str, bool, str]]:
    for reader in clean_all(session.borne.station.ask("readers")):
        said = session.t("answers") if reader["answers"] else session.t.said(reader["trouble"] or "silent")
        yield session.t("reader {number}", number=reader["id"]), reader["answers"], said


def _meters(session: Session) -> Iterator[tuple[str, bool, str]]:
    for meter in clean_all(session.borne.station.ask("meters")):
        age = meter["age"]
        passed = meter["answers"] and age is not None and age <= METER_AGE_S
        said = session.t("silent") if age is None else _age(session, age)
        yield session.t("meter {evse}", evse=meter["evse"]), passed, said


def _age(session: Session, age: float) -> str:
    return session.t("last answer {age} s ago (at most {most} s)", age=f"{age:.1f}", most=f"{METER_AGE_S:.0f}")


def _modem(session: Session) -> Iterator[tuple[str, bool, str]]:
    ocpp: dict[str, Any] = clean_all(session.borne.station.ask("status")["ocpp"])
    passed = bool(ocpp.get("connected"))
    said = session.t("connected") if passed else session.t.said(ocpp.get("trouble") or "silent")
    yield session.t("central system"), passed, f"{said} ({ocpp.get('url') or '-'})"
