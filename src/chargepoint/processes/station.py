"""The business process: the station core with its wires, its journal and the central system's room."""

import asyncio
import gc
import signal
from collections.abc import Callable
from typing import Final

from chargepoint import __version__
from chargepoint.board.chips import find_gpio_chips
from chargepoint.board.pins import load_pins
from chargepoint.board.types import BoardError
from chargepoint.config import Config, ReaderSection
from chargepoint.journal.durable import fleeting_here
from chargepoint.journal.journal import FILE_NAME, Journal, JournalBusy, JournalTooNew
from chargepoint.jsonrpc import SocketBusy
from chargepoint.meter.build import build_buses
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.signing import build_signing
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.processes.exits import WRONG_CONFIGURATION
from chargepoint.reader.reader import BadgeReader
from chargepoint.station.clock import Clock
from chargepoint.station.control import SOCKET_NAME, Control
from chargepoint.station.evse_link import EvseLink
from chargepoint.station.settings import Settings
from chargepoint.station.shared import NoMeters
from chargepoint.station.station import Station
from chargepoint.tic.listener import TicListener
from chargepoint.urgency import complain

METER_BUS_TICKS: Final = 120
"""Seconds the loop of a meter bus may take for one job and one reading, with more than as much again to spare.

The longest job is a signature's fetching: 16 s of waiting for the meter, some 20 answers of at most 0.5 s, and at most
4 s for the request that is not answered any more, which ends it. A reading takes three times its blocks at worst.
"""


def main(config: Config, step: Callable[[str], None] | None = None) -> int:
    """Run until SIGTERM, SIGINT or a reset. Answers the process's exit status.

    `step` is called at every named step of a transaction (the power-cut campaign ends the process there).
    """
    try:
        journal = Journal.open(config.station.state_dir / FILE_NAME)
    except (JournalBusy, JournalTooNew) as refused:
        complain(f"chargepoint station: {refused}")
        return 1
    try:
        return asyncio.run(_run(config, journal, step))
    except BoardError as wrong:
        complain(f"chargepoint station: {wrong}")
        return WRONG_CONFIGURATION
    finally:
        journal.close()


def reader_port(config: Config, reader: ReaderSection) -> str:
    """The reader's device. Raises BoardError when its GPIO lines are not there.

    A Wiegand reader's lines are the only ones this process opens; the kernel keeps it from those of the safety process.
    """
    if reader.kind != "wiegand":
        return config.reader_port(reader)
    pins = load_pins(config)
    offsets = [str(pins.line(name).offset) for name in ("wiegand_zero", "wiegand_one")]
    return f"/dev/gpiochip{find_gpio_chips().header}:{','.join(offsets)}"


def compose(config: Config, journal: Journal, step: Callable[[str], None] | None = None) -> Station:
    """The station with everything that talks to it. Raises BoardError."""
    clock = Clock(journal.boot)
    link = EvseLink(config.station.run_dir / "evse.sock")
    settings = Settings(connection_timeout_s=round(config.authorisation.pairing_window))
    station = Station(config, journal, clock, settings, link, step)
    state_dir = config.station.state_dir
    if not config.simulated and (kind := fleeting_here(state_dir)):
        station.health.state_is_in_memory(state_dir, kind)
    backend = Backend(config, journal, clock, station)
    buses = build_buses(config, station)
    meters = buses[0] if any(evse.meter for evse in config.evse) else NoMeters()
    readers = [BadgeReader(r, reader_port(config, r), station.badge, station.reader_state) for r in config.reader]
    runners = [backend.run, *(reader.run for reader in readers), *(bus.run for bus in buses if bus is not meters)]
    watch = station.progress.watch
    for name, (turns, allowed) in backend.loops().items():
        watch(name, turns, allowed)
    for reader in readers:
        watch(f"badge reader {reader.number}", lambda reader=reader: reader.turns)  # type: ignore[misc]
    for number, bus in enumerate(buses, 1):
        watch(f"meter bus {number}", lambda bus=bus: bus.turns, lambda: METER_BUS_TICKS)  # type: ignore[misc]
    if config.tic is not None:
        supply = station.supply
        listener = TicListener(config.tic_port(), config.tic.serial, supply.tic_read, supply.tic_state)
        runners.append(listener.run)
        watch("TIC listener", lambda: listener.turns)
    signer = build_signing(config, meters, __version__) if isinstance(meters, MeterBus) else None
    station.attach(backend, meters, runners, signer)
    return station


async def _run(config: Config, journal: Journal, step: Callable[[str], None] | None) -> int:
    station = compose(config, journal, step)
    gc.freeze()  # what the start has made stays: the collector need not look through it again and again
    control = Control(station, config.station.run_dir / SOCKET_NAME)
    try:
        await control.start()
    except SocketBusy as refused:
        complain(f"chargepoint station: {refused}")
        return 1
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, station.stop_running)
    try:
        await station.run()
    finally:
        await control.close()
    return 0
