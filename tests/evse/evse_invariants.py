"""What must hold in every pass, whatever happens: the safety argument as assertions."""

from evse_rig import Rig

from chargepoint.board.types import BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.connectors import DOMESTIC
from chargepoint.evse.detect import TRIPPED
from chargepoint.evse.point import LOCK_LOST_RESULTS, Point
from chargepoint.iec61851.pilot import MAX_CURRENT_A, offered_a
from chargepoint.iec61851.timing import STABLE_C_S, STOP_S


def check_pass(
    point: Point, seen: PointInputs, b: BorneInputs, out: PointOutputs, now: float, before: PointOutputs
) -> None:
    """One pass. `before`: what the pass before put out."""
    if out.contactor:
        _closed(point, seen, b, out, now)
        if not before.contactor:
            _closing(point, seen, b, now, before.duty)
    if out.domestic_contactor:
        _domestic(point, seen, b, now, before.domestic_contactor)
        assert not out.rcd_test, "domestic socket live during the residual current test"
    if out.lock is not LockDrive.OFF:
        assert point.lock._arbiter.owner == point.config.id, "a lock motor runs without being the one that may"
    if out.lock is LockDrive.OPEN:
        assert not out.contactor, "unlocking while the contactor is closed"
        assert not (seen.contactor_closed or seen.load_live), "unlocking while the socket is live"
        assert point.contactor.open_confirmed, "unlocking before the contactor is confirmed open"
    _offer(point, out)


def _closed(point: Point, seen: PointInputs, b: BorneInputs, out: PointOutputs, now: float) -> None:
    serves = ("C1", "C2", "D1", "D2") if point.config.ventilated else ("C1", "C2")
    assert point.state in serves, "closed outside C (or D where ventilated)"
    assert not point.faults.opens, "closed with a fault that opens"
    assert not (b.emergency_stop or b.door_open), "closed in emergency stop"
    assert max(point.rcd.count, point.rdc.count, point.earth.count) < TRIPPED, (
        "closed with a residual current or without earth"
    )
    assert not out.rcd_test, "closed during the residual current test"
    assert not out.domestic_contactor, "both contactors closed"
    assert point.lock_lost < LOCK_LOST_RESULTS or not point.config.socket, "closed and not locked"
    ready = point.state.endswith("2")
    stopping = point._stop_since is not None
    assert ready is not stopping, "the time to the forced opening runs in x1 and only there"
    assert stopping or (point.lease.allows(now) and not point.unlock_wanted), "closed and offering without a live lease"
    assert stopping or not point.faults.stops, "closed and offering with a fault that stops"


def _closing(point: Point, seen: PointInputs, b: BorneInputs, now: float, duty: float) -> None:
    assert point.state in ("C2", "D2"), "closing outside x2"
    assert 10.0 <= duty <= 96.0, "closing without an offer on the pilot"
    assert seen.cp_low_v < -10, "closing without the diode in this very pass"
    assert point.diode.seen, "closing without the diode"
    assert seen.pe_ok and not (seen.rcd_tripped or seen.rdc_tripped), "closing in spite of a trip in this very pass"
    assert point.lease.allows(now), "closing without a live lease"
    assert not point.unlock_wanted, "closing during a release"
    assert not point.faults.stops, "closing with a fault"
    assert point.self_tests.in_date(now) and not point.self_tests.running, "closing without the test in date"
    assert now - point.pilot.since >= STABLE_C_S - 1e-9, "closing before half a second of C"
    assert not (seen.contactor_closed or seen.load_live), "closing although it is not open"
    assert abs(seen.reference_v - 2.5) < 0.11, "closing with a converter that lies"
    assert b.coil_watchdog_armed, "closing without the coil watchdog"
    if point.config.socket:
        assert seen.lock_closed and not seen.lock_open, "closing unlocked"
        assert point.proximity.cable, "closing without a cable"


def _domestic(point: Point, seen: PointInputs, b: BorneInputs, now: float, closed: bool) -> None:
    assert seen.domestic_plug and point.lease.allows(now, DOMESTIC), "domestic socket live without plug or lease"
    assert not point.faults.stops, "domestic socket live with a fault"
    assert point.lease.current_a >= point.config.domestic_a, "domestic socket live with less than it may draw"
    assert not (seen.contactor_closed or seen.load_live), "domestic socket live beside the other connector"
    assert max(point.rcd.count, point.rdc.count, point.earth.count) < TRIPPED, "domestic socket live in spite of a trip"
    assert b.coil_watchdog_armed and not (b.emergency_stop or b.door_open)
    if not closed:
        assert point.self_tests.in_date(now), "domestic socket on without the test in date"
        assert not seen.domestic_closed, "domestic socket closing although it is not open"
        assert seen.pe_ok and not (seen.rcd_tripped or seen.rdc_tripped), "domestic socket closing in spite of a trip"


def _offer(point: Point, out: PointOutputs) -> None:
    duty = out.duty
    assert duty in (0.0, 100.0) or 10.0 <= duty <= 96.0, f"a duty of {duty} % is no offer"
    if point.state in ("B2", "C2", "D2"):
        offer = offered_a(duty)
        bound = min(point.lease.current_a, point.config.max_current_a, MAX_CURRENT_A)
        assert 6.0 <= offer <= bound + 1e-6, f"{offer} A offered, {bound} A allowed"
        if point.config.socket:
            assert offer <= (point.proximity.cable_a or 0.0) + 1e-6, "more than the cable may carry"
        hot = point.config.max_current_a * point.derating.factor
        assert offer <= hot + 1e-6, "more than the temperature allows"


class Invariants:
    """Looks at one rig after each pass. Keeps the pass before, for what only a change shows."""

    def __init__(self) -> None:
        self.before = PointOutputs()
        self.x1_since: float | None = None
        self.tripped = (False, False, False)
        """The trip lines and the earth monitor in the pass before."""

    def check(self, rig: Rig, now: float) -> None:
        """`now`: the time of the pass."""
        assert rig.seen is not None
        check_pass(rig.point, rig.seen, rig.world.borne, rig.out, now, self.before)
        tripped = (rig.seen.rcd_tripped, rig.seen.rdc_tripped, not rig.seen.pe_ok)
        twice = any(a and b for a, b in zip(tripped, self.tripped, strict=True))
        live = rig.out.contactor or rig.out.domestic_contactor
        assert not (live and twice), "live with a residual current, or without earth, in two results in a row"
        self.before, self.tripped = rig.out, tripped
        if not rig.out.contactor or rig.point.state.endswith("2"):
            self.x1_since = None
        elif self.x1_since is None:
            self.x1_since = now
        else:
            assert now - self.x1_since <= STOP_S + 0.02 or now - self.x1_since > 30, "x1 for longer than 6 s"
