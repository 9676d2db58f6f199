"""The station's lease, the release of the plug, and the lock's tries."""

from dataclasses import replace

import pytest
from evse_rig import Rig

from chargepoint.board.types import LockDrive
from chargepoint.evse.lock import Lock, MotorArbiter


def test_a_dead_station_stops_the_car_as_an_evse_stop_and_keeps_the_plug() -> None:
    rig = Rig().charging()
    rig.silence()
    assert rig.until(lambda: rig.out.duty == 100.0, 11.0) > 7.9
    assert "lease-ended" in rig.faults
    rig.world.pilot = "B"
    rig.run(30.0)
    assert not rig.out.contactor
    assert rig.point.locked


def test_charging_goes_on_when_the_station_is_back() -> None:
    rig = Rig().charging()
    rig.silence().run(12.0)
    rig.world.pilot = "B"
    rig.run(3.0)
    rig.permit().run(0.1)
    assert rig.faults == set()
    rig.run(2.0)
    rig.world.pilot = "C"
    assert rig.until(lambda: rig.out.contactor, 10.0) < 6.0


def test_nobody_stays_locked_in_when_the_station_is_dead() -> None:
    rig = Rig().charging()
    rig.silence().run(12.0)
    rig.world.pilot = "A"
    rig.run(2.0)
    assert rig.world.lock_at == 0.0


def test_nobody_stays_locked_in_when_the_station_is_dead_and_the_cable_shorts_the_pilot() -> None:
    rig = Rig().charging()
    rig.silence().run(12.0)
    rig.world.pilot = "E"
    rig.run(2.0)
    assert rig.point.state == "E" and rig.world.lock_at == 0.0


def test_a_shorted_pilot_keeps_its_plug_while_the_station_permits() -> None:
    rig = Rig().charging()
    rig.world.pilot = "E"
    rig.run(5.0)
    assert rig.point.locked


def test_a_held_plug_stays_locked_without_the_car() -> None:
    rig = Rig().charging(hold_lock=True)
    rig.world.pilot = "B"
    rig.run(0.1)
    rig.world.pilot = "A"
    rig.run(5.0)
    assert rig.point.locked


def test_release_stops_the_car_opens_and_then_unlocks() -> None:
    rig = Rig().charging(hold_lock=True)
    rig.permission = None
    rig.point.request_unlock()
    rig.step()
    assert rig.out.duty == 100.0
    assert rig.out.contactor
    rig.run(1.0)
    rig.world.pilot = "B"
    rig.until(lambda: not rig.point.unlock_wanted, 2.0)
    assert rig.world.lock_at == 0.0
    assert not rig.out.contactor


def test_permissions_during_a_release_change_nothing_and_count_after_it() -> None:
    rig = Rig().charging()
    rig.point.request_unlock()
    rig.run(1.0)
    rig.permit()
    rig.run(1.0)
    assert rig.out.duty == 100.0
    rig.world.pilot = "B"
    rig.until(lambda: not rig.point.unlock_wanted, 3.0)
    rig.permit().run(8.0)
    assert rig.point.state == "B2"


def test_a_jammed_lock_is_tried_three_times_then_a_fault_and_no_power() -> None:
    rig = Rig().run(1.0)
    rig.world.lock_moves = False
    rig.permit().plug(pilot="C")
    took = rig.until(lambda: "lock-jam" in rig.faults, 15.0)
    assert 4.0 < took < 9.0
    assert not rig.out.contactor
    rig.world.lock_moves = True
    rig.unplug().run(2.0)
    assert rig.faults == set()


def test_a_lock_that_does_not_open_is_a_fault_and_goes_when_it_opens() -> None:
    rig = Rig().charging()
    rig.world.lock_moves = False
    rig.world.pilot = "B"
    rig.permit(allowed=False)
    rig.until(lambda: "lock-stuck" in rig.faults, 10.0)
    rig.world.lock_moves = True
    rig.run(62.0)
    assert rig.faults == set()
    assert rig.world.lock_at == 0.0


def test_a_lock_that_opens_in_mid_charge_opens_the_contactor() -> None:
    rig = Rig().charging()
    rig.world.lock_at = 0.5
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.081
    rig.run(1.0)
    assert rig.faults == {"lock-opens"}
    rig.unplug().run(1.0)
    assert rig.faults == set()


def test_a_lock_never_opens_before_the_contactor_is_confirmed_open() -> None:
    rig = Rig().charging()
    rig.world.welded = True
    rig.permit(allowed=False)
    rig.world.pilot = "A"
    rig.run(10.0)
    assert rig.out.lock is not LockDrive.OPEN
    assert rig.world.lock_at == 1.0
    assert "contactor-welded" in rig.faults


def test_one_motor_moves_at_a_time() -> None:
    arbiter = MotorArbiter()
    one, two = Lock(1, arbiter), Lock(2, arbiter)
    for tick in range(100):
        now = tick / 100
        drives = [one.step(now, True, True, now > 0.3, now < 0.1), two.step(now, True, True, now > 0.7, now < 0.5)]
        assert drives.count(LockDrive.CLOSE) <= 1
    assert one.moves == two.moves == 1


