"""Sharing between points: behaviours one by one, on a small simulated fleet."""

from itertools import pairwise

import pytest
from energy_fleet import Car, Site, Slot

from chargepoint.energy.allocator import Supply, wiring
from chargepoint.energy.reasons import REASONS, SHARING, Offer, explain


def two(limit: float = 52.0, first: str = "RST", second: str = "STR") -> Site:
    slots = [Slot(1, wiring(first)), Slot(2, wiring(second))]
    return Site(slots, (limit, limit, limit))


def reasons(site: Site) -> list[str]:
    assert site.last is not None
    return [offer.reason for offer in site.last.offers.values()]


def test_one_car_gets_all_it_may() -> None:
    site = two()
    site.slots[0].plug(Car(), site.now)
    site.run(3)
    assert site.offers() == [32.0, 0.0]
    assert reasons(site) == ["full", "no-car"]


def test_the_second_arrival_lowers_the_first_before_it_gets_current() -> None:
    site = two()
    site.slots[0].plug(Car(lag_s=4), site.now)
    site.run(30)
    site.slots[1].plug(Car(), site.now)
    site.step()
    assert site.offers() == [26.0, 20.0], "what is free already is given at once"
    loads = site.run(20)
    assert site.offers() == [26.0, 26.0]
    assert max(max(load) for load in loads) <= 52
    assert reasons(site) == ["share", "share"]


def test_a_raise_waits_for_the_measured_drop_or_six_seconds() -> None:
    for metered, lag, expected in ((True, 2.0, 3), (False, 2.0, 6)):
        site = two(limit=32)
        site.slots[0].metered = metered
        site.slots[0].plug(Car(lag_s=lag), site.now)
        site.run(30)
        site.slots[1].plug(Car(), site.now)
        waited = 0
        while site.slots[1].offered_a == 0:
            site.step()
            waited += 1
        assert site.offers() == [16.0, 16.0]
        assert abs(waited - expected) <= 1, (metered, waited)


def test_departure_gives_the_current_back() -> None:
    site = two()
    for slot in site.slots:
        slot.plug(Car(), site.now)
    site.run(60)
    site.slots[1].unplug()
    site.run(3)
    assert site.offers() == [32.0, 0.0]


def test_single_phase_cars_on_rotated_sockets_do_not_stack() -> None:
    site = two(limit=32)
    for slot in site.slots:
        slot.plug(Car(phases=1), site.now)
    site.run(120)
    assert site.offers() == [32.0, 32.0]


def test_phases_given_back_are_kept_for_a_car_that_is_not_measured_any_more() -> None:
    site = two(limit=32)
    car = Car(phases=1)
    site.slots[0].plug(car, site.now)
    site.slots[1].plug(Car(phases=1), site.now)
    site.run(120)
    site.slots[0].metered = False
    site.run(20)
    car.phases = 3  # seen by nobody
    loads = site.run(60)
    assert max(max(load) for load in loads) <= 32


def test_phases_given_back_are_taken_again_when_the_car_uses_them() -> None:
    site = two(limit=32)
    car = Car(phases=1)
    site.slots[0].plug(car, site.now)
    site.slots[1].plug(Car(phases=1), site.now)
    site.run(120)
    car.phases = 3
    loads = site.run(30)
    assert max(loads[-1]) <= 32
    assert sum(site.offers()) <= 32


def test_an_idle_point_is_counted_at_what_it_draws_and_wakes_at_once() -> None:
    site = two(limit=40)
    sleeper = Car(idle=((100.0, 1000.0),))
    site.slots[0].plug(sleeper, site.now)
    site.slots[1].plug(Car(), site.now)
    site.run(90)
    assert site.offers() == [20.0, 20.0]
    site.run(120)
    assert site.offers() == [8.0, 32.0], "the other gets its whole 32 A, what it leaves stays offered"
    assert reasons(site)[0] == "idle"
    site.run(1000 - site.now)
    loads = site.run(15)
    assert site.offers() == [20.0, 20.0]
    assert max(max(load) for load in loads) <= 40


def test_an_idle_point_whose_meter_dies_counts_whole_again() -> None:
    site = Site([Slot(1), Slot(2)], (40.0, 40.0, 40.0))
    site.slots[0].plug(Car(), site.now)
    site.slots[1].plug(Car(max_a=12.0), site.now)
    site.run(100)
    assert site.offers() == [25.0, 15.0], "it draws 12 A of what it is offered"
    site.slots[1].metered = False
    site.run(30)
    assert site.offers() == [20.0, 20.0]


