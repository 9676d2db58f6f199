"""The exhaustive walk, bounded to what a test may cost; `evse_walks.py` as a program walks everything."""

import pickle

import pytest
from evse_rig import Rig
from evse_walk import Walk
from evse_walks import figures, walk, walk_pair

from chargepoint.faults import FAULTS, Recover


@pytest.mark.parametrize("name", ["tethered"])
def test_no_sequence_of_events_breaks_an_invariant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = walk(name, limit=6000)
    with capsys.disabled():
        print("\n" + figures(name, done, 0.0))
    assert done.closings > 0
    assert done.whole


@pytest.mark.parametrize(
    "name",
    [
        "car and station",
        "residual current",
        "contactor",
        "lock",
        "earth and converter",
        "pilot and proximity",
        "domestic socket",
    ],
)
def test_the_first_states_of_each_part_of_the_world_break_no_invariant(name: str) -> None:
    done = walk(name, limit=120)
    assert done.transitions > 800
    _every_fault_can_be_left(done, 6)


def test_two_points_on_one_lock_supply_break_no_invariant() -> None:
    assert walk_pair(limit=150).transitions > 1000


def _every_fault_can_be_left(done: Walk, most: int) -> None:
    for node in list(done.faulty.values())[:most]:
        rigs, _ = pickle.loads(node)
        heal(rigs[0])


def heal(rig: Rig) -> None:
    """With all causes gone and the plug out, a point is in order again, except for what a technician must see."""
    world = rig.world
    world.cable, world.pilot, world.domestic_plug = 0, "A", False
    world.welded = world.domestic_welded = world.rcd = world.rdc = False
    world.contactor_follows = world.lock_moves = world.pe_ok = world.diode = world.rcd_test_works = True
    world.reference_v = 2.5
    for _ in range(40):
        rig.step(0.5)
    for _ in range(20):
        rig.step(6.0)
    technician = {name for name, row in FAULTS.items() if row.recover is Recover.TECHNICIAN}
    assert rig.faults <= technician, f"stuck in {rig.faults - technician}"
    for name in sorted(rig.faults):
        assert rig.point.acknowledge(name, rig.now) == "", name
    rig.run(4.0)
    assert rig.faults == set()
    assert rig.point.state == "A1"
    assert not rig.point.locked
