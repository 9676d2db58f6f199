"""What sharing gives beside what could be had, worked out another way (`energy_optimum.py`)."""

import pytest
from energy_fleet import Car, Site, Slot
from energy_optimum import Load, best_sum, fair_levels, fits, unfair
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepoint.energy.allocator import wiring

amperes = st.integers(60, 600).map(lambda tenths: tenths / 10)
limits = st.tuples(amperes, amperes, amperes) | amperes.map(lambda amps: (amps,) * 3)
slots = st.builds(
    lambda word, cap, weight, phases, lag: (wiring(word), cap, weight, phases, lag),
    st.sampled_from(["RST", "STR", "TRS", "RTS", "R", "S", "T"]),
    st.sampled_from([32.0, 32.0, 20.0, 16.0, 6.0]),
    st.sampled_from([1.0, 1.0, 2.0, 0.5, 4.0]),
    st.sampled_from([1, 3]),
    st.integers(0, 5),
)
SETTLED_S = 150
ROUNDING_A = 0.2
"""Offers are whole tenths, and changes below 0.5 A are left out."""


def settled(rows: list[tuple[tuple[int, ...], float, float, int, int]], limit: tuple[float, float, float]) -> Site:
    """A site where cars that can use all they get have come to rest."""
    site = Site([Slot(i, lines, cap, weight) for i, (lines, cap, weight, _, _) in enumerate(rows, 1)], limit)
    for slot, (_, _, _, phases, lag) in zip(site.slots, rows, strict=True):
        slot.plug(Car(phases=phases, lag_s=lag), site.now)
    site.run(SETTLED_S)
    return site


def load_of(slot: Slot) -> Load:
    assert slot.car is not None
    return Load(slot.wiring[: slot.car.phases], slot.cap_a, slot.weight)


@settings(max_examples=60, deadline=None)
@given(st.lists(slots, min_size=2, max_size=4), limits)
def test_what_is_used_is_within_five_percent_of_the_fair_optimum_and_nobody_is_left_out_who_fits(
    rows: list[tuple[tuple[int, ...], float, float, int, int]], limit: tuple[float, float, float]
) -> None:
    site = settled(rows, limit)
    charging = [slot for slot in site.slots if slot.offered_a]
    loads = [load_of(slot) for slot in charging]
    used = sum(slot.offered_a * len(load.lines) for slot, load in zip(charging, loads, strict=True))
    fair = sum(a * len(load.lines) for a, load in zip(fair_levels(loads, limit), loads, strict=True))
    assert used >= 0.95 * fair - ROUNDING_A * len(loads), (used, fair)
    assert fits(loads, [slot.offered_a for slot in charging], limit)
    assert unfair(loads, [slot.offered_a for slot in charging], limit, 1.0) == []
    for slot in site.slots:
        # Whether it uses one phase or three shows only when it draws: it must fit on all of its socket's.
        more = [*loads, Load(slot.wiring, slot.cap_a)]
        assert slot.offered_a or not fits(more, [load.least for load in more], limit), slot.id


@pytest.mark.parametrize(
    ("loads", "limit", "best", "fair"),
    [
        ([Load((0,), 32), Load((0,), 32)], (20, 20, 20), 20, [10, 10]),
        ([Load((0, 1, 2), 32), Load((0,), 32)], (32, 32, 32), 84, [16, 16]),  # most in all is not what is fair
        ([Load((0, 1, 2), 32), Load((0,), 10)], (32, 32, 32), 84, [22, 10]),
        ([Load((0,), 32, 2.0), Load((0,), 32)], (24, 0, 0), 24, [14, 10]),
        ([Load((0,), 32), Load((0, 1), 32), Load((1,), 32)], (20, 40, 0), 60, [10, 10, 30]),
    ],
)
def test_the_oracle_knows_what_can_be_worked_out_by_hand(
    loads: list[Load], limit: tuple[float, ...], best: float, fair: list[float]
) -> None:
    assert best_sum(loads, limit) == pytest.approx(best)
    assert fair_levels(loads, limit) == pytest.approx(fair, abs=1e-3)
    assert unfair(loads, fair, limit, 1e-3) == []
    assert unfair(loads, [load.least for load in loads], limit, 1e-3) != []
    assert best_sum(loads, (5, 5, 5)) is None