def test_an_idle_point_keeps_what_nobody_else_wants() -> None:
    site = two()
    site.slots[0].plug(Car(max_a=10), site.now)
    site.run(300)
    assert site.offers() == [32.0, 0.0]
    assert len(site.slots[0].changes) == 1


def test_below_twelve_amperes_cars_take_turns_of_fifteen_minutes() -> None:
    site = two(limit=10, second="RST")
    site.slots[0].plug(Car(), site.now)
    site.run(1000)
    site.slots[1].plug(Car(), site.now)
    site.run(60)
    assert site.offers() == [10.0, 0.0] and reasons(site)[1] == "turn"
    site.run(250)
    assert site.offers() == [0.0, 10.0], "the newcomer waits no longer than the hysteresis"
    turns = []
    for _ in range(4 * 900):
        site.step()
        turns.append(tuple(site.offers()))
    assert {(10.0, 0.0), (0.0, 10.0)} <= set(turns)
    assert all(sum(offers) <= 10 for offers in turns)
    first, second = (site.slots[i].car for i in (0, 1))
    assert first is not None and second is not None
    swaps = sum(1 for a, b in pairwise(turns) if a != b)
    assert swaps <= 2 * 5


def test_a_full_car_does_not_hold_up_the_turns() -> None:
    site = two(limit=10, second="RST")
    site.slots[0].plug(Car(need_wh=0), site.now)
    site.slots[1].plug(Car(), site.now)
    site.run(7200)
    car = site.slots[1].car
    assert car is not None
    assert car.energy_wh > 0.65 * 2 * 10 * 3 * 230


def test_weights_share_what_is_above_the_minimum() -> None:
    site = two(limit=42)
    site.slots[0].weight = 2.0
    for slot in site.slots:
        slot.plug(Car(), site.now)
    site.run(60)
    assert site.offers() == [26.0, 16.0]


def test_a_limit_lowered_from_outside_is_followed_at_once() -> None:
    site = two()
    for slot in site.slots:
        slot.plug(Car(lag_s=5), site.now)
    site.run(60)
    site.limit_a = (30.0, 52.0, 30.0)
    site.step()
    assert site.offers() == [15.0, 15.0]
    site.limit_a = (14.0, 52.0, 14.0)
    site.step()
    assert site.offers() == [7.0, 7.0], "even within five seconds of the last change"


def test_less_than_six_amperes_for_anyone_offers_nothing() -> None:
    site = two(limit=5.9)
    site.slots[0].plug(Car(), site.now)
    site.run(30)
    assert site.offers() == [0.0, 0.0]
    assert reasons(site)[0] == "no-room"


def test_a_car_shed_for_want_of_room_returns_after_the_hysteresis_or_with_enough_room() -> None:
    site = two(limit=20)
    site.slots[0].plug(Car(), site.now)
    site.run(30)
    site.limit_a = (5.0, 5.0, 5.0)
    site.run(10)
    assert site.offers()[0] == 0
    site.limit_a = (7.0, 7.0, 7.0)
    site.run(60)
    assert site.offers()[0] == 0 and reasons(site)[0] == "hysteresis"
    site.run(200)
    assert site.offers()[0] == 7.0
    site.limit_a = (5.0, 5.0, 5.0)
    site.run(10)
    site.limit_a = (20.0, 20.0, 20.0)
    site.run(10)
    assert site.offers()[0] == 20.0


def test_its_own_limit_below_six_pauses_only_that_car() -> None:
    site = two()
    for slot in site.slots:
        slot.plug(Car(), site.now)
    site.run(30)
    site.slots[0].cap_a = 0.0
    site.run(10)
    assert site.offers() == [0.0, 32.0]
    assert reasons(site)[0] == "own-limit"


def test_current_drawn_beyond_the_signal_is_taken_from_the_others() -> None:
    site = two()
    site.slots[0].cap_a = 10.0
    site.slots[0].plug(Car(), site.now)
    site.slots[1].plug(Car(), site.now)
    site.run(60)
    assert site.offers() == [10.0, 32.0]
    site.limit_a = (36.0, 36.0, 36.0)
    site.run(30)
    assert site.offers() == [10.0, 26.0]
    car = site.slots[0].car
    assert car is not None
    car.signals.clear()
    car.draws = lambda now, signal: 15.0  # type: ignore[method-assign]
    loads = site.run(30)
    assert max(loads[-1]) <= 36


