"""The whole station around fakes: sessions as their users live them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from station_harness import UTC0, FakeTime, Harness, station

from chargepoint.evse.messages import BorneReport, Fault, PointReport
from chargepoint.meter.reading import Reading
from chargepoint.station import endings
from chargepoint.station import station as station_module
from chargepoint.station.api import Authorization, AuthStatus, Outcome, SecurityEvent, StopReason
from chargepoint.station.connectors import LEAVING_S
from chargepoint.station.restart import TIME_WAIT_S
from chargepoint.station.settings import Settings

Body = Callable[[Harness], Coroutine[Any, Any, None]]


def play(tmp_path: Path, body: Body, settings: Settings | None = None, **more: Any) -> None:
    async def main() -> None:
        async with station(tmp_path, settings, **more) as harness:
            await body(harness)

    asyncio.run(main())


def test_plug_then_badge_charges_and_the_same_badge_ends_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(60, wh=1500)
        h.badge()
        await h.until_status("Finishing")
        h.unplug()
        await h.until_status("Available")
        started, *_, ended = await h.entries()
        assert started.payload["meter_start_wh"] == 10_000
        assert ended.payload | {"data": []} == {
            "evse": 1,
            "token": "TAG",
            "meter_stop_wh": 11_500,
            "reason": "Local",
            "data": [],
        }
        assert h.backend.statuses(1) == ["Available", "Preparing", "Charging", "Finishing", "Available"]

    play(tmp_path, body)


def test_the_start_is_durable_before_the_contactor_is_permitted(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        seen: list[tuple[bool, list[str]]] = []
        real = h.link.permit

        def watch(permit: Any) -> None:
            if permit.allowed:
                seen.append((permit.allowed, list(h.steps)))
            real(permit)

        h.link.permit = watch  # type: ignore[method-assign]
        await h.charge()
        assert seen and all("start-durable" in steps for _, steps in seen)
        assert await h.kinds() == ["started"]

    play(tmp_path, body)


def test_badge_then_plug_at_either_point(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.badge()
        await h.until(lambda: h.station.entrance.waiting == ((1, 2),))
        h.plug(2)
        await h.until_status("Charging", 2)
        assert h.state(1) == "idle"

    play(tmp_path, body)


def test_a_badge_without_plug_runs_out(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.badge()
        await h.until(lambda: h.station.entrance.waiting)
        h.advance(121)
        assert h.station.entrance.waiting == ()
        h.plug(1)
        await h.until_status("Preparing")
        assert await h.kinds() == []

    play(tmp_path, body)


def test_a_plug_without_badge_is_finishing_after_the_time_out_not_available(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.plug(1)
        await h.until_status("Preparing")
        h.advance(121)
        await h.until_status("Finishing")

    play(tmp_path, body)


def test_an_unknown_badge_is_refused_and_shown(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.plug(1)
        h.badge("STRANGER")
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")
        assert h.state(1) == "waiting_auth"
        assert h.link.shown[1].steps[0][:3] == (True, False, False)

    play(tmp_path, body)


def test_another_badge_does_not_stop_a_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.badge("TAG2")
        await h.until(lambda: h.station.entrance.waiting or h.state(2) == "waiting_car")
        assert h.status(1) == "Charging"

    play(tmp_path, body)


def test_a_badge_of_the_same_group_stops_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        for tag in ("TAG", "TAG2"):
            h.backend.tokens[tag] = Authorization(AuthStatus.ACCEPTED, None, "FLEET")
        await h.charge("TAG")
        h.badge("TAG2")
        await h.until_status("Finishing")
        assert (await h.entries())[-1].payload["token"] == "TAG2"

    play(tmp_path, body)


def test_unplugging_ends_the_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(10, wh=100)
        h.unplug()
        await h.until_status("Available")
        assert (await h.entries())[-1].payload["reason"] == "EVDisconnected"

    play(tmp_path, body)


def test_two_cars_never_get_more_than_the_supply(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge("TAG", 1)
        assert h.station.points[1].offered_a == 32.0
        h.plug(2)
        h.badge("TAG2")
        await h.until_state("running", 2)
        for _ in range(30):
            h.advance(1)
            await asyncio.sleep(0)
            offers = [p.offered_a for p in h.station.points.values()]
            assert sum(offers) <= 52.0
        assert offers == [26.0, 26.0]
        assert h.status(2) == "Charging"

    play(tmp_path, body)


def test_offline_an_unknown_badge_is_refused_or_accepted_as_configured(tmp_path: Path) -> None:
    async def refused(h: Harness) -> None:
        h.backend.online = False
        h.plug()
        h.badge()
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")

    async def accepted(h: Harness) -> None:
        h.backend.online = False
        await h.charge()
        assert h.backend.asked == []

    play(tmp_path, refused)
    play(tmp_path, accepted, Settings(offline_unknown_allowed=True))


def test_offline_a_badge_of_the_cache_is_accepted(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.badge()
        await h.until_status("Finishing")
        h.unplug()
        h.backend.online = False
        h.advance(10)
        await h.charge()
        assert h.backend.asked == ["TAG"]

    play(tmp_path, body)


@pytest.mark.parametrize(
    ("stop", "energy", "after"),
    [(True, 0, "Finishing"), (True, 500, "Finishing"), (False, 0, "SuspendedEVSE"), (False, 500, "Charging")],
)
def test_a_token_refused_after_the_start(tmp_path: Path, stop: bool, energy: int, after: str) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(1)
        tx = h.station.transaction_of(1)
        assert tx is not None
        await h.station.transaction_answered(tx, "0", Authorization(AuthStatus.INVALID))
        await h.until_status(after)
        if after == "Finishing":
            assert (await h.entries())[-1].payload["reason"] == "DeAuthorized"
            assert h.station.points[1].session.holds_lock
            h.advance(10)
            h.badge()
            await h.until(lambda: not h.station.points[1].session.holds_lock)
        elif energy:
            h.advance(1, wh=499)
            assert h.status() == "Charging"
            h.advance(1, wh=1)
            await h.until_status("SuspendedEVSE")
            assert h.state() == "running"

    play(tmp_path, body, Settings(stop_on_invalid=stop, max_energy_on_invalid_wh=energy))


def test_remote_start_and_stop(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.remote_start("ANY", 9) is Outcome.REJECTED
        assert await h.station.remote_start("ANY", 2) is Outcome.ACCEPTED
        await h.until_state("waiting_car", 2)
        assert await h.station.remote_start("OTHER", 2) is Outcome.REJECTED
        h.plug(2)
        await h.until_status("Charging", 2)
        assert await h.station.remote_start("ANY", 2) is Outcome.REJECTED
        tx = h.station.transaction_of(2)
        assert tx is not None
        await h.station.transaction_answered(tx, "4711", Authorization(AuthStatus.ACCEPTED))
        assert await h.station.remote_stop("1") is Outcome.REJECTED
        assert await h.station.remote_stop("4711") is Outcome.ACCEPTED
        await h.until_status("Finishing", 2)
        assert (await h.entries())[-1].payload["reason"] == "Remote"

    play(tmp_path, body)


def test_remote_start_without_a_point_takes_the_one_that_is_plugged(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.plug(2)
        assert await h.station.remote_start("ANY", None) is Outcome.ACCEPTED
        await h.until_status("Charging", 2)

    play(tmp_path, body)


@pytest.mark.parametrize("named", [(None, None), (None, 1), (1, None)])
def test_a_remote_start_that_is_repeated_lets_one_car_in(tmp_path: Path, named: tuple[int | None, ...]) -> None:
    async def body(h: Harness) -> None:
        for evse in named:
            assert await h.station.remote_start("TAG", evse) is Outcome.ACCEPTED
        h.plug(1)
        await h.until_status("Charging", 1)
        h.plug(2)
        h.advance(2)
        assert h.state(2) == "waiting_auth"

    play(tmp_path, body)


def test_remote_start_without_a_point_starts_nothing_at_a_strangers_finished_plug(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge("TAG", 1)
        h.badge("TAG")
        await h.until_status("Finishing")
        assert await h.station.remote_start("TAG2", None) is Outcome.ACCEPTED
        await h.until_state("waiting_car", 2)
        h.plug(2)
        await h.until_status("Charging", 2)
        assert h.state(1) == "finished"
        assert await h.station.remote_start("TAG3", None) is Outcome.REJECTED
        assert await h.station.remote_start("TAG", None) is Outcome.ACCEPTED
        await h.until_state("running", 1)

    play(tmp_path, body)


def test_remote_start_is_authorised_first_when_configured_so(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.plug(1)
        assert await h.station.remote_start("STRANGER", 1) is Outcome.ACCEPTED
        await h.until(lambda: h.backend.asked == ["STRANGER"])
        await asyncio.sleep(0.02)
        assert h.state(1) == "waiting_auth"
        assert await h.station.remote_start("TAG", 1) is Outcome.ACCEPTED
        await h.until_status("Charging")

    play(tmp_path, body, Settings(authorize_remote_start=True))


def test_a_remote_start_while_finishing_works_with_the_cable_in(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.badge()
        await h.until_status("Finishing")
        assert await h.station.remote_start("TAG", 1) is Outcome.ACCEPTED
        await h.until_state("running")
        h.advance(6)
        await h.until_status("Charging")
        assert await h.kinds() == ["started", "ended", "started"]

    play(tmp_path, body)


def test_unlock_ends_the_session_first(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        assert await h.station.unlock(1) is Outcome.ACCEPTED
        assert h.link.unlocked == [1]
        assert (await h.entries())[-1].payload["reason"] == "UnlockCommand"
        assert await h.station.unlock(9) is Outcome.UNKNOWN

    play(tmp_path, body)


def test_a_scheduled_availability_comes_with_the_end_and_survives_a_restart(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        assert h.station.in_service() == ((1, 1), (2, 1))
        assert await h.station.set_availability(1, False) is Outcome.SCHEDULED
        assert h.station.in_service() == ((2, 1),)
        assert await h.station.set_availability(2, False) is Outcome.ACCEPTED
        await h.until_status("Unavailable", 2)
        assert h.status(1) == "Charging"
        h.badge()
        await h.until_status("Unavailable", 1)

    async def after(h: Harness) -> None:
        await h.until_status("Unavailable", 1)
        await h.until_status("Unavailable", 2)
        assert await h.station.remote_start("TAG", 1) is Outcome.REJECTED
        h.badge()
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")
        assert await h.station.set_availability(0, True) is Outcome.ACCEPTED
        await h.until_status("Available", 1)

    play(tmp_path, body)
    play(tmp_path, after)


def test_an_availability_scheduled_for_a_session_a_restart_ends_comes_with_that_end(tmp_path: Path) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        assert await h.station.set_availability(1, False) is Outcome.SCHEDULED

    async def after(h: Harness) -> None:
        await h.until(lambda: h.station.points[1].pending is None)
        await h.until_status("Unavailable")
        assert h.station.in_service() == ((2, 1),)
        assert await h.station.remote_start("TAG", 1) is Outcome.REJECTED

    play(tmp_path, body, time=time)
    time.mono += 20
    play(tmp_path, after, time=time)


def test_an_availability_that_is_written_while_the_session_ends_comes_at_once(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        slow, write = asyncio.Event(), h.journal.write

        async def held(work: Callable[[Any], Any]) -> Any:
            done = await write(work)
            await slow.wait()
            return done

        h.journal.write = held  # type: ignore[method-assign,assignment]
        order = asyncio.create_task(h.station.set_availability(1, False))
        await asyncio.sleep(0)
        h.journal.write = write  # type: ignore[method-assign]
        h.badge()
        await h.until_state("finished")
        slow.set()
        assert await order is Outcome.ACCEPTED
        await h.until_status("Unavailable")

    play(tmp_path, body)


def test_what_is_taken_out_of_service_during_an_update_stays_out_after_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        assert await h.station.set_availability(1, False, for_update=True) is Outcome.SCHEDULED
        assert await h.station.set_availability(2, False, for_update=True) is Outcome.ACCEPTED
        assert await h.station.set_availability(2, False) is Outcome.ACCEPTED
        h.badge()
        await h.until_status("Unavailable", 1)

    async def after(h: Harness) -> None:
        for evse in (1, 2):
            await h.until_status("Unavailable", evse)
            await h.station.set_availability(evse, True, for_update=True)
        await h.until_status("Available", 1)
        assert h.station.in_service() == ((1, 1),)
        assert await h.station.set_availability(2, True) is Outcome.ACCEPTED
        assert h.station.in_service() == ((1, 1), (2, 1))

    play(tmp_path, body)
    play(tmp_path, after)


def test_an_operators_order_to_open_during_an_update_comes_after_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.set_availability(2, False) is Outcome.ACCEPTED
        for evse in (1, 2):
            await h.station.set_availability(evse, False, for_update=True)
        assert await h.station.set_availability(0, True) is Outcome.SCHEDULED
        assert h.station.in_service() == ()

    async def after(h: Harness) -> None:
        for evse in (1, 2):
            await h.until_status("Unavailable", evse)
            await h.station.set_availability(evse, True, for_update=True)
            await h.until_status("Available", evse)

    play(tmp_path, body)
    play(tmp_path, after)


def test_an_update_that_goes_on_after_a_restart_sees_the_transaction_that_waits_for_its_car(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()

    async def after(h: Harness) -> None:
        assert h.station.points[1].pending is not None
        assert h.station.transaction_of(1) == h.station.transaction_of(1, 1) == 1
        assert h.station.transaction_of(1, 2) is None

    def plugged(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = True
        h.link.boot = "boot-2"  # is believed after half a second

    time = FakeTime()
    play(tmp_path, body, time=time)
    play(tmp_path, after, time=time, prepare=plugged)


def test_a_badge_shown_twice_at_the_start_stops_nothing_and_once_more_later_does(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.link.cars[1].wants = False
        h.plug()
        h.badge()
        await h.until_state("running")
        h.advance(2)
        h.badge()
        await h.until(lambda: h.station.points[1]._moment[0] == "understood")
        assert h.state() == "running"
        h.advance(1)
        h.badge()
        await h.until_state("finished")

    play(tmp_path, body)


def test_a_badge_shown_twice_for_a_retained_cable_begins_nothing(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        await h.station.transaction_answered(1, "1", Authorization(AuthStatus.INVALID))
        await h.until_status("Finishing")
        h.advance(60)
        h.badge()
        await h.until(lambda: not h.station.points[1].session.retained)
        h.advance(2)
        h.badge()
        await asyncio.sleep(0.05)
        assert h.state() == "finished" and await h.kinds() == ["started", "ended"]

    play(tmp_path, body)


def test_a_badge_shown_twice_at_the_end_begins_nothing_elsewhere_when_the_point_goes_out_of_service(
    tmp_path: Path,
) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        assert await h.station.set_availability(1, False) is Outcome.SCHEDULED
        h.badge()
        await h.until_status("Unavailable", 1)
        h.advance(2)
        h.badge()
        await h.until(lambda: h.station.points[1]._moment[0] == "understood")
        assert not any(h.station.entrance.waiting) and h.state(2) == "idle"
        h.advance(LEAVING_S)
        assert h.state(1) == "idle" and h.status(1) == "Unavailable"

    play(tmp_path, body)


def test_a_session_goes_on_after_a_restart_when_the_car_never_left(tmp_path: Path) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(61, wh=700)
        await h.until(lambda: h.backend.changes >= 2)

    def plugged(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = True
        h.link.cars[1].count = 1
        h.link.cars[1].wh = 10_800

    async def after(h: Harness) -> None:
        await h.until_status("Charging")
        h.badge()
        await h.until_status("Finishing")
        entries = await h.entries()
        assert [e.kind for e in entries] == ["started", "sampled", "ended"]
        assert entries[-1].payload["meter_stop_wh"] == 10_800

    play(tmp_path, body, time=time)
    time.mono += 20
    play(tmp_path, after, time=time, prepare=plugged)


@pytest.mark.parametrize("there", [True, False])
def test_a_stop_that_a_restart_cuts_off_ends_as_it_was_meant(tmp_path: Path, there: bool) -> None:
    time = FakeTime()
    settings = Settings(ended_sampled_measurands=("Energy.Active.Import.Register",))

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(10, wh=100)
        h.link.stuck = True
        h.badge()
        await h.until_state("stopping")
        wanted = None
        for _ in range(1000):
            wanted = wanted or await h.journal.read(lambda db: endings.of(db, 1))
        assert wanted is not None
        h.advance(5)
        assert h.state() == "stopping"

    def plugged(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = there
        h.link.cars[1].count = 1
        h.link.cars[1].wh = 10_150

    async def after(h: Harness) -> None:
        await h.until_state("finished" if there else "idle")
        await h.until(lambda: h.station.points[1].pending is None)
        assert not h.link.cars[1].closed and "Charging" not in h.backend.statuses(1)
        entries = [e for e in await h.entries() if e.kind == "ended"]
        assert [(e.payload["reason"], e.payload["token"]) for e in entries] == [("Local", "TAG")]
        assert entries[0].payload["meter_stop_wh"] == 10_150
        assert entries[0].stamp.mono == 1010.0

    async def later(h: Harness) -> None:
        await h.charge()
        h.advance(10)
        assert h.status() == "Charging"

    play(tmp_path, body, settings, time=time)
    time.mono += 20
    play(tmp_path, after, settings, time=time, prepare=plugged)
    time.mono += 20
    play(tmp_path, later, settings, time=time)


def test_a_restart_between_the_last_values_and_the_end_leaves_no_values_of_an_end_that_was_not(tmp_path: Path) -> None:
    time = FakeTime()
    settings = Settings(ended_sampled_measurands=("Energy.Active.Import.Register",))

    async def body(h: Harness) -> None:
        await h.charge()
        write, written = h.journal.write, 0

        async def cut_off(work: Callable[[Any], Any]) -> Any:
            nonlocal written
            if "end-read" in h.steps:
                written += 1
                if written == 2:
                    await asyncio.Event().wait()
            return await write(work)

        h.journal.write = cut_off  # type: ignore[method-assign,assignment]
        h.advance(4)
        h.badge()
        await h.until(lambda: written > 0)
        await asyncio.sleep(0.05)

    def plugged(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = True
        h.link.cars[1].count = 1

    async def after(h: Harness) -> None:
        await h.until(lambda: h.station.points[1].pending is None)
        (ended,) = [e for e in await h.entries() if e.kind == "ended"]
        contexts = [value["context"] for sample in ended.payload["data"] for value in sample["values"]]
        assert contexts == ["Transaction.Begin", "Transaction.End"]

    play(tmp_path, body, settings, time=time)
    play(tmp_path, after, settings, time=time, prepare=plugged)


def test_a_refused_token_gets_no_energy_after_a_restart_either(tmp_path: Path) -> None:
    time = FakeTime()
    settings = Settings(stop_on_invalid=False, max_energy_on_invalid_wh=5000)

    async def body(h: Harness) -> None:
        await h.charge()
        await h.station.transaction_answered(1, "1", Authorization(AuthStatus.INVALID))
        assert h.status() == "Charging"

    def plugged(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = True
        h.link.cars[1].count = 1

    async def after(h: Harness) -> None:
        await h.until_status("SuspendedEVSE")
        assert h.state() == "running"

    play(tmp_path, body, settings, time=time)
    play(tmp_path, after, settings, time=time, prepare=plugged)


def back_with_its_car(h: Harness) -> None:
    """Both processes have been started anew; the car that charged is still there."""
    h.link.cars[1].plugged = h.link.cars[1].connected = True
    h.link.cars[1].count = 1
    h.link.boot = "boot-2"  # is believed after half a second


def test_a_point_whose_transaction_waits_for_its_car_after_a_restart_is_not_told_as_available(tmp_path: Path) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()

    async def after(h: Harness) -> None:
        h.station.tick()
        assert h.station.points[1].pending is not None
        assert h.station.status_of(1).status.value == "SuspendedEVSE"
        h.advance(1)
        await h.until_status("Charging")
        assert h.backend.statuses(1)[0] == "SuspendedEVSE" and "Available" not in h.backend.statuses(1)

    async def gone(h: Harness) -> None:
        await h.until_status("Available")
        assert (await h.entries())[-1].payload["reason"] == "PowerLoss"

    play(tmp_path, body, time=time)
    time.mono += 5
    play(tmp_path, after, time=time, prepare=back_with_its_car)
    play(tmp_path, gone, time=time)


def test_a_fault_that_clears_while_its_session_ends_tells_no_finishing_before_the_end(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.link.stuck = True
        h.fault(1, "emergency-stop")
        h.advance(1)
        await h.until_state("stopping")
        h.fault(1, "emergency-stop", on=False)
        h.advance(1)
        assert h.status() == "SuspendedEVSE" and await h.kinds() == ["started"]
        h.link.stuck = False
        h.link.obey(1)
        await h.until_status("Finishing")
        assert await h.kinds() == ["started", "ended"]

    play(tmp_path, body, Settings(sample_interval_s=0))


def test_an_emergency_stop_however_short_ends_every_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.station.borne_reported(BorneReport(1.0, "b", (Fault("emergency-stop", h.time.mono),), emergency_stop=True))
        h.station.borne_reported(BorneReport(1.2, "b"))
        await h.until_status("Finishing")
        assert (await h.entries())[-1].payload["reason"] == "EmergencyStop"

    play(tmp_path, body, Settings(sample_interval_s=0))


@pytest.mark.parametrize("there", [True, False])
def test_a_remote_stop_of_a_transaction_that_waits_for_its_car_is_obeyed(tmp_path: Path, there: bool) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        await h.station.transaction_answered(1, "77", Authorization(AuthStatus.ACCEPTED))

    def prepare(h: Harness) -> None:
        h.link.cars[1].plugged = h.link.cars[1].connected = there
        h.link.cars[1].count = 1
        h.link.boot = "boot-2"  # is believed after half a second

    async def after(h: Harness) -> None:
        assert h.station.points[1].pending is not None
        stopping = asyncio.create_task(h.station.remote_stop("77"))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        h.advance(1)
        assert await stopping is (Outcome.ACCEPTED if there else Outcome.REJECTED)
        await h.until_status("Finishing" if there else "Available")
        assert (await h.entries())[-1].payload["reason"] == ("Remote" if there else "PowerLoss")

    play(tmp_path, body, time=time)
    time.mono += 5
    play(tmp_path, after, time=time, prepare=prepare)


@pytest.mark.parametrize("seen", [True, False])
def test_an_unlock_while_a_transaction_waits_for_its_car_ends_it_first_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()

    async def after(h: Harness) -> None:
        assert h.station.points[1].pending is not None
        unlocking = asyncio.create_task(h.station.unlock(1))
        await asyncio.sleep(0.05)
        assert h.link.unlocked == []
        if seen:
            h.advance(1)
            assert await unlocking is Outcome.ACCEPTED
            assert h.link.unlocked == [1]
            assert (await h.entries())[-1].payload["reason"] == "UnlockCommand"
        else:
            assert await unlocking is Outcome.FAILED
            assert h.link.unlocked == [] and h.station.points[1].pending is not None

    play(tmp_path, body, time=time)
    time.mono += 5
    monkeypatch.setattr(station_module, "TAKEN_UP_S", 3.0 if seen else 0.1)
    play(tmp_path, after, time=time, prepare=back_with_its_car)


@pytest.mark.parametrize("stop", [True, False])
def test_a_token_refused_while_its_transaction_waits_for_its_car_gets_no_energy(tmp_path: Path, stop: bool) -> None:
    time = FakeTime()
    settings = Settings(stop_on_invalid=stop)

    async def body(h: Harness) -> None:
        await h.charge()

    async def after(h: Harness) -> None:
        assert h.station.points[1].pending is not None
        await h.station.transaction_answered(1, "1", Authorization(AuthStatus.INVALID))
        h.advance(1)
        if stop:
            await h.until_state("finished")
            assert (await h.entries())[-1].payload["reason"] == "DeAuthorized"
        else:
            await h.until_status("SuspendedEVSE")

    play(tmp_path, body, settings, time=time)
    time.mono += 5
    play(tmp_path, after, settings, time=time, prepare=back_with_its_car)


def test_a_car_that_leaves_its_open_session_is_suspended_by_the_car(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.link.cars[1].connected = h.link.cars[1].closed = False
        h.link.report(1)
        await h.until_status("SuspendedEV")
        assert h.link.cars[1].permit is not None and h.link.cars[1].permit.hold_lock

    play(tmp_path, body, Settings(stop_on_ev_disconnect=False))


def test_a_session_whose_car_left_during_the_restart_is_closed_once(tmp_path: Path) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(61, wh=700)
        await h.until(lambda: h.backend.changes >= 2)

    def register(h: Harness) -> None:
        for car in h.link.cars.values():
            car.wh = 10_750

    async def after(h: Harness) -> None:
        await h.until_status("Available")
        await h.until(lambda: h.station.points[1].pending is None)
        entries = await h.entries()
        assert [e.kind for e in entries] == ["started", "sampled", "ended"]
        assert entries[-1].payload["reason"] == "PowerLoss"
        assert entries[-1].payload["meter_stop_wh"] == 10_750
        assert entries[-1].stamp.mono == 1061.0

    play(tmp_path, body, time=time)
    time.mono += 20
    play(tmp_path, after, time=time, prepare=register)
    play(tmp_path, after, time=time, prepare=register)


def test_a_fault_that_can_clear_by_itself_suspends_the_session_and_no_more(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.fault(1, "contactor-drops")
        await h.until_status("Faulted")
        h.advance(20)
        h.fault(1, "contactor-drops", on=False)
        h.link.report(1)
        await h.until_status("Charging")
        assert await h.kinds() == ["started"]

    play(tmp_path, body, Settings(sample_interval_s=0))


def test_a_hot_socket_suspends_the_session_for_however_long_it_is_hot(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.fault(1, "over-temperature")
        await h.until_status("SuspendedEVSE")
        assert h.station.points[1].view(True, False).state == "running" and not h.station.points[1].takes(None)
        for _ in range(20):
            h.advance(60)
        assert h.status(1) == "SuspendedEVSE" and await h.kinds() == ["started"]
        assert h.station.points[1].connectors[1].told[1] == "over-temperature"
        h.fault(1, "over-temperature", on=False)
        h.link.report(1)
        await h.until_status("Charging")
        h.fault(1, "over-temperature")
        h.fault(1, "pe-lost")
        await h.until_status("Faulted")
        h.advance(301)
        await h.until_state("finished")

    play(tmp_path, body, Settings(sample_interval_s=0))


def test_a_hot_socket_without_a_session_is_faulted(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.fault(1, "over-temperature")
        await h.until_status("Faulted")

    play(tmp_path, body)


def test_a_fault_that_stays_ends_the_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.fault(1, "residual-current")
        await h.until_status("Faulted")
        h.advance(6)
        await h.until_state("finished")
        assert (await h.entries())[-1].payload["reason"] == "Other"

    play(tmp_path, body)


def test_the_last_register_counts_when_the_meter_falls_silent(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(30, wh=444)
        h.meters.silent.add(1)
        h.station.meter_lost(1, "no answer")
        h.advance(600)
        h.badge()
        await h.until_status("Finishing")
        end = (await h.entries())[-1]
        assert end.payload["meter_stop_wh"] == 10_444
        assert end.stamp.mono == h.time.mono, "the session ends now, not when the meter was last heard"

    play(tmp_path, body)


def test_the_register_of_the_end_is_read_until_the_meter_shows_no_current(tmp_path: Path) -> None:
    """Meters renew their registers about once a second: a reading with current in it is of before the opening."""

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(30, wh=444)
        read, asked = h.meters.read_fresh, []

        async def slow(evse: int, after: float, timeout_s: float) -> Reading | None:
            fresh = await read(evse, after, timeout_s)
            assert fresh is not None
            asked.append(after)
            if len(asked) < 3:
                return replace(fresh, current_a=(16.0, 16.0, 16.0))
            return replace(fresh, energy_wh=fresh.energy_wh + 6)

        h.meters.read_fresh = slow
        h.badge()
        await h.until_status("Finishing")
        assert (await h.entries())[-1].payload["meter_stop_wh"] == 10_450
        assert asked[0] < asked[1] < asked[2]

    play(tmp_path, body)


def test_a_transaction_that_is_not_resumed_ends_with_the_register_after_the_contactor_opened(tmp_path: Path) -> None:
    """Only the station was killed: the safety process goes on charging until the permission goes."""
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(61, wh=700)
        await h.until(lambda: h.backend.changes >= 2)

    def charging(h: Harness) -> None:
        car = h.link.cars[1]
        car.plugged = car.connected = car.closed = True
        car.count, car.wh = 1, 10_800
        h.link.stuck = True

    async def after(h: Harness) -> None:
        await h.until(lambda: h.station.points[1].pending is not None)
        await asyncio.sleep(0.05)
        assert [e.kind for e in await h.entries()] == ["started", "sampled"]
        h.link.cars[1].wh = 10_850
        h.link.stuck = False
        h.link.obey(1)
        await h.until(lambda: h.station.points[1].pending is None)
        end = (await h.entries())[-1]
        assert (end.kind, end.payload["reason"], end.payload["meter_stop_wh"]) == ("ended", "PowerLoss", 10_850)

    play(tmp_path, body, time=time)
    time.mono += 2
    play(tmp_path, after, Settings(resume_after_restart=False), time=time, prepare=charging)


def test_an_end_waits_until_the_opening_is_confirmed_and_takes_no_earlier_one_for_it(tmp_path: Path) -> None:
    """The mirror contact tells some milliseconds before the opening counts; the time of the last one still stands."""

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(30, wh=444)
        car, tell = h.link.cars[1], h.link.listener
        assert tell is not None and car.closed_at is not None
        closed_at, reported, asked = car.closed_at, tell.point_reported, []
        read = h.meters.read_fresh

        async def note(evse: int, after: float, timeout_s: float) -> Reading | None:
            asked.append(after)
            return await read(evse, after, timeout_s)

        def unconfirmed(report: PointReport) -> None:
            if not report.contactor_closed and not confirmed:
                report = msgspec.structs.replace(report, closed_at=closed_at, opened_at=5.0)
            reported(report)

        confirmed: list[bool] = []
        h.meters.read_fresh = note
        tell.point_reported = unconfirmed  # type: ignore[method-assign]
        h.badge()
        await h.until_state("stopping")
        await h.until(lambda: not h.station.points[1].report.contactor_closed)
        await asyncio.sleep(0.05)
        assert asked == []
        confirmed.append(True)
        h.time.mono += 1
        h.link.report(1)
        await h.until_state("finished")
        assert asked[0] == car.opened_at

    play(tmp_path, body)


def test_no_session_begins_without_a_register(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.meters.silent.add(1)
        h.plug(1)
        h.badge()
        await h.until_state("finished")
        assert await h.kinds() == []

    play(tmp_path, body)


def test_a_reset_ends_sessions_and_asks_for_a_restart(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.backend.online = False
        assert await h.station.reset(hard=False) is Outcome.ACCEPTED
        await h.until(lambda: h.station.restart_requested)
        assert (await h.entries())[-1].payload["reason"] == StopReason.SOFT_RESET.value
        told = [(e.kind, e.info) for e in h.backend.events if isinstance(e, SecurityEvent)]
        assert ("ResetOrReboot", "soft") in told

    play(tmp_path, body)


@pytest.mark.parametrize(("status", "retries"), [(1, 0), (1, 2), (0, 1)])
def test_a_hard_reset_that_does_not_restart_the_machine_is_tried_again_and_restarts_the_program_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, retries: int
) -> None:
    monkeypatch.setattr(station_module, "GOING_DOWN_S", 0.01)
    tried = tmp_path / "tried"
    script = ["/bin/sh", "-c", f"echo once >> {tried}; exit {status}"]

    async def body(h: Harness) -> None:
        await h.charge()
        h.backend.online = False
        h.settings.reset_retries = retries
        assert await h.station.reset(hard=True) is Outcome.ACCEPTED
        await h.until(lambda: h.station.restart_requested, 8)
        assert tried.read_text().count("once") == 1 + retries
        assert (await h.entries())[-1].payload["reason"] == StopReason.HARD_RESET.value

    play(tmp_path, body, Settings(), modem={"reboot_command": script})


def test_samples_go_to_the_outbox_at_their_interval(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        for _ in range(3):
            before = h.backend.changes
            h.advance(10, wh=10)
            await h.until(lambda before=before: h.backend.changes > before)  # type: ignore[misc]
        entries = await h.entries()
        assert [e.kind for e in entries] == ["started", "sampled", "sampled", "sampled"]
        values = {v["measurand"]: v for v in entries[1].payload["values"]}
        assert values["Energy.Active.Import.Register"]["value"] == 10_010
        assert values["Energy.Active.Import.Register"]["context"] == "Sample.Periodic"

    play(tmp_path, body, Settings(sample_interval_s=10))


def test_a_dedicated_bay_needs_no_badge(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.plug(1)
        await h.until_status("Charging", 1)
        assert (await h.entries())[0].payload["token"] == "FREE"

    play(tmp_path, body, authorisation={"free_vend_tag": "FREE", "free_vend_evses": [1]})


def test_a_restart_of_the_safety_process_keeps_the_session(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.station.evse_lost("gone")
        await h.until_status("Faulted")
        h.time.mono += 2
        h.link.boot = "boot-2"
        h.link.cars[1].closed = False
        h.station.evse_found()
        h.link.report(1)
        h.advance(1)
        h.advance(6)
        await h.until_status("Charging")
        assert await h.kinds() == ["started"]

    play(tmp_path, body, Settings(sample_interval_s=0))


def test_a_stop_in_the_middle_of_everything_ends_in_good_order(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.plug(2)
        h.badge("TAG2")
        h.unplug(1)
        h.station.stop_running()
        h.advance(61)
        h.unplug(2)

    play(tmp_path, body)


@pytest.mark.parametrize(
    ("off_s", "clock_shift_s", "allowed_s", "knows", "goes_on"),
    [
        pytest.param(300, 0, 900, "battery", True, id="short"),
        pytest.param(300, 0, 900, "ntp", True, id="short-and-the-time-is-told"),
        pytest.param(3600, 0, 900, "battery", False, id="long"),
        pytest.param(300, 0, 0, "battery", False, id="not-wanted"),
        pytest.param(300, -1e9, 900, "battery", False, id="a-battery-that-is-empty"),
        pytest.param(300, 0, 900, "", False, id="a-clock-that-stood-still"),
    ],
)
def test_a_car_that_is_there_after_a_short_power_cut_is_charged_on(
    tmp_path: Path, off_s: float, clock_shift_s: float, allowed_s: int, knows: str, goes_on: bool
) -> None:
    """All began anew, the machine's monotonic time too; only the car stands where it stood."""

    async def after(h: Harness) -> None:
        point = h.station.points[1]
        h.advance(5)  # the pilot has settled
        if not knows:
            h.advance(TIME_WAIT_S)
        await h.until(lambda: point.pending is None)
        kinds = [e.kind for e in await h.entries()]
        if goes_on:
            assert point.session.state == "running" and "ended" not in kinds
            h.badge()
            await h.until_status("Finishing")
        end = (await h.entries())[-1]
        assert (end.kind, end.payload["reason"]) == ("ended", "Local" if goes_on else "PowerLoss")
        assert end.payload["meter_stop_wh"] == 10_700

    rebooted = _power_cut(tmp_path, off_s)
    rebooted.utc_shift += clock_shift_s
    rebooted.ntp, rebooted.battery = knows == "ntp", knows == "battery"
    settings = Settings(resume_after_power_loss_s=allowed_s)
    play(tmp_path, after, settings, time=rebooted, prepare=_dark, boot_id="boot-b")


