"""Charging profiles and their composite: behaviours by name, and a per-second oracle that shares no code."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepoint.energy.composite import (
    Cap,
    Composite,
    Running,
    composite,
    paint,
    point_limit,
    round_down,
    station_limit,
)
from chargepoint.energy.profiles import Kind, Period, Profile, Profiles, Purpose, Recurrency

DAY = 86_400
NOON = 1_700_000_000 // DAY * DAY + DAY // 2
VOLT = 230.0
CAPS = {1: Cap(32), 2: Cap(16, 1)}


def profile(id: int, purpose: Purpose = Purpose.TX_DEFAULT, *limits: tuple[int, float], **other: object) -> Profile:
    periods = tuple(Period(start, limit) for start, limit in limits) or (Period(0, 16.0),)
    plain = Profile(id, purpose, 0, Kind.ABSOLUTE, "A", periods, start=NOON)
    return replace(plain, **other)  # type: ignore[arg-type]


def schedule(
    items: list[Profile], evse: int = 1, begin: int = NOON, duration: int = 3600, **other: object
) -> Composite:
    given: dict[str, object] = {"unit": "A", "volt": VOLT, "caps": CAPS, "running": {1: Running(begin)}}
    return composite(Profiles(tuple(items)), evse, begin, duration, **(given | other))  # type: ignore[arg-type]


def starts(result: Composite) -> list[tuple[int, float]]:
    return [(period.start, period.limit) for period in result.periods]


def test_without_profiles_the_points_own_limit_holds() -> None:
    assert starts(schedule([])) == [(0, 32.0)]


def test_the_highest_stack_level_prevails_and_a_gap_falls_to_the_next() -> None:
    low = profile(1, Purpose.TX_DEFAULT, (0, 10))
    high = profile(2, Purpose.TX_DEFAULT, (0, 20), stack=1, start=NOON + 600, duration=600)
    assert starts(schedule([low, high])) == [(0, 10), (600, 20), (1200, 10)]


def test_after_the_last_profile_charging_is_as_if_none_were_installed() -> None:
    assert starts(schedule([profile(1, Purpose.TX_DEFAULT, (0, 10), duration=60)])) == [(0, 10), (60, 32)]


@pytest.mark.parametrize(
    "kind", [{"kind": Kind.ABSOLUTE}, {"kind": Kind.RECURRING, "recurrency": Recurrency.DAILY}], ids=str
)
def test_a_limit_of_the_station_holds_although_the_clock_lost_time_since_it_was_installed(
    kind: dict[str, object],
) -> None:
    kept = Profiles((profile(1, Purpose.STATION_MAX, (0, 20), start=None, installed=NOON, **kind),))
    level = station_limit(kept, NOON - 1200).level
    assert level is not None and level.limit == 20


def test_a_transactions_profile_overrules_the_default_even_when_higher() -> None:
    items = [profile(1), profile(2, Purpose.TX, (0, 25), evse=1, duration=1800)]
    assert starts(schedule(items)) == [(0, 25), (1800, 16)]


def test_a_transactions_profile_counts_only_for_its_transaction() -> None:
    items = [profile(2, Purpose.TX, (0, 8), evse=1, transaction="7")]
    assert starts(schedule(items, running={1: Running(NOON, "7")})) == [(0, 8)]
    assert starts(schedule(items, running={1: Running(NOON, "8")})) == [(0, 32)]
    assert starts(schedule(items, running={})) == [(0, 32)]


def test_a_points_default_replaces_the_stations_for_that_point_only() -> None:
    items = [profile(1, Purpose.TX_DEFAULT, (0, 8), stack=9), profile(2, Purpose.TX_DEFAULT, (0, 20), evse=1)]
    assert starts(schedule(items)) == [(0, 20)]
    assert starts(schedule(items, evse=2)) == [(0, 8)]


def test_the_stations_limit_is_merged_by_the_minimum() -> None:
    items = [profile(1, Purpose.TX_DEFAULT, (0, 20), (1800, 8)), profile(2, Purpose.STATION_MAX, (0, 10), (900, 30))]
    assert starts(schedule(items)) == [(0, 10), (900, 20), (1800, 8)]


def test_evse_zero_is_the_sum_limited_by_the_stations_profile() -> None:
    items = [profile(1, Purpose.TX_DEFAULT, (0, 10)), profile(2, Purpose.STATION_MAX, (0, 15), (900, 30))]
    assert starts(schedule(items, evse=0)) == [(0, 15), (900, 20)]
    assert starts(schedule([], evse=0)) == [(0, 48)]
    assert starts(schedule([], evse=0, caps=CAPS | {0: Cap(40)})) == [(0, 40)]


def test_daily_means_the_same_utc_time_from_the_schedules_start_not_from_midnight() -> None:
    daily = profile(
        1, Purpose.TX_DEFAULT, (0, 10), (3600, 20), kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration=7200
    )
    later = schedule([daily], begin=NOON + 3 * DAY - 600, duration=DAY)
    assert starts(later) == [(0, 32), (600, 10), (4200, 20), (7800, 32)]


def test_a_recurring_schedule_longer_than_its_recurrence_is_cut() -> None:
    daily = profile(
        1,
        Purpose.TX_DEFAULT,
        (0, 10),
        (DAY + 60, 7),
        kind=Kind.RECURRING,
        recurrency=Recurrency.DAILY,
        duration=3 * DAY,
    )
    assert starts(schedule([daily], begin=NOON + 5 * DAY, duration=2 * DAY)) == [(0, 10)]


def test_weekly_returns_after_seven_days() -> None:
    weekly = profile(1, Purpose.TX_DEFAULT, (0, 9), kind=Kind.RECURRING, recurrency=Recurrency.WEEKLY, duration=60)
    assert starts(schedule([weekly], begin=NOON + 7 * DAY)) == [(0, 9), (60, 32)]
    assert starts(schedule([weekly], begin=NOON + DAY)) == [(0, 32)]


def test_a_recurring_schedule_does_not_run_before_its_start() -> None:
    daily = profile(1, Purpose.TX_DEFAULT, (0, 9), kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
    assert starts(schedule([daily], begin=NOON - 600)) == [(0, 32), (600, 9)]


def test_relative_schedules_begin_with_the_transaction() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 10), (600, 20), kind=Kind.RELATIVE, start=None)
    assert starts(schedule([item], running={1: Running(NOON - 300)})) == [(0, 10), (300, 20)]
    assert starts(schedule([item], running={})) == [(0, 10), (600, 20)]


def test_an_absolute_schedule_without_start_is_relative_to_the_transaction() -> None:
    item = profile(1, Purpose.TX, (0, 10), (600, 20), start=None, evse=1)
    assert starts(schedule([item], running={1: Running(NOON - 300)})) == [(0, 10), (300, 20)]


def test_validity_bounds_a_profile_on_both_sides() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 10), valid_from=NOON + 60, valid_to=NOON + 120)
    assert starts(schedule([item])) == [(0, 32), (60, 10), (120, 32)]


def test_a_period_that_began_before_the_window_is_not_missed() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 10), (600, 20), (1200, 8))
    assert starts(schedule([item], begin=NOON + 700)) == [(0, 20), (500, 8)]


def test_periods_beyond_the_duration_are_not_executed() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 10), (600, 20), duration=300)
    assert starts(schedule([item])) == [(0, 10), (300, 32)]


def test_a_request_for_no_duration_gets_this_instant() -> None:
    result = schedule([profile(1)], duration=0)
    assert (result.duration, starts(result)) == (0, [(0, 16)])


def test_watts_are_total_power_and_three_phases_unless_told() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 11_000), unit="W")
    assert starts(schedule([item])) == [(0, 15.9)]
    assert starts(schedule([item], unit="W")) == [(0, 11_000)]
    single = replace(item, periods=(Period(0, 2300, 1),))
    assert starts(schedule([single])) == [(0, 10)]


def test_tenths_survive_binary_fractions() -> None:
    for tenths in range(60, 640):
        assert round_down(tenths / 10) == tenths / 10
    assert round_down(15.99) == 15.9


def test_more_phases_than_the_point_has_never_rescale_the_limit() -> None:
    item = profile(1, Purpose.TX_DEFAULT, (0, 10), periods=(Period(0, 10, 3),))
    assert starts(schedule([item], evse=2)) == [(0, 10)]


def test_a_limit_of_zero_is_reported_as_zero() -> None:
    assert starts(schedule([profile(1, Purpose.TX_DEFAULT, (0, 0), (60, 8))])) == [(0, 0), (60, 8)]


def test_an_unknown_point_is_an_error() -> None:
    with pytest.raises(KeyError):
        schedule([], evse=9)


def test_the_limit_now_tells_when_it_changes() -> None:
    items = Profiles((profile(1, Purpose.TX_DEFAULT, (0, 10), (600, 20)), profile(2, Purpose.STATION_MAX, (0, 40))))
    now = point_limit(items, 1, NOON + 100, None)
    assert now.level is not None
    assert (now.level.amps(VOLT), now.level.profile, now.until) == (10, 1, NOON + 600)
    assert point_limit(Profiles(), 1, NOON, None).level is None
    limit = station_limit(items, NOON + 100).level
    assert limit is not None and limit.amps(VOLT) == 40


# The oracle: what the text says about one second, for each second.

SPAN = 1200
purposes = st.sampled_from(Purpose)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    purpose = draw(purposes)
    kind = draw(st.sampled_from([k for k in Kind if purpose is not Purpose.STATION_MAX or k is not Kind.RELATIVE]))
    later = draw(st.lists(st.integers(1, 900), unique=True, max_size=4))
    periods = tuple(
        Period(start, draw(st.integers(0, 400)) / 10, draw(st.sampled_from([None, 1, 3])))
        for start in [0, *sorted(later)]
    )
    near = st.integers(NOON - 900, NOON + 900)
    return Profile(
        id=draw(st.integers(1, 10_000)),
        purpose=purpose,
        stack=draw(st.integers(0, 3)),
        kind=kind,
        unit="A",
        periods=periods,
        evse={Purpose.STATION_MAX: 0, Purpose.TX: 1}.get(purpose, draw(st.integers(0, 2))),
        recurrency=draw(st.sampled_from(Recurrency)) if kind is Kind.RECURRING else None,
        valid_from=draw(st.none() | near),
        valid_to=draw(st.none() | near),
        start=draw(near.map(lambda t: t - draw(st.sampled_from([0, DAY, 7 * DAY]))))
        if kind is not Kind.RELATIVE
        else None,
        duration=draw(st.none() | st.integers(0, 2 * DAY) | st.integers(0, 900)),
        transaction=draw(st.sampled_from([None, "1", "2"])) if purpose is Purpose.TX else None,
    )


def says(item: Profile, t: int, started: int) -> float | None:
    """The limit one profile gives for the second `t`, or None."""
    if item.valid_from is not None and t < item.valid_from:
        return None
    if item.valid_to is not None and t >= item.valid_to:
        return None
    since = t - (started if item.start is None else item.start)
    if since < 0:
        return None
    if item.recurrency is Recurrency.DAILY:
        since %= DAY
    if item.recurrency is Recurrency.WEEKLY:
        since %= 7 * DAY
    if item.duration is not None and since >= item.duration:
        return None
    return [period.limit for period in item.periods if period.start <= since][-1]


def oracle(items: list[Profile], t: int, started: int) -> float:
    def prevailing(wanted: list[Profile]) -> float | None:
        limits = [(item.stack, says(item, t, started)) for item in wanted]
        spoken = [pair for pair in limits if pair[1] is not None]
        return max(spoken)[1] if spoken else None

    own = prevailing([p for p in items if p.purpose is Purpose.TX and p.evse == 1 and p.transaction in (None, "1")])
    if own is None:
        own = prevailing([p for p in items if p.purpose is Purpose.TX_DEFAULT and p.evse == 1])
    if own is None:
        own = prevailing([p for p in items if p.purpose is Purpose.TX_DEFAULT and p.evse == 0])
    station = prevailing([p for p in items if p.purpose is Purpose.STATION_MAX])
    return min([32.0, *(limit for limit in (own, station) if limit is not None)])


@settings(max_examples=50, deadline=None)
@given(st.lists(profiles(), max_size=8), st.integers(-900, 0))
def test_the_composite_is_what_the_text_says_for_every_second(items: list[Profile], ago: int) -> None:
    kept = Profiles()
    for item in items:
        if item.valid_from is None or item.valid_to is None or item.valid_from < item.valid_to:
            kept = kept.install(item)
    started = NOON + ago
    result = schedule(list(kept), begin=NOON, duration=SPAN, running={1: Running(started, "1")})
    edges = [period.start for period in result.periods] + [SPAN]
    assert edges[0] == 0 and all(a < b for a, b in pairwise(edges))
    for period, (begin, end) in zip(result.periods, pairwise(edges), strict=True):
        for second in range(begin, end):
            assert period.limit == oracle(list(kept), NOON + second, started), second
    now = point_limit(kept, 1, NOON, Running(started, "1"))
    limits = {point_limit(kept, 1, t, Running(started, "1")).level for t in range(NOON, min(now.until, NOON + 50))}
    assert limits == {now.level}


@settings(max_examples=30, deadline=None)
@given(st.lists(profiles(), max_size=6))
def test_painting_leaves_no_hole_and_no_overlap(items: list[Profile]) -> None:
    spans = paint(items, NOON, NOON + SPAN, NOON)
    assert spans[0][0] == NOON and spans[-1][1] == NOON + SPAN
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(spans))
