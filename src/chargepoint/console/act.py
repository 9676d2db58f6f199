"""The console's commands that change something: each needs the PIN and is entered in the security log first."""

from collections.abc import Generator
from pathlib import Path

from chargepoint.console.access import BadPin
from chargepoint.console.bundle import make_bundle
from chargepoint.console.carrying import kept
from chargepoint.console.commission import commission
from chargepoint.console.restarting import without_station
from chargepoint.console.rpc import Unreachable
from chargepoint.console.selftests import USAGE, test
from chargepoint.console.session import Command, Lines, Session, Usage, which
from chargepoint.console.updating import update

_AVAILABILITY = {"on": True, "operative": True, "off": False, "inoperative": False}
"""The person's words, and OCPP's."""


def unlock(session: Session, words: list[str]) -> Lines:
    evse, connector = session.place(words)
    session.audit("unlock", evse, connector)
    session.borne.station.ask("unlock", evse=evse, **which(connector), timeout_s=30.0)
    return [session.t("The plug is released.")]


def stop(session: Session, words: list[str]) -> Lines:
    evse, connector = session.place(words)
    session.audit("stop", evse, connector)
    session.borne.station.ask("stop", evse=evse, **which(connector), timeout_s=30.0)
    return [session.t("The session is ended.")]


def availability(session: Session, words: list[str]) -> Lines:
    if len(words) != 2 or words[1] not in _AVAILABILITY:
        raise Usage(session.t("availability EVSE[.CONNECTOR] on|off; EVSE 0 is the whole borne"))
    evse, connector = (0, None) if words[0] == "0" else session.place(words)
    operative = _AVAILABILITY[words[1]]
    session.audit(f"availability {'on' if operative else 'off'}", evse, connector)
    answer = session.borne.station.ask("availability", evse=evse, operative=operative, **which(connector))
    if answer.get("outcome") == "scheduled":
        return [session.t("It will be so when the session ends.")]
    return [session.t("Done.")]


def level(session: Session, words: list[str]) -> Lines:
    if not words:
        raise Usage(session.t("level debug|info|warning|error [MINUTES]"))
    seconds = 60 * session.number(words, 1, 10, 1, 60)
    session.audit(f"log level {words[0]}")
    session.borne.station.ask("log_level", level=words[0], seconds=seconds)
    return [session.t("For {minutes} minutes.", minutes=f"{seconds / 60:g}")]


def bundle(session: Session, words: list[str]) -> Lines:
    session.note("bundle")
    return kept(session, words, lambda folder: _bundled(session, folder))


def _bundled(session: Session, folder: Path) -> Generator[str, None, Path]:
    yield session.t("It is being collected.")
    return make_bundle(session, folder)


def set_pin(session: Session, words: list[str]) -> Lines:
    first = session.terminal.secret(session.t("New PIN: "))
    if first != session.terminal.secret(session.t("Again: ")):
        return [session.t("They differ; nothing was changed.")]
    session.note("pin set")
    try:
        session.access.set_pin(first)
    except BadPin as error:
        return [session.t(str(error))]
    return [session.t("The PIN is set.")]


def reboot(session: Session, words: list[str]) -> Lines:
    if words not in ([], ["force"]):
        raise Usage(session.t("reboot, or reboot force: with the station dead, even while a car charges"))
    try:
        session.borne.station.ask("status")
    except Unreachable as error:
        return without_station(session, error, forced=bool(words))
    if not session.sure(session.t("Sessions end. Type yes: ")):
        return [session.t("Not done.")]
    session.audit("reboot")
    session.borne.station.ask("reset", hard=True, timeout_s=30.0)
    return [session.t("It starts again.")]


def _commission(session: Session, words: list[str]) -> Lines:
    session.audit("commission")
    return kept(session, words, lambda folder: commission(session, folder))


ACT = (
    Command(
        "test",
        USAGE,
        "self-tests of a point out of service, without a car; buzzer; reader, meter, modem: do they answer",
        test,
        action=True,
        live=True,
    ),
    Command(
        "availability",
        "EVSE[.CONNECTOR] on|off",
        "take a point, or one connector of it, out of service, or back",
        availability,
        action=True,
    ),
    Command("unlock", "EVSE[.CONNECTOR]", "end the session and release the plug", unlock, action=True),
    Command("stop", "EVSE[.CONNECTOR]", "end the session", stop, action=True),
    Command("level", "LEVEL [MINUTES]", "log more, or less, for a time", level, action=True),
    Command(
        "bundle",
        "[stick | DIRECTORY]",
        "everything support needs in one file, without secrets",
        bundle,
        action=True,
        live=True,
    ),
    Command(
        "commission",
        "[stick | DIRECTORY]",
        "guided check of a new borne, with a report",
        _commission,
        action=True,
        live=True,
    ),
    Command("pin", "", "set the PIN of this borne", set_pin, action=True),
    Command(
        "update",
        "[stick | FILE | DIRECTORY]",
        "install a signed update from a stick; or how far the last one is, and which sticks there are",
        update,
        action=True,
        live=True,
    ),
    Command("reboot", "[force]", "start the borne again; the station may be dead", reboot, action=True, live=True),
)
