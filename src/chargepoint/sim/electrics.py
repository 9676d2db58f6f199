"""The simulated borne as one electrical model: points with socket, cable and car; grid, coil supply, meter.

Pure: `advance` takes the time and the controller's outputs; what the controller's inputs then read is in the
attributes. It knows nothing of files, sockets or pins.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from chargepoint.sim.car import SHORT_OHM, Car, pilot_levels
from chargepoint.sim.parts import Contactor, Lock, PeakDetector

CABLE_OHM = {13: 1500.0, 20: 680.0, 32: 220.0, 63: 100.0}
"""Coding resistor in the plug by the cable's current (IEC 61851-1 Table B.2)."""
COIL_WATCHDOG_S = 0.4
"""The monostable drops the coil supply so long after the last edge of the heartbeat."""
RCD_TEST_S = 0.03
"""From the test output to the trip, and from its end to the release."""
LEAVING_S = 0.2
"""A driver who pulls the car's plug in mid-charge makes the car open S2 so long before the contacts part."""
PILOT_STUCK_V = 14.0
PWM_ERROR = 15.0
"""Percent by which a wrong generator misses the commanded duty."""
AMBIENT_C = 20.0
HEATING_K = 6.0
"""Warmth of the socket's contacts at 32 A."""
HOT_C = 90.0
WARMING_K_PER_S = 15.0
LIVE_V = 100.0
"""The load-side detector sees more than this."""
OVER_VOLTAGE_V, UNDER_VOLTAGE_V = 270.0, 180.0
LONGEST_STEP_S = 0.05
"""A longer pause is taken in steps of this length."""

Side = Literal["socket", "car"]
Phases3 = tuple[float, float, float]


class Refused(Exception):
    """What was asked for cannot happen to this borne now; the message says why."""


@dataclass(slots=True)
class Commands:
    """What the controller commands at one point's lines."""

    contactor: bool = False
    duty: float = 100.0
    lock: int = 0
    rcd_test: bool = False
    domestic_contactor: bool = False


@dataclass(slots=True)
class PointSetup:
    """What is built in: from the configuration."""

    id: int
    phases: int = 3
    rotation: str = "RST"
    socket: bool = True
    max_current: float = 32.0
    domestic_phase: str | None = None
    """Phase of the supply (R, S, T) on the domestic socket; None: there is no such socket."""


