"""The exhaustive walks that a test can afford, whole; `evse_walks.py` as a program walks all of them."""

import pytest
from evse_walk import Alphabet, Pair, Walk
from evse_walks import ALPHABETS, PAIR, figures

SMALL = ("car",)


@pytest.mark.parametrize("name", SMALL)
def test_no_sequence_of_events_breaks_an_invariant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = Walk(ALPHABETS[name]).run()
    with capsys.disabled():
        print("\n" + figures(name, done, 0.0))
    assert done.whole
    assert done.closings > 0
    done.repeats(100)
    done.every_state_can_be_left()
    done.every_sound_car_gets_power()


@pytest.mark.parametrize("name", sorted(set(ALPHABETS) - set(SMALL)))
def test_the_first_states_of_each_part_of_the_world_break_no_invariant(name: str) -> None:
    done = Walk(ALPHABETS[name], limit=300).run()
    assert done.transitions > 1000
    done.every_state_can_be_left()
    done.every_sound_car_gets_power()


def test_two_points_on_one_lock_supply_break_no_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    alphabet = Alphabet(PAIR.inputs, PAIR.words[:1], {}, PAIR.still)
    done = Pair(alphabet, limit=1000).run()
    with capsys.disabled():
        print("\n" + figures("two points", done, 0.0))
    assert done.transitions > 3000
