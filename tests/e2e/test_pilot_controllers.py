"""A whole charge with the pilots in external controllers: the real station and the real process in the safety process's
place, one controller on Modbus TCP and one on a serial line, meters and a badge reader on pseudo-terminals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conftest import KNOWN
from harness import Borne, RpcError

from chargepoint.sim.central_system import CentralSystem
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading
from chargepoint.sim.wire_pilot import SimPilot, SimPilotLine, SimPilotTcp
from chargepoint.sim.wire_readers import SimReader

pytestmark = pytest.mark.asyncio


class Site:
    """The devices around the program, all in this test."""

    def __init__(self, folder: Path) -> None:
        self.pilots = {1: SimPilot("phoenix-em-cp-pp-eth"), 2: SimPilot("evse-din")}
        self.tcp = SimPilotTcp(self.pilots[1], 180)
        self.line = SimPilotLine(folder / "pilots", {1: self.pilots[2]})
        self.energy_wh = {1: 1000.0, 2: 2000.0}
        self.meters = SimMeterBus(
            folder / "meters", {n: SimMeter("eastron-sdm630", lambda n=n: self.reading(n)) for n in (1, 2)}
        )
        self.reader = SimReader(folder / "reader")

    def reading(self, number: int) -> SimReading:
        """The meter counts 5 Wh at every reading while its contactor is closed."""
        pilot = self.pilots[number]
        amps = min(16.0, pilot.permitted_a) if pilot.contactor else 0.0
        if pilot.contactor:
            self.energy_wh[number] += 5.0
        return SimReading((230.0,) * 3, (amps,) * 3, (230.0 * amps,) * 3, self.energy_wh[number])

    async def start(self) -> None:
        for device in (self.tcp, self.line, self.meters, self.reader):
            await device.start()

    async def close(self) -> None:
        for device in (self.tcp, self.line, self.meters, self.reader):
            await device.close()


@asynccontextmanager
async def borne_with_controllers(central: CentralSystem, folder: Path) -> AsyncIterator[tuple[Borne, Site]]:
    site = Site(folder)
    await site.start()

    def edit(text: str) -> str:
        first, second = (f"unit = {n} }}\n" for n in (1, 2))
        tcp = f'controller = {{ model = "phoenix-em-cp-pp-eth", host = "127.0.0.1", port = {site.tcp.port} }}\n'
        rtu = f'controller = {{ model = "evse-din", device = "{folder}/pilots" }}\n'
        text = text.replace(first, first + tcp).replace(second, second + rtu)
        text = text.replace('kind = "simulated"', 'kind = "modbus-pilot"')
        extra = f'[meter_bus]\nport = "{folder}/meters"\n[[reader]]\nport = "{folder}/reader"\n'
        return text.replace("security_profile = 0", "security_profile = 0\nallow_insecure = true") + extra

    borne = Borne(central.url, "", edit)
    try:
        await borne.spawn("run")
        await borne.until(lambda: answers(borne), 20, "the borne to answer")
        yield borne, site
    finally:
        await borne.stop()
        await site.close()
        borne.remove()


async def answers(borne: Borne) -> bool:
    try:
        status = await borne.status()
    except (OSError, RpcError, TimeoutError):
        return False
    registered = status["ocpp"].get("registration") == "Accepted"
    return registered and all(evse["pilot"] for evse in status["evses"])


async def charging(borne: Borne, site: Site, evse: int) -> None:
    site.pilots[evse].plugged = True
    await borne.until_status(evse, "Preparing")
    site.reader.present(bytes.fromhex(KNOWN))
    await borne.until_status(evse, "Charging", timeout_s=30)


@pytest.mark.parametrize("evse", [1, 2])
async def test_a_session_through_an_external_controller_is_billed_by_the_register(
    central: CentralSystem, tmp_path: Path, evse: int
) -> None:
    async with borne_with_controllers(central, tmp_path) as (borne, site):
        pilot = site.pilots[evse]
        assert pilot.permitted_a == 0
        status = await borne.status()
        assert status["board"] == {"kind": "modbus-pilot", "safety": "external"}
        await charging(borne, site, evse)
        assert pilot.contactor and pilot.permitted_a == 32
        shown = await borne.evse(evse)
        assert shown["pilot"] == "C2" and shown["contactor"] and shown["temperature"] is None
        site.reader.present(bytes.fromhex(KNOWN))
        await borne.until_status(evse, "Finishing")
        assert pilot.permitted_a == 0 and not pilot.contactor
        pilot.plugged = False
        await borne.until_status(evse, "Available")
        await central.wait_for("StopTransaction")
        assert central.transactions[0].energy_wh == int(site.energy_wh[evse]) - 1000 * evse > 0


async def test_a_dead_process_takes_the_permission_away_and_a_silent_controller_is_told(
    central: CentralSystem, tmp_path: Path
) -> None:
    async with borne_with_controllers(central, tmp_path) as (borne, site):
        pilot = site.pilots[1]
        await charging(borne, site, 1)
        mark = len(pilot.writes)
        await borne.kill_child("evse")  # started again: the first thing it does is to withdraw
        await borne.until(lambda: withdrawn(pilot, mark), 15, "the new process to withdraw the permission")
        await borne.until_status(1, "Charging", timeout_s=30)
        await site.tcp.close()
        await borne.until(lambda: faulted(borne, "controller-silent"), 15, "the silent controller to be told")
        assert pilot.permitted_a > 0  # nobody can reach it: it goes on as it was last told, and status says so
        await site.tcp.start()
        await borne.until_status(1, "Charging", timeout_s=30)


async def withdrawn(pilot: SimPilot, mark: int) -> bool:
    return (400, 0) in pilot.writes[mark:]


async def faulted(borne: Borne, name: str) -> bool:
    return any(fault["name"] == name for fault in (await borne.evse(1))["faults"])