@dataclass(slots=True)
class Point:
    """One point with what hangs on it. All attributes are what a meter or a probe would show now."""

    setup: PointSetup
    nominal_v: float = 230.0
    commands: Commands = field(default_factory=Commands)
    faults: set[str] = field(default_factory=set)
    cable: int | None = None
    """Current coding of the cable in the socket, A."""
    car: Car | None = None
    contactor: Contactor = field(default_factory=Contactor)
    domestic_contactor: Contactor = field(default_factory=Contactor)
    domestic_current_a: float | None = None
    """What the appliance in the domestic socket draws; None: no plug."""
    lock: Lock = field(default_factory=Lock)
    bay_occupied: bool = False
    ambient_c: float = AMBIENT_C
    """Around the socket, without its own warmth."""
    temperature_c: float = AMBIENT_C
    energy_wh: float = 0.0
    generator_duty: float = 100.0
    high: PeakDetector = field(default_factory=lambda: PeakDetector(False, 12.0))
    low: PeakDetector = field(default_factory=lambda: PeakDetector(True, 12.0))
    _rcd_tested_s: float = 0.0
    _leaving_s: float | None = None

    # --- what people do -------------------------------------------------------------------------------

    def plug(self, cable: int, car: Car) -> None:
        """Raises `Refused`."""
        if self.car is not None:
            raise Refused(f"point {self.setup.id}: a car is already plugged; unplug it first")
        if self.setup.socket and self.cable is None and self.lock.holds:
            raise Refused(f"point {self.setup.id}: the empty socket is locked, a plug does not go in")
        if self.cable is not None and self.cable != cable:
            raise Refused(f"point {self.setup.id}: a cable of {self.cable} A is still in the socket")
        if self.setup.socket:
            self.cable = cable
        car.over_current = "over-current" in self.faults
        self.car = car

    def unplug(self, side: Side, force: bool) -> None:
        """Start to unplug; it is done when `leaving` is false. Raises `Refused`."""
        if self.cable is None and self.car is None:
            raise Refused(f"point {self.setup.id}: nothing is plugged")
        if side == "car" and self.car is None:
            raise Refused(f"point {self.setup.id}: no car is at the end of the cable")
        if side == "car" or not self.setup.socket:
            self._begin_to_leave()
            return
        if not force and self.lock.holds:
            raise Refused(f"point {self.setup.id}: the lock holds the plug; stop the session, or force it out")
        self.car = self.cable = None

    def plug_domestic(self, load_a: float) -> None:
        """Plug an appliance into the domestic socket. Raises `Refused`."""
        self._need_domestic()
        if self.domestic_current_a is not None:
            raise Refused(f"point {self.setup.id}: a plug is in the domestic socket already; unplug it first")
        self.domestic_current_a = load_a

    def unplug_domestic(self) -> None:
        """Nothing holds that plug. Raises `Refused`."""
        self._need_domestic()
        if self.domestic_current_a is None:
            raise Refused(f"point {self.setup.id}: nothing is plugged into the domestic socket")
        self.domestic_current_a = None

    def _need_domestic(self) -> None:
        if self.setup.domestic_phase is None:
            raise Refused(f"point {self.setup.id} has no domestic socket: add [evse.domestic] to its configuration")

    @property
    def leaving(self) -> bool:
        return self._leaving_s is not None

    def set_fault(self, name: str, on: bool) -> None:
        (self.faults.add if on else self.faults.discard)(name)
        self.contactor.welded = "contactor-welded" in self.faults
        self.contactor.stuck_open = "contactor-stuck-open" in self.faults
        self.domestic_contactor.welded = "domestic-welded" in self.faults
        self.domestic_contactor.stuck_open = "domestic-stuck-open" in self.faults
        self.contactor.drops = "contactor-drops" in self.faults
        self.lock.jam = "lock-jam" in self.faults
        self.lock.stuck = "lock-stuck" in self.faults
        self.lock.opens = "lock-opens" in self.faults
        if self.car is not None:
            self.car.over_current = "over-current" in self.faults

    # --- what physics does ----------------------------------------------------------------------------

    def advance(self, step_s: float, coils: bool, speed: float) -> None:
        """`coils`: the coil supply is on. `speed`: how much faster than time energy accumulates."""
        self._leave(step_s)
        self.contactor.advance(step_s, coils and self.commands.contactor)
        self.domestic_contactor.advance(step_s, coils and self.commands.domestic_contactor)
        if self.setup.socket:
            self.lock.advance(step_s, self.commands.lock)
        self._advance_pilot(step_s)
        car = self.car
        if car is not None:
            connected = self._cable_whole
            duty = self.generator_duty if connected and "pilot-short" not in self.faults else 0.0
            if not 0.0 < duty < 100.0:
                duty = 0.0
            car.advance(step_s, duty, connected and self.load_live)
        self._advance_rcd(step_s)
        self._advance_temperature(step_s)
        self.energy_wh += self.power_w * step_s * speed / 3600.0

    @property
    def moving(self) -> bool:
        """Something changes by itself: worth a close look."""
        car = self.car
        return (
            self.contactor.moving
            or self.domestic_contactor.moving
            or self.commands.lock != 0
            or self.commands.rcd_test
            or self._rcd_tested_s > 0.0
            or self.leaving
            or (car is not None and car.moving)
        )

    @property
    def voltage_v(self) -> Phases3:
        """At the point's feed, on the socket's L1..L3."""
        volt = self.nominal_v
        if "over-voltage" in self.faults:
            volt = OVER_VOLTAGE_V
        elif "under-voltage" in self.faults:
            volt = UNDER_VOLTAGE_V
        if self.setup.phases == 1:
            return (0.0 if "phase-lost" in self.faults else volt), 0.0, 0.0
        return volt, volt, (0.0 if "phase-lost" in self.faults else volt)

    @property
    def current_a(self) -> Phases3:
        """On the socket's L1..L3, which are also the meter's."""
        amps = [0.0, 0.0, 0.0]
        volts, car = self.voltage_v, self.car
        if car is not None and self.contactor.closed and self._cable_whole:
            for number in range(min(car.phases, self.setup.phases)):
                amps[number] = car.current_a if volts[number] > LIVE_V else 0.0
        if self.domestic_contactor.closed and self.domestic_current_a:
            number = max(0, self.setup.rotation.find(self.setup.domestic_phase or ""))
            amps[number] += self.domestic_current_a if volts[number] > LIVE_V else 0.0
        return amps[0], amps[1], amps[2]

    @property
    def supply_current_a(self) -> Phases3:
        """The same on the phases of the supply."""
        amps = [0.0, 0.0, 0.0]
        for own, letter in zip(self.current_a, self.setup.rotation, strict=False):
            amps["RST".index(letter)] += own
        return amps[0], amps[1], amps[2]

    @property
    def phase_power_w(self) -> Phases3:
        volts, amps = self.voltage_v, self.current_a
        return volts[0] * amps[0], volts[1] * amps[1], volts[2] * amps[2]

    @property
    def register_wh(self) -> int:
        """What the meter shows: whole watt-hours."""
        return int(self.energy_wh)

    @property
    def power_w(self) -> float:
        return sum(self.phase_power_w)

    @property
    def load_live(self) -> bool:
        return self.contactor.closed and max(self.voltage_v) > LIVE_V

    @property
    def pp_ohm(self) -> float:
        if "pp-short" in self.faults:
            return 0.0
        if "pp-open" in self.faults or self.cable is None:
            return math.inf
        if "pp-changed" in self.faults:
            return CABLE_OHM[13 if self.cable != 13 else 20]
        return CABLE_OHM[self.cable]

    @property
    def sensor_c(self) -> float:
        """What the temperature sensor shows; -inf when it is broken off."""
        return -math.inf if "temperature-sensor" in self.faults else self.temperature_c

    @property
    def pe_ok(self) -> bool:
        return "pe-lost" not in self.faults

    @property
    def rcd_tripped(self) -> bool:
        return "residual-current" in self.faults or self._rcd_tested_s >= RCD_TEST_S

    @property
    def rdc_tripped(self) -> bool:
        return "residual-current-dc" in self.faults or self._rcd_tested_s >= RCD_TEST_S

    @property
    def state(self) -> str:
        """A..F, as a probe on the pilot would read it."""
        if self.generator_duty <= 0.0:
            return "F"
        high = self.high.value
        for letter, least in (("A", 10.5), ("B", 7.5), ("C", 4.5), ("D", 1.5)):
            if high > least:
                return letter
        return "E"

    @property
    def _cable_whole(self) -> bool:
        return "cable-cut" not in self.faults

    def _begin_to_leave(self) -> None:
        if self.car is None or not self.car.s2_closed:
            self.car = None
        else:
            self.car.leave()
            self.car.wants_energy = False
            self._leaving_s = 0.0

    def _leave(self, step_s: float) -> None:
        if self._leaving_s is None:
            return
        self._leaving_s += step_s
        if self._leaving_s >= LEAVING_S:
            self.car, self._leaving_s = None, None

    def _advance_pilot(self, step_s: float) -> None:
        duty = self.commands.duty
        if "pwm-wrong" in self.faults:
            duty += PWM_ERROR if duty <= 80.0 else -PWM_ERROR
        self.generator_duty = duty
        load: float | None = None
        diode = True
        if "pilot-short" in self.faults:
            load, diode = SHORT_OHM, False
        elif self.car is not None and self._cable_whole and "pe-lost" not in self.faults:
            load, diode = self.car.resistance_ohm, self.car.diode and "diode" not in self.faults
        high, low = pilot_levels(duty, load, diode)
        if "pilot-voltage" in self.faults and duty > 0.0:
            low = PILOT_STUCK_V if low == high else low
            high = PILOT_STUCK_V
        self.high.advance(step_s, high)
        self.low.advance(step_s, low)

    def _advance_rcd(self, step_s: float) -> None:
        if self.commands.rcd_test and "rcd-test-fails" not in self.faults:
            self._rcd_tested_s = min(self._rcd_tested_s + step_s, 2 * RCD_TEST_S)
        else:
            self._rcd_tested_s = max(0.0, self._rcd_tested_s - step_s)

    def _advance_temperature(self, step_s: float) -> None:
        target = self.ambient_c
        if "over-temperature" in self.faults:
            target = HOT_C
        elif self.car is not None:
            target += HEATING_K * (self.car.current_a / 32.0) ** 2
        if target != self.temperature_c:
            most = WARMING_K_PER_S * step_s
            self.temperature_c += max(-most, min(most, target - self.temperature_c))


