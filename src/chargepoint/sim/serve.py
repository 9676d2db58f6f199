"""`chargepoint sim serve`: the simulated borne as a process."""

import asyncio
import signal
import time

from chargepoint.config import Config
from chargepoint.jsonrpc import Server
from chargepoint.sim.client import SOCKET_NAME
from chargepoint.sim.devices import SerialDevices
from chargepoint.sim.server import SimulatedBorne, make_borne
from chargepoint.sim.wiring import Wiring


async def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit status.

    Raises `jsonrpc.SocketBusy` when another simulated borne already runs in this run directory, `pins.PinError` for a
    mistake in the pin map.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await serve_until(config, stop)


async def serve_until(config: Config, stop: asyncio.Event) -> int:
    """The same without signals, for a process that holds more than the borne."""
    borne = make_borne(config)
    wiring = Wiring(config, borne)
    devices = SerialDevices(config, borne)
    simulated = SimulatedBorne(borne, wiring, devices)
    server = Server(config.station.run_dir / SOCKET_NAME, simulated.methods())
    try:
        await server.start()  # before the pseudo-terminals: a second borne must not take the first one's links
        wiring.exchange(time.monotonic())  # whoever finds the socket finds the wires alive
        await devices.start()
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(simulated.run())
            await stop.wait()
            ticking.cancel()
    finally:
        await server.close()
        await devices.close()
        wiring.close()
    return 0
