"""The driver against simulated meters on a real pseudo-terminal."""

import asyncio
import termios
import time
from contextlib import asynccontextmanager

import pytest

from chargepoint.config import MeterRef
from chargepoint.meter import bus as bus_module
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.link import ModbusLink, NoAnswer, Refused
from chargepoint.meter.plan import Block, plan
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading

CHARGING = SimReading(
    voltage_v=(231.0, 229.5, 230.25),
    current_a=(16.0, 15.5, 15.75),
    power_w=(3696.0, 3557.25, 3626.5),
    energy_wh=1_234_567.0,
)


class Told:
    def __init__(self):
        self.readings, self.lost, self.found = [], [], []

    def meter_read(self, evse, reading):
        self.readings.append((evse, reading))

    def meter_lost(self, evse, why):
        self.lost.append((evse, why))

    def meter_found(self, evse):
        self.found.append(evse)


async def until(what, within=8.0):
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def line(tmp_path, meters, interval=0.05, models=None, **link):
    port = tmp_path / "sim-meters"
    sim = SimMeterBus(port, meters)
    await sim.start()
    told = Told()
    refs = {unit: MeterRef(model=m.map.model, unit=unit) for unit, m in meters.items()}
    bus = MeterBus(str(port), 9600, "N", interval, refs, told, ModbusLink(str(port), **link) if link else None)
    task = asyncio.create_task(bus.run())
    try:
        yield sim, bus, told
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sim.close()


@pytest.mark.parametrize("model", ["eastron-sdm630", "eastron-sdm72d-m-v2", "abb-b23"])
@pytest.mark.asyncio
async def test_a_three_phase_meter_is_read_whole(tmp_path, model):
    async with line(tmp_path, {1: SimMeter(model, lambda: CHARGING)}) as (_, bus, told):
        await until(lambda: told.readings)
        reading = bus.last(1)
    assert reading.energy_wh == pytest.approx(1_234_567, abs=10)
    assert reading.voltage_v == pytest.approx((231.0, 229.5, 230.25), abs=0.06)
    assert reading.current_a == pytest.approx((16.0, 15.5, 15.75))
    assert reading.power_phases_w == pytest.approx((3696, 3557.25, 3626.5))
    assert reading.power_w == pytest.approx(10879.75)
    assert reading.frequency_hz == 50


@pytest.mark.asyncio
async def test_a_phase_that_passes_a_points_meter_backwards_is_not_taken_for_unused(tmp_path):
    backwards = SimReading(CHARGING.voltage_v, (16.0, 15.5, -15.75), (3696.0, 3557.25, -3626.5), 1_234_567.0)
    meter = SimMeter("carlo-gavazzi-em340", lambda: backwards)
    async with line(tmp_path, {1: meter}) as (_, _bus, told):
        await until(lambda: told.readings)
        assert told.readings[0][1].current_a == (16.0, 15.5, 15.75)


@pytest.mark.asyncio
async def test_a_single_phase_meter_has_no_second_phase(tmp_path):
    now = SimReading(current_a=(10.0, 0, 0), power_w=(2300.0, 0, 0), energy_wh=500)
    async with line(tmp_path, {9: SimMeter("eastron-sdm230", lambda: now)}) as (_, bus, told):
        await until(lambda: told.readings)
        assert bus.last(9).voltage_v == (230.0, None, None)
        assert bus.last(9).current_a == (10.0, None, None)
        assert bus.last(9).power_w == 2300


@pytest.mark.asyncio
async def test_a_silent_meter_is_lost_with_its_last_reading_kept_and_the_other_goes_on(tmp_path):
    meters = {unit: SimMeter("eastron-sdm630", lambda: CHARGING) for unit in (1, 2)}
    async with line(tmp_path, meters, quiet_s=0.05, timeout_s=0.05) as (_, bus, told):
        await until(lambda: bus.last(1) and bus.last(2))
        meters[2].silent = True
        await until(lambda: told.lost)
        assert told.lost[0][0] == 2 and "unit 2" in told.lost[0][1]
        assert bus.lost(2) and not bus.lost(1)
        assert bus.last(2).energy_wh == 1_234_567
        told.readings.clear()
        await asyncio.sleep(0.5)
        assert len(told.readings) >= 6, "the living meter is read nearly as often as before"
        assert {evse for evse, _ in told.readings} == {1}


