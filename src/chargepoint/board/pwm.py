"""The control pilots' 1 kHz through the kernel's PWM interface (/sys/class/pwm).

Never software PWM: 1 % of duty is 10 us. The channel is never disabled, because the level of a disabled channel
is undefined; steady +12 V is a duty of 100 %, steady -12 V one of 0 %. A running PWM outlives its process, so the
outputs are made safe at start and at exit.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from chargepoint.board.types import BoardError

SYSFS = Path("/sys/class/pwm")
PERIOD_NS = 1_000_000
"""1 kHz (IEC 61851-1 Table A.2: 980..1020 Hz)."""


class PwmError(BoardError):
    """The PWM output cannot be used; the message says what is missing and the remedy."""


@dataclass(frozen=True, slots=True)
class PwmDevice:
    """A PWM block by the name of its platform device, and which channel drives which header line."""

    device: str
    channels: dict[int, int]


PWM_DEVICES = (
    PwmDevice("1f00098000.pwm", {12: 0, 13: 1, 18: 2, 19: 3}),  # Raspberry Pi 5 (RP1)
    PwmDevice("fe20c000.pwm", {12: 0, 13: 1, 18: 0, 19: 1}),  # Raspberry Pi 4
    PwmDevice("3f20c000.pwm", {12: 0, 13: 1, 18: 0, 19: 1}),  # Raspberry Pi 2 and 3
    PwmDevice("2020c000.pwm", {12: 0, 13: 1, 18: 0, 19: 1}),  # Raspberry Pi 1 and Zero
)


def find_chip(root: Path = SYSFS) -> tuple[Path, PwmDevice]:
    """The pwmchip of the pilots. Chip numbers change between kernels, so it is found by its device link.

    Raises `PwmError` when there is none.
    """
    for chip in sorted(root.glob("pwmchip*")):
        name = (chip / "device").resolve().name
        for known in PWM_DEVICES:
            if known.device == name:
                return chip, known
    raise PwmError(
        f"no PWM of a Raspberry Pi under {root}; is this a Raspberry Pi, and does config.txt hold "
        "dtoverlay=pwm-2chan and dtparam=audio=off?"
    )


class PwmChannel:
    """One pilot output. `duty` is in percent: 0 is steady low, 100 steady high."""

    def __init__(self, chip: Path, channel: int) -> None:
        self._directory = chip / f"pwm{channel}"
        if not self._directory.exists():
            self._export(chip, channel)
        self._make_steady_high()
        self._duty = self._open("duty_cycle")
        self._written = PERIOD_NS

    def set_duty(self, percent: float) -> None:
        """Raises `OSError` when the kernel refuses."""
        duty = round(percent * (PERIOD_NS / 100))
        if not 0 <= duty <= PERIOD_NS:
            raise ValueError(f"duty {percent} % is not within 0..100")
        if duty != self._written:
            self._written = -1  # unknown until the write has succeeded
            _write(self._duty, duty)
            self._written = duty

    def close(self) -> None:
        """Leave the pilot at steady +12 V and running."""
        with contextlib.suppress(OSError):  # at exit nothing better can be done than to go on with the other outputs
            _write(self._duty, PERIOD_NS)
        os.close(self._duty)

    def _export(self, chip: Path, channel: int) -> None:
        try:
            (chip / "export").write_text(f"{channel}\n")
        except OSError as error:
            raise PwmError(f"{chip}: channel {channel} cannot be exported: {error}") from error
        if not self._directory.exists():
            raise PwmError(f"{self._directory} did not appear after the export of channel {channel}")

    def _make_steady_high(self) -> None:
        """Period and duty in the order that is valid at every moment: the kernel refuses a duty above the period."""
        try:
            period = _read(self._directory / "period")
            if period <= PERIOD_NS:
                self._put("period", PERIOD_NS)
                self._put("duty_cycle", PERIOD_NS)
            else:
                self._put("duty_cycle", PERIOD_NS)
                self._put("period", PERIOD_NS)
            self._put("enable", 1)
        except OSError as error:
            raise PwmError(f"{self._directory} cannot be set to 1 kHz: {error}") from error

    def _put(self, name: str, value: int) -> None:
        descriptor = self._open(name)
        try:
            _write(descriptor, value)
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        try:
            return os.open(self._directory / name, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise PwmError(f"{self._directory / name} cannot be opened: {error}") from error


def _read(path: Path) -> int:
    return int(path.read_text().split("\n", 1)[0])


def _write(descriptor: int, value: int) -> None:
    os.pwrite(descriptor, b"%d\n" % value, 0)
