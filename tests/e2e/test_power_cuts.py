"""Killed processes lose no session and no watt-hour: a short stretch of the campaign in `bench/power_cuts.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from power_cuts import campaign

pytestmark = pytest.mark.asyncio


async def test_every_session_is_booked_once_with_the_energy_of_the_register() -> None:
    account = await campaign(cuts=6, seed=7, limit_s=60)
    assert account.sound, account
    assert account.transactions > 0
