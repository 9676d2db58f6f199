"""A simulated Linky meter's customer information on a pseudo-terminal, in either mode."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chargepoint.sim.wire_pty import PtyWire
from chargepoint.tic.frames import Group, Mode, make_frame

PERIOD_S = {Mode.STANDARD: 1.2, Mode.HISTORICAL: 2.0}
"""From the start of one frame to the start of the next."""


@dataclass(frozen=True, slots=True)
class SimLinky:
    """What the meter measures and knows."""

    current_a: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Drawn per phase; one or three phases."""
    voltage_v: float = 230.0
    subscribed_kva: int = 36
    energy_wh: int = 0
    relays: int = 0
    """RELAIS: bit 0 the dry contact, 1..7 virtual."""
    tariff: int = 1
    serial: str = "021976543210"

    @property
    def phases(self) -> int:
        return len(self.current_a)

    @property
    def subscribed_a(self) -> float:
        """Per phase."""
        return self.subscribed_kva * 1000 / (230 * self.phases)

    @property
    def isousc(self) -> int:
        """Per phase, as historical mode tells the contract: amperes at 200 V."""
        return round(self.subscribed_kva * 1000 / (200 * self.phases))

    @property
    def overload(self) -> bool:
        return max(self.current_a) > self.subscribed_a + 0.5


class SimTic:
    """Sends frames of what `source` says, for ever."""

    def __init__(self, link_path: Path, source: Callable[[], SimLinky], mode: Mode = Mode.STANDARD) -> None:
        self.wire = PtyWire(link_path, lambda data: None)
        self._source = source
        self.mode = mode
        self.silent = False
        """Sends nothing."""
        self.noise = False
        """Spoils one byte of every other frame."""
        self.period_s: float | None = None
        """Another pace than the mode's own."""
        self._frames = 0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self.wire.open()
        self._send()

    async def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self.wire.close()

    def _send(self) -> None:
        wait = PERIOD_S[self.mode] if self.period_s is None else self.period_s
        self._timer = asyncio.get_running_loop().call_later(wait, self._send)
        if self.silent:
            return
        now = self._source()
        groups = standard_groups(now) if self.mode is Mode.STANDARD else historical_groups(now)
        data = make_frame(self.mode, groups)
        self._frames += 1
        if self.noise and self._frames % 2:
            middle = len(data) // 2
            data = data[:middle] + bytes((data[middle] ^ 0x11,)) + data[middle + 1 :]
        self.wire.write(data)


def standard_groups(now: SimLinky) -> list[Group]:
    """A frame of standard mode, shortened to what a charging station may want to know."""
    date = datetime.now(UTC).strftime("H%y%m%d%H%M%S")
    powers = [round(i * now.voltage_v) for i in now.current_a]
    status = 0x003A0001 | (0x80 if now.overload else 0)
    groups = [
        Group("ADSC", now.serial),
        Group("VTIC", "02"),
        Group("DATE", "", date),
        Group("NGTF", "      BASE      "),
        Group("LTARF", "      BASE      "),
        Group("EAST", f"{now.energy_wh:09d}"),
    ]
    groups += [Group(f"IRMS{n}", f"{round(i):03d}") for n, i in enumerate(now.current_a, 1)]
    groups += [Group(f"URMS{n}", f"{round(now.voltage_v):03d}") for n in range(1, now.phases + 1)]
    groups += [
        Group("PREF", f"{now.subscribed_kva:02d}"),
        Group("PCOUP", f"{now.subscribed_kva:02d}"),
        Group("SINSTS", f"{sum(powers):05d}"),
    ]
    if now.phases == 3:
        groups += [Group(f"SINSTS{n}", f"{p:05d}") for n, p in enumerate(powers, 1)]
    return [
        *groups,
        Group("STGE", f"{status:08X}"),
        Group("RELAIS", f"{now.relays:03d}"),
        Group("NTARF", f"{now.tariff:02d}"),
        Group("NJOURF", "00"),
    ]


def historical_groups(now: SimLinky) -> list[Group]:
    """A frame of historical mode; the short one of an overload when the meter has three phases."""
    single = now.phases == 1
    address = Group("ADCO", now.serial)
    if single:
        currents = [Group("IINST", f"{round(now.current_a[0]):03d}")]
    else:
        currents = [Group(f"IINST{n}", f"{round(i):03d}") for n, i in enumerate(now.current_a, 1)]
    over = [(n, round(i)) for n, i in enumerate(now.current_a, 1) if i > now.subscribed_a + 0.5]
    notices = [Group("ADPS" if single else f"ADIR{n}", f"{i:03d}") for n, i in over]
    if notices and not single:
        return [*notices, address, *currents]
    power = round(sum(now.current_a) * now.voltage_v, -1)
    return [
        address,
        Group("OPTARIF", "BASE"),
        Group("ISOUSC", f"{now.isousc:02d}"),
        Group("BASE", f"{now.energy_wh:09d}"),
        Group("PTEC", "TH.."),
        *currents,
        *notices,
        Group("PAPP", f"{power:05.0f}"),
        Group("HHPHC", "A"),
        Group("MOTDETAT", "000000"),
    ]
