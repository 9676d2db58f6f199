"""Looking for meters on the bus, while the station is stopped."""

import asyncio
from pathlib import Path

from chargepoint.config import Config
from chargepoint.console.rpc import Refused, Station, Unreachable
from chargepoint.meter import scan as bus
from chargepoint.text import clean


def units(text: str) -> range:
    """`1-32` or `7`. Raises ValueError."""
    first, _, last = text.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 247):
        raise ValueError(f"{text!r} names no Modbus units: write two numbers from 1 to 247, like 1-32")
    return range(int(first), int(last) + 1)


def _free(config: Config) -> None:
    """Raises OSError when the line is not there, or the station asks the meters on it: a bus has one master."""
    Path(config.meter_port()).stat()
    try:
        Station(config).ask("status")
    except (Unreachable, Refused):
        return
    raise OSError("the station uses it; stop the station first")


def scan(config: Config, wanted: range) -> list[str]:
    """A line for each unit that answers. Raises OSError when the line is not there, or in use."""
    found: list[str] = []
    _free(config)

    async def look() -> None:
        section = config.meter_bus
        line = bus.scan_link(config.meter_port(), section.baudrate, section.parity)
        try:
            await bus.scan(line, wanted, lambda unit: found.append(clean(bus.describe(unit))))
        finally:
            line.close()

    asyncio.run(look())
    return found
