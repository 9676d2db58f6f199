"""What the supply, the grid and the operator leave reaches the points' permissions, with names."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from station_harness import FakeTime, Harness, config, station

from chargepoint.energy.profiles import Kind, Period, Profile, ProfileError, Purpose, Recurrency
from chargepoint.journal import store
from chargepoint.jsonrpc import RpcError
from chargepoint.meter.reading import BUILDING, Reading
from chargepoint.sentences import translate
from chargepoint.station.api import Outcome
from chargepoint.station.charging_profiles import AREA, LONGEST_COMPOSITE_S
from chargepoint.station.control import Control
from chargepoint.station.view import point_status
from chargepoint.station.why import why
from chargepoint.tic.frames import Mode
from chargepoint.tic.reading import TicReading

pytestmark = pytest.mark.asyncio

PLAIN = TicReading(
    at=0.0,
    mode=Mode.STANDARD,
    serial="021861348497",
    current_a=(5.0, 5.0, 5.0),
    apparent_va=(None, None, None),
    apparent_total_va=None,
    injected_va=None,
    voltage_v=(230.0, 230.0, 230.0),
    subscribed_va=36_000.0,
    cut_off_va=None,
    overload=False,
    overload_a=(None, None, None),
    short=False,
    energy_wh=1,
    tariff_index=1,
    tariff="HEURES PLEINES",
    relays=0,
    status=None,
)
PROFILE = Profile(7, Purpose.TX_DEFAULT, 0, Kind.ABSOLUTE, "A", (Period(0, 10.0),), start=0)


def drawn(borne: Harness, base: float) -> tuple[float, float, float]:
    """What the connection's meter shows: a building's base and both points."""
    amps = base + sum(car.amps for car in borne.link.cars.values())
    return (amps, amps, amps)


def seconds(borne: Harness, count: int, base: float = 5.0, **other: Any) -> None:
    """Seconds with a Linky frame in each."""
    for _ in range(count):
        borne.advance(1.0)
        frame = replace(PLAIN, at=borne.time.mono, current_a=drawn(borne, base), **other)
        borne.station.supply.tic_read(frame)
        borne.station.tick()


def silence(borne: Harness, count: int) -> None:
    for _ in range(count):
        borne.advance(1.0)


def offered(borne: Harness) -> list[float]:
    return [point.offered_a for point in borne.station.points.values()]


def limits(borne: Harness, evse: int = 1) -> dict[str, float | None]:
    return {limit.name: limit.amps for limit in borne.station.points[evse].limits}


def sentence(borne: Harness, lang: str = "en") -> str:
    return why(borne.station.points[1], borne.station.power, borne.time.mono, True, lang)


async def test_what_the_linky_leaves_is_shared_and_named(tmp_path: Path) -> None:
    async with station(tmp_path, tic={}) as borne:
        await borne.charge()
        seconds(borne, 90, base=30.0)
        assert limits(borne)["tic"] == pytest.approx(52.17 - 1 - 30, abs=0.1)
        assert offered(borne)[0] == pytest.approx(21.1, abs=0.1)
        assert "the Linky meter leaves 21.2 A" in sentence(borne)
        assert "le compteur Linky laisse 21,2 A" in sentence(borne, "fr")


async def test_a_silent_linky_means_the_safe_share_and_a_fault(tmp_path: Path) -> None:
    async with station(tmp_path, tic={}, sharing={"safe_current": 8}) as borne:
        await borne.charge()
        seconds(borne, 90)
        assert offered(borne)[0] > 30
        assert "tic-lost" not in borne.station.faults
        silence(borne, 12)
        assert offered(borne)[0] == 8
        assert limits(borne)["safe-share#tic"] == 8
        assert "tic-lost" in borne.station.faults
        source = borne.station.supply.view(borne.time.mono)["sources"]["tic"]
        assert (source["reason"], source["leaves"]) == ("safe-share", [8, 8, 8])
        assert "not measured" in sentence(borne)
        seconds(borne, 50)
        assert offered(borne)[0] == 8
        seconds(borne, 60)
        assert offered(borne)[0] > 30
        assert "tic-lost" not in borne.station.faults


async def test_an_overload_notice_lowers_the_permission_in_the_same_moment(tmp_path: Path) -> None:
    async with station(tmp_path, tic={}) as borne:
        await borne.charge()
        seconds(borne, 90)
        borne.time.mono += 0.2
        over = replace(PLAIN, at=borne.time.mono, current_a=(60.0, 60.0, 60.0), overload=True)
        borne.station.supply.tic_read(over)
        permit = borne.link.cars[1].permit
        assert permit is not None and permit.current_a < 8
        assert "overload#tic" in limits(borne)


async def test_a_cut_off_power_below_the_subscribed_one_is_what_may_be_drawn(tmp_path: Path) -> None:
    async with station(tmp_path, tic={}) as borne:
        seconds(borne, 20, base=0, cut_off_va=9_000.0)
        assert borne.station.power.supply.limit_a == pytest.approx((12.04,) * 3, abs=0.01)


async def test_status_says_who_limits_since_when_and_until_when_and_why_in_both_languages(tmp_path: Path) -> None:
    async with station(tmp_path, tic={}) as borne:
        await borne.charge()
        seconds(borne, 40)
        seconds(borne, 1, base=60.0, overload=True)
        shown = (await Control(borne.station, tmp_path / "s.sock").status())["evses"][0]
        limit = next(limit for limit in shown["limits"] if limit["name"] == "overload#tic")
        assert limit["owner"] == "Linky meter" and limit["since"] < limit["until"]
        socket = next(limit for limit in shown["limits"] if limit["name"] == "socket")
        assert socket["until"] is None
        assert "overload" in shown["why"]["en"] and "dépassement" in shown["why"]["fr"]


async def test_a_permission_that_the_safety_process_has_not_got_is_a_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with station(tmp_path) as borne:
        await borne.charge()
        seconds(borne, 5)
        assert "lease" not in limits(borne)
        monkeypatch.setattr(borne.link, "permit", lambda permit: None)
        borne.link.cars[1].permit = None  # it ran out there, and what is sent does not arrive
        for _ in range(5):
            borne.link.report(1)
            borne.time.mono += 1
        assert limits(borne)["lease"] == 0
        assert offered(borne)[0] > 6, "it does not bound the offer, or it could never be granted again"
        borne.link.cars[1].permit = borne.station.points[1].permit()
        borne.link.report(1)
        assert "lease" not in limits(borne)


async def test_a_buildings_meter_counts_by_its_own_rotation(tmp_path: Path) -> None:
    building = {"model": "eastron-sdm630", "unit": 9, "phase_rotation": "STR", "max_current": 40}
    async with station(tmp_path, building_meter=building) as borne:
        for _ in range(90):
            borne.advance(1.0)
            reading = Reading(borne.time.mono, 1, None, (230.0,) * 3, (10.0, 20.0, 30.0), (1.0, 1.0, 1.0))
            borne.station.meter_read(BUILDING, reading)
            borne.station.tick()
        assert borne.station.power.supply.limit_a == pytest.approx((9.0, 29.0, 19.0))


async def test_a_phase_that_the_buildings_meter_does_not_tell_is_not_taken_for_free(tmp_path: Path) -> None:
    building = {"model": "eastron-sdm630", "unit": 9}
    async with station(tmp_path, building_meter=building, sharing={"safe_current": 14}) as borne:
        for second in range(90):
            borne.advance(1.0)
            l2 = 30.0 if second < 60 else None
            reading = Reading(borne.time.mono, 1, None, (230.0,) * 3, (30.0, l2, 30.0), (1.0, 1.0, 1.0))
            borne.station.meter_read(BUILDING, reading)
            borne.station.tick()
        assert borne.station.power.supply.limit_a == (14, 14, 14)
        assert any(fault.name == "building-meter-lost" for fault in borne.station.faults)


async def test_what_the_building_feeds_in_is_not_drawn_however_its_meter_signs_it(tmp_path: Path) -> None:
    async with station(tmp_path, building_meter={"model": "eastron-sdm630", "unit": 9, "production": True}) as borne:
        for _ in range(90):
            borne.advance(1.0)
            reading = Reading(borne.time.mono, 1, None, (230.0,) * 3, (-20.0, 20.0, 20.0), (-1.0, -1.0, 1.0))
            borne.station.meter_read(BUILDING, reading)
            borne.station.tick()
        assert borne.station.power.supply.limit_a == pytest.approx((51.0, 51.0, 31.0))


@pytest.mark.parametrize(
    ("seen", "power", "english", "french"),
    [
        ((16.0, 16.0, 16.0), (-1.0, -1.0, -1.0), "wired backwards on L1, L2, L3", "monté à l'envers sur L1, L2, L3"),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "does not see what the borne draws", "ne voit pas ce que la borne consomme"),
    ],
)
async def test_a_buildings_meter_that_is_wired_wrongly_is_named_and_not_believed(
    tmp_path: Path, seen: Any, power: Any, english: str, french: str
) -> None:
    async with station(
        tmp_path, building_meter={"model": "eastron-sdm630", "unit": 9}, sharing={"safe_current": 14}
    ) as b:
        right = Reading(0.0, 1, None, (230.0,) * 3, (20.0,) * 3, (1.0,) * 3)
        for _ in range(15):
            b.advance(1.0)
            b.station.meter_read(BUILDING, replace(right, at=b.time.mono))
        await b.charge()
        for _ in range(45):
            b.advance(1.0)
            wrong = replace(right, at=b.time.mono, current_a=seen, power_phases_w=power)
            b.station.meter_read(BUILDING, wrong)
            b.station.tick()
        assert b.station.power.supply.limit_a == (14, 14, 14)
        fault = next(f for f in b.station.faults if f.name == "building-meter-lost")
        assert english in fault.detail and french in translate(fault.detail, "fr")
        limit = b.station.points[1].limits.get("safe-share#building-meter")
        assert limit is not None and english in limit.sentence("en") and french in limit.sentence("fr")


async def test_a_relay_of_the_linky_limits_the_points_it_concerns(tmp_path: Path) -> None:
    signal = {"name": "flex", "source": "tic-relay-2", "limit": 7, "evses": [1]}
    async with station(tmp_path, tic={}, grid_signal=[signal]) as borne:
        await borne.charge()
        seconds(borne, 30, relays=0b10)
        assert offered(borne)[0] == 7
        assert "the grid operator asks for 7 A at most" in sentence(borne)
        assert "grid-signal#flex" not in limits(borne, 2)
        seconds(borne, 30, relays=0)
        assert "grid-signal#flex" not in limits(borne)


async def test_a_car_that_leaves_soon_gets_more_of_what_is_shared_also_after_a_restart(tmp_path: Path) -> None:
    async with station(tmp_path, supply={"max_current": 32}) as borne:
        assert await borne.station.departure(9, borne.station.clock.now(), 1) is Outcome.UNKNOWN
        assert await borne.station.departure(1, borne.station.clock.now(), 1) is Outcome.REJECTED
        await borne.charge()
        borne.plug(2)
        borne.badge("TAG2")
        await borne.until_state("running", 2)
        seconds(borne, 20)
        assert offered(borne) == [16, 16]
        leaves = borne.station.clock.now() + timedelta(minutes=30)
        assert await borne.station.departure(2, leaves, 9_000) is Outcome.ACCEPTED
        seconds(borne, 20)
        first, second = offered(borne)
        assert first < 11 and second > 21 and first + second == 32
        shown = point_status(borne.station, borne.station.points[2])["departure"]
        assert shown["energy_wh"] == 9_000

    def plugged(harness: Harness) -> None:
        harness.link.cars.update(borne.link.cars)

    async with station(tmp_path, time=borne.time, prepare=plugged, supply={"max_current": 32}) as again:
        await again.until_state("running", 2)
        seconds(again, 30)
        assert offered(again)[1] > 21
        again.time.mono += 1800  # it should have left: no claim any more
        factors = again.station.departures.factors(again.station.points.values(), again.time.mono)
        assert factors == {1: 1.0, 2: 1.0}


async def test_only_fleet_cars_wait_for_off_peak_hours(tmp_path: Path) -> None:
    sharing = {"fleet_groups": ["FLEET"], "off_peak": ["HEURES CREUSES"]}
    async with station(tmp_path, tic={}, sharing=sharing) as borne:
        borne.backend.tokens["CAR"] = replace(borne.backend.tokens["TAG"], group="FLEET")
        await borne.charge()
        seconds(borne, 30)
        assert offered(borne)[0] > 6
        borne.unplug()
        await borne.until_state("idle")
        borne.plug()
        borne.badge("CAR")
        await borne.until_state("running")
        seconds(borne, 10)
        assert offered(borne)[0] == 0
        assert borne.status() == "SuspendedEVSE"
        assert "off-peak" in sentence(borne)
        seconds(borne, 5, tariff="HEURES CREUSES")
        assert offered(borne)[0] > 6


async def test_an_operators_profile_limits_is_named_and_survives_a_restart(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        await borne.charge()
        assert await borne.station.set_profile(PROFILE) is Outcome.ACCEPTED
        borne.advance(6)
        assert offered(borne)[0] == 10
        assert "default profile allows 10 A" in sentence(borne)
        shown = {
            limit["name"]: limit["owner"] for limit in point_status(borne.station, borne.station.points[1])["limits"]
        }
        assert shown["ocpp-default"] == "profile 7"
    async with station(tmp_path) as borne:
        assert [p.id for p in borne.station.profiles.profiles] == [7]
        assert await borne.station.clear_profiles(id=7) is Outcome.ACCEPTED
        assert await borne.station.clear_profiles(id=7) is Outcome.UNKNOWN
    async with station(tmp_path) as borne:
        assert len(borne.station.profiles.profiles) == 0


async def test_a_limit_of_nought_suspends_and_never_ends_the_transaction(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        await borne.charge()
        await borne.station.set_profile(replace(PROFILE, periods=(Period(0, 0.0),)))
        await borne.until_status("SuspendedEVSE")
        assert borne.state() == "running"
        await borne.station.clear_profiles()
        borne.advance(6)
        await borne.until_status("Charging")


async def test_the_stations_profile_limits_the_sum(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        await borne.charge("TAG", 1)
        await borne.charge("TAG2", 2)
        await borne.station.set_profile(replace(PROFILE, purpose=Purpose.STATION_MAX, periods=(Period(0, 20.0),)))
        for _ in range(12):
            borne.advance(1)
        assert offered(borne) == [10, 10]
        assert limits(borne)["ocpp-max"] == 20
        assert "the operator limits the whole station" in sentence(borne)
        shown = borne.station.composite(0, 600, "A")
        assert shown is not None and shown.periods[0].limit == 20


async def test_a_profile_for_a_transaction_needs_one_and_ends_with_it(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        own = replace(PROFILE, purpose=Purpose.TX, evse=1)
        assert await borne.station.set_profile(own) is Outcome.REJECTED
        await borne.charge()
        tx = borne.station.points[1].session.tx
        assert await borne.station.set_profile(replace(own, transaction="999")) is Outcome.REJECTED
        assert await borne.station.set_profile(replace(own, transaction=str(tx))) is Outcome.ACCEPTED
        borne.advance(6)
        assert offered(borne)[0] == 10
        borne.unplug()
        await borne.until_state("idle")
        borne.advance(1)
        await borne.until(lambda: len(borne.station.profiles.profiles) == 0)


async def test_a_profile_that_cannot_be_stored_is_refused_and_not_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with station(tmp_path) as borne:

        async def full(work: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(borne.journal, "write", full)
            with pytest.raises(ProfileError, match="disk is full"):
                await borne.station.set_profile(PROFILE)
        assert len(borne.station.profiles.profiles) == 0


async def test_a_clock_that_is_put_right_moves_the_profiles(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        await borne.charge()
        midday = int(borne.clock.utc()) + 3600
        await borne.station.set_profile(replace(PROFILE, start=midday, duration=7200))
        borne.advance(6)
        assert offered(borne)[0] == 32
        borne.time.utc_shift += 4000
        borne.clock.check()
        borne.advance(6)
        assert offered(borne)[0] == 10


async def test_a_profile_that_came_with_a_remote_start_is_for_that_transaction(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        borne.plug()
        profile = replace(PROFILE, purpose=Purpose.TX, evse=1, periods=(Period(0, 8.0),))
        assert await borne.station.remote_start("TAG", 1, profile) is Outcome.ACCEPTED
        await borne.until_status("Charging")
        await borne.until(lambda: len(borne.station.profiles.profiles) == 1)
        borne.advance(6)
        assert offered(borne)[0] == 8
        assert limits(borne)["ocpp-transaction"] == 8


async def test_a_transactions_profile_holds_after_a_power_cut_in_which_the_clock_lost_time(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        await borne.charge()
        tx = borne.station.points[1].session.tx
        own = replace(PROFILE, purpose=Purpose.TX, evse=1, kind=Kind.RELATIVE, start=None, transaction=str(tx))
        assert await borne.station.set_profile(own) is Outcome.ACCEPTED
        borne.advance(6)
        assert offered(borne)[0] == 10

    def plugged(harness: Harness) -> None:
        harness.link.cars.update(borne.link.cars)

    borne.time.utc_shift -= 1200
    async with station(tmp_path, time=borne.time, prepare=plugged) as again:
        await again.until_state("running")
        assert again.station.points[1].session.tx == tx
        again.advance(6)
        assert offered(again)[0] == 10


async def test_a_technicians_limit_holds_for_its_time(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        control = Control(borne.station, tmp_path / "station.sock")
        await borne.charge()
        assert control.limit(1, 8.0, 10.0) == {"limited": True}
        borne.advance(6)
        assert offered(borne)[0] == 8
        assert "a technician has set 8 A" in sentence(borne)
        borne.advance(600)
        assert "technician" not in limits(borne)
        control.limit(1, 8.0)
        assert control.limit(1) == {"limited": False, "was": True}
        with pytest.raises(RpcError, match="no limit"):
            control.limit(1, -1.0)


async def test_a_profile_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        with pytest.raises(ProfileError):
            await borne.station.set_profile(replace(PROFILE, periods=()))
        assert borne.station.composite(9, 60, "A") is None


async def test_the_configuration_knows_the_sections(tmp_path: Path) -> None:
    both = config(tmp_path, tic={"production": True}, sharing={"margin": 2}, building_meter={"model": "eastron-sdm630"})
    assert both.sharing.margin == 2 and both.tic is not None and both.tic.limits


async def test_a_composite_schedule_of_a_lifetime_is_told_for_its_first_days(tmp_path: Path) -> None:
    async with station(tmp_path) as borne:
        hours = tuple(Period(3600 * hour, 10.0 + hour % 2) for hour in range(24))
        daily = replace(PROFILE, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, periods=hours, evse=1)
        await borne.station.set_profile(daily)
        for evse in (0, 1):
            told = borne.station.composite(evse, 2**31 - 1, "A")
            assert told is not None and told.duration == LONGEST_COMPOSITE_S == 7 * 86_400
            assert 7 * 24 <= len(told.periods) <= 7 * 24 + 1


async def test_a_profile_left_over_from_a_transaction_does_not_limit_the_next(tmp_path: Path) -> None:
    time = FakeTime()
    async with station(tmp_path, time=time) as borne:
        await borne.charge()
        profile = replace(PROFILE, purpose=Purpose.TX, evse=1)
        assert await borne.station.set_profile(profile) is Outcome.ACCEPTED
        left_over = await borne.journal.read(lambda db: store.get(db, AREA, "7"))
        borne.badge()
        await borne.until_state("finished")
        borne.unplug()
        borne.advance(60)
        await borne.charge()
        # The power was cut between the end of the first transaction and the deletion of its profile.
        await borne.journal.write(lambda db: store.put(db, AREA, "7", left_over))

    def plugged(borne: Harness) -> None:
        borne.link.cars[1].plugged = borne.link.cars[1].connected = True
        borne.link.cars[1].count = 2

    async with station(tmp_path, time=time, prepare=plugged) as borne:
        await borne.until_status("Charging")
        assert borne.station.points[1].offered_a > 10.0
