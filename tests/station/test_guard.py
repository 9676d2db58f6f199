"""Faults that only the meter sees."""

import asyncio
from pathlib import Path

from station_harness import station

from chargepoint.meter.reading import Reading
from chargepoint.station.guard import MeterGuard, News


def reading(
    at: float, amps: float = 10.0, volts: tuple[float | None, float | None, float | None] = (230.0, 230.0, 230.0)
) -> Reading:
    return Reading(at, 1000, None, volts, (amps, amps, amps))


def feed(guard: MeterGuard, start: int, seconds: int, closed: bool = True, **what: object) -> dict[int, list[News]]:
    """A reading a second; what each brought."""
    found = {at: guard.read(reading(at, **what), closed, at) for at in range(start, start + seconds)}  # type: ignore[arg-type]
    return {at: news for at, news in found.items() if news}


def test_too_much_current_is_a_fault_only_when_it_lasts() -> None:
    guard = MeterGuard(230, 3)
    guard.signalled(10.0, 0.0)
    assert feed(guard, 10, 3, amps=12.0) == {}
    assert feed(guard, 13, 2, amps=11.4) == {}
    raised = feed(guard, 15, 10, amps=12.0)
    assert list(raised) == [19]
    assert raised[19][0] == News("over-current", True, "12.0 A drawn, 10.0 A offered")
    assert feed(guard, 25, 100, amps=0.0) == {}
    assert guard.unplugged() == [News("over-current", False)]
    assert guard.unplugged() == []


def test_a_car_has_time_to_follow_a_lower_signal() -> None:
    guard = MeterGuard(230, 3)
    guard.signalled(32.0, 0.0)
    feed(guard, 10, 5, amps=32.0)
    guard.signalled(16.0, 15.0)
    assert feed(guard, 15, 6, amps=32.0) == {}
    assert feed(guard, 21, 20, amps=16.0) == {}


def test_offers_that_keep_moving_hide_no_car_that_draws_too_much() -> None:
    guard = MeterGuard(230, 3)
    raised: dict[int, list[News]] = {}
    for at in range(0, 60, 5):
        guard.signalled(16.0 if at % 2 else 20.0, float(at))
        raised |= feed(guard, at, 5, amps=32.0)
    assert list(raised) == [10]
    assert raised[10][0] == News("over-current", True, "32.0 A drawn, 20.0 A offered")


def test_offers_that_keep_moving_are_no_fault_of_a_car_that_follows_late() -> None:
    guard = MeterGuard(230, 3)
    for at in range(0, 60, 5):
        guard.signalled(16.0 if at % 2 else 20.0, float(at))
        assert feed(guard, at, 5, amps=20.0) == {}


def test_a_meter_that_shows_current_with_the_contactor_open_proves_nothing_about_the_car() -> None:
    guard = MeterGuard(230, 3)
    guard.signalled(10.0, 0.0)
    assert feed(guard, 10, 30, closed=False, amps=20.0) == {}


def test_the_phase_that_is_lost_is_named_also_beside_one_the_meter_says_nothing_of() -> None:
    raised = feed(MeterGuard(230, 3), 0, 4, volts=(None, 230.0, 0.0))
    assert raised[3] == [News("phase-lost", True, "L3: 0 V")]


def test_voltage_out_of_its_band_comes_and_goes() -> None:
    for volts, name in (
        ((270.0, 270.0, 270.0), "over-voltage"),
        ((180.0, 180.0, 180.0), "under-voltage"),
        ((230.0, 230.0, 0.0), "phase-lost"),
    ):
        guard = MeterGuard(230, 3)
        raised = feed(guard, 0, 10, volts=volts)
        assert [(at, news[0].name, news[0].on) for at, news in raised.items()] == [(3, name, True)]
        cleared = feed(guard, 10, 60)
        assert [(at, news[0].name, news[0].on) for at, news in cleared.items()] == [(40, name, False)]


def test_a_single_phase_point_misses_no_phase_it_does_not_have() -> None:
    guard = MeterGuard(230, 1)
    assert feed(guard, 0, 20, volts=(230.0, 0.0, None)) == {}
    assert feed(guard, 20, 20, volts=(None, None, None)) == {}


def test_an_over_current_stops_the_car_and_is_over_when_it_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with station(tmp_path) as h:
            await h.charge()
            point = h.station.points[1]
            for _ in range(12):
                h.time.mono += 1
                h.station.meter_read(1, Reading(h.time.mono, 10_000, None, (230.0,) * 3, (60.0,) * 3))
            await h.until_status("Faulted")
            assert "over-current" in point.faults
            assert h.link.recorded == [(1, "over-current")]
            await h.until(lambda: not h.link.cars[1].closed)
            h.unplug()
            await h.until_status("Available")
            assert h.link.recorded == [(1, "over-current")]

    asyncio.run(main())


def test_a_silent_meter_is_a_fault_and_the_session_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with station(tmp_path) as h:
            await h.charge()
            h.meters.silent.add(1)
            h.station.meter_lost(1, "no answer")
            h.advance(30)
            assert h.status(1) == "Charging"
            assert [f.name for f in h.station.points[1].faults] == ["meter-lost"]
            h.meters.silent.clear()
            h.station.meter_found(1)
            assert not list(h.station.points[1].faults)

    asyncio.run(main())
