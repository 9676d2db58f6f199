"""Random worlds: noise, chatter, odd timing and faults, with the same invariants; and a sound car gets its power."""

import random
from dataclasses import replace
from typing import Any

from evse_invariants import Invariants
from evse_rig import Rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargepoint.evse.messages import Permit
from chargepoint.evse.point import LOCK_LOST_RESULTS, NEVER, Point

CALM = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

EVENTS = st.sampled_from(
    ["A", "B", "C", "D", "E", "plug", "unplug", "permit", "withdraw", "hold", "silence", "release", "weld", "unweld",
     "stick", "unstick", "jam", "unjam", "rdc", "rcd", "quiet", "estop", "estop off", "hot", "cold", "adc", "adc ok",
     "diode gone", "diode back", "pe", "pe ok", "13 A", "test fails", "test works"]
)  # fmt: skip

WORLD = {
    "weld": {"welded": True}, "unweld": {"welded": False}, "stick": {"contactor_follows": False},
    "unstick": {"contactor_follows": True}, "jam": {"lock_moves": False}, "unjam": {"lock_moves": True},
    "rdc": {"rdc": True}, "rcd": {"rcd": True}, "quiet": {"rdc": False, "rcd": False}, "hot": {"temperature_c": 72.0},
    "cold": {"temperature_c": 20.0}, "adc": {"reference_v": 0.0}, "adc ok": {"reference_v": 2.5},
    "diode gone": {"diode": False}, "diode back": {"diode": True}, "pe": {"pe_ok": False}, "pe ok": {"pe_ok": True},
    "13 A": {"cable": 13}, "test fails": {"rcd_test_works": False}, "test works": {"rcd_test_works": True},
    "plug": {"cable": 32, "pilot": "C"}, "unplug": {"cable": 0, "pilot": "A"},
}  # fmt: skip


def happen(rig: Rig, event: str) -> None:
    if event in "ABCDE":
        rig.world.pilot = event
    elif event in WORLD:
        for name, value in WORLD[event].items():
            setattr(rig.world, name, value)
    elif event == "silence":
        rig.silence()
    elif event == "release":
        rig.point.request_unlock()
    elif event.startswith("estop"):
        rig.borne(emergency_stop=event == "estop")
    else:
        rig.permit(32.0, event == "permit", hold_lock=event == "hold")


@CALM
@given(st.lists(st.tuples(EVENTS, st.integers(1, 80)), min_size=5, max_size=40))
def test_nothing_that_happens_breaks_an_invariant(story: list[tuple[str, int]]) -> None:
    rig, invariants = Rig().run(2.0).permit().plug(pilot="C"), Invariants()
    for event, passes in [("C", 200), *story]:
        happen(rig, event)
        for _ in range(passes):
            now = rig.now
            rig.step()
            invariants.check(rig, now)


@CALM
@given(st.integers(0, 2**32), st.floats(0.0, 1.2), st.floats(0.0, 0.3))
def test_noise_and_chatter_break_no_invariant(seed: int, noise_v: float, chatter: float) -> None:
    dice, rig, invariants = random.Random(seed), Rig(), Invariants()
    rig.run(1.0).permit().plug(pilot="C")
    sound = rig.inputs
    levels = {"A": 12.0, "B": 9.0, "C": 6.0}

    def noisy():  # type: ignore[no-untyped-def]
        rig.world.high_v = levels[rig.world.pilot] + dice.gauss(0, noise_v)
        return sound()

    rig.inputs = noisy  # type: ignore[method-assign]
    for _ in range(400):
        if dice.random() < 0.02:
            rig.world.pilot = dice.choice("ABC")
        if dice.random() < chatter:
            rig.world.lock_at = dice.choice((0.5, 1.0))
        if dice.random() < chatter:
            rig.world.contactor_follows = dice.random() < 0.5
        now = rig.now
        rig.step(dice.choice((0.01, 0.01, 0.01, 0.02, 0.05)))
        invariants.check(rig, now)


@CALM
@given(
    st.floats(0, 400), st.floats(6, 32), st.sampled_from([13, 20, 32, 63]), st.booleans(), st.booleans(),
    st.floats(8.1, 9.9), st.floats(5.1, 6.9), st.floats(0.1, 0.8),
)  # fmt: skip
def test_a_sound_car_with_permission_gets_power_within_three_seconds(
    before: float, amperes: float, cable: int, socket: bool, first: bool, b_v: float, c_v: float, lock_s: float
) -> None:
    rig = Rig(socket=socket, now=1000.0 + before).run(3.0)
    rig.world.lock_seconds = lock_s
    if first:
        rig.permit(amperes)
    rig.plug(cable)
    rig.world.high_v = b_v
    rig.run(0.3)
    rig.permit(amperes)
    rig.until(lambda: rig.point.state == "B2", 1.0)
    rig.world.pilot, rig.world.high_v = "C", c_v
    assert rig.until(lambda: rig.point.contactor.confirmed, 3.0) <= 3.0
    assert rig.faults == set()
    assert 6.0 <= rig.point.offer.current_a <= min(amperes, cable if socket else 80) + 1e-6


