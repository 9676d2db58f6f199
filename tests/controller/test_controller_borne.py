"""The process in the safety process's place: its socket on one side, a simulated controller on the other."""

import asyncio
import contextlib
import socket
import time

import msgspec
import pytest
import structlog

from chargepoint.config_check import parse
from chargepoint.console import check
from chargepoint.controller.borne import PilotBorne
from chargepoint.evse.messages import Acknowledge, Done, Permit, PointReport, SelfTest, Unlock, decode_from_evse, encode
from chargepoint.sim.wire_pilot import SimPilot, SimPilotLine

CONFIG = """
[station]
id = "X"
run_dir = "{folder}"
state_dir = "{folder}"
[supply]
max_current = 52
[board]
kind = "modbus-pilot"
[[evse]]
id = 4
max_current = 32
controller = {{ model = "evse-din", device = "{folder}/pilots" }}
"""


class Asked(SimPilot):
    """Remembers every request's function and address."""

    def __init__(self, model):
        super().__init__(model)
        self.requests = []

    def answer(self, request):
        self.requests.append((request[0], int.from_bytes(request[1:3], "big")))
        return super().answer(request)


class Station:
    """A client of the socket."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(str(path))
        self._socket.setblocking(False)
        self.got = []

    def send(self, message):
        self._socket.send(encode(message))

    async def until(self, wanted, within=6.0):
        """The first packet that is wanted, of those that have come and will."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.got.append(decode_from_evse(self._socket.recv(65536)))
            for packet in self.got:
                if wanted(packet):
                    return packet
            self.got.clear()
            await asyncio.sleep(0.01)
        raise AssertionError("it was not told")

    async def done(self, request):
        return await self.until(lambda p: isinstance(p, Done) and p.id == request)

    async def point(self, state, contactor):
        return await self.until(
            lambda p: isinstance(p, PointReport) and (p.state, p.contactor_closed) == (state, contactor)
        )

    def close(self):
        self._socket.close()


class SlowLine(SimPilotLine):
    """Answers late, and hears nothing meanwhile: there is one pair of wires for both directions."""

    slow = False
    busy = False

    def __init__(self, link_path, pilots):
        super().__init__(link_path, pilots)
        self.begun = asyncio.Event()

    def _received(self, data):
        if self.busy:
            return
        if not self.slow:
            super()._received(data)
            return
        self.busy = True
        self.begun.set()
        asyncio.get_running_loop().call_later(0.3, self._late, data)

    async def asked_anew(self):
        self.begun = asyncio.Event()
        async with asyncio.timeout(5.0):
            await self.begun.wait()

    def _late(self, data):
        self.busy = False
        super()._received(data)


@contextlib.asynccontextmanager
async def running(tmp_path):
    pilot = Asked("evse-din")
    pilot.words[3, 1000] = 16  # what a process before this one had permitted
    pilot.plugged = True
    line = SlowLine(tmp_path / "pilots", {1: pilot})
    await line.start()
    borne = PilotBorne(parse(CONFIG.format(folder=tmp_path)))
    task = asyncio.create_task(borne.run())
    await asyncio.sleep(0)
    station = Station(tmp_path / "evse.sock")
    try:
        yield pilot, line, station, borne
    finally:
        borne._stopping.set()
        await task
        station.close()
        await line.close()


@pytest.mark.asyncio
async def test_the_first_thing_asked_of_a_controller_is_to_permit_nothing_and_so_is_the_last(tmp_path):
    async with running(tmp_path) as (pilot, _, station, _):
        await station.point("B1", False)
        assert pilot.requests[0] == (16, 1000) and pilot.writes[0] == (1000, 0)
        station.send(Permit(4, True, 16.0))
        await station.point("C2", True)
        assert pilot.permitted_a == 16
    assert pilot.writes[-1] == (1000, 0) and pilot.permitted_a == 0


@pytest.mark.asyncio
async def test_a_stop_in_the_midst_of_a_request_lets_its_answer_come_before_the_permission_is_withdrawn(tmp_path):
    async with running(tmp_path) as (pilot, line, station, _):
        station.send(Permit(4, True, 16.0))
        await station.point("C2", True)
        line.slow = True
        await line.asked_anew()
    assert pilot.permitted_a == 0


@pytest.mark.asyncio
async def test_a_withdrawal_that_was_lost_is_repeated_and_one_that_never_came_through_is_told(tmp_path):
    async with running(tmp_path) as (pilot, line, station, _):
        station.send(Permit(4, True, 16.0))
        await station.point("C2", True)
        line.silent = True
        asyncio.get_running_loop().call_later(1.6, setattr, line, "silent", False)
    assert pilot.permitted_a == 0
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path) as (_, line, station, _):
            await station.point("B1", False)
            line.silent = True
    assert [entry["evse"] for entry in logs if entry["event"] == "permission_not_withdrawn"] == [4]


@pytest.mark.asyncio
async def test_what_cannot_be_done_is_answered_with_the_reason(tmp_path):
    async with running(tmp_path) as (_, _, station, _):
        await station.point("B1", False)
        station.send(SelfTest(4, 1))
        assert "tests itself" in (await station.done(1)).detail
        station.send(Unlock(4, 2))
        assert "its own rules" in (await station.done(2)).detail
        station.send(Unlock(9, 3))
        assert (await station.done(3)).detail == "there is no point 9"
        station.send(Acknowledge(4, 4, "residual-current"))
        assert (await station.done(4)).detail == "residual-current is not active"


@pytest.mark.asyncio
async def test_a_latched_fault_is_cleared_in_the_controller_once_the_car_has_left(tmp_path):
    async with running(tmp_path) as (pilot, _, station, _):
        pilot.failed = {"RCD check error"}
        await station.until(
            lambda p: isinstance(p, PointReport) and any(f.name == "residual-current" for f in p.faults)
        )
        pilot.plugged = False
        station.send(Acknowledge(4, 5, "residual-current"))
        assert (await station.done(5)).ok
        assert (1004, 4) in pilot.writes
        await station.point("A1", False)


@pytest.mark.asyncio
async def test_a_silent_controller_is_told_and_asked_again(tmp_path):
    async with running(tmp_path) as (_, line, station, _):
        await station.point("B1", False)
        line.silent = True
        told = await station.until(lambda p: isinstance(p, PointReport) and p.faults, within=20.0)
        assert told.faults[0].name == "controller-silent" and "no usable answer" in told.faults[0].detail
        line.silent = False
        await station.until(lambda p: isinstance(p, PointReport) and not p.faults, within=20.0)


def test_check_says_whose_the_safety_is_and_that_nothing_stops_the_device(tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    assert check.run(file) == 0
    said = capsys.readouterr().out
    assert "the safety of this point is that device's, not this program's" in said
    assert "it has no watchdog: when this computer stops, it goes on as it was last told" in said


def test_reports_cross_the_wall_without_the_values_a_controller_keeps_to_itself():
    from chargepoint.config import EvseSection
    from chargepoint.controller.maps import load
    from chargepoint.controller.point import ControlledPoint

    told = ControlledPoint(EvseSection(id=1, max_current=16), load("evse-din"), 0.0).report(1.0, "b")
    assert msgspec.structs.asdict(decode_from_evse(encode(told))) == msgspec.structs.asdict(told)
