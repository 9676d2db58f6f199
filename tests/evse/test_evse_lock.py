"""The lock and its arbiter alone: every try, pause and refusal."""

import pytest

from chargepoint.board.types import LockDrive
from chargepoint.evse.lock import Lock, MotorArbiter
from chargepoint.evse.pilot import DiodeCheck, PilotFilter
from chargepoint.evse.proximity import ProximityWatch
from chargepoint.iec61851.pilot import Band
from chargepoint.iec61851.proximity import Proximity

OPEN, OFF, CLOSE = LockDrive.OPEN, LockDrive.OFF, LockDrive.CLOSE


class Bench:
    """A lock whose end switches the test sets."""

    def __init__(self) -> None:
        self.lock = Lock(1, MotorArbiter())
        self.now = 0.0
        self.closed, self.opened = False, True
        self.may_unlock = True

    def run(self, seconds: float, want: bool) -> list[tuple[float, LockDrive]]:
        """The changes of the drive, with their times since the call."""
        begun, changes, last = self.now, [], self.lock.drive
        for _ in range(round(seconds * 100)):
            drive = self.lock.step(self.now, want, self.may_unlock, self.closed, self.opened)
            if drive is not last:
                changes.append((round(self.now - begun, 2), drive))
                last = drive
            self.now += 0.01
        return changes


def test_only_the_owner_gives_the_supply_back() -> None:
    arbiter = MotorArbiter()
    assert arbiter.acquire(1) and arbiter.acquire(1)
    arbiter.release(2)
    assert not arbiter.acquire(2)
    arbiter.release(1)
    assert arbiter.acquire(2)


def test_three_tries_to_close_with_the_bolt_drawn_back_between_them() -> None:
    bench = Bench()
    bench.opened = False  # neither end is reached
    assert [drive for _, drive in bench.run(12.0, True)] == [CLOSE, OFF, OPEN, OFF] * 2 + [CLOSE, OFF]
    assert bench.lock.failed is CLOSE


def test_the_bolt_has_a_second_to_be_drawn_back() -> None:
    bench = Bench()
    bench.opened = False
    changes = bench.run(3.5, True)
    assert [drive for _, drive in changes] == [CLOSE, OFF, OPEN, OFF, CLOSE]
    assert [at for at, _ in changes] == pytest.approx([0.0, 1.0, 1.0, 2.0, 3.0], abs=0.025)


def test_a_bolt_that_is_back_ends_the_drawing_back_early() -> None:
    bench = Bench()
    changes = bench.run(2.5, True)
    assert changes[:3] == [(0.0, CLOSE), (1.0, OFF), (1.01, OPEN)]
    assert changes[3] == (1.02, OFF)
    assert changes[4] == (2.02, CLOSE)


def test_a_lock_that_does_not_open_fails_after_three_tries_and_goes_on_every_minute() -> None:
    bench = Bench()
    bench.closed, bench.opened = True, False
    changes = bench.run(70.0, False)
    opened = [at for at, drive in changes if drive is OPEN]
    assert opened[2] < 5.0 and 64.0 < opened[3] < 66.0
    assert bench.lock.failed is OPEN


def test_a_failed_closing_is_tried_again_only_when_wanted_anew() -> None:
    bench = Bench()
    bench.opened = False
    bench.run(12.0, True)
    assert bench.run(5.0, True) == []
    bench.opened = True
    bench.run(0.1, False)
    assert bench.run(0.1, True) == [(0.0, CLOSE)]


def test_a_lock_that_failed_to_close_still_opens() -> None:
    bench = Bench()
    bench.opened = False
    bench.run(12.0, True)
    assert bench.run(0.5, False) == [(0.0, OPEN)]


def test_closing_needs_no_leave_and_stops_when_it_is_no_longer_wanted() -> None:
    bench = Bench()
    bench.may_unlock = False
    assert bench.run(0.3, True) == [(0.0, CLOSE)]
    assert bench.run(0.3, False) == [(0.0, OFF)]


def test_opening_stops_at_once_without_leave_and_when_it_is_no_longer_wanted() -> None:
    for may_unlock, want in ((False, False), (True, True)):
        bench = Bench()
        bench.closed, bench.opened = True, False
        assert bench.run(0.3, False) == [(0.0, OPEN)]
        bench.may_unlock = may_unlock
        assert bench.run(0.02, want)[0] == (0.0, OFF)


def test_both_end_switches_at_once_are_neither_end() -> None:
    bench = Bench()
    bench.closed = bench.opened = True
    assert bench.run(0.1, True) == [(0.0, CLOSE)]
    other = Bench()
    other.closed = other.opened = True
    assert other.run(0.1, False) == [(0.0, OPEN)]


def test_a_plug_is_set_free_with_moves_that_closing_may_not_have() -> None:
    bench = Bench()
    for _ in range(20):
        bench.run(0.05, True)
        bench.closed, bench.opened = False, True
        bench.run(0.05, False)
    closings = bench.lock.moves
    assert closings <= 10
    bench.closed, bench.opened = True, False
    assert bench.run(0.05, False) == [(0.0, OPEN)]
    bench.run(30.0, False)
    assert bench.lock.moves <= 10


# --- the readings that a charge rests on -----------------------------------------------------------------------------


def test_straying_results_lead_to_the_last_of_them_but_never_to_ventilation_or_to_no_car() -> None:
    for last, band in ((12.0, Band.B), (3.0, Band.B), (0.0, Band.E)):
        pilot = PilotFilter(0.0)
        assert [pilot.step(6.0, 0.0), pilot.step(6.0, 0.0)] == [False, True]
        between = 9.0 if last != 0.0 else 3.0
        first = 0.0 if last != 0.0 else 9.0
        assert [pilot.step(v, 1.0) for v in (first, between, last)] == [False, False, True]
        assert pilot.band is band


def test_after_f_only_results_of_another_band_stray() -> None:
    pilot = PilotFilter(0.0)
    assert [pilot.step(6.0, 0.0), pilot.step(6.0, 0.0)] == [False, True]
    pilot.restart()
    assert not any(pilot.step(v, 1.0) for v in (6.0, 6.0, 6.0, 6.0, 9.0, 6.0)), "three to settle, then one stray"
    assert pilot.step(6.0, 1.0) and pilot.band is Band.C


def test_a_diode_counts_after_three_results_and_only_with_the_last_one_good() -> None:
    diode = DiodeCheck()
    for _ in range(3):
        diode.step(-12.0)
        assert not diode.sound
    diode.step(-12.0)
    assert diode.sound
    diode.step(-5.0)
    assert diode.seen and not diode.sound


def test_a_reading_close_to_the_last_one_beyond_a_bound_is_another_coding() -> None:
    for near, beyond, after in ((950.0, 960.0, Proximity.CABLE_13), (316.0, 312.0, Proximity.CABLE_32)):
        watch = ProximityWatch(0.0)
        watch.step(near, 0.0)
        watch.step(near, 0.0)
        watch.step(near, 0.0)
        assert watch.coding is Proximity.CABLE_20
        assert [watch.step(beyond, 0.1), watch.step(beyond, 0.1)] == [False, True]
        assert watch.coding is after


def test_a_lock_that_failed_and_is_wanted_anew_tries_again_without_having_been_open() -> None:
    lock = Lock(1, MotorArbiter())
    now = 0.0
    while lock.failed is not LockDrive.CLOSE:
        lock.step(now, True, True, False, False)
        now += 0.1
        assert now < 20.0
    assert lock.step(now, True, True, False, False) is LockDrive.OFF
    lock.step(now, False, False, False, False)
    assert lock.step(now, True, True, False, False) is LockDrive.CLOSE