def _power_cut(tmp_path: Path, off_s: float) -> FakeTime:
    """A session that a power cut ends, and the time after it."""
    time = FakeTime()

    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(61, wh=700)
        await h.until(lambda: h.backend.changes >= 2)

    play(tmp_path, body, time=time)
    rebooted = FakeTime(12.0)
    rebooted.utc_shift = time.mono + off_s - rebooted.mono
    return rebooted


def _dark(h: Harness) -> None:
    car = h.link.cars[1]
    car.plugged = car.connected = True
    car.count, car.wh = 1, 10_700
    h.link.boot = "after-the-cut"


@pytest.mark.parametrize(("off_s", "goes_on"), [(300, True), (3600, False)])
def test_after_a_power_cut_a_transaction_waits_for_the_time_and_no_guess_decides(
    tmp_path: Path, off_s: float, goes_on: bool
) -> None:
    """The clock without a battery shows a moment after the last write, as one that was saved at the end does."""

    async def after(h: Harness) -> None:
        point = h.station.points[1]
        h.advance(5)
        h.advance(20)
        assert point.pending is not None and "ended" not in await h.kinds()
        assert not point.takes(None)
        h.clock.offer(told + h.time.mono)
        h.advance(1)
        await h.until(lambda: point.pending is None)
        assert (point.session.state == "running") is goes_on
        assert ("ended" in await h.kinds()) is not goes_on

    rebooted = _power_cut(tmp_path, off_s)
    told = UTC0 + rebooted.utc_shift
    rebooted.utc_shift -= off_s - 1
    rebooted.ntp = False
    settings = Settings(resume_after_power_loss_s=900)
    play(tmp_path, after, settings, time=rebooted, prepare=_dark, boot_id="boot-b")


