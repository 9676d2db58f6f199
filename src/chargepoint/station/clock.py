"""The station's sense of time.

Timers use the monotonic clock and nothing else. UTC is the monotonic clock plus an offset that this class keeps
itself, so that a step of the system's clock moves no stamp by surprise. The offset is believed (`synchronised`) when
NTP disciplines the system's clock or when the central system has told its time; the better source wins.
"""

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from chargepoint.journal.stamp import Stamp

log = structlog.get_logger()

STEP_S: Final = 2.0
"""Differences smaller than this leave the clock alone: a told time has the network's delay in it."""
EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""No time told outside is believed: a field that was never filled in reads as year 1 or 1970."""
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512
TIMESYNCD: Final = Path("/run/systemd/timesync/synchronized")
KEPT_S: Final = 32_000.0
"""As long as the kernel itself believes a clock that nobody corrects: 16 s of error at 500 ppm (Linux, ntp.c)."""
RTC: Final = Path("/sys/class/rtc/rtc0")
AGREES_S: Final = 5.0
"""A battery-backed clock and the system's that was set from it differ by less: the RTC counts whole seconds."""


def _kernel_state() -> int:
    """What adjtimex, read only, says of the kernel's clock; -1 where it may not be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state


def disciplined(
    kernel: Callable[[], int] = _kernel_state, told: Path = TIMESYNCD, system_utc: Callable[[], float] = time.time
) -> bool:
    """Whether NTP or the like keeps the system's clock.

    The station's unit may not ask the kernel (ProtectClock= forbids reading with setting). systemd-timesyncd touches a
    file at each answer of its server that it takes.
    """
    state = kernel()
    if state >= 0:
        return state < _TIME_ERROR
    try:
        return abs(system_utc() - told.stat().st_mtime) < KEPT_S
    except OSError:
        return False


def battery_backed(rtc: Path = RTC, system_utc: Callable[[], float] = time.time) -> bool:
    """Whether the kernel took its time from a clock that ran on without power (Linux, rtc sysfs).

    A clock chip without a cell begins anew as well, and the system's time is then moved on to the last one that was
    saved: so the two must agree. An RTC that is kept in local time does not, and is not believed.
    """
    try:
        set_from_it = (rtc / "hctosys").read_text().strip() == "1"
        return set_from_it and abs(int((rtc / "since_epoch").read_text()) - system_utc()) < AGREES_S
    except (OSError, ValueError):
        return False


class Clock:
    """Monotonic time, UTC, and how far UTC can be trusted. Give the parts to test without waiting."""

    def __init__(
        self,
        boot: int,
        monotonic: Callable[[], float] = time.monotonic,
        system_utc: Callable[[], float] = time.time,
        disciplined: Callable[[], bool] = disciplined,
        ran_on: Callable[[], bool] = battery_backed,
    ) -> None:
        """`ran_on`: whether the system's clock went on while the power was off."""
        self.boot = boot
        """Number of the boot the monotonic clock counts from."""
        self.source = "none"
        """`ntp`, `backend`, or `none` as long as the time is only the system's guess."""
        self._monotonic = monotonic
        self._system_utc = system_utc
        self._disciplined = disciplined
        self._offset = system_utc() - monotonic()
        self._ran_on = ran_on()
        self.check()

    @property
    def synchronised(self) -> bool:
        return self.source != "none"

    @property
    def trusted(self) -> bool:
        """UTC is good enough to tell how long the power was off: somebody told it, or a battery kept it."""
        return self.synchronised or self._ran_on

    @property
    def offset(self) -> float:
        """UTC minus monotonic, seconds."""
        return self._offset

    def monotonic(self) -> float:
        """Seconds since the boot."""
        return self._monotonic()

    def utc(self) -> float:
        """UTC in seconds since 1970; a guess unless `synchronised`."""
        return self._monotonic() + self._offset

    def now(self) -> datetime:
        """UTC as an aware datetime; a guess unless `synchronised`."""
        return self.utc_of(self._monotonic())

    def utc_of(self, mono: float) -> datetime:
        """UTC of a monotonic instant of this boot."""
        return datetime.fromtimestamp(mono + self._offset, UTC)

    def stamp(self, mono: float | None = None) -> Stamp:
        """The stamp of an instant of this boot, by default now."""
        at = self._monotonic() if mono is None else mono
        return Stamp(self.boot, at, at + self._offset if self.synchronised else None)

    def check(self) -> bool:
        """Follow the system's clock while NTP disciplines it; True when the offset became known or moved a step."""
        if not self._disciplined():
            return False
        return self._set(self._system_utc() - self._monotonic(), "ntp")

    def offer(self, utc: float) -> bool:
        """The central system told its time; taken when nothing better is there. True as for `check`."""
        if self.source == "ntp" and self._disciplined():
            return False
        if not EARLIEST <= utc < LATEST:
            log.warning("the central system's time cannot be", utc=utc)
            return False
        offset = utc - self._monotonic()
        if self.synchronised and abs(offset - self._offset) < STEP_S:
            return False
        return self._set(offset, "backend")

    def _set(self, offset: float, source: str) -> bool:
        news = not self.synchronised or abs(offset - self._offset) >= STEP_S
        self._offset = offset
        self.source = source
        return news
