"""The connectors of one EVSE: Type 2, and where there is one the domestic socket (Type E/F).

An EVSE has one session at a time, and a session is at one connector (OCPP 2.0.1's EVSE and Connector). What a connector
has of its own is here: whether it is in service, what it shows, and what its plug looks like in a report.
"""

from dataclasses import dataclass
from typing import Final

from chargepoint.config import EvseSection
from chargepoint.energy.allocator import wiring
from chargepoint.evse.messages import PointReport
from chargepoint.station.api import ConnectorStatus

TYPE_2: Final = 1
DOMESTIC: Final = 2
KINDS: Final = {TYPE_2: "type-2", DOMESTIC: "domestic"}
"""As `status` names them."""
HINDRANCES: Final = {
    (TYPE_2, "other-in-use"): "the domestic socket of this point is in use",
    (DOMESTIC, "other-in-use"): "the Type 2 socket of this point is in use",
    (TYPE_2, "other-reserved"): "reserved for the domestic socket",
    (DOMESTIC, "other-reserved"): "reserved for the Type 2 socket",
}
"""Why a connector is told as Unavailable without a fault (at most 50 characters: StatusNotification's info)."""


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
