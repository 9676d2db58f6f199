"""Looking for meters on the bus. The line must be free: the station holds it alone while it runs."""

import asyncio
import fcntl
import os

from chargepoint.config import Config
from chargepoint.meter import scan as bus
from chargepoint.text import clean


def units(text: str) -> range:
    """`1-32` or `7`. Raises ValueError."""
    first, _, last = text.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 247):
        raise ValueError(f"{text!r} names no Modbus units: write two numbers from 1 to 247, like 1-32")
    return range(int(first), int(last) + 1)


def _free(port: str) -> None:
    """Raises OSError when somebody holds the line; its drivers lock it while they have it open."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError("the station holds it; stop the station first") from None
    finally:
        os.close(descriptor)


def scan(config: Config, wanted: range) -> list[str]:
    """A line for each unit that answers. Raises OSError when the line is not there, or held by the station."""
    found: list[str] = []
    _free(config.meter_port())

    async def look() -> None:
        section = config.meter_bus
        line = bus.scan_link(config.meter_port(), section.baudrate, section.parity)
        try:
            await bus.scan(line, wanted, lambda unit: found.append(clean(bus.describe(unit))))
        finally:
            line.close()

    asyncio.run(look())
    return found
