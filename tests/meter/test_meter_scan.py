"""Finding meters on a line, and noticing that one is another model than configured."""

import asyncio
import struct
import time

import pytest

from chargepoint.config import MeterRef
from chargepoint.meter import maps
from chargepoint.meter.bus import MeterBus, WrongModel
from chargepoint.meter.decode import Implausible
from chargepoint.meter.identity import judge
from chargepoint.meter.link import ModbusLink, Refused
from chargepoint.meter.scan import describe, identify, scan
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading

NOW = SimReading(
    voltage_v=(231.0, 229.5, 230.2), current_a=(5.0, 6.0, 7.0), power_w=(1155.0, 1377.0, 1611.4), energy_wh=98_700.0
)


@pytest.mark.parametrize("model", maps.names())
@pytest.mark.asyncio
async def test_every_meter_is_found_by_its_code_or_its_values(tmp_path, model):
    sim = SimMeterBus(tmp_path / "m", {17: SimMeter(model, lambda: NOW)})
    await sim.start()
    link = ModbusLink(str(tmp_path / "m"), quiet_s=0.01, timeout_s=0.02)
    matches = await identify(link, 17)
    link.close()
    await sim.close()
    found = {m.model for m in matches}
    assert model in found
    # What else fits has the same layout, or a part of it.
    best = maps.load(matches[0].model)
    assert best.registers == maps.load(model).registers or best.registers.items() >= maps.load(model).registers.items()
    if matches[0].certain:
        assert found == {model}


@pytest.mark.asyncio
async def test_a_scan_names_the_units_that_answer(tmp_path):
    meters = {2: SimMeter("eastron-sdm72d-m-v2", lambda: NOW), 5: SimMeter("schneider-iem3155", lambda: NOW)}
    sim = SimMeterBus(tmp_path / "m", meters)
    await sim.start()
    link = ModbusLink(str(tmp_path / "m"), quiet_s=0.01, timeout_s=0.02)
    heard = []
    found = await scan(link, range(1, 7), heard.append)
    link.close()
    await sim.close()
    assert [f.unit for f in found] == [2, 5] and heard == found
    line = describe(found[0])
    assert "unit 2: Eastron SDM72D-M v2, model eastron-sdm72d-m-v2" in line and "98.700 kWh" in line
    assert "schneider-iem3155" in describe(found[1])


def test_a_code_of_another_layout_is_refused_and_the_right_model_named():
    verdict = judge(maps.load("eastron-sdm630"), 0x0084)
    assert not verdict.usable and 'model = "eastron-sdm72d-m-v1"' in verdict.text


def test_a_code_of_the_same_layout_is_used_with_a_warning():
    verdict = judge(maps.load("eastron-sdm630"), 0x0089)
    assert verdict.usable and "eastron-sdm72d-m-v2" in verdict.text


def test_an_unheard_of_code_is_used_with_a_warning():
    verdict = judge(maps.load("eastron-sdm630"), 0x1234)
    assert verdict.usable and "0x1234" in verdict.text


NOTICED_BY_NOBODY = {
    ("carlo-gavazzi-em112", "carlo-gavazzi-em24-e1"),
    ("carlo-gavazzi-em112", "carlo-gavazzi-em340"),
    ("phoenix-eem350", "carlo-gavazzi-em24-e1"),
    ("phoenix-eem350", "carlo-gavazzi-em340"),
}
"""Configured, connected: voltages and currents stand at the same places, the energy does not, and there is no code."""


class Registers:
    """A line whose one unit answers at once."""

    name = "line"

    def __init__(self, meter):
        self._meter = meter

    async def read(self, unit, function, block, gap_s=0.0):
        answer = self._meter.answer(struct.pack(">BHH", function, block.address, block.count))
        if answer[0] & 0x80:
            raise Refused(f"exception {answer[1]}")
        return list(struct.unpack(f">{block.count}H", answer[2:]))


@pytest.mark.parametrize("configured", maps.names())
@pytest.mark.asyncio
async def test_a_wrong_model_reads_nothing_false(configured):
    """Every other meter behind this configuration: detected, or read as what it is."""
    wrong = set()
    for connected in maps.names():
        link = Registers(SimMeter(connected, lambda: NOW))
        bus = MeterBus("", 9600, "N", 1.0, {1: MeterRef(model=configured, unit=1)}, Told(), link)
        try:
            reading = await bus._read(bus._meters[1])
        except (Refused, WrongModel, Implausible):
            assert connected != configured
            continue
        current = reading.current_a[0]
        if abs(reading.energy_wh - NOW.energy_wh) > 100 or (current is not None and abs(current - 5) > 0.1):
            wrong.add((configured, connected))
    assert wrong == {pair for pair in NOTICED_BY_NOBODY if pair[0] == configured}


class Told:
    def __init__(self):
        self.readings, self.lost = [], []

    def meter_read(self, evse, reading):
        self.readings.append(reading)

    def meter_lost(self, evse, why):
        self.lost.append(why)

    def meter_found(self, evse):
        pass


@pytest.mark.asyncio
async def test_a_wrong_model_in_the_configuration_is_detected_and_not_billed(tmp_path):
    sim = SimMeterBus(tmp_path / "m", {1: SimMeter("eastron-sdm72d-m-v2", lambda: NOW)})
    await sim.start()
    told = Told()
    bus = MeterBus(str(tmp_path / "m"), 9600, "N", 0.05, {1: MeterRef(model="eastron-sdm72d-m-v1", unit=1)}, told)
    task = asyncio.create_task(bus.run())
    deadline = time.monotonic() + 3
    while not told.lost:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    await sim.close()
    assert "Eastron SDM72D-M v2" in told.lost[0] and not told.readings