def test_a_car_that_leaves_while_the_time_is_waited_for_ends_its_transaction_at_once(tmp_path: Path) -> None:
    async def after(h: Harness) -> None:
        h.advance(5)
        assert h.station.points[1].pending is not None
        h.unplug(1)
        await h.until(lambda: h.station.points[1].pending is None)
        assert (await h.entries())[-1].payload["reason"] == "PowerLoss"

    rebooted = _power_cut(tmp_path, 300)
    rebooted.ntp = False
    play(tmp_path, after, time=rebooted, prepare=_dark, boot_id="boot-b")


def test_a_dedicated_bay_starts_when_the_fault_of_the_moment_of_plugging_in_is_gone(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.fault(1, "contactor-drops")
        h.plug(1)
        h.advance(1)
        assert h.state() == "waiting_auth"
        h.advance(130)
        assert h.state() == "finished"
        h.fault(1, "contactor-drops", on=False)
        h.advance(1)
        await h.until_status("Charging", 1)
        h.badge("FREE")
        await h.until_state("finished")
        h.advance(60)
        assert h.state() == "finished", "a session that was had is not begun anew"

    play(tmp_path, body, authorisation={"free_vend_tag": "FREE", "free_vend_evses": [1]})


def test_a_dedicated_bay_starts_when_its_meter_speaks_again(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.meters.silent.add(1)
        h.plug(1)
        await h.until_state("finished")
        h.meters.silent.clear()
        h.advance(11)
        await h.until_status("Charging", 1)

    play(tmp_path, body, authorisation={"free_vend_tag": "FREE", "free_vend_evses": [1]})
