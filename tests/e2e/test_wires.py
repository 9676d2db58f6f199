"""Wires that fail in mid-session: the service left, the fault told and gone by itself, the other point unaffected.

Readers and lines that vanish and come back are proved with real devices in their own rooms.
"""

import asyncio
from pathlib import Path

import pytest
import virtual_time
from conftest import KNOWN, OTHER, StartBorne
from harness import Borne
from injected_borne import InjectedBorne
from test_supply import TIC, charging, limits

from chargepoint.sim.car import Car
from chargepoint.sim.central_system import CentralSystem
from chargepoint.sim.wire_meters import SimMeter
from chargepoint.station.control import Control


async def faults(borne: Borne) -> dict[int, set[str]]:
    status = await borne.status()
    found = {evse["id"]: {f["name"] for f in evse["faults"]} for evse in status["evses"]}
    return {0: {f["name"] for f in status["faults"]}, **found}


@pytest.mark.asyncio
async def test_a_dead_meter_a_dead_reader_and_a_silent_linky_take_no_session_down_and_heal(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(TIC)
    await borne.sim("building", current=[5, 5, 5], subscribed_kva=36)
    await charging(borne, 1, KNOWN)
    before = (await borne.evse(1))["energy"]
    for name, evse in (("meter-silent", 1), ("reader-silent", None), ("tic-silent", None)):
        await borne.sim("fault", name=name, **({} if evse is None else {"evse": evse}))
    # Without a reader the operator's order does, at the point whose meter is sound.
    await borne.sim("plug", evse=2)
    await borne.until_status(2, "Preparing")
    order = {"idTag": OTHER, "connectorId": 2}
    assert (await central.call("RemoteStartTransaction", order))["status"] == "Accepted"

    async def all_told() -> bool:
        told = await faults(borne)
        return told[1] == {"meter-lost"} and {"reader-lost", "tic-lost"} <= told[0]

    await borne.until(all_told, 40, "the three faults to be told")
    await borne.until_status(2, "Charging")
    assert (await faults(borne))[2] == set()
    assert (await borne.evse(1))["status"] == "Charging"
    assert all([(await borne.wires(evse))["contactor"]["real"] for evse in (1, 2)])
    assert (await borne.evse(1))["energy"] >= before  # the last register stands, never a zero
    assert "tic" not in await limits(borne)  # the safe share instead

    for name, evse in (("meter-silent", 1), ("reader-silent", None), ("tic-silent", None)):
        await borne.sim("fault", name=name, on=False, **({} if evse is None else {"evse": evse}))

    async def all_gone() -> bool:
        told = await faults(borne)
        return not told[1] and "reader-lost" not in told[0]  # the Linky is trusted again after a minute of good frames

    await borne.until(all_gone, 30, "the faults to go by themselves")
    await borne.sim("badge", uid=KNOWN)
    await borne.until_status(1, "Finishing")
    register = (await borne.wires(1))["energy"]
    await central.wait_for("StopTransaction", lambda p: p["meterStop"] == register)


def borne_in_injected_time(tmp_path: Path, body: object) -> None:
    async def play() -> None:
        async with CentralSystem(tags=[KNOWN]) as central:
            borne = InjectedBorne(tmp_path, central.url)
            await borne.begin()
            await asyncio.sleep(10)
            await body(borne, central)  # type: ignore[operator]
            await borne.end()

    virtual_time.run(play())


async def start(borne: InjectedBorne, evse: int) -> None:
    borne.electrics.points[evse].plug(32, Car())
    borne.controller.happened()
    await asyncio.sleep(2)
    borne.badge(KNOWN, evse)
    await asyncio.sleep(12)


def test_noise_on_the_bus_loses_no_session_no_watt_hour_and_raises_nothing_lasting(tmp_path: Path) -> None:
    async def body(borne: InjectedBorne, central: CentralSystem) -> None:
        for evse in (1, 2):
            borne.fault("meter-noise", evse, True)
        await start(borne, 1)
        assert borne.electrics.points[1].current_a[0] > 1
        await asyncio.sleep(120)
        assert borne.station.points[1].status.value == "Charging"
        borne.badge(KNOWN, 1)
        await asyncio.sleep(20)
        for evse in (1, 2):
            borne.fault("meter-noise", evse, False)
        await asyncio.sleep(20)
        assert central.transactions[0].energy_wh == borne.electrics.points[1].register_wh
        assert borne.faults(1) == borne.faults(2) == set()
        assert borne.line.counters.malformed > 10

    borne_in_injected_time(tmp_path, body)


def test_a_meter_of_another_model_begins_no_session_and_says_so_and_the_other_point_charges(tmp_path: Path) -> None:
    async def body(borne: InjectedBorne, central: CentralSystem) -> None:
        source = borne.line.meters[2].source
        right, borne.line.meters[2] = borne.line.meters[2], SimMeter("carlo-gavazzi-em340", source)
        await borne.kill_station()
        borne.start_station()
        await asyncio.sleep(15)
        assert "meter-lost" in borne.faults(2)
        await start(borne, 2)
        await start(borne, 1)
        assert borne.electrics.points[1].current_a[0] > 1
        assert borne.electrics.points[2].current_a[0] == 0
        assert [t.connector for t in central.transactions] == [1]
        said = Control(borne.station, tmp_path / "s").why(2, "en")
        assert "meter" in said, said
        borne.line.meters[2] = right  # exchanged for the right one: it heals, and the car is served
        await asyncio.sleep(30)
        assert borne.faults(2) == set()
        borne.badge(KNOWN, 2)
        await asyncio.sleep(15)
        assert borne.electrics.points[2].current_a[0] > 1

    borne_in_injected_time(tmp_path, body)