@CALM
@given(st.lists(st.tuples(EVENTS, st.integers(1, 60)), min_size=3, max_size=25))
def test_whatever_happened_a_sound_point_serves_the_next_car(story: list[tuple[str, int]]) -> None:
    rig = Rig().run(2.0).permit().plug(pilot="C").run(2.0)
    for event, passes in story:
        happen(rig, event)
        for _ in range(passes):
            rig.step()
    for event in ("unplug", "unweld", "unstick", "unjam", "quiet", "estop off", "cold", "adc ok", "diode back", "pe ok",
                  "test works", "silence"):  # fmt: skip
        happen(rig, event)
    rig.world.temperature_c = 20.0
    rig.point.unlock_wanted = False  # the borne gives a request up after 20 s
    for _ in range(150):
        rig.step(0.5)
    for name in sorted(rig.faults):
        assert rig.point.acknowledge(name, rig.now) == "", rig.describe()
    for _ in range(100):
        rig.step(0.5)
    assert rig.faults == set(), rig.describe()
    rig.permit().plug().run(0.5)
    rig.world.pilot = "C"
    rig.until(lambda: rig.point.contactor.confirmed, 4.0)


def test_a_permit_of_the_wrong_sort_permits_nothing() -> None:
    rig = Rig().run(1.0).plug(pilot="C")
    for current in (0.0, 5.99, -3.0, float("nan")):
        rig.point.permit(Permit(1, True, current), rig.now)
        rig.run(2.0)
        assert rig.out.duty == 100.0
        assert not rig.out.contactor


STRAY = st.sampled_from(
    [{"cp_high_v": 14.0}, {"cp_high_v": 10.7}, {"cp_high_v": 9.0}, {"cp_high_v": 0.0}, {"cp_low_v": -14.0},
     {"pp_ohm": 10.0}, {"pp_ohm": 220.0}, {"reference_v": 1.0}, {"duty_measured": 42.0}, {"temperature_c": 66.0},
     {"temperature_c": -200.0}, {"lock_open": False}, {"lock_closed": True}, {"load_live": True}, {"pe_ok": False},
     {"domestic_plug": True}, {"domestic_closed": True}]
)  # fmt: skip
SPARED = {"_calm", "_calm_until", "_arbiter", "config"}
"""What a spared pass may leave as it was, or what is no state of the point."""


def memory(thing: Any) -> dict[str, Any]:
    """All that a point, or a part of it, keeps from one pass to the next and that the next one looks at."""
    kept: dict[str, Any] = {}
    for name in list(getattr(type(thing), "__slots__", ())) or list(vars(thing)):
        value = getattr(thing, name)
        if name in SPARED:
            continue
        if type(value).__module__.startswith("chargepoint.evse.") and not hasattr(value, "value"):
            value = memory(value)
        kept[name] = value
    if isinstance(thing, Point):
        kept["lock_lost"] = min(thing.lock_lost, LOCK_LOST_RESULTS)
        kept["faults"]["active"] = {name: (a.present, a.detail, a.since) for name, a in thing.faults.active.items()}
        del kept["watchdog"]  # fed for all spared passes at the end of them
        del kept["proximity"]["_low"], kept["proximity"]["_high"]  # they spare the table, no more
    return kept


@CALM
@given(
    st.sampled_from([{}, {"socket": False}, {"domestic": True}]),
    st.lists(st.tuples(EVENTS | STRAY, st.integers(1, 60)), min_size=5, max_size=25),
)
def test_a_point_that_spares_itself_passes_is_as_one_that_does_not(
    config: dict[str, bool], story: list[tuple[str | dict[str, Any], int]]
) -> None:
    rigs = [Rig(**config).run(4.0), Rig(**config)]
    rigs[1].point._calm = lambda i, b: NEVER  # type: ignore[method-assign]
    rigs[1].run(4.0)
    for event, passes in [*story, ("quiet", 500), ({"duty_measured": 42.0}, 1)]:
        for rig in rigs:
            if isinstance(event, str):
                happen(rig, event)
                rig.step()
            else:
                rig.out = rig.point.step(replace(rig.inputs(), **event), rig.world.borne, rig.now)
                rig.now += 0.01
        for _ in range(passes):
            assert rigs[0].step() == rigs[1].step()
        assert memory(rigs[0].point) == memory(rigs[1].point)
