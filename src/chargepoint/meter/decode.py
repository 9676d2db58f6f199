"""From the registers of a meter to a `Reading`, and what makes a reading unbelievable. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from chargepoint.meter.maps import QUANTITIES, Register, RegisterMap
from chargepoint.meter.reading import Phases, Reading
from chargepoint.meter.registers import decode

MAX_VOLTAGE_V = 500.0
"""Phase to neutral; more is a wrong word order or a shifted answer, not a supply."""
MAX_CURRENT_A = 10_000.0
MAX_ENERGY_WH = 10**13
MAX_EXPONENT = 12
"""A counter's power of ten; more is another model's register."""


class Implausible(ValueError):
    """The registers arrived whole, but no meter on a supply would say so."""


def to_reading(regmap: RegisterMap, registers: Mapping[int, int], at: float) -> Reading:
    """The reading in these registers (address -> word). Raises Implausible."""

    def value(name: str) -> float | None:
        row = regmap.registers.get(name)
        return None if row is None else _value(regmap, row, registers)

    def phases(kind: str) -> Phases:
        l1, l2, l3 = (value(name) for name in QUANTITIES[kind])
        return (l1, l2, l3)

    energy = value("energy_import")
    if energy is None or not 0 <= energy < MAX_ENERGY_WH:
        raise Implausible(f"energy register reads {energy} Wh")
    export = value("energy_export")
    powers = phases("power_phases")
    reading = Reading(
        at=at,
        energy_wh=round(energy),
        power_w=_total(powers, value),
        voltage_v=phases("voltage"),
        current_a=phases("current"),
        power_phases_w=powers,
        frequency_hz=_hertz(value("frequency")),
        power_factor=value("power_factor"),
        export_wh=None if export is None else round(export),
    )
    _check(reading)
    return reading


def without_direction(reading: Reading) -> Reading:
    """For a point: a car only draws, and a phase that passes through its meter backwards must not look unused."""
    l1, l2, l3 = (None if amps is None else abs(amps) for amps in reading.current_a)
    return replace(reading, current_a=(l1, l2, l3))


def _total(phases: Phases, value: Callable[[str], float | None]) -> float | None:
    """The sum of the phases where the meter tells three, else its own total, less what it counts the other way."""
    l1, l2, l3 = phases
    if l1 is not None and l2 is not None and l3 is not None:
        return round(l1 + l2 + l3, 6)
    power, reverse = value("power"), value("power_reverse")
    return power if power is None or reverse is None else power - reverse


def _value(regmap: RegisterMap, row: Register, registers: Mapping[int, int]) -> float | None:
    raw = [registers[a] for a in range(row.address, row.address + row.words) if a in registers]
    if len(raw) < row.words:
        return None
    number = decode(raw, row.type, regmap.word_order, regmap.absent)
    if number is None:
        return None
    if row.exponent is not None:
        power = decode([registers[row.exponent]], "i16") or 0.0
        if abs(power) > MAX_EXPONENT:
            raise Implausible(f"exponent register {row.exponent} reads {power:g}")
        number *= 10.0**power
    return round(number * row.scale, 6)


def _hertz(value: float | None) -> float | None:
    # Some Eastron and Gavazzi units count tenths where their siblings count whole hertz (openWB divides likewise).
    return value / 10 if value is not None and value > 100 else value


def _check(reading: Reading) -> None:
    for phase, volts in enumerate(reading.voltage_v, 1):
        if volts is not None and not 0 <= volts <= MAX_VOLTAGE_V:
            raise Implausible(f"voltage of L{phase} reads {volts} V")
    for phase, amps in enumerate(reading.current_a, 1):
        if amps is not None and abs(amps) > MAX_CURRENT_A:
            raise Implausible(f"current of L{phase} reads {amps} A")


class Jumped(Implausible):
    """The energy register is further up than a point can have drawn."""


class EnergyGuard:
    """Lets the energy register go up at once as far as a point can have drawn, and elsewhere only when several readings
    agree: a frame that noise has spoiled passes its check sum once in 65536 times, and a session must not be billed so.
    """

    CONFIRMATIONS = 3
    """Equal or rising readings out of line with the last good one before they are believed (meter replaced, reset)."""
    JUMP_WH, POWER_W = 10_000, 100_000
    """A rise of so much is in line at any time; and what so much power has added since the last good reading."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._last_at = 0.0
        self._odd: list[int] = []

    def check(self, energy_wh: int, at: float) -> None:
        """Accept a register read at `at` (monotonic, s), the bound of the next one, or raise Implausible."""
        rise = self.JUMP_WH + self.POWER_W * (at - self._last_at) / 3600
        if self._last is None or self._last <= energy_wh <= self._last + rise:
            self._accept(energy_wh, at)
            return
        if self._odd and not self._odd[-1] <= energy_wh <= self._odd[-1] + rise:
            self._odd.clear()
        self._odd.append(energy_wh)
        if len(self._odd) >= self.CONFIRMATIONS:
            self._accept(energy_wh, at)
        elif energy_wh < self._last:
            raise Implausible(f"energy register went back from {self._last} Wh to {energy_wh} Wh")
        else:
            raise Jumped(f"energy register jumped from {self._last} Wh to {energy_wh} Wh")

    def _accept(self, energy_wh: int, at: float) -> None:
        self._last, self._last_at = energy_wh, at
        self._odd.clear()
