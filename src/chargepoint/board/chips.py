"""Which GPIO chip of this machine is what: found by device, never by number."""

from dataclasses import dataclass
from pathlib import Path

from chargepoint.board.types import BoardError

GPIO_CHIPS = ("1f000d0000.gpio", "fe200000.gpio", "3f200000.gpio", "20200000.gpio")
"""Platform devices of the 40-pin header: Raspberry Pi 5, 4, 2 and 3, 1 and Zero."""
EXPANDER_ADDRESSES = ("0020", "0021")
"""I2C addresses of the two MCP23017."""
GPIO_SYSFS = Path("/sys/bus/gpio/devices")


class BoardMismatch(BoardError):
    """The configuration names a board that this machine is not; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class ChipNumbers:
    """Which /dev/gpiochipN is what."""

    header: int
    expanders: tuple[int, ...]


def find_gpio_chips(root: Path = GPIO_SYSFS, expanders: int = 0) -> ChipNumbers:
    """The header's chip and the first `expanders` expanders, by their devices. Raises `BoardMismatch`."""
    header: int | None = None
    found: dict[str, int] = {}
    for chip in sorted(root.glob("gpiochip*")):
        number = int(chip.name.removeprefix("gpiochip"))
        for part in chip.resolve().parts:
            if part in GPIO_CHIPS:
                header = number
            if part.partition("-")[2] in EXPANDER_ADDRESSES:
                found[part.partition("-")[2]] = number
    if header is None:
        raise BoardMismatch(
            f'board.kind is "raspberry-pi", but {root} shows no GPIO header of a Raspberry Pi; '
            'run on the controller board, or set board.kind = "simulated"'
        )
    missing = [address for address in EXPANDER_ADDRESSES[:expanders] if address not in found]
    if missing:
        raise BoardMismatch(
            f"no MCP23017 at I2C address 0x{missing[0][2:]} ({root}); is dtoverlay=mcp23017,addr=0x{missing[0][2:]} "
            "in config.txt, and is the expander board plugged?"
        )
    return ChipNumbers(header, tuple(found[address] for address in EXPANDER_ADDRESSES[:expanders]))
