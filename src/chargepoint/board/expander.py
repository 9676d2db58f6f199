"""Outputs of the I/O expanders, read back after each write."""

import errno
from typing import Any


class ReadBackPin:
    """An output's pin behind an MCP23017: a write that returns has been seen at the line.

    The driver (drivers/pinctrl/pinctrl-mcp23s08.c, Linux 6.6 and 6.12) tells nobody of a write that fails on the bus:
    its `set` and `set_multiple` return nothing, so the ioctl succeeds. Repeating the write does not help: the output
    latch stands in regmap's cache, which has the new level before the bus is asked and keeps it whatever the bus says,
    and `regmap_update_bits` sends nothing that the cache has already. A reading does ask the chip (its register GPIO,
    never cached) and fails when the bus does. Linux 6.1, without `get_multiple`, answers low then.

    The read-back costs 0.12 ms at the bus's 400 kHz, and only where something is written.
    """

    __slots__ = ("_name", "_pin")

    def __init__(self, pin: Any, name: str) -> None:
        self._pin = pin
        self._name = name

    @property
    def state(self) -> bool:
        return bool(self._pin.state)

    @state.setter
    def state(self, on: bool) -> None:
        """Raises what the pin raises, also for a reading that failed, or `OSError` when the line has kept its level."""
        self._pin.state = on
        if self._shows(on):
            return
        # The level that is there changes nothing at the line, and makes the cache differ from what is wanted. It is
        # written only when it was seen, never when a reading failed: the line may be right, and must not be pulsed.
        # Were two readings wrong the same way, the pulse would be one transfer long (0.1 ms): nothing moves in that.
        self._pin.state = not on
        self._pin.state = on
        if not self._shows(on):
            there, wanted = ("off", "on") if on else ("on", "off")
            raise OSError(
                errno.EIO,
                f"{self._name} reads as {there} after it was switched {wanted}; look at the I2C bus and at what is "
                "wired to the line",
            )

    def _shows(self, on: bool) -> bool:
        """The other level counts only when it is read twice: a disturbed bus may spoil one reading without an error."""
        return self.state is on or self.state is on