def test_a_lock_makes_ten_moves_in_a_minute_at_most() -> None:
    lock = Lock(1, MotorArbiter())
    begun: list[float] = []
    for tick in range(12000):
        now = tick / 100
        before = lock.moves
        lock.step(now, tick // 100 % 2 == 0, True, False, False)
        if lock.moves > before:
            begun.append(now)
    assert len(begun) > 10
    for first, eleventh in zip(begun, begun[10:], strict=False):
        assert eleventh - first >= 60.0


@pytest.mark.parametrize("both", [True, False])
def test_end_switches_that_disagree_confirm_nothing(both: bool) -> None:
    lock = Lock(1, MotorArbiter())
    for tick in range(50):
        assert lock.step(tick / 100, True, True, both, both) is LockDrive.CLOSE


def test_a_second_request_tries_a_stuck_lock_again_at_once() -> None:
    rig = Rig().charging()
    rig.world.lock_moves = False
    rig.world.pilot = "B"
    rig.permission = None
    rig.point.request_unlock()
    rig.until(lambda: "lock-stuck" in rig.faults, 10.0)
    rig.world.lock_moves = True
    rig.point.request_unlock()
    assert rig.until(lambda: not rig.point.unlock_wanted, 2.0) < 0.5
    assert rig.world.lock_at == 0.0


def test_a_plug_whose_lock_jammed_is_set_free() -> None:
    rig = Rig().run(1.0)
    rig.world.lock_at, rig.world.lock_moves = 0.5, False
    rig.permit().plug(pilot="C")
    rig.until(lambda: "lock-jam" in rig.faults, 15.0)
    rig.world.lock_moves = True
    rig.run(3.0)
    assert rig.world.lock_at == 0.0


def test_a_lock_that_was_forced_open_is_not_closed_again_on_that_plug() -> None:
    rig = Rig().charging()
    rig.world.lock_at = 0.5
    rig.run(3.0)
    assert rig.faults == {"lock-opens"} and rig.world.lock_at == 0.0
    rig.run(10.0)
    assert rig.world.lock_at == 0.0


@pytest.mark.parametrize(
    ("permit", "pilot", "locked"),
    [
        (None, "B", False), ({}, "B", True), ({}, "A", False), ({"allowed": False}, "B", False),
        ({"allowed": False, "hold_lock": True}, "B", True), ({"allowed": False, "hold_lock": True}, "A", False),
    ],
)  # fmt: skip
def test_a_plug_is_locked_when_a_car_is_there_and_the_station_permits_or_holds(
    permit: dict[str, object] | None, pilot: str, locked: bool
) -> None:
    rig = Rig().run(4.0)
    if permit is not None:
        rig.permit(**permit)  # type: ignore[arg-type]
    rig.plug(pilot=pilot).run(2.0)
    assert rig.point.locked is locked and rig.world.lock_at == float(locked)


@pytest.mark.parametrize("both", [True, False])
def test_a_release_is_not_done_while_the_end_switches_tell_the_same(both: bool) -> None:
    rig = Rig().run(4.0).permit().plug().run(2.0).silence()
    sound = rig.inputs
    rig.inputs = lambda: replace(sound(), lock_closed=both, lock_open=both)  # type: ignore[method-assign]
    rig.point.request_unlock()
    for _ in range(250):  # two tries, and a pause between them
        rig.step()
        assert rig.point.unlock_wanted
    rig.inputs = sound  # type: ignore[method-assign]
    rig.run(1.0)
    assert not rig.point.unlock_wanted and rig.world.lock_at == 0.0


def test_a_release_during_the_locks_own_test_is_done_when_the_bolt_is_back() -> None:
    rig = Rig().run(10.0)
    rig.world.lock_moves = False
    assert rig.point.request_self_test("lock") == ""
    rig.until(lambda: rig.out.lock is LockDrive.CLOSE, 1.0)
    rig.point.request_unlock()
    rig.run(0.1)
    assert rig.point.unlock_wanted, "the bolt is about to leave the open end"
    rig.world.lock_moves = True
    rig.run(2.0)
    assert not rig.point.unlock_wanted and rig.world.lock_at == 0.0


@pytest.mark.parametrize(("commanded", "confirmed"), [(True, True), (False, False), (True, False)])
def test_a_lock_is_not_driven_open_by_a_contactor_that_is_commanded_or_not_confirmed_open(
    commanded: bool, confirmed: bool
) -> None:
    rig = Rig().run(4.0).permit().plug().run(2.0)
    point, seen = rig.point, rig.inputs()
    assert point.locked
    point.request_unlock()
    point.contactor.commanded, point.contactor.open_confirmed = commanded, confirmed
    assert point._drive_lock(seen, rig.now) is LockDrive.OFF
    point.contactor.commanded, point.contactor.open_confirmed = False, True
    assert point._drive_lock(seen, rig.now) is LockDrive.OPEN
