"""A yard of the fleet bench: the safety loops and the electrons of some fifty bornes in one process.

    python bench/fleet_yard.py SOCKET FOLDER...

Each borne has its own board, machine, sockets, pseudo-terminals and files, as `chargepoint evse` and `chargepoint sim
serve` have them; only the loop's period is longer: 250 ms while nothing moves, 25 ms when something does. At the
product's 10 ms, 149 loops would want six cores.
"""

import asyncio
import heapq
import io
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chargepoint.board.pins import load_pins
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.simulated import SimulatedHardware
from chargepoint.config_check import load
from chargepoint.evse.log import Log
from chargepoint.evse.loop import Loop
from chargepoint.jsonrpc import RpcError, Server
from chargepoint.sim.car import Car
from chargepoint.sim.devices import SerialDevices
from chargepoint.sim.electrics import Refused
from chargepoint.sim.server import make_borne
from chargepoint.sim.wiring import Wiring

QUIET_S, FINE_S = 0.25, 0.025
FINE_FOR_S = 0.8


class Yard:
    """Its bornes by name, and what people do at them."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.bornes: dict[str, Station] = {}

    def plug(self, borne: str, evse: int, max_current: float, phases: int) -> None:
        car = Car(max_current=max_current, phases=phases)
        self._try(lambda: self.bornes[borne].sim.points[evse].plug(32, car))
        self.bornes[borne].happened()

    def badge(self, borne: str, reader: int, uid: str) -> None:
        self.bornes[borne].devices.badge(reader, bytes.fromhex(uid))

    def unplug(self, borne: str, evse: int, side: str) -> None:
        self._try(lambda: self.bornes[borne].sim.points[evse].unplug("car" if side == "car" else "socket", False))
        self.bornes[borne].happened()

    @staticmethod
    def _try(deed: Callable[[], None]) -> None:
        try:
            deed()
        except Refused as error:
            raise RpcError(str(error)) from error

    def full(self, borne: str, evse: int) -> None:
        """The car has what it wants."""
        car = self.bornes[borne].sim.points[evse].car
        if car is not None:
            car.wants_energy = False
        self.bornes[borne].happened()

    def show(self, borne: str) -> dict[str, Any]:
        points = self.bornes[borne].sim.points
        return {
            str(number): {
                "energy": point.register_wh,
                "power": point.power_w,
                "contactor": point.contactor.closed,
                "plugged": point.cable is not None,
                "state": point.state,
            }
            for number, point in points.items()
        }

    def power(self) -> dict[str, float]:
        """W of each borne now."""
        return {name: sum(p.power_w for p in s.sim.points.values()) for name, s in self.bornes.items()}

    async def run(self) -> None:
        """Pass after pass, whichever borne is due first."""
        due = [(time.monotonic() + i * QUIET_S / len(self.bornes), n) for i, n in enumerate(self.bornes)]
        heapq.heapify(due)
        while True:
            at, name = due[0]
            delay = at - time.monotonic()
            await asyncio.sleep(max(0.0, min(delay, 0.02)))
            if delay > 0:
                continue
            now = time.monotonic()
            heapq.heapreplace(due, (now + self.bornes[name].step(now), name))


class Station:
    """One borne without its business process."""

    def __init__(self, folder: Path, speed: float) -> None:
        self.config = config = load(folder / "chargepoint.toml")
        self.sim = make_borne(config)
        self.sim.speed = speed
        self.wiring = Wiring(config, self.sim)
        self.devices = SerialDevices(config, self.sim)
        pins = load_pins(config)
        self.wiring.exchange(time.monotonic())
        board = GpioBoard(config.evse, pins, SimulatedHardware(config.station.run_dir, pins))
        self.loop = Loop(config, board, Log("error", io.StringIO()))
        self.fine_until = time.monotonic() + FINE_FOR_S

    def step(self, now: float) -> float:
        """One pass; how long until the next."""
        changed = self.wiring.exchange(now)
        self.loop.pass_once(now, 0.0)
        if changed or self.sim.moving:
            self.fine_until = now + FINE_FOR_S
        return FINE_S if now < self.fine_until else QUIET_S

    def happened(self) -> None:
        self.fine_until = time.monotonic() + FINE_FOR_S


async def main(socket: Path, folders: list[Path], speed: float) -> None:
    yard = Yard(speed)
    for folder in folders:
        station = Station(folder, speed)
        await station.devices.start()
        yard.bornes[folder.name] = station
    names = ("plug", "badge", "unplug", "full", "show", "power")
    server = Server(socket, {name: getattr(yard, name) for name in names})
    await server.start()
    running = asyncio.create_task(yard.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass  # the end of the bench
    finally:
        for station in yard.bornes.values():
            station.loop.close()
            await station.devices.close()
            station.wiring.close()
        await server.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [Path(name) for name in sys.argv[3:]], float(sys.argv[2])))
