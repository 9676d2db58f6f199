"""What a point tells: its `PointReport`, made only when somebody is to get it."""

from chargepoint.board.types import LockDrive, PointInputs
from chargepoint.connectors import DOMESTIC
from chargepoint.evse.contactor import Contactor
from chargepoint.evse.domestic import blocked_by as domestic_blocked_by
from chargepoint.evse.machine import READY
from chargepoint.evse.messages import Fault, LockState, PointReport, Sample
from chargepoint.evse.point import Point
from chargepoint.iec61851.pilot import offered_a


def lock_state(point: Point, i: PointInputs) -> LockState:
    """The lock in one word."""
    if not point.config.socket:
        return "none"
    if point.lock.drive is not LockDrive.OFF:
        return "moving"
    if point.lock.failed is not LockDrive.OFF:
        return "failed"
    return "locked" if point.locked else "unlocked"


def changed_key(point: Point, i: PointInputs, now: float) -> tuple[object, ...]:
    """A point whose key changed is reported at once; the rest waits for the next second."""
    contactor = point.contactor
    return (
        point.state, point.duty, point.car, point.proximity.coding, contactor.commanded, i.contactor_closed,
        contactor.confirmed, contactor.open_confirmed, point.locked, point.lock.drive, point.faults.changes,
        point.lease.allows(now), i.bay_occupied, i.domestic_closed, point.wake_up.count, point.unlock_wanted,
        _domestic_key(point, now),
    )  # fmt: skip


def _domestic_key(point: Point, now: float) -> tuple[object, ...]:
    second = point.domestic
    if second is None:
        return ()
    made = second.contactor
    return second.plugged, made.commanded, made.confirmed, made.open_confirmed, point.lease.allows(now, DOMESTIC)


def _times(contactors: list[Contactor]) -> tuple[float | None, float | None]:
    """When the one that is closed was confirmed so, and when one was last confirmed open."""
    closed = [c.closed_at for c in contactors if c.closed_at is not None]
    opened = [c.opened_at for c in contactors if c.opened_at is not None]
    return max(closed, default=None), max(opened, default=None)


def report(point: Point, i: PointInputs, now: float, boot: str, carried: dict[str, int]) -> PointReport:
    """The whole state of a point. `carried`: counters of earlier runs."""
    contactor, domestic = point.contactor, point.domestic
    second = domestic.contactor if domestic is not None else None
    closed_at, opened_at = _times([contactor] if second is None else [contactor, second])
    if domestic is not None and point.lease.connector == DOMESTIC:
        on, waiting = domestic.contactor.commanded, domestic_blocked_by(point, domestic, now)
    else:
        on, waiting = contactor.commanded, point.blocked_by(now)
    return PointReport(
        evse=point.config.id,
        t=now,
        boot=boot,
        state=point.state,
        plugged=point.plugged,
        plug_count=point.plug_count,
        cable_a=point.proximity.cable_a if point.config.socket else None,
        duty=point.duty,
        offered_a=offered_a(point.duty) if point.state in READY else 0.0,
        contactor_commanded=contactor.commanded,
        contactor_closed=i.contactor_closed,
        lock=lock_state(point, i),
        permitted=point.lease.allows(now, point.lease.connector) and not point.unlock_wanted,
        closed_at=closed_at,
        opened_at=opened_at,
        waiting="" if on else waiting,
        cp_high_v=round(i.cp_high_v, 2),
        cp_low_v=round(i.cp_low_v, 2),
        temperature_c=round(i.temperature_c, 1),
        derate=point.derating.factor,
        wake_ups=point.wake_up.count,
        faults=tuple(Fault(a.row.name, a.since, a.detail) for a in point.faults.active.values()),
        bay_occupied=i.bay_occupied,
        connector=point.lease.connector,
        domestic_plug=domestic is not None and domestic.plugged,
        counters=counters(point, carried),
        domestic_commanded=second is not None and second.commanded,
        domestic_closed=i.domestic_closed,
        domestic_count=domestic.plug_count if domestic is not None else 0,
    )


def counters(point: Point, carried: dict[str, int]) -> dict[str, int]:
    """Counters since the board was first used: what was carried over and what this run adds."""
    second = point.domestic.contactor if point.domestic is not None else None
    own = {
        "contactor_closings": point.contactor.closings + (second.closings if second else 0),
        "openings_under_load": point.contactor.openings_under_load + (second.openings_under_load if second else 0),
        "lock_moves": point.lock.moves,
        "wake_ups": point.wake_ups_ever,
        "trips": point.faults.trips,
        "plug_ins": point.plug_count + (point.domestic.plug_count if point.domestic else 0),
        "self_tests": point.self_tests.runs,
    }
    return {name: carried.get(name, 0) + value for name, value in own.items()}


def sample(point: Point, i: PointInputs, now: float) -> Sample:
    """One line of a trace."""
    return Sample(
        evse=point.config.id,
        t=now,
        cp_high_v=round(i.cp_high_v, 2),
        cp_low_v=round(i.cp_low_v, 2),
        pp_ohm=round(i.pp_ohm) if i.pp_ohm < 1e6 else None,
        duty=point.duty,
        state=point.state,
        contactor=point.contactor.commanded,
        temperature_c=round(i.temperature_c, 1),
    )
