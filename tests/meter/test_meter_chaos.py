"""A line on which everything goes wrong at once; whatever is read is still true."""

import asyncio
import random
import time

import pytest

from chargepoint.config import MeterRef
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.link import ModbusLink
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading

LASTS_S = 3.0


def truth(unit):
    """Values that differ in every register and between the units."""
    base = 100.0 * unit
    return SimReading(
        voltage_v=(base + 1, base + 2, base + 3),
        current_a=(base + 4, base + 5, base + 6),
        power_w=(base + 7, base + 8, base + 9),
        energy_wh=base * 1000,
    )


class Told:
    def __init__(self):
        self.readings = []

    def meter_read(self, evse, reading):
        self.readings.append((evse, reading))

    def meter_lost(self, evse, why):
        pass

    def meter_found(self, evse):
        pass


@pytest.mark.parametrize("seed", [1])
@pytest.mark.asyncio
async def test_no_reading_ever_holds_a_number_that_is_not_its_own(tmp_path, seed):
    dice = random.Random(seed)
    meters = {unit: SimMeter("eastron-sdm630", lambda unit=unit: truth(unit)) for unit in (1, 2)}
    sim = SimMeterBus(tmp_path / "m", meters)
    await sim.start()
    told = Told()
    refs = {unit: MeterRef(model="eastron-sdm630", unit=unit) for unit in meters}
    # Answers come up to 0.2 s after the request, 0.15 s is waited, then 0.1 s of silence: every late one is in the gap.
    link = ModbusLink(str(tmp_path / "m"), timeout_s=0.05, quiet_s=0.1)
    bus = MeterBus("", 0, "N", 0.02, refs, told, link)
    task = asyncio.create_task(bus.run())
    end = time.monotonic() + LASTS_S
    while time.monotonic() < end:
        meter = dice.choice(list(meters.values()))
        meter.noise = dice.random() < 0.3
        meter.silent = dice.random() < 0.1
        meter.delay_s = dice.choice([0, 0, 0, 0.05, 0.17, 0.2])
        if dice.random() < 0.05:
            await sim.close()
            await asyncio.sleep(0.05)
            await sim.start()
        await asyncio.sleep(dice.random() * 0.1)
    for meter in meters.values():
        meter.noise = meter.silent = False
        meter.delay_s = 0
    told_before = len(told.readings)
    asked = time.monotonic()
    last = await asyncio.gather(*(bus.read_fresh(unit, asked, 4.0) for unit in meters))
    task.cancel()
    await asyncio.wait([task])
    await sim.close()
    assert all(last), "both meters are read again once the line is well"
    assert told_before > 3 and bus.counters.timeouts + bus.counters.malformed > 3
    for unit, reading in told.readings:
        true = truth(unit)
        assert (reading.voltage_v, reading.current_a) == (true.voltage_v, true.current_a)
        assert (reading.power_phases_w, reading.energy_wh) == (true.power_w, true.energy_wh)
