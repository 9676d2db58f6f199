"""Which connector of a point is looked at, as tables of what is plugged where and since when."""

import pytest

from chargepoint.config import DomesticSection, EvseSection
from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.evse.messages import PointReport
from chargepoint.station.api import StopReason
from chargepoint.station.connectors import Connector, connectors, follow, holds
from chargepoint.station.session import Grant, Session
from chargepoint.station.settings import Settings


def made(type_2: float | None = None, domestic: float | None = None, out: int = 0) -> dict[int, Connector]:
    """A point with both; when something was plugged into each, and which is out of service."""
    section = EvseSection(
        id=1, max_current=32, phase_rotation="STR", domestic=DomesticSection(max_current=8, phase="R")
    )
    there = connectors(section, 0.0)
    there[TYPE_2].came_at, there[DOMESTIC].came_at = type_2, domestic
    if out:
        there[out].operative = False
    return there


def report(state: str = "A1", plugged: bool = False, count: int = 0, domestic: int = 0) -> PointReport:
    return PointReport(
        evse=1, t=0.0, boot="b", state=state, plugged=plugged, plug_count=count, cable_a=None, duty=100.0,
        offered_a=0.0,
        contactor_commanded=False, contactor_closed=False, lock="unlocked", permitted=False, closed_at=None,
        opened_at=None, waiting="", cp_high_v=12.0, cp_low_v=12.0, temperature_c=20.0, derate=1.0, wake_ups=0,
        domestic_plug=domestic > 0, domestic_count=domestic,
    )  # fmt: skip


def test_a_domestic_socket_is_on_its_phase_and_on_the_meters_conductor_for_it() -> None:
    there = made()
    assert (there[TYPE_2].lines, there[TYPE_2].meter_lines) == ((1, 2, 0), (0, 1, 2))
    assert (there[DOMESTIC].lines, there[DOMESTIC].meter_lines) == ((0,), (2,))


@pytest.mark.parametrize(
    ("there", "looked_at"),
    [
        (made(), TYPE_2),
        (made(type_2=1.0), TYPE_2),
        (made(domestic=1.0), DOMESTIC),
        (made(type_2=1.0, domestic=2.0), DOMESTIC),
        (made(type_2=2.0, domestic=1.0), TYPE_2),
        (made(type_2=1.0, domestic=1.0), TYPE_2),
        (made(domestic=1.0, out=DOMESTIC), TYPE_2),
        (made(type_2=2.0, domestic=1.0, out=TYPE_2), DOMESTIC),
    ],
)
def test_what_was_plugged_in_last_and_is_in_service_is_looked_at(there: dict[int, Connector], looked_at: int) -> None:
    session = Session(Settings())
    assert follow(session, there, 100.0) == looked_at
    session.close()


def test_who_was_let_in_keeps_the_connector_and_who_was_not_does_not() -> None:
    session = Session(Settings())
    assert not holds(session)
    session.approved(Grant("TAG"), 1.0)
    assert not holds(session), "a badge without a plug is for whichever is plugged"
    session.approved(Grant("TAG", connector=DOMESTIC), 1.0)
    assert holds(session) and follow(session, made(type_2=5.0), 6.0) == DOMESTIC
    session.cable(True, 7.0)
    session.car_is("b:d1", 7.0)
    session.begun(1)
    assert follow(session, made(type_2=9.0, domestic=7.0), 10.0) == DOMESTIC
    session.stop(StopReason.LOCAL, "TAG", 20.0)
    session.ended(20.0)
    assert not holds(session)
    assert follow(session, made(type_2=9.0, domestic=7.0), 29.0) == DOMESTIC
    assert follow(session, made(type_2=9.0, domestic=7.0), 31.0) == TYPE_2
    session.close()


def test_a_pilot_at_fault_makes_no_new_car_of_an_old_one() -> None:
    one = made()[TYPE_2]
    for at, seen in enumerate([report("B1", True, 1), report("E", True, 1), report("B1", True, 1)]):
        one.see(seen, float(at))
    assert one.came_at == 0.0
    one.see(report("B1", True, 2), 5.0)
    assert one.came_at == 5.0
    one.see(report(), 6.0)
    assert one.came_at is None
    one.see(report(domestic=1), 7.0)
    assert one.came_at is None
