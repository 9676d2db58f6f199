"""The connectors of one EVSE: Type 2, and where there is one the domestic socket (Type E/F).

An EVSE has one session at a time, and a session is at one connector (OCPP 2.0.1's EVSE and Connector). What a connector
has of its own is here: whether it is in service, what it shows, and what its plug looks like in a report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chargepoint.config import EvseSection
from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.energy.allocator import wiring
from chargepoint.evse.messages import PointReport
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.session import Session

HINDRANCES: Final = {
    (TYPE_2, "other-in-use"): "the domestic socket of this point is in use",
    (DOMESTIC, "other-in-use"): "the Type 2 socket of this point is in use",
    (TYPE_2, "other-reserved"): "reserved for the domestic socket",
    (DOMESTIC, "other-reserved"): "reserved for the Type 2 socket",
}
"""Why a connector is told as Unavailable without a fault (at most 50 characters: StatusNotification's info)."""

LEAVING_S: Final = 10.0
"""A badge that has just ended a session may be shown once more by mistake: it shall start nothing at the other plug."""


@dataclass(slots=True)
class Connector:
    """One connector. What is wired to it does not change."""

    number: int
    max_current: float
    """A."""
    lines: tuple[int, ...]
    """Phases (0..2) of the supply on it."""
    meter_lines: tuple[int, ...]
    """Conductors (0..2) of the point's meter on it."""
    status_at: float
    status: ConnectorStatus = ConnectorStatus.UNAVAILABLE
    told: tuple[ConnectorStatus, str | None] | None = None
    """Status and fault as the central system was told them last."""
    operative: bool = True
    """In service, as the operator and the technician want it."""
    scheduled: bool | None = None
    """Availability that comes with the end of the transaction."""
    kept_out: bool = False
    """Out of service by somebody's order."""
    updating: bool = False
    """Out of service for the time of an update, whatever anybody orders meanwhile."""
    came_at: float | None = None
    """When what is plugged there came: the cable, then the car at its end; None: nothing is."""
    _car: str | None = None

    def see(self, report: PointReport, now: float) -> None:
        """A report: did something come or go?"""
        there = car(report, self.number)
        if there is None and not plugged(report, self.number):
            self.came_at = self._car = None
        elif self.came_at is None or (there is not None and there != self._car):
            self.came_at = now
        self._car = there or self._car  # a pilot at fault hides a car, and makes no new one of it

    def aside(self, reserved: bool) -> ConnectorStatus:
        """What it shows, in service, while the session looks at another connector without keeping anybody out."""
        if self.came_at is not None:
            finished = self.status is ConnectorStatus.FINISHING
            return ConnectorStatus.FINISHING if finished else ConnectorStatus.PREPARING
        return ConnectorStatus.RESERVED if reserved else ConnectorStatus.AVAILABLE

    def set(self, operative: bool, busy: bool) -> bool:
        """In or out of service: now, or with the end of the transaction (True)."""
        self.scheduled = operative if busy and operative != self.operative else None
        if self.scheduled is None:
            self.operative = operative
        return self.scheduled is not None


def connectors(section: EvseSection, now: float) -> dict[int, Connector]:
    """Those of a point, by number."""
    lines = wiring(section.phase_rotation, section.phases)
    found = {TYPE_2: Connector(TYPE_2, section.max_current, lines, tuple(range(len(lines))), now)}
    if section.domestic is not None:
        line = "RST".index(section.domestic.phase)
        at = lines.index(line) if line in lines else 0  # `check` refuses a socket that is not behind the meter
        found[DOMESTIC] = Connector(DOMESTIC, section.domestic.max_current, (line,), (at,), now)
    return found


def holds(session: Session) -> bool:
    """The session keeps the other connectors of its point from being used: somebody was let in, or a cable is kept."""
    if session.state == "waiting_car":
        return session.plugged or session.grant is None or session.grant.connector is not None
    return session.state in ("starting", "running", "stopping") or session.retained


def just_left(session: Session, connector: int, now: float) -> bool:
    """A session has just ended there, whose badge may be shown once more by mistake; also where it was the last for
    now, because the connector goes out of service with it."""
    return session.state == "finished" and session.connector == connector and now - session.ended_at < LEAVING_S


def follow(session: Session, there: Mapping[int, Connector], now: float) -> int:
    """The connector to look at: the one that is held; else where something was plugged in last; else Type 2.

    The last one, because the next badge is that driver's: nobody shall pay for a plug that stood there before.
    """
    own = there.get(session.connector)
    left = just_left(session, session.connector, now)
    if holds(session) or (left and own is not None and own.came_at is not None):
        return session.connector
    plugs = [(c.came_at, c is own, -n, n) for n, c in there.items() if c.came_at is not None and c.operative]
    return max(plugs)[-1] if plugs else TYPE_2


def plugged(report: PointReport, connector: int) -> bool:
    """A cable is in the socket (or the tethered one on a car), or a plug in the domestic socket."""
    return report.domestic_plug if connector == DOMESTIC else report.plugged


def identity(report: PointReport, connector: int) -> str:
    """Of the present, or the last, plug-in: run of the safety process and count."""
    count = f"d{report.domestic_count}" if connector == DOMESTIC else str(report.plug_count)
    return f"{report.boot}:{count}"


def car(report: PointReport, connector: int) -> str | None:
    """Identity of what is plugged in and could draw; None when there is nothing."""
    there = report.domestic_plug if connector == DOMESTIC else report.state[:1] in "BCD"
    return identity(report, connector) if there else None


def car_unknown(report: PointReport, connector: int) -> bool:
    """The pilot cannot tell whether a car is there: E or F with a plug in."""
    return connector == TYPE_2 and report.plugged and report.state[:1] in "EF"


def live(report: PointReport) -> bool:
    """A contactor of the point is commanded closed, or not open."""
    return report.contactor_commanded or report.contactor_closed or report.domestic_commanded or report.domestic_closed
