"""Looking for meters on the bus, and giving one another number, while the station is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from chargepoint.config import Config
from chargepoint.console.rpc import Refused, Station, Unreachable
from chargepoint.meter import scan as bus
from chargepoint.meter.link import ModbusLink
from chargepoint.meter.maps import RegisterMap
from chargepoint.text import clean

T = TypeVar("T")


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


async def _with_line(config: Config, work: Callable[[ModbusLink], Awaitable[T]]) -> T:
    section = config.meter_bus
    line = bus.scan_link(config.meter_port(), section.baudrate, section.parity)
    try:
        return await work(line)
    finally:
        line.close()


def may_change(config: Config, unit: int, new: int, model: str = "") -> RegisterMap:
    """The map of the meter whose unit number may be changed. Raises OSError, `NotChanged`."""
    _free(config)
    return asyncio.run(_with_line(config, lambda line: bus.unit_register(line, unit, new, model)))


def change(config: Config, unit: int, new: int, known: RegisterMap) -> bool:
    """Change it; False when the meter wants to be without power first. Raises OSError, `NotChanged`, `NoAnswer`..."""
    _free(config)
    return asyncio.run(_with_line(config, lambda line: bus.change_unit(line, unit, new, known)))


def scan(config: Config, wanted: range) -> list[str]:
    """A line for each unit that answers. Raises OSError when the line is not there, or in use."""
    found: list[str] = []
    _free(config)

    asyncio.run(_with_line(config, lambda line: bus.scan(line, wanted, lambda unit: found.append(bus.describe(unit)))))
    return [clean(line) for line in found]