class Borne:
    """All points and what they share."""

    def __init__(self, setups: list[PointSetup], nominal_v: float = 230.0) -> None:
        self.points = {setup.id: Point(setup, nominal_v) for setup in setups}
        self.nominal_v = nominal_v
        self.faults: set[str] = set()
        self.speed = 1.0
        self.building_a: Phases3 = (0.0, 0.0, 0.0)
        """What else is drawn behind the building's meter, on the phases of the supply."""
        self.subscribed_kva = 36
        self.coils_armed = False
        self.grid_closed = (False, False)
        """The grid operator's contacts."""
        self._now: float | None = None

    def advance(self, now: float, heartbeat_at: float | None) -> None:
        """Bring everything to `now` (s). `heartbeat_at`: when the heartbeat last changed; None: never."""
        before = now if self._now is None else self._now
        self._now = now
        beating = heartbeat_at is not None and now - heartbeat_at < COIL_WATCHDOG_S
        beating = beating or "coil-watchdog-stuck" in self.faults
        self.coils_armed = beating and "coil-watchdog" not in self.faults
        left = now - before
        while left > 0.0:
            step = min(left, LONGEST_STEP_S)
            left -= step
            for point in self.points.values():
                point.advance(step, self.coils_armed, self.speed)

    @property
    def grid_current_a(self) -> Phases3:
        """Through the building's meter, on the phases of the supply."""
        points = [point.supply_current_a for point in self.points.values()]
        first, second, third = (own + sum(amps[phase] for amps in points) for phase, own in enumerate(self.building_a))
        return first, second, third

    @property
    def emergency_stop(self) -> bool:
        return "emergency-stop" in self.faults

    @property
    def door_open(self) -> bool:
        return "door-open" in self.faults

    @property
    def moving(self) -> bool:
        return any(point.moving for point in self.points.values())
