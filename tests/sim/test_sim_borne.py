"""The simulated borne through its socket and its wires, driven by the real board code."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chargepoint.board import make_board
from chargepoint.board.types import Board, LockDrive, PointOutputs
from chargepoint.config import (
    BoardSection,
    BuzzerSection,
    Config,
    DomesticSection,
    EvseSection,
    MeterRef,
    StationSection,
    SupplySection,
)
from chargepoint.jsonrpc import Client, RpcError, SocketBusy
from chargepoint.sim.fault_names import BORNE_FAULTS, POINT_FAULTS
from chargepoint.sim.serve import serve_until

pytestmark = pytest.mark.asyncio


def make_config(run_dir: Path) -> Config:
    return Config(
        station=StationSection(id="T", run_dir=run_dir),
        supply=SupplySection(max_current=52),
        board=BoardSection(kind="simulated"),
        evse=(
            EvseSection(id=1, max_current=32, meter=MeterRef(model="eastron-sdm630", unit=1)),
            EvseSection(
                id=2,
                max_current=32,
                phase_rotation="STR",
                meter=MeterRef(model="eastron-sdm630", unit=2),
                domestic=DomesticSection(),
            ),
        ),
        buzzer=BuzzerSection(enabled=True),
    )


class Bench:
    """A running simulated borne, its socket, and a board whose loop beats the heart."""

    def __init__(self, config: Config, client: Client, board: Board) -> None:
        self.config = config
        self.call: Callable[..., Awaitable[Any]] = client.call
        self.board = board
        self.beating = True

    async def beat(self) -> None:
        while True:
            if self.beating:
                self.board.heartbeat()
            await asyncio.sleep(0.05)

    async def until(self, holds: Callable[[], bool], timeout_s: float = 3.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110  # the board is polled, as its own loop does
                await asyncio.sleep(0.005)

    async def energise(self, evse: int = 1, **car: Any) -> None:
        """Bring a plugged car to state C with the contactor closed."""
        await self.call("plug", evse=evse, **car)
        self.board.write_point(evse, PointOutputs(duty=53.3))
        await self.call("wait", evse=evse, state="C", timeout=3)
        self.board.write_point(evse, PointOutputs(duty=53.3, contactor=True))
        await self.call("wait", evse=evse, contactor=True, timeout=1)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    config = make_config(tmp_path)
    board = make_board(config)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_until(config, stop))
    async with asyncio.timeout(5):
        while not (tmp_path / "sim.sock").exists():  # noqa: ASYNC110  # the server says ready by its socket
            await asyncio.sleep(0.01)
    client = await Client.connect(tmp_path / "sim.sock")
    made = Bench(config, client, board)
    beating = asyncio.create_task(made.beat())
    await made.until(lambda: board.read_borne().coil_watchdog_armed)
    yield made
    beating.cancel()
    await client.close()
    stop.set()
    assert await serving == 0
    board.close()


async def test_an_empty_borne_reads_as_state_a_and_nothing_wrong(bench: Bench) -> None:
    for evse in (1, 2):
        for _ in range(10):
            seen = bench.board.read_point(evse)
        assert seen.cp_high_v == pytest.approx(12, abs=0.1)
        assert seen.cp_low_v == pytest.approx(12, abs=0.1)
        assert math.isinf(seen.pp_ohm)
        assert seen.reference_v == pytest.approx(2.5, abs=0.01)
        assert seen.duty_measured == pytest.approx(100, abs=0.5)
        assert seen.temperature_c == pytest.approx(20, abs=0.5)
        assert (seen.contactor_closed, seen.load_live, seen.rcd_tripped, seen.rdc_tripped) == (False,) * 4
        assert (seen.pe_ok, seen.lock_open, seen.lock_closed) == (True, True, False)
    borne = bench.board.read_borne()
    assert (borne.emergency_stop, borne.door_open, borne.coil_watchdog_armed) == (False, False, True)


async def test_a_car_charges_at_what_the_duty_offers(bench: Bench) -> None:
    await bench.energise(cable=32)
    seen = bench.board.read_point(1)
    assert seen.cp_high_v == pytest.approx(6, abs=0.2)
    assert seen.cp_low_v == pytest.approx(-12, abs=0.2)
    assert seen.pp_ohm == pytest.approx(220, rel=0.02)
    assert seen.contactor_closed and seen.load_live
    await asyncio.sleep(1.6)
    shown = (await bench.call("show"))["evses"][0]
    assert shown["current"] == [pytest.approx(32, abs=0.1)] * 3
    assert shown["power"] == pytest.approx(3 * 32 * 230, rel=0.01)
    assert shown["temperature"] > 20


async def test_current_appears_on_the_phases_the_rotation_names(bench: Bench) -> None:
    await bench.energise(2, phases=1, max_current=16)
    await asyncio.sleep(1.2)
    assert (await bench.call("show"))["evses"][1]["current"] == [0, pytest.approx(16, abs=0.1), 0]


async def test_energy_runs_at_the_asked_speed_and_can_be_set(bench: Bench) -> None:
    await bench.call("set_energy", evse=1, wh=1000)
    await bench.call("speed", factor=3600)
    await bench.energise()
    await asyncio.sleep(1.0)
    energy = (await bench.call("show"))["evses"][0]["energy"]
    assert energy > 1000 + 500


async def test_the_coils_drop_when_the_heart_stops(bench: Bench) -> None:
    await bench.energise()
    bench.beating = False
    await bench.call("wait", evse=1, contactor=False, timeout=0.6)
    assert not bench.board.read_borne().coil_watchdog_armed


async def test_a_locked_plug_stays_unless_it_is_torn_out(bench: Bench) -> None:
    await bench.call("plug", evse=1)
    bench.board.write_point(1, PointOutputs(lock=LockDrive.CLOSE))
    await bench.until(lambda: bench.board.read_point(1).lock_closed)
    with pytest.raises(RpcError, match="lock holds"):
        await bench.call("unplug", evse=1)
    await bench.call("unplug", evse=1, side="car")
    shown = (await bench.call("show"))["evses"][0]
    assert (shown["plugged"], shown["state"]) == (True, "A")
    await bench.call("unplug", evse=1, force=True)
    assert not (await bench.call("show"))["evses"][0]["plugged"]


async def test_a_locked_empty_socket_takes_no_plug(bench: Bench) -> None:
    bench.board.write_point(1, PointOutputs(lock=LockDrive.CLOSE))
    await bench.until(lambda: bench.board.read_point(1).lock_closed)
    with pytest.raises(RpcError, match="does not go in"):
        await bench.call("plug", evse=1)


async def test_pulling_the_cars_plug_passes_through_b(bench: Bench) -> None:
    await bench.energise()
    leaving = asyncio.create_task(bench.call("unplug", evse=1, side="car"))
    await bench.call("wait", evse=1, state="B", timeout=1)
    await leaving
    await bench.call("wait", evse=1, state="A", timeout=1)


async def test_waiting_in_vain_says_what_there_is(bench: Bench) -> None:
    with pytest.raises(RpcError, match=r"point 1: no state C within 0\.05 s; it is in state A") as caught:
        await bench.call("wait", evse=1, state="C", timeout=0.05)
    assert caught.value.code == -32001


@pytest.mark.parametrize(
    ("method", "params", "word"),
    [
        ("plug", {"evse": 9}, "no point 9"),
        ("plug", {"evse": 1, "cable": 31}, "cable"),
        ("plug", {"evse": 1, "max_current": 0}, "max_current"),
        ("unplug", {"evse": 1}, "nothing is plugged"),
        ("ev", {"evse": 1, "wants_energy": False}, "no car"),
        ("badge", {"uid": "xyz"}, "hexadecimal"),
        ("badge", {"uid": "04", "reader": 7}, "no reader 7"),
        ("fault", {"name": "gremlin"}, "gremlin"),
        ("fault", {"name": "diode"}, "say which"),
        ("fault", {"name": "door-open", "evse": 1}, "whole borne"),
        ("set_energy", {"evse": 1, "wh": -1}, "negative"),
        ("speed", {"factor": -1}, "factor"),
        ("wait", {"evse": 1}, "what to wait for"),
    ],
)
async def test_a_wrong_request_is_answered_with_what_is_wrong(
    bench: Bench, method: str, params: dict[str, Any], word: str
) -> None:
    with pytest.raises(RpcError, match=word):
        await bench.call(method, **params)


async def test_every_fault_is_listed_and_can_be_set_and_cleared(bench: Bench) -> None:
    rows = await bench.call("faults")
    assert {row["name"] for row in rows} == set(POINT_FAULTS) | set(BORNE_FAULTS)
    for row in rows:
        where = {"evse": 1} if row["per_evse"] else {}
        assert await bench.call("fault", name=row["name"], **where)
        assert await bench.call("fault", name=row["name"], on=False, **where)


async def test_the_bornes_own_faults_reach_the_controllers_inputs(bench: Bench) -> None:
    await bench.call("fault", name="adc-silent")
    assert bench.board.read_point(1).reference_v == 0
    await bench.call("fault", name="adc-silent", on=False)
    assert bench.board.read_point(1).reference_v == pytest.approx(2.5, abs=0.01)
    await bench.call("fault", name="emergency-stop")
    await bench.call("fault", name="door-open")
    for _ in range(10):
        borne = bench.board.read_borne()
    assert borne.emergency_stop and borne.door_open


async def test_a_plug_in_the_domestic_socket_is_seen_and_its_current_goes_through_the_points_meter(
    bench: Bench,
) -> None:
    await bench.call("plug", evse=2, connector=2, load=9)
    for _ in range(5):
        seen = bench.board.read_point(2)
    assert seen.domestic_plug and not seen.domestic_closed
    bench.board.write_point(2, PointOutputs(domestic_contactor=True))
    shown = await bench.call("wait", evse=2, connector=2, contactor=True, timeout=1)
    assert shown["domestic"] == {
        "plugged": True,
        "load": 9,
        "phase": "R",
        "contactor": {"commanded": True, "real": True},
    }
    assert shown["current"] == [9, 0, 0] and not shown["plugged"]
    assert (await bench.call("ev", evse=2, load=0))["current"] == [0, 0, 0]
    await bench.call("unplug", evse=2, connector=2)
    for _ in range(5):
        seen = bench.board.read_point(2)
    assert not seen.domestic_plug
    with pytest.raises(RpcError, match="no domestic socket"):
        await bench.call("plug", evse=1, connector=2)


async def test_the_buzzer_is_heard_and_its_tones_are_counted(bench: Bench) -> None:
    assert (await bench.call("show"))["buzzer"] == {"sounding": False, "tones": 0}
    bench.board.write_buzzer(True)
    assert (await bench.call("show"))["buzzer"] == {"sounding": True, "tones": 1}
    bench.board.write_buzzer(False)
    assert (await bench.call("show"))["buzzer"] == {"sounding": False, "tones": 1}


async def test_bay_and_building_can_be_moved(bench: Bench) -> None:
    await bench.call("bay", evse=1)
    for _ in range(5):
        seen = bench.board.read_point(1)
    assert seen.bay_occupied
    await bench.call("building", current=[10, 20, 30], subscribed_kva=12)
    assert (await bench.call("show"))["grid"] == {
        "building": [10, 20, 30],
        "current": [10, 20, 30],
        "subscribed_kva": 12,
    }


async def test_contacts_of_the_grid_operator_reach_the_controllers_inputs(bench: Bench) -> None:
    assert await bench.call("input", number=2) == [False, True]
    for _ in range(10):
        borne = bench.board.read_borne()
    assert borne.grid_closed == (False, True)
    assert (await bench.call("show"))["inputs"] == [False, True]
    with pytest.raises(RpcError, match="there are 1 and 2"):
        await bench.call("input", number=3)


async def test_a_second_borne_in_the_same_directory_is_refused(bench: Bench) -> None:
    with pytest.raises(SocketBusy):
        await serve_until(bench.config, asyncio.Event())
    assert (await bench.call("show"))["evses"][0]["state"] == "A"
