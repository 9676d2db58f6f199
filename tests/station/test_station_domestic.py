"""The domestic socket of a point, seen from the station: one session at a time, at either of two connectors."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from station_harness import UTC0, FakeTime, Harness, station

from chargepoint.energy.profiles import Kind, Period, Profile, Purpose
from chargepoint.evse.messages import Fault
from chargepoint.journal import transactions
from chargepoint.station.api import MeterSampled, Outcome, Reservation, StatusChanged, StopReason
from chargepoint.station.settings import Settings
from chargepoint.station.view import station_status
from chargepoint.station.why import why

pytestmark = pytest.mark.asyncio

EVSES = [
    {
        "id": 1,
        "max_current": 32,
        "meter": {"model": "eastron-sdm630", "unit": 1},
        "domestic": {"max_current": 10, "phase": "R"},
    },
    {"id": 2, "max_current": 32, "phase_rotation": "STR", "meter": {"model": "eastron-sdm630", "unit": 2}},
]


def domestic(tmp_path: Path, **more: Any) -> Any:
    return station(tmp_path, **{"evse": EVSES, **more})


async def charge(h: Harness, load: float = 8.0) -> None:
    """A plug in the domestic socket and a badge, until current flows."""
    h.plug_domestic(load=load)
    h.badge()
    await h.until(lambda: h.link.cars[1].domestic_closed)
    h.advance(1)
    await h.until(lambda: h.shown(2) == ("Charging" if load > 0.5 else "Preparing"))


def sentence(h: Harness, lang: str = "en") -> str:
    point = h.station.points[1]
    return why(point, h.station.power, h.time.mono, True, lang)


def asked(h: Harness, connector: int, lang: str = "en") -> str:
    """Of one connector."""
    return why(h.station.points[1], h.station.power, h.time.mono, True, lang, connector=connector)


async def test_a_badge_and_a_plug_charge_at_the_domestic_connector_and_bill_its_register(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        permit = h.link.cars[1].permit
        assert permit is not None and permit.connector == 2 and permit.current_a == 10.0 and not permit.hold_lock
        assert h.shown(1) == "Unavailable"
        h.advance(60, wh=1234)
        h.badge()
        await h.until_state("finished")
        begun, ended = (e for e in await h.entries() if e.kind in ("started", "ended"))
        assert begun.payload["connector"] == 2
        assert ended.payload["meter_stop_wh"] - begun.payload["meter_start_wh"] == 1234
        assert h.shown(2) == "Finishing" and h.shown(1) == "Available"
        h.unplug_domestic()
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Available", "Available"))
        assert h.backend.statuses(1, 2) == ["Available", "Preparing", "Charging", "Finishing", "Available"]
        assert h.backend.statuses(1, 1) == ["Available", "Unavailable", "Available"]
        samples = [e.payload["connector"] for e in await h.entries() if e.kind == "sampled"]
        assert set(samples) == {2}


async def test_the_other_connector_is_told_as_unavailable_with_the_reason(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        told = [e for e in h.backend.events if isinstance(e, StatusChanged) and (e.evse, e.connector) == (1, 1)][-1]
        assert told.status == "Unavailable" and told.error is None
        assert told.info == "the domestic socket of this point is in use"
        h.unplug_domestic()
        await h.until_state("idle")
        await h.charge()
        told = [e for e in h.backend.events if isinstance(e, StatusChanged) and (e.evse, e.connector) == (1, 2)][-1]
        assert told.status == "Unavailable" and told.info == "the Type 2 socket of this point is in use"


async def test_a_second_plug_waits_until_the_first_is_gone_and_then_has_its_turn(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await h.charge()
        h.plug_domestic()
        h.advance(1)
        assert h.status() == "Charging" and not h.link.cars[1].domestic_closed
        assert "waits" in sentence(h) and "attend" in sentence(h, "fr")
        assert await h.station.remote_start("TAG2", 1, connector=2) is Outcome.REJECTED
        h.unplug()
        await h.until_state("idle")
        h.advance(1)
        await h.until(lambda: h.shown(2) == "Preparing")
        h.badge("TAG2")
        await h.until(lambda: h.link.cars[1].domestic_closed)
        h.plug()
        h.advance(1)
        assert h.shown(1) == "Unavailable" and not h.link.cars[1].closed
        assert "Type 2 socket waits" in sentence(h)
        point = h.station.points[1]
        said = why(point, h.station.power, h.time.mono, True, "fr", connector=1)
        assert said.startswith("La prise de type 2 est inutilisable") and "prise domestique" in said
        assert await h.station.remote_start("TAG", 1, connector=1) is Outcome.REJECTED


async def test_a_plug_that_nobody_pays_for_keeps_no_car_out(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        h.plug_domestic()
        h.advance(1)
        assert (h.shown(1), h.shown(2)) == ("Available", "Preparing")
        h.plug()
        h.advance(1)
        assert (h.shown(1), h.shown(2)) == ("Preparing", "Preparing")
        h.badge()
        await h.until(lambda: h.link.cars[1].closed)
        assert (h.shown(1), h.shown(2)) == ("Charging", "Unavailable") and not h.link.cars[1].domestic_closed


async def test_a_car_that_has_finished_keeps_no_plug_out_and_no_second_tap_pays_for_it(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await h.charge()
        h.advance(1)
        h.plug_domestic()
        h.advance(1)
        h.badge()
        await h.until_state("finished")
        h.advance(1)
        h.badge()
        h.advance(1)
        assert h.state() == "finished" and h.status() == "Finishing"
        h.advance(9)
        assert h.state() == "waiting_auth" and (h.shown(1), h.shown(2)) == ("Finishing", "Preparing")
        h.badge("TAG2")
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert h.shown(1) == "Unavailable"


async def test_a_remote_start_names_the_connector_whatever_else_is_plugged(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        h.plug_domestic()
        h.plug()
        h.advance(1)
        assert await h.station.remote_start("TAG", 1, connector=2) is Outcome.ACCEPTED
        h.advance(1)
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert h.shown(1) == "Unavailable"


async def test_charging_is_what_the_meter_sees(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h, load=0.4)
        h.advance(9)
        await h.until(lambda: h.shown(2) == "SuspendedEV")
        assert "draws no current" in sentence(h)
        h.link.cars[1].domestic_load = 6.0
        h.advance(1)
        assert h.shown(2) == "Charging"
        assert "6 A" in sentence(h) and "10 A" in sentence(h)


async def test_a_limit_below_its_current_means_off(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.time.mono += 10
        profile = Profile(
            7, Purpose.TX_DEFAULT, 0, Kind.ABSOLUTE, "A", (Period(0, 9.0),), evse=1, start=int(UTC0), connector=2
        )
        await h.station.set_profile(profile)
        await h.until(lambda: not h.link.cars[1].domestic_closed)
        h.advance(1)
        assert h.shown(2) == "SuspendedEVSE"
        assert "10 A" in sentence(h) and "9 A" in sentence(h)
        assert "10 A" in sentence(h, "fr")
        assert await h.station.clear_profiles(evse=1, connector=1) is Outcome.UNKNOWN
        await h.station.clear_profiles(evse=1, connector=2)
        h.advance(10)
        await h.until(lambda: h.link.cars[1].domestic_closed)


async def test_profiles_are_for_one_connector(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        own = Profile(1, Purpose.TX_DEFAULT, 0, Kind.ABSOLUTE, "A", (Period(0, 8.0),), evse=1, start=int(UTC0))
        await h.station.set_profile(own)
        await h.station.set_profile(replace(own, id=2, connector=2, periods=(Period(0, 16.0),)))
        first, second = (h.station.composite(1, 60, "A", number) for number in (1, 2))
        assert first is not None and second is not None
        assert [p.limit for p in first.periods] == [8.0] and [p.limit for p in second.periods] == [10.0]
        assert [p.phases for p in second.periods] == [1]
        assert h.station.composite(2, 60, "A", 2) is None
        await charge(h)
        running = replace(own, id=3, purpose=Purpose.TX)
        assert await h.station.set_profile(running) is Outcome.REJECTED
        assert await h.station.set_profile(replace(running, connector=2)) is Outcome.ACCEPTED


async def test_its_current_is_kept_for_it_before_it_is_on(tmp_path: Path) -> None:
    async with domestic(tmp_path, supply={"max_current": 32}) as h:
        await h.charge(evse=2)
        h.advance(1)
        assert h.station.points[2].offered_a == 32.0
        h.plug_domestic()
        h.badge("TAG2")
        await h.until_state("running")
        assert not h.link.cars[1].domestic_closed
        for _ in range(12):
            h.advance(1)
            drawn = h.link.cars[2].amps + h.link.cars[1].currents[0]
            assert drawn <= 32.0
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert h.station.points[2].offered_a == 22.0


async def test_more_than_it_may_draw_is_a_fault(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h, load=13.0)
        for _ in range(13):
            h.advance(1)
        assert "over-current" in h.station.points[1].faults
        await h.until(lambda: not h.link.cars[1].domestic_closed)
        assert h.shown(1) == h.shown(2) == "Faulted"
        h.advance(6)
        await h.until_state("finished")
        h.unplug_domestic()
        await h.until(lambda: h.shown(2) == "Available")


async def test_a_remote_start_waits_for_a_plug_in_its_own_connector(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        assert await h.station.remote_start("TAG", 1, connector=2) is Outcome.ACCEPTED
        assert await h.station.remote_start("TAG", 2, connector=2) is Outcome.REJECTED
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Unavailable", "Preparing"))
        h.plug()
        h.advance(1)
        assert h.state() == "waiting_car"
        h.plug_domestic()
        await h.until(lambda: h.link.cars[1].domestic_closed)


async def test_a_badge_without_a_plug_waits_at_both_connectors(tmp_path: Path) -> None:
    async with domestic(tmp_path, reader=[{"id": 1, "evses": [1]}]) as h:
        h.badge()
        await h.until_state("waiting_car")
        assert (h.shown(1), h.shown(2)) == ("Preparing", "Preparing")
        h.plug_domestic()
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert h.shown(1) == "Unavailable"


async def test_availability_is_the_connectors_own_and_survives_a_restart(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        assert await h.station.set_availability(1, False, 2) is Outcome.ACCEPTED
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Available", "Unavailable"))
        h.plug_domestic()
        h.advance(1)
        assert h.state() == "idle" and h.shown(1) == "Available"
        assert await h.station.remote_start("TAG", 1, connector=2) is Outcome.REJECTED
        await h.charge()
    async with domestic(tmp_path) as h:
        assert [c.operative for c in h.station.points[1].connectors.values()] == [True, False]
        assert await h.station.set_availability(1, True) is Outcome.ACCEPTED
        await charge(h)
        assert await h.station.set_availability(1, False, 2) is Outcome.SCHEDULED
        assert await h.station.set_availability(1, False, 1) is Outcome.ACCEPTED
        h.badge()
        await h.until(lambda: h.shown(2) == "Unavailable")
        assert h.station.in_service() == ((2, 1),)
    async with domestic(tmp_path) as h:
        assert h.station.in_service() == ((2, 1),)


async def test_a_reservation_of_a_connector_keeps_the_point_and_is_told_there(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        expires = datetime.fromtimestamp(UTC0 + 3600, UTC)
        kept = Reservation(5, 1, "TAG", expires, None, 2)
        assert await h.station.reserve(replace(kept, id=4, evse=2)) is Outcome.REJECTED
        assert await h.station.reserve(kept) is Outcome.ACCEPTED
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Unavailable", "Reserved"))
        assert await h.station.reserve(Reservation(6, 1, "TAG2", expires, None, 1)) is Outcome.OCCUPIED
        h.plug()
        h.badge("TAG2")
        h.advance(1)
        assert h.state() == "waiting_auth"
        h.unplug()
        h.plug_domestic()
        h.badge()
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert (await h.entries())[0].payload["reservation"] == 5
        await h.station.set_availability(1, False, 1)
        assert await h.station.reserve(Reservation(7, 1, "TAG", expires, None, 1)) is Outcome.UNAVAILABLE


async def test_a_socket_out_of_service_says_so_by_itself_and_when_something_is_in_it(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await h.station.set_availability(1, False, 2)
        assert asked(h, 2) == "The domestic socket is out of service by order."
        assert asked(h, 2, "fr") == "La prise domestique est hors service sur ordre."
        assert asked(h, 1) == "No car is plugged in."
        h.plug_domestic()
        h.advance(1)
        out = "What is plugged into the domestic socket gets nothing: that socket is out of service by order."
        assert sentence(h) == out


async def test_a_socket_that_goes_out_of_service_later_tells_of_its_session_until_then(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        assert await h.station.set_availability(1, False, 2) is Outcome.SCHEDULED
        assert asked(h, 2).startswith("Charging at 8 A from the domestic socket")
        await h.station.set_availability(1, False, 1)
        assert asked(h, 1) == "The Type 2 socket is out of service by order."


async def test_a_domestic_plug_has_no_lock_to_release(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        assert await h.station.unlock(1, 2) is Outcome.NOT_SUPPORTED
        assert await h.station.unlock(1, 1) is Outcome.ACCEPTED
        assert h.state() == "running" and h.link.unlocked == [1]


async def test_a_refused_token_keeps_no_domestic_plug(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.station.points[1].session.stop(StopReason.DEAUTHORIZED, None, h.time.mono)
        h.station.tick()
        await h.until_state("finished")
        assert not h.station.points[1].session.retained


async def test_values_of_a_connector_not_in_use_are_registers_alone(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        used, other = (h.station.sample_now(1, "Trigger", number) for number in (2, 1))
        assert isinstance(used, MeterSampled) and isinstance(other, MeterSampled)
        assert used.connector == 2 and {v.measurand for v in used.values} >= {"Current.Import"}
        assert {v.measurand for v in other.values} == {"Energy.Active.Import.Register", "Voltage"}


async def test_a_killed_station_resumes_the_session_without_opening_the_contactor(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.advance(5, wh=100)
        before = h.link.cars[1]
    time = FakeTime(1100.0)

    def still_there(h: Harness) -> None:
        h.link.cars[1] = before

    async with domestic(tmp_path, time=time, prepare=still_there) as h:
        await h.until_state("running")
        assert h.station.points[1].session.connector == 2 and before.domestic_closed
        h.advance(5, wh=50)
        h.badge()
        await h.until_state("finished")
        kinds = [e.kind for e in await h.entries()]
        assert kinds.count("started") == kinds.count("ended") == 1
        assert (await h.entries())[-1].payload["meter_stop_wh"] == 10_150


async def test_a_plug_that_left_while_nobody_looked_closes_the_session(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.advance(5, wh=100)
    async with domestic(tmp_path, time=FakeTime(1100.0), prepare=lambda h: setattr(h.link.cars[1], "wh", 10_120)) as h:
        await h.until(lambda: h.station.points[1].pending is None)
        end = (await h.entries())[-1]
        assert (end.kind, end.payload["reason"], end.payload["meter_stop_wh"]) == ("ended", "PowerLoss", 10_120)
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Available", "Available"))


async def test_a_socket_that_was_taken_away_closes_its_session(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
    async with station(tmp_path, time=FakeTime(1100.0)) as h:
        await h.until(lambda: h.station.points[1].pending is None)
        assert await h.journal.read(transactions.open_transactions) == []
        await h.charge()


async def test_a_restarted_safety_process_finds_the_same_plug(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.link.boot, h.link.cars[1].domestic_count = "boot-2", 1
        h.link.report(1)
        h.advance(1)
        assert h.state() == "running"
        assert h.station.points[1].session.car == "boot-2:d1"


async def test_a_fault_of_the_point_stops_both(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.fault(1, "residual-current")
        await h.until(lambda: (h.shown(1), h.shown(2)) == ("Faulted", "Faulted"))
        assert not h.link.cars[1].domestic_closed
        h.advance(6)
        await h.until_state("finished")
        assert (await h.entries())[-1].payload["reason"] == "Other"


async def test_the_status_lists_both_connectors(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        first, second = (await station_status(h.station))["evses"]
        assert first["status"] == "Charging" and first["connector"] == 2 and first["contactor"]
        assert [(c["id"], c["type"], c["status"]) for c in first["connectors"]] == [
            (1, "type-2", "Unavailable"),
            (2, "domestic", "Charging"),
        ]
        assert first["connectors"][1]["plugged"] and first["connectors"][1]["max_current"] == 10
        assert [c["id"] for c in second["connectors"]] == [1]
        assert {limit["name"]: limit["amps"] for limit in first["limits"]}["socket"] == 10


async def test_use_of_one_connector_is_no_outage_of_the_point(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.station.health.kpis.days.clear()
        for _ in range(5):
            h.advance(1)
        day = next(iter(h.station.health.kpis.days.values()))
        assert day["1"][0] == day["1"][1] > 0
        figures = h.station.health.kpis.figures
        assert figures['plug_ins_total{connector="2",evse="1"}'] == 1 and 'plug_ins_total{evse="1"}' not in figures
        assert figures['first_try_total{connector="2",evse="1",success="yes"}'] == 1


ONE_READER = [{"id": 1, "evses": [1]}]


async def test_a_badge_beside_a_strangers_finished_plug_is_for_the_free_socket(tmp_path: Path) -> None:
    async with domestic(tmp_path, reader=ONE_READER) as h:
        await charge(h)
        h.badge("TAG")
        await h.until_state("finished")
        h.advance(20)
        h.badge("TAG2")
        await h.until_state("waiting_car")
        assert not h.link.cars[1].domestic_closed
        h.plug()
        await h.until(lambda: h.link.cars[1].closed)
        begun = [e.payload for e in await h.entries() if e.kind == "started"]
        assert [(b["token"], b["connector"]) for b in begun] == [("TAG", 2), ("TAG2", 1)]


async def test_a_remote_start_of_no_connector_is_for_the_free_socket_beside_a_strangers_finished_plug(
    tmp_path: Path,
) -> None:
    async with domestic(tmp_path, evse=EVSES[:1]) as h:
        await charge(h)
        h.badge("TAG")
        await h.until_state("finished")
        h.advance(20)
        assert await h.station.remote_start("TAG2", None) is Outcome.ACCEPTED
        await h.until_state("waiting_car")
        h.plug()
        await h.until(lambda: h.link.cars[1].closed)
        assert [e.payload["connector"] for e in await h.entries() if e.kind == "started"] == [2, 1]


async def test_a_badge_that_is_answered_after_its_plug_was_pulled_lets_no_other_car_in(tmp_path: Path) -> None:
    async with domestic(tmp_path, reader=ONE_READER) as h:
        answered = asyncio.Event()
        ask = h.backend.authorize

        async def slowly(token: str) -> Any:
            await answered.wait()
            return await ask(token)

        h.backend.authorize = slowly  # type: ignore[method-assign]
        h.plug()
        h.badge("TAG")
        h.unplug()
        await h.until_state("idle")
        answered.set()
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")
        h.plug()
        h.advance(1)
        assert h.state() == "waiting_auth" and not h.link.cars[1].closed
        h.unplug()
        await h.until_state("idle")
        h.badge("TAG")  # before the plug: waits for it
        await h.until_state("waiting_car")


async def test_a_finished_plug_is_started_again_by_its_own_badge_and_one_of_nobody_by_any(tmp_path: Path) -> None:
    async with domestic(tmp_path, reader=ONE_READER) as h:
        await charge(h)
        h.badge("TAG")
        await h.until_state("finished")
        h.advance(20)
        h.badge("TAG")
        await h.until(lambda: h.link.cars[1].domestic_closed)
        h.badge("TAG")
        await h.until_state("finished")
        h.unplug_domestic()
        await h.until_state("idle")
        h.plug_domestic()
        h.advance(200)
        await h.until_state("finished")  # nobody came in time
        h.badge("TAG2")
        await h.until(lambda: h.link.cars[1].domestic_closed)


async def test_a_socket_shown_as_free_beside_a_plug_can_be_reserved_and_its_holder_charges_there(
    tmp_path: Path,
) -> None:
    async with domestic(tmp_path, reader=ONE_READER) as h:
        h.plug_domestic()
        h.advance(1)
        assert (h.shown(1), h.shown(2)) == ("Available", "Preparing")
        expires = datetime.fromtimestamp(UTC0 + 3600, UTC)
        assert await h.station.reserve(Reservation(5, 1, "TAG", expires, None, 2)) is Outcome.OCCUPIED
        assert await h.station.reserve(Reservation(5, 1, "TAG", expires, None, 1)) is Outcome.ACCEPTED
        h.advance(1)
        assert h.shown(1) == "Reserved"
        h.badge("TAG2")  # whose plug stands there
        h.advance(1)
        assert not h.link.cars[1].domestic_closed
        h.badge("TAG")
        await h.until_state("waiting_car")
        h.plug()
        await h.until(lambda: h.link.cars[1].closed)
        assert not h.link.cars[1].domestic_closed
        assert [e.payload["reservation"] for e in await h.entries() if e.kind == "started"] == [5]


async def test_a_welded_socket_keeps_its_share_of_the_supply(tmp_path: Path) -> None:
    async with domestic(tmp_path, supply={"max_current": 32}) as h:
        car = h.link.cars[1]
        car.domestic_closed, car.faults = True, (Fault("domestic-contactor", h.time.mono),)
        h.link.report(1)
        await h.charge(evse=2)
        h.advance(1)
        assert h.station.points[2].offered_a == 22.0


async def test_settings_of_leaving_mean_the_same_for_a_domestic_plug(tmp_path: Path) -> None:
    async with domestic(tmp_path, settings=Settings(stop_on_ev_disconnect=False)) as h:
        await charge(h)
        h.unplug_domestic()
        await h.until_state("idle")
        assert (await h.entries())[-1].payload["reason"] == "EVDisconnected"


async def test_nothing_begins_at_a_type_2_socket_out_of_service(tmp_path: Path) -> None:
    async with domestic(tmp_path, reader=[{"id": 1, "evses": [1]}]) as h:
        assert await h.station.set_availability(1, False, 1) is Outcome.ACCEPTED
        h.plug()
        h.badge()
        await h.until(lambda: h.state() == "waiting_car")
        h.link.report(1)
        h.advance(1)
        assert h.state() == "waiting_car" and h.shown(1) == "Unavailable" and not h.link.cars[1].closed
        h.plug_domestic()
        await h.until(lambda: h.link.cars[1].domestic_closed)
        assert not h.link.cars[1].closed


async def test_a_dedicated_bay_starts_nothing_at_a_socket_out_of_service(tmp_path: Path) -> None:
    async with domestic(tmp_path, authorisation={"free_vend_tag": "FREE", "free_vend_evses": [1]}) as h:
        assert await h.station.set_availability(1, False, 1) is Outcome.ACCEPTED
        h.plug()
        h.advance(1)
        assert h.state() == "idle" and await h.kinds() == []
        assert await h.station.set_availability(1, True, 1) is Outcome.ACCEPTED
        h.link.report(1)
        await h.until(lambda: h.link.cars[1].closed)


async def test_an_over_current_is_over_when_its_own_plug_is_out(tmp_path: Path) -> None:
    async with domestic(tmp_path) as h:
        h.plug_domestic()
        h.advance(1)
        h.plug()
        point = h.station.points[1]
        h.badge()
        await h.until(lambda: h.link.cars[1].closed)
        h.link.cars[1].domestic_closed, h.link.cars[1].domestic_load = True, 30.0
        for _ in range(13):
            h.time.mono += 1
            h.meters.poll(1)
        assert "over-current" in point.faults
        h.link.cars[1].domestic_closed = False
        h.advance(7)
        await h.until_state("finished")
        h.advance(11)
        assert point.session.connector == 1 and "over-current" in point.faults
        h.unplug()
        h.advance(1)
        assert "over-current" not in point.faults and point.session.connector == 2


async def test_a_domestic_plug_that_nothing_held_over_a_restart_of_both_processes_closes_the_session(
    tmp_path: Path,
) -> None:
    async with domestic(tmp_path) as h:
        await charge(h)
        h.advance(5, wh=100)
        before = h.link.cars[1]

    def another_run(h: Harness) -> None:
        h.link.cars[1], h.link.boot = before, "boot-2"

    async with domestic(tmp_path, time=FakeTime(1016.0), prepare=another_run) as h:
        h.advance(1)
        await h.until(lambda: h.station.points[1].pending is None)
        end = next(e for e in await h.entries() if e.kind == "ended")
        assert end.payload["reason"] == "PowerLoss" and h.state() != "running"
