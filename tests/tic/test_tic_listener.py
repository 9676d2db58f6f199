"""The listener against a simulated Linky on a real pseudo-terminal."""

import asyncio
import termios
import time
from contextlib import asynccontextmanager

import pytest

from chargepoint import sentences
from chargepoint.sim import wire_tic
from chargepoint.sim.wire_tic import SimLinky, SimTic
from chargepoint.tic import listener as listener_module
from chargepoint.tic.frames import Mode, make_frame
from chargepoint.tic.listener import TicListener


async def until(what, within=8.0):
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def linky(tmp_path, mode=Mode.STANDARD, serial="", source=lambda: SimLinky(current_a=(5.0, 6.0, 7.0))):
    sim = SimTic(tmp_path / "sim-tic", source, mode)
    sim.period_s = 0.05
    await sim.start()
    readings, states = [], []
    driver = TicListener(str(tmp_path / "sim-tic"), serial, readings.append, lambda ok, why: states.append((ok, why)))
    task = asyncio.create_task(driver.run())
    try:
        yield sim, driver, readings, states
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sim.close()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.asyncio
async def test_the_mode_is_found_by_listening(tmp_path, mode):
    async with linky(tmp_path, mode) as (_, driver, readings, states):
        await until(lambda: readings)
        assert driver.mode is mode and readings[0].current_a == (5, 6, 7)
        assert states == [(True, "")]


@pytest.mark.asyncio
async def test_a_meter_that_falls_silent_is_lost_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(listener_module, "SILENT_S", 0.3)
    monkeypatch.setitem(listener_module.LOOK_S, Mode.STANDARD, 0.3)
    monkeypatch.setitem(listener_module.LOOK_S, Mode.HISTORICAL, 0.3)
    async with linky(tmp_path) as (sim, _, readings, states):
        await until(lambda: readings)
        sim.silent = True
        await until(lambda: not states[-1][0])
        assert "no whole frame" in states[-1][1]
        sim.silent = False
        await until(lambda: states[-1][0])


@pytest.mark.asyncio
async def test_frames_of_another_meter_are_named_and_not_used(tmp_path):
    async with linky(tmp_path, serial="000000000001") as (_, driver, readings, states):
        await until(lambda: driver.foreign_frames >= 3)
        assert not readings
        assert len(states) == 1 and "021976543210" in states[0][1]


@pytest.mark.asyncio
async def test_damaged_frames_are_counted_and_not_used(tmp_path):
    async with linky(tmp_path) as (sim, driver, readings, _):
        sim.noise = True
        await until(lambda: driver.damaged_groups >= 3)
        assert {r.current_a for r in readings} == {(5, 6, 7)}


@pytest.mark.parametrize("lost", ["IRMS1", "IRMS2", "IRMS3", "ADSC"])
@pytest.mark.asyncio
async def test_an_overload_in_a_damaged_frame_counts_only_with_all_phases_and_the_meters_number(
    tmp_path, monkeypatch, lost
):
    now = [SimLinky(current_a=(5.0, 6.0, 7.0))]
    async with linky(tmp_path, source=lambda: now[0]) as (_, driver, readings, states):
        await until(lambda: readings)

        def damaged(mode, groups):
            return make_frame(mode, groups).replace(lost.encode(), b"x" + lost.encode()[1:])

        monkeypatch.setattr(wire_tic, "make_frame", damaged)
        now[0] = SimLinky(current_a=(60.0, 60.0, 60.0))
        await until(lambda: driver.damaged_groups >= 3)
        assert {reading.current_a for reading in readings} == {(5, 6, 7)}
        assert states == [(True, "")]


@pytest.mark.asyncio
async def test_an_overload_is_heard_although_another_group_is_damaged(tmp_path, monkeypatch):
    now = [SimLinky(current_a=(5.0, 6.0, 7.0))]
    async with linky(tmp_path, source=lambda: now[0]) as (_, _driver, readings, _states):
        await until(lambda: readings)

        def damaged(mode, groups):
            return make_frame(mode, groups).replace(b"SINSTS1", b"xINSTS1")

        monkeypatch.setattr(wire_tic, "make_frame", damaged)
        now[0] = SimLinky(current_a=(60.0, 10.0, 10.0))
        await until(lambda: readings[-1].overload)
        assert readings[-1].current_resolved_a() == pytest.approx((60, 10, 10), abs=0.1)


@pytest.mark.parametrize(
    ("spoil", "says", "french"),
    [
        (lambda frame: frame.replace(b"SINSTS1\t", b"SINSTS1\t9"), "wrong checksum", "somme de contrôle fausse"),
        (lambda frame: frame[: len(frame) // 2] + b"\x04", "cut off", "ont été coupées"),
    ],
)
@pytest.mark.asyncio
async def test_what_comes_instead_of_good_frames_is_told_in_both_languages(tmp_path, monkeypatch, spoil, says, french):
    monkeypatch.setattr(listener_module, "LOOK_S", dict.fromkeys(Mode, 0.3))
    monkeypatch.setattr(listener_module, "SILENT_S", 0.3)
    async with linky(tmp_path) as (sim, _, readings, states):
        await until(lambda: readings)
        write = sim.wire.write
        monkeypatch.setattr(sim.wire, "write", lambda data: write(spoil(data)))
        await until(lambda: not states[-1][0])
        assert says in states[-1][1]
        assert french in sentences.translate(states[-1][1], "fr")
        monkeypatch.undo()
        await until(lambda: states[-1][0])


@pytest.mark.asyncio
async def test_a_device_that_vanishes_while_it_is_being_opened_is_tried_again(tmp_path, monkeypatch):
    def vanished(*_):
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(termios, "tcflush", vanished)
    async with linky(tmp_path) as (_, _driver, readings, states):
        await until(lambda: states and not states[-1][0])
        assert "cannot be opened" in states[-1][1]
        monkeypatch.undo()
        await until(lambda: readings and states[-1][0])


@pytest.mark.asyncio
async def test_the_device_may_vanish_and_come_back(tmp_path):
    async with linky(tmp_path) as (sim, _, readings, states):
        await until(lambda: readings)
        await sim.close()
        await until(lambda: not states[-1][0])
        readings.clear()
        await sim.start()
        await until(lambda: readings and states[-1][0])
