"""What an operator changes while the borne runs takes effect at once: no restart, no new session."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from station_harness import Harness, station

from chargepoint.config import LampsSection
from chargepoint.journal import transactions
from chargepoint.station.api import Authorization, AuthStatus, MeterSampled, Outcome, Reservation
from chargepoint.station.indicators import Indicators


def play(tmp_path: Path, body: Callable[[Harness], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with station(tmp_path) as harness:
            await body(harness)

    asyncio.run(main())


async def change(h: Harness, name: str, value: object) -> None:
    assert hasattr(h.settings, name)
    setattr(h.settings, name, value)
    await h.station.setting_changed(name)


def test_sampling_gets_its_new_interval_and_measurands_in_the_middle_of_a_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        await change(h, "sample_interval_s", 10)
        await change(h, "sampled_measurands", ("Current.Import.L2",))
        h.advance(10)
        await asyncio.sleep(0.05)
        sampled = [entry for entry in await h.entries() if entry.kind == "sampled"]
        assert [value["phase"] for value in sampled[-1].payload["values"]] == ["L2"]
        count = len(sampled)
        await change(h, "sample_interval_s", 0)
        for _ in range(10):
            h.advance(30)
        assert (await h.kinds()).count("sampled") == count

    play(tmp_path, body)


def test_aligned_values_begin_and_end_with_their_interval(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        def aligned() -> int:
            return sum(isinstance(event, MeterSampled) for event in h.backend.events)

        h.advance(1000)
        assert aligned() == 0
        await change(h, "aligned_interval_s", 900)
        h.advance(900)
        assert aligned() == 2  # of both points
        await change(h, "aligned_interval_s", 0)
        h.advance(900)
        assert aligned() == 2

    play(tmp_path, body)


def test_the_data_of_a_stop_is_what_is_asked_for_when_it_ends(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        await change(h, "ended_sampled_measurands", ("Voltage",))
        h.badge()
        await h.until_status("Finishing")
        data = (await h.entries())[-1].payload["data"]
        assert {value["context"] for value in data[-1]["values"]} == {"Transaction.End"}

    play(tmp_path, body)


def test_the_time_out_of_the_next_plug_is_the_new_one(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await change(h, "connection_timeout_s", 7)
        h.plug()
        h.advance(6)
        assert h.status() == "Preparing"
        h.advance(1)
        await h.until_status("Finishing")

    play(tmp_path, body)


@pytest.mark.parametrize("stops", [True, False])
def test_what_a_car_that_leaves_ends_is_decided_when_it_leaves(tmp_path: Path, stops: bool) -> None:
    async def body(h: Harness) -> None:
        await change(h, "stop_on_ev_disconnect", not stops)
        await h.charge()
        await change(h, "stop_on_ev_disconnect", stops)
        car = h.link.cars[1]
        car.connected = car.closed = False
        h.link.report(1)
        await h.until_state("finished" if stops else "running")

    play(tmp_path, body)


def test_who_is_let_in_follows_the_settings_of_the_moment(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        async def accepted(token: str) -> bool:
            return (await h.station.entrance.authorize(token)).accepted

        assert await accepted("TAG")
        asked = len(h.backend.asked)
        await change(h, "local_pre_authorize", True)
        assert await accepted("TAG")  # of the cache
        assert len(h.backend.asked) == asked
        await change(h, "cache_enabled", False)
        assert await accepted("TAG")
        assert len(h.backend.asked) == asked + 1
        h.backend.online = False
        assert not await accepted("TAG")
        await change(h, "offline_unknown_allowed", True)
        assert await accepted("NOBODY")
        await change(h, "offline_unknown_allowed", False)
        await change(h, "cache_enabled", True)
        assert await accepted("TAG")
        await change(h, "local_authorize_offline", False)
        assert not await accepted("TAG")

    play(tmp_path, body)


def test_a_remote_start_is_authorised_or_not_as_it_is_set_when_it_comes(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await change(h, "authorize_remote_start", True)
        h.plug()
        assert await h.station.remote_start("NOBODY", 1) is Outcome.ACCEPTED
        await h.until(lambda: h.backend.asked == ["NOBODY"])
        assert h.status() == "Preparing"
        await change(h, "authorize_remote_start", False)
        assert await h.station.remote_start("NOBODY", 1) is Outcome.ACCEPTED
        await h.until_status("Charging")

    play(tmp_path, body)


def test_what_a_refused_token_may_still_have_is_decided_when_it_is_refused(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        await change(h, "stop_on_invalid", False)
        await change(h, "max_energy_on_invalid_wh", 100)
        tx = h.station.transaction_of(1)
        assert tx is not None
        await h.station.transaction_answered(tx, "1", Authorization(AuthStatus.BLOCKED))
        h.advance(1, wh=99)
        assert h.status() == "Charging"
        h.advance(1, wh=1)
        await h.until_status("SuspendedEVSE")
        await h.until(lambda: not h.link.cars[1].closed)  # the contactor is open, the transaction is not over
        found = await h.journal.read(transactions.open_transactions)
        assert [transaction.tx for transaction in found] == [tx]

    play(tmp_path, body)


@pytest.mark.parametrize("repeat", [0, 2, 5])
def test_lamps_tell_what_becomes_of_a_badge_as_often_as_set(tmp_path: Path, repeat: int) -> None:
    async def body(h: Harness) -> None:
        await change(h, "blink_repeat", repeat)
        h.badge("NOBODY")
        await h.until(lambda: h.station.entrance.refused)
        refused = Indicators.of(LampsSection()).moments["refused"]
        cycle = sum(step[3] for step in refused) / 1000
        shown = []
        for tenth in range(30):
            lamps = h.station.points[1].lamps(h.time.mono + tenth * cycle / 2)
            shown.append(lamps.steps == refused)
        assert shown.count(True) == 2 * repeat

    play(tmp_path, body)


def test_a_bay_is_dedicated_and_opened_again_without_a_restart(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await change(h, "free_vend_tag", "FREE")
        await change(h, "free_vend_evses", (2,))
        h.plug(1)
        h.plug(2)
        await h.until_status("Charging", 2)
        assert h.status(1) == "Preparing"
        assert (await h.entries())[0].payload["token"] == "FREE"
        await change(h, "free_vend_tag", "")
        h.unplug(2)
        await h.until_status("Available", 2)
        h.plug(2)
        await h.until_status("Preparing", 2)

    play(tmp_path, body)


def test_the_offline_rule_of_a_fleet_is_switched_on_and_off_without_a_restart(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        expires = h.clock.now() + timedelta(minutes=10)
        assert await h.station.reserve(Reservation(7, 1, "CAR", expires, "FLEET")) is Outcome.ACCEPTED
        h.backend.online = False
        h.plug(1)
        h.advance(1)
        assert h.state(1) == "waiting_auth"
        h.unplug(1)
        await change(h, "fleet_group", "FLEET")
        await change(h, "fleet_unattended", True)
        h.plug(1)
        await h.until_status("Charging", 1)
        assert (await h.entries())[0].payload["reservation"] == 7

    play(tmp_path, body)
