"""One pilot controller on its line: asked for its state, told what it may permit."""

import math
from dataclasses import dataclass

from chargepoint.controller.maps import BITS, ControllerMap
from chargepoint.meter.link import ModbusLink, Refused
from chargepoint.meter.plan import Block

HUNDREDTH = 100
"""Counts of an ampere while the device counts precisely."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a controller says of its point."""

    letter: str
    """A..F."""
    pwm: bool
    """The pilot offers current (x2), else it is steady (x1)."""
    offered_a: float
    """What the pilot signals, A; 0 without PWM."""
    permitted_a: float
    """What the device holds to be permitted, A; 0: nothing."""
    contactor: bool
    """The contactor is commanded closed. No controller here reads a mirror contact."""
    cable_a: float | None
    locked: bool | None
    """None: it does not tell."""
    faults: tuple[tuple[str, str], ...]
    """Name in our fault table, and the device's own words."""


class Device:
    """The Modbus side of one controller. `link` may be shared with others on the same line, from one task."""

    def __init__(self, link: ModbusLink, unit: int, regmap: ControllerMap) -> None:
        self.map = regmap
        self.unit = unit
        self._link = link
        self._blocks = regmap.blocks()
        self._gap_s = regmap.gap_ms / 1000
        self._counts = 1
        """Counts of an ampere in `setting` and `offered`."""

    async def begin(self) -> str:
        """After each time the device was silent: how it counts, and what it would do by itself. Answers what is wrong
        with its settings, or nothing. Raises NoAnswer."""
        self._counts = HUNDREDTH if await self._flag_of("precise") else 1
        start_a = await self._flag_of("start_current")
        if not start_a:
            return ""
        place = self.map.start_current
        assert place is not None
        return (
            f"permits {start_a} A by itself after its own start: write 0 into its register {place.address}, "
            "or a power cut lets a car charge without permission"
        )

    async def read(self) -> DeviceState:
        """Its state now. Raises NoAnswer or Refused."""
        words: dict[tuple[int, int], int] = {}
        for function, block in self._blocks:
            values = await self._values(function, block)
            words.update(((function, block.address + n), value) for n, value in enumerate(values))
        m = self.map
        number = str(m.vehicle.place.number(words))
        faults = [(bit.name, bit.text) for bit in m.fault if bit.place.number(words)]
        letter = m.vehicle.states.get(number)
        if letter is None:
            letter = "F"
            faults.append(("controller-fault", f"vehicle state {number}, which its map does not know"))
        pwm = bool(m.pwm.number(words)) and letter in "BCD"
        permitted = m.setting.number(words) / self._counts
        if m.enable is not None and not m.enable.number(words):
            permitted = 0.0
        cable = m.cable.number(words) if m.cable is not None else 0
        return DeviceState(
            letter,
            pwm,
            m.offered.number(words) / self._counts if pwm else 0.0,
            permitted,
            bool(m.contactor.number(words)),
            float(cable) if cable and letter in "BCD" else None,
            bool(m.locked.number(words)) if m.locked is not None else None,
            tuple(faults),
        )

    async def permit(self, current_a: float) -> None:
        """Let it offer so many amperes; 0 withdraws the permission. Raises NoAnswer or Refused."""
        m = self.map
        counts = math.floor(current_a * self._counts)
        if current_a <= 0 and m.enable is not None:
            await self._link.write_bit(self.unit, m.enable.address, False, self._gap_s)
            return
        await self._link.write(self.unit, m.setting.address, [counts], self._gap_s, many=m.write_many)
        if m.enable is not None:
            await self._link.write_bit(self.unit, m.enable.address, True, self._gap_s)

    async def clear(self) -> bool:
        """Make it forget a latched fault; false when that model cannot be told. Raises NoAnswer or Refused."""
        order = self.map.clear
        if order is None:
            return False
        await self._link.write(self.unit, order.address, [order.value], self._gap_s, many=self.map.write_many)
        return True

    async def _flag_of(self, name: str) -> int:
        """The number at a place that not every firmware has; 0 where there is none."""
        place = getattr(self.map, name)
        if place is None:
            return 0
        try:
            values = await self._values(place.function, Block(place.address, 1))
        except Refused:
            return 0
        return int(place.number({(place.function, place.address): values[0]}))

    async def _values(self, function: int, block: Block) -> list[int]:
        if function in BITS:
            return [int(bit) for bit in await self._link.read_bits(self.unit, function, block, self._gap_s)]
        return await self._link.read(self.unit, function, block, self._gap_s)
