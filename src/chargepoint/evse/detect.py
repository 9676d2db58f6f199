"""Raises a point's faults, and lets them go: the first thing of each pass."""

from typing import TYPE_CHECKING

from chargepoint.board.types import BorneInputs, LockDrive, PointInputs
from chargepoint.evse.contactor import Trouble

if TYPE_CHECKING:
    from chargepoint.evse.point import Point

TRIPPED = 3
"""A tripped result counts 2, a good one takes 1 back. At so many it is no glitch: two in a row, or two of three."""


class TripLine:
    """A line whose single results may be glitches: trip lines of the residual current devices, the earth monitor."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def step(self, tripped: bool) -> bool:
        """One result. True while it counts as tripped."""
        if tripped:
            self.count = min(self.count + 2, TRIPPED)
        elif self.count:
            self.count -= 1
        return self.count >= TRIPPED


def raise_faults(point: "Point", i: PointInputs, b: BorneInputs, now: float) -> None:
    """What the digital inputs and the parts of the point say is wrong; the pilot's and the proximity's own faults are
    raised where they are read."""
    faults = point.faults
    silent = point.converter.step(i.reference_v, now)
    unarmed = point.watchdog.step(b.coil_watchdog_armed, now)
    # A test pulse of the process before may still be on the lines at the start. Until the front end has settled
    # nothing can be closed, and a trip that is one is still there afterwards.
    real = point.converter.settled and not point.self_tests.tests_rcd
    rcd, rdc = point.rcd.step(real and i.rcd_tripped), point.rdc.step(real and i.rdc_tripped)
    lost = point.earth.step(not i.pe_ok)
    if not (faults.active or silent or unarmed or rcd or rdc or lost or b.emergency_stop or b.door_open or b.missing):
        tests, second = point.self_tests, point.domestic is not None and point.domestic.contactor.trouble.value
        if tests.rcd_failed or tests.failed or second or point.contactor.trouble.value or point.lock.failed:
            _follow_parts(point, now)
        return
    faults.set("residual-current", rcd, now, "the 30 mA device has tripped")
    faults.set("residual-current-dc", rdc, now, "the 6 mA detection has tripped")
    faults.set("emergency-stop", b.emergency_stop, now)
    faults.set("door-open", b.door_open, now)
    faults.set("board-mismatch", bool(b.missing), now, f"no answer from {b.missing}")
    faults.set("pe-lost", lost, now)
    faults.set("coil-watchdog", unarmed, now)
    faults.set("adc-silent", silent, now, f"reference {i.reference_v:.2f} V instead of 2.50 V")
    _follow_parts(point, now)


def _follow_parts(point: "Point", now: float) -> None:
    faults, contactor = point.faults, point.contactor
    faults.set("rcd-test-fails", point.self_tests.rcd_failed, now, point.self_tests.rcd_detail)
    faults.set("self-test-failed", point.self_tests.failed, now, point.self_tests.detail)
    second = point.domestic.contactor if point.domestic is not None else contactor
    for trouble in (Trouble.STUCK_OPEN, Trouble.DROPS):
        detail = contactor.detail if contactor.trouble is trouble else f"domestic socket: {second.detail}"
        faults.set(trouble.value, trouble in (contactor.trouble, second.trouble), now, detail)
    faults.set(Trouble.WELDED.value, contactor.trouble is Trouble.WELDED, now, contactor.detail)
    if point.domestic is not None:
        faults.set("domestic-contactor", second.trouble is Trouble.WELDED, now, second.detail)
    for told in (contactor, second):
        if told.trouble is not Trouble.WELDED:
            told.trouble = Trouble.NONE  # told; the row says how it goes
    faults.set("lock-jam", point.lock.failed is LockDrive.CLOSE, now, "no confirmation from the end switch")
    faults.set("lock-stuck", point.lock.failed is LockDrive.OPEN, now, "no confirmation from the end switch")


def let_faults_go(point: "Point", now: float) -> None:
    """Causes that end with the car, and recoveries whose time has come."""
    faults = point.faults
    for name in ("lock-opens", "cable-cut", "diode"):
        if name in faults.active:
            faults.set(name, point.car, now)
    if "lease-ended" in faults.active:
        waits = point.car or (point.domestic is not None and point.domestic.plugged)
        faults.set("lease-ended", waits and point.lease.ran_out, now)
    stuck = faults.active.get("contactor-stuck-open")
    if stuck is not None and point.vacant:
        stuck.gone_at = float("-inf")  # the next car is worth a try at once
    if faults.step(now, point.vacant, point.free):
        point.wait_after_fault(now)
