"""Part of a day through the whole borne on its own clock, beside the code that decides alone.

The whole days, with golden figures, are `bench/days.py`.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "energy"))

from energy_days import DAYS, at, replay
from stack_days import replay_whole

DAY = next(day for day in DAYS if day.name == "dead-meter")
SHORT = replace(
    DAY,
    begin=at("13:25"),
    end=at("13:50"),
    visits=tuple(
        replace(visit, arrives=at("13:26") + 60 * i, leaves=at("13:49")) for i, visit in enumerate(DAY.visits)
    ),
    silent=((at("13:32"), at("13:36")),),
    meter_dead=((2, at("13:41"), at("13:45")),),
)


def test_a_day_of_failing_meters_gives_the_cars_what_sharing_alone_gives() -> None:
    whole = asyncio.run(replay_whole(SHORT))
    alone = replay(SHORT, "ours", 1.0)
    assert [stay.energy_wh for stay in whole.stays] == [pytest.approx(stay.energy_wh, rel=0.04) for stay in alone.stays]
    assert whole.worst_excess_a == 0.0
    assert whole.faults == {"tic-lost", "meter-lost"}