def test_a_restart_finds_the_cars_as_they_are() -> None:
    site = two()
    for slot in site.slots:
        slot.plug(Car(), site.now)
    site.run(60)
    site.memory = {}
    site.step()
    assert site.offers() == [26.0, 26.0]


def test_reserved_phases_are_left_alone() -> None:
    assert Supply((52.0, 52.0, 52.0), (10.0, 0.0, 60.0)).free() == [42.0, 52.0, 0.0]


def domestic(limit: float = 20.0, lag: float = 5.0) -> Site:
    """A car of 32 A on point 1, and a domestic socket of 10 A on L1 as point 2."""
    site = Site([Slot(1, wiring("RST")), Slot(2, wiring("R", 1), cap_a=10.0, fixed_a=10.0)], (limit, limit, limit))
    site.slots[0].plug(Car(lag_s=lag), site.now)
    site.run(30)
    return site


def test_a_domestic_socket_gets_its_whole_current_and_only_when_the_cars_have_made_room() -> None:
    site = domestic()
    assert site.offers() == [20.0, 0.0]
    site.slots[1].plug(Car(phases=1, max_a=10.0, lag_s=0.0), site.now)
    seen = set()
    for _ in range(30):
        load = site.step()
        seen.add(site.slots[1].offered_a)
        assert load[0] <= 20.0
    assert site.offers() == [10.0, 10.0] and seen == {0.0, 10.0}


def test_a_domestic_socket_is_off_where_its_current_does_not_fit_and_says_so() -> None:
    site = domestic(limit=9.0)
    site.slots[0].unplug()
    site.slots[1].plug(Car(phases=1, max_a=10.0, lag_s=0.0), site.now)
    site.run(30)
    assert site.offers() == [0.0, 0.0] and reasons(site)[1] == "no-room-fixed"
    site.limit_a = (13.1, 13.1, 13.1)
    site.run(10)
    assert site.offers()[1] == 10.0


def test_a_limit_below_a_domestic_sockets_current_means_off() -> None:
    site = domestic()
    site.slots[1].plug(Car(phases=1, max_a=10.0, lag_s=0.0), site.now)
    site.run(30)
    site.slots[1].cap_a = 9.9
    site.run(30)
    assert site.offers() == [20.0, 0.0] and reasons(site)[1] == "own-limit"


def test_a_car_and_a_domestic_socket_that_do_not_both_fit_take_turns() -> None:
    site = domestic(limit=12.0)
    site.slots[1].plug(Car(phases=1, max_a=10.0, lag_s=0.0), site.now)
    served = [0, 0]
    for _ in range(3600):
        load = site.step()
        assert load[0] <= 12.0
        for i, offered in enumerate(site.offers()):
            served[i] += offered > 0
    assert min(served) > 1500, served


def test_many_points_share_one_supply() -> None:
    site = Site([Slot(i, wiring("RST")) for i in range(1, 9)], (100.0, 100.0, 100.0))
    for slot in site.slots:
        slot.plug(Car(), site.now)
    site.run(60)
    assert site.offers() == [12.5] * 8


def test_a_car_alone_is_not_told_that_it_shares() -> None:
    site = two(limit=20)
    site.slots[0].plug(Car(), site.now)
    site.run(10)
    assert reasons(site)[0] == "supply"


def test_reasons_of_sharing_are_reasons() -> None:
    assert SHARING.issubset(REASONS)


@pytest.mark.parametrize("key", sorted(REASONS))
def test_every_reason_has_a_sentence_in_both_languages(key: str) -> None:
    offer = Offer(0, 0, key, phase=1)
    assert "{" not in explain(offer, "en") + explain(offer, "fr")


def test_a_turn_to_come_is_told_in_minutes() -> None:
    offer = Offer(0, 0, "turn", phase=0, until=1000.0)
    assert explain(offer, "en", 390.0).endswith("; 11 min more at most")
    assert explain(offer, "fr", 390.0).endswith(" ; encore 11 min au plus")
    assert "min" not in explain(offer, "en", 1000.0)
