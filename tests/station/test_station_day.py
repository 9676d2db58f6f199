"""A day in which the Linky falls silent and a point's meter dies, through the whole station in accelerated time.

The same as in the tests of sharing, but with sessions, journal, badges and the Linky's own frames around it: the
cars must get what the code that decides gives them alone.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from station_harness import Car, Harness, station

sys.path.insert(0, str(Path(__file__).parent.parent / "energy"))

from energy_days import DAYS, Day, Visit, at, replay

from chargepoint.sim.wire_tic import SimLinky, standard_groups
from chargepoint.tic.frames import Framer, Mode, make_frame
from chargepoint.tic.reading import understand

STEP_S = 5.0
DAY = next(day for day in DAYS if day.name == "dead-meter")
SHORT = replace(
    DAY,
    begin=at("13:05"),
    end=at("14:20"),
    silent=((at("13:55"), at("14:05")),),
    meter_dead=((2, at("13:40"), at("13:50")),),
)
"""With both disturbances in a part of the day short enough for a test."""


class DayCar(Car):
    """Draws what its visit's car takes, within what it is offered."""

    visit: Visit | None = None

    @property
    def amps(self) -> float:
        if not self.closed or self.permit is None or self.visit is None:
            return 0.0
        return min(self.visit.max_a, self.permit.current_a)


async def come_and_go(borne: Harness, day: Day, now: float) -> None:
    for visit in day.visits:
        car = borne.link.cars[visit.point]
        assert isinstance(car, DayCar)
        if car.visit is None and visit.arrives <= now < visit.leaves:
            car.visit = visit
            await borne.charge("TAG" if visit.point == 1 else "TAG2", visit.point)


def frame(borne: Harness, framer: Framer, base: float) -> None:
    """The Linky's bytes, cut in two pieces on their way."""
    drawn = base + sum(car.amps for car in borne.link.cars.values())
    data = make_frame(Mode.STANDARD, standard_groups(SimLinky(current_a=(drawn,) * 3)))
    for piece in (data[:40], data[40:]):
        for whole in framer.feed(piece):
            borne.station.supply.tic_read(understand(whole, borne.time.mono))


@pytest.mark.asyncio
async def test_a_day_of_failing_meters_gives_the_cars_what_sharing_alone_gives(tmp_path: Path) -> None:
    expected = [stay.energy_wh for stay in replay(SHORT, "ours", STEP_S).stays]
    async with station(tmp_path, tic={}, sharing={"safe_current": SHORT.safe_a}) as borne:
        for evse in borne.link.cars:
            borne.link.cars[evse] = DayCar()
        chance, framer, seen = Random(1), Framer(), set()
        start = borne.time.mono
        while (now := SHORT.begin + borne.time.mono - start) < SHORT.end:
            await come_and_go(borne, SHORT, now)
            base = SHORT.base(now, chance)[0]
            dead = {id for id, begin, end in SHORT.meter_dead if begin <= now < end}
            for evse in dead ^ borne.meters.silent:
                if evse in dead:
                    borne.station.meter_lost(evse, "silent")
                else:
                    borne.station.meter_found(evse)
            borne.meters.silent = dead
            if not any(begin <= now < end for begin, end in SHORT.silent):
                frame(borne, framer, base)
            for car in borne.link.cars.values():
                car.wh += round(car.amps * 3 * 230 * STEP_S / 3600)
            borne.advance(STEP_S)
            await asyncio.sleep(0)
            load = base + sum(car.amps for car in borne.link.cars.values())
            assert load < SHORT.subscribed_a + 2.5 or SHORT.silent[0][0] <= now < SHORT.silent[0][0] + 20, now
            seen |= {fault.name for fault in borne.station.faults}
        got = [borne.link.cars[visit.point].wh - 10_000 for visit in SHORT.visits]
        assert got == [pytest.approx(wh, rel=0.05) for wh in expected]
        assert "tic-lost" in seen
        assert [borne.status(1), borne.status(2)] == ["Charging", "Charging"]
