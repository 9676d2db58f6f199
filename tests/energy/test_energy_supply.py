"""What a measured connection leaves for the borne."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepoint.energy.allocator import Phases
from chargepoint.energy.limits import Limit
from chargepoint.energy.supply import GridSignal, Room, Source, SourceRules, tightest, wiring_fault

LIMIT: Phases = (52.0, 52.0, 52.0)
RULES = SourceRules("tic", safe_a=12.0, margin_a=1.0)


def trio(amps: float) -> Phases:
    return (amps, amps, amps)


class Connection:
    """A connection with a building and the borne behind one meter that reads every second, a little late."""

    def __init__(self, rules: SourceRules = RULES, lag_s: int = 1) -> None:
        self.source = Source(rules, 0.0)
        self.lag_s = lag_s
        self.now = 0.0
        self.base = 5.0
        self.borne = 0.0
        self.speaks = True
        self.overload = False
        self.past: list[float] = []

    def run(self, seconds: int) -> Room:
        for _ in range(seconds):
            self.past.append(self.base + self.borne)
            self.source.borne(self.now, trio(self.borne))
            if self.speaks:
                seen = self.past[max(0, len(self.past) - 1 - self.lag_s)]
                self.source.reading(self.now, trio(seen), LIMIT, self.overload)
            room = self.source.room(self.now)
            self.now += 1
        return room


def test_before_the_meter_was_heard_for_a_while_the_safe_share_holds() -> None:
    site = Connection()
    assert site.run(5) == Room(trio(12), "safe-share", "tic: heard for a short time only", 0.0, until=10.0)
    assert site.run(10).reason == "tic"
    quiet = Connection()
    quiet.speaks = False
    assert quiet.run(3).detail == "tic: never heard"


def test_what_the_building_draws_is_taken_from_the_borne() -> None:
    site = Connection(lag_s=0)
    assert site.run(30).amps == trio(52 - 1 - 5)
    site.base = 25
    assert site.run(5).amps == trio(26)


def test_more_than_may_be_drawn_counts_at_once() -> None:
    site = Connection(lag_s=0)
    site.borne = 40
    site.run(30)
    site.base = 25
    assert site.run(1).amps == trio(26)


def test_a_meter_of_the_connection_that_is_ahead_of_the_bornes_does_no_harm() -> None:
    source = Source(RULES, 0.0)
    for now in range(60):
        source.borne(now, trio(14.0 if now > 32 else 0.0))
        source.reading(now, trio(24.0 if now > 30 else 10.0), LIMIT)
        assert source.room(now).amps == trio(41 if now >= 10 else 12)


def test_more_room_is_taken_once_it_has_proved_to_last() -> None:
    site = Connection(lag_s=0)
    site.base = 25
    site.run(30)
    site.base = 5
    assert site.run(25).amps[0] == 26
    assert site.run(40).amps[0] == pytest.approx(46)


def test_what_goes_on_and_off_all_the_time_does_not_chase_the_cars() -> None:
    site = Connection(lag_s=0)
    site.base = 20
    site.run(60)
    rooms = set()
    for second in range(600):
        site.base = 20 if second % 20 < 10 else 8
        rooms.add(site.run(1).amps[0])
    assert rooms == {31}


def test_small_changes_are_borne_by_the_margin() -> None:
    site = Connection(lag_s=0)
    site.base = 20
    site.run(60)
    rooms = set()
    for second in range(120):
        site.base = 20 + (second % 3) * 0.4
        rooms.add(site.run(1).amps[0])
    assert rooms == {31}


def test_the_bornes_own_ramp_is_not_taken_for_the_building() -> None:
    for lag in (0, 1, 2, 3):
        site = Connection(lag_s=lag)
        site.run(60)
        for borne in (20.0, 40.0, 8.0, 32.0):
            site.borne = borne
            for _ in range(8):
                assert site.run(1).amps[0] == pytest.approx(46, abs=0.01), (lag, borne)


def test_silence_falls_to_the_safe_share_never_the_last_value_and_trust_takes_a_minute() -> None:
    site = Connection()
    assert site.run(30).amps == trio(46)
    site.speaks = False
    assert site.run(10).reason == "tic"
    room = site.run(2)
    assert (room.amps, room.reason, room.detail) == (trio(12), "safe-share", "tic: silent")
    site.speaks = True
    assert site.run(59).reason == "safe-share"
    assert site.run(5).reason == "tic"


def test_an_overload_notice_sheds_at_once_and_holds() -> None:
    site = Connection(lag_s=0)
    site.borne = 46
    site.run(60)
    site.base, site.overload = 12.0, True
    room = site.run(1)
    assert room.reason == "overload"
    assert room.amps[0] <= 52 - 12 - 1
    site.overload, site.base = False, 5
    site.borne = room.amps[0]
    assert site.run(55).amps[0] <= 52 - 12 - 1, "no raise within the hold"
    later = site.run(60)
    assert later.reason == "tic" and later.amps[0] > 44


def test_a_meter_wired_backwards_is_named_and_not_trusted() -> None:
    source = Source(RULES, 0.0)
    for now in range(60):
        source.borne(now, (20.0, 0.0, 0.0))
        source.reading(now, (-18.0, 3.0, 3.0), LIMIT)
    room = source.room(59.0)
    assert (room.reason, room.detail) == ("safe-share", "tic: wired backwards on L1")


def test_a_right_meter_is_trusted_again_after_a_minute() -> None:
    source = Source(RULES, 0.0)
    for now in range(60):
        source.borne(now, (20.0, 0.0, 0.0))
        source.reading(now, (1.0, 1.0, 1.0), LIMIT)
    assert "does not see" in source.room(59.0).detail
    for now in range(60, 125):
        source.borne(now, (20.0, 0.0, 0.0))
        source.reading(now, (22.0, 1.0, 1.0), LIMIT)
    assert source.room(124.0).reason == "tic"


@pytest.mark.parametrize(
    ("drawn", "borne", "says"),
    [
        ((22, 2, 2), (20, 0, 0), ""),
        ((0, 0, 0), (0, 0, 0), ""),
        ((3, 3, 3), (5, 0, 0), ""),
        ((-20, 2, 2), (20, 0, 0), "wired backwards on L1"),
        ((-30, -30, -30), (32, 32, 32), "wired backwards on L1, L2, L3"),
        ((2, 22, 2), (20, 0, 0), "phases exchanged: L1 of the borne is seen on L2"),
        ((2, 2, 2), (20, 0, 0), "does not see what the borne draws on L1"),
    ],
)
def test_wrong_wiring_has_a_name(drawn: Phases, borne: Phases, says: str) -> None:
    assert wiring_fault(drawn, borne) == says


@pytest.mark.parametrize(
    ("drawn", "borne"),
    [
        ((-20, 2, 2), (20, 0, 0)),
        ((2, 22, 2), (20, 0, 0)),
        ((2, 2, 2), (20, 0, 0)),
        (None, None),
        ((5, 5, 5), (0, 0, 0)),
    ],
)
def test_why_a_meter_is_not_trusted_is_told_in_french_too(drawn: Phases | None, borne: Phases | None) -> None:
    source = Source(RULES, 0.0)
    for now in range(40 if borne != (0, 0, 0) else 3):
        if drawn is not None and borne is not None:
            source.borne(now, borne)
            source.reading(now, drawn, LIMIT)
    room = source.room(40.0 if borne != (0, 0, 0) else 3.0)
    french = Limit("safe-share", "x", 12.0, 0.0, detail=room.detail).sentence("fr")
    assert room.reason == "safe-share" and "Linky" in french
    assert not any(word in french for word in (" the ", "heard", "silent", "wired", "exchanged", "borne is"))


def test_a_generator_behind_the_meter_is_no_contradiction() -> None:
    source = Source(SourceRules("building-meter", 12.0, production=True), 0.0)
    for now in range(60):
        source.borne(now, (20.0, 0.0, 0.0))
        source.reading(now, (-5.0, 3.0, 3.0), LIMIT)
    assert source.room(59.0).reason == "building-meter"


def test_a_meter_beside_the_borne_counts_whole() -> None:
    source = Source(SourceRules("building-meter", 12.0, includes_borne=False), 0.0)
    for now in range(60):
        source.borne(now, trio(20))
        source.reading(now, trio(15), LIMIT)
    assert source.room(59.0).amps == trio(36)


def test_every_phase_has_the_least_of_all_sources() -> None:
    tic, building = Room((40.0, 30.0, 60.0), "tic"), Room((45.0, 45.0, 45.0), "building-meter")
    assert tightest([tic, building], LIMIT) == (40.0, 30.0, 45.0)
    assert tightest([], LIMIT) == LIMIT


def test_a_signal_that_rests_closed_is_active_when_its_wire_breaks() -> None:
    broken, closed = 0b00, 0b10
    assert GridSignal("x", 0.0, (), bit=1, active_closed=False, wired=True).active(broken)
    assert not GridSignal("x", 0.0, (), bit=1, active_closed=False, wired=True).active(closed)
    assert not GridSignal("x", 0.0, (), bit=1, wired=True).active(broken)


def test_grid_signals_are_read_from_relay_bits() -> None:
    signal = GridSignal("relay-2", 8.0, (1,), bit=2)
    assert signal.active(0b100) and not signal.active(0b011)
    assert GridSignal("x", 8.0, (), bit=0, active_closed=False).active(0)
    assert signal.concerns(1) and not signal.concerns(2) and GridSignal("x", 8.0, (), 0).concerns(5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.booleans(), st.booleans()), max_size=10),
    st.integers(0, 3),
)
def test_the_connection_never_stays_above_its_limit(plan: list[tuple[int, int, bool, bool]], lag: int) -> None:
    """A borne that draws all it is left is back in bounds 8 s after a change, or after a silent meter is given up."""
    site = Connection(lag_s=lag)
    over = 0
    for seconds, base, speaks, whole in plan:
        site.base, site.speaks = base, speaks or site.base + 12 > 51
        for _ in range(seconds):
            room = site.run(1)
            wanted = min(46.0 if whole else 20.0, room.amps[0])
            site.borne = wanted if wanted < site.borne else min(wanted, site.borne + 8)
            over = over + 1 if site.base + site.borne > 52.0 and site.base < 52 else 0
            assert over <= (8 if site.speaks else 18)
            over = 0 if room.reason == "safe-share" else over