@pytest.mark.asyncio
async def test_a_lost_meter_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(bus_module, "BACK_OFF_S", (0.1,))
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    meter.silent = True
    async with line(tmp_path, {1: meter}, quiet_s=0.02, timeout_s=0.02) as (_, bus, told):
        await until(lambda: told.lost)
        assert bus.last(1) is None
        meter.silent = False
        await until(lambda: told.found == [1])
        assert not bus.lost(1)


@pytest.mark.asyncio
async def test_damaged_frames_are_counted_and_survived(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    meter.noise = True
    async with line(tmp_path, {1: meter}, quiet_s=0.02, timeout_s=0.05) as (_, bus, told):
        await until(lambda: bus.counters.malformed >= 3 and len(told.readings) >= 4)
        assert not told.lost
        assert {r.energy_wh for _, r in told.readings} == {1_234_567}


@pytest.mark.asyncio
async def test_the_port_may_vanish_and_come_back(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    async with line(tmp_path, {1: meter}, quiet_s=0.02, timeout_s=0.05) as (sim, _bus, told):
        await until(lambda: told.readings)
        await sim.close()
        await asyncio.sleep(0.2)
        told.readings.clear()
        await sim.start()
        await until(lambda: told.readings)


@pytest.mark.asyncio
async def test_a_port_that_vanishes_while_it_is_being_opened_is_tried_again(tmp_path, monkeypatch):
    def vanished(*_):
        raise termios.error(5, "Input/output error")

    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    with monkeypatch.context() as broken:
        broken.setattr(termios, "tcflush", vanished)
        async with line(tmp_path, {1: meter}) as (_sim, _bus, told):
            await until(lambda: told.lost)
            assert "cannot be opened" in told.lost[-1][1]
            broken.undo()
            await until(lambda: told.readings)


@pytest.mark.asyncio
async def test_a_port_that_comes_late_is_used_at_once(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    async with line(tmp_path, {1: meter}) as (sim, _bus, told):
        await sim.close()
        await until(lambda: told.lost)
        assert "cannot be opened" in told.lost[-1][1]
        told.readings.clear()
        await sim.start()
        await until(lambda: told.readings, within=1.6)


@pytest.mark.asyncio
async def test_a_register_that_goes_back_is_believed_only_when_confirmed(tmp_path):
    wh = [5000.0]
    meter = SimMeter("eastron-sdm630", lambda: SimReading(energy_wh=wh[0]))
    async with line(tmp_path, {1: meter}) as (_, bus, told):
        await until(lambda: told.readings)
        wh[0] = 4000.0
        await until(lambda: bus.counters.implausible == 1)
        assert bus.last(1).energy_wh == 5000
        await until(lambda: bus.last(1).energy_wh == 4000)
        assert bus.counters.implausible == 2


@pytest.mark.asyncio
async def test_a_register_that_jumps_is_asked_for_again_at_once(tmp_path):
    wh = [5000.0]
    meter = SimMeter("eastron-sdm630", lambda: SimReading(energy_wh=wh[0]))
    async with line(tmp_path, {1: meter}, interval=30) as (_, bus, told):
        await until(lambda: told.readings)
        wh[0] = 9_000_000.0
        reading = await bus.read_fresh(1, time.monotonic(), 2.0)
        assert reading is not None and reading.energy_wh == 9_000_000
        assert bus.counters.implausible == 2


@pytest.mark.asyncio
async def test_a_fresh_reading_is_younger_than_asked(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    async with line(tmp_path, {1: meter}, interval=30) as (_, bus, told):
        await until(lambda: told.readings)
        asked = time.monotonic()
        reading = await bus.read_fresh(1, asked, 2.0)
        assert reading.at >= asked
        meter.silent = True
        assert await bus.read_fresh(1, time.monotonic(), 0.1) is None


@pytest.mark.asyncio
async def test_an_answer_that_was_on_its_way_is_not_fresh(tmp_path):
    """The contactor opens while the meter is being read: that reading misses what flowed in between."""
    now = [CHARGING]
    meter = SimMeter("eastron-sdm630", lambda: now[0])
    async with line(tmp_path, {1: meter}, interval=30, timeout_s=1.0) as (_, bus, told):
        await until(lambda: told.readings)
        whole_round = bus.counters.requests + len(plan(meter.map).brief)
        meter.delay_s = 0.2
        first = asyncio.create_task(bus.read_fresh(1, time.monotonic(), 5.0))
        await until(lambda: bus.counters.requests == whole_round)
        await asyncio.sleep(0.05)  # the meter has been asked the last of it, and answers with what it has now
        now[0] = SimReading(energy_wh=1_234_599.0)
        opened = time.monotonic()
        assert (await bus.read_fresh(1, opened, 5.0)).energy_wh == 1_234_599
        assert (await first).energy_wh == 1_234_567


@pytest.mark.asyncio
async def test_a_lost_meter_is_asked_often_while_somebody_waits_for_it(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    meter.silent = True
    async with line(tmp_path, {1: meter}, quiet_s=0.02, timeout_s=0.02) as (_, bus, told):
        await until(lambda: told.lost)
        asking = asyncio.create_task(bus.read_fresh(1, time.monotonic(), 1.5))
        await asyncio.sleep(0.4)
        meter.silent = False
        assert (await asking).energy_wh == 1_234_567


async def _late_answers(tmp_path, quiet_s):
    """Ask for two places of the same length while the first answer comes too late; what do we take them for?"""
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    sim = SimMeterBus(tmp_path / "late", {1: meter})
    await sim.start()
    link = ModbusLink(str(tmp_path / "late"), quiet_s=quiet_s, timeout_s=0.05)
    meter.delay_s = 0.2
    with pytest.raises(NoAnswer):
        await link.read(1, 4, Block(0x00, 2))
    meter.delay_s = 0.0 if quiet_s else 0.1
    energy = await link.read(1, 4, Block(0x48, 2))
    link.close()
    await sim.close()
    return energy


@pytest.mark.asyncio
async def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path):
    expected = [0x449A, 0x5225]  # 1234.567 kWh as a float
    energy = await _late_answers(tmp_path, 0.3)
    assert energy == expected


@pytest.mark.asyncio
async def test_without_the_quiet_time_it_would_be(tmp_path):
    energy = await _late_answers(tmp_path, 0.0)
    assert energy == [0x4367, 0x0000], "231.0 V, the answer to the question before"


@pytest.mark.asyncio
async def test_a_stop_that_comes_together_with_an_answer_is_heeded(tmp_path):
    meter = SimMeter("eastron-sdm630", lambda: CHARGING)
    sim = SimMeterBus(tmp_path / "m", {1: meter})
    await sim.start()
    task = None

    class Stopper(ModbusLink):
        def _listen(self, sending, data):
            if not sending and self.counters.requests == 3 and task:
                task.cancel()  # the answer is set in the same turn of the loop
            return super()._listen(sending, data)

    bus = MeterBus(
        "", 0, "N", 0.01, {1: MeterRef(model="eastron-sdm630", unit=1)}, Told(), Stopper(str(tmp_path / "m"))
    )
    task = asyncio.create_task(bus.run())
    done, _ = await asyncio.wait([task], timeout=3)
    assert done, "the bus runs on after it was cancelled"
    await sim.close()


@pytest.mark.asyncio
async def test_a_refused_register_is_told_apart_from_silence(tmp_path):
    sim = SimMeterBus(tmp_path / "m", {1: SimMeter("eastron-sdm630", lambda: CHARGING)})
    await sim.start()
    link = ModbusLink(str(tmp_path / "m"))
    with pytest.raises(Refused):
        await link.read(1, 4, Block(0x5000, 2))
    link.close()
    await sim.close()
