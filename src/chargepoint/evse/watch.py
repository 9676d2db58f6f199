"""Detectors: what the inputs of one pass say is wrong. Each keeps only what it needs to tell a glitch from a fault."""

from chargepoint.board.types import STEADY_HIGH, BorneInputs, PointInputs
from chargepoint.evse.offer import RESTORE_C, SENSOR_MIN_C
from chargepoint.iec61851.pilot import GENERATOR_MAX_V, GENERATOR_MIN_V, Band
from chargepoint.iec61851.proximity import OPEN_OHM

REFERENCE_V = 2.5
REFERENCE_TOLERANCE_V = 0.1
ADC_BAD_RESULTS = 3
"""30 ms of nonsense from the converter are a fault; one result of it already keeps a contactor from closing."""

START_S = 0.5
"""After the first sound result at the start."""
START_LIMIT_S = 5.0
"""A converter that says nothing sound for so long after the start is silent."""

OVER_RESULTS = 3
"""Results above 13 V or below -13 V: 30 ms, the generator is wrong or something else feeds the pilot."""
GAP_RESULTS = 50
"""Results between 10.35 and 11 V without a car: 500 ms, the generator is weak."""

DUTY_TOLERANCE = 3.0
"""Percent of duty: the generator's +-5 % of 12 V make 2.5 of it in the steady states."""
DUTY_SETTLE_S = 0.3
"""The front end's mean needs so long after a change."""
DUTY_BAD_S = 0.2

WATCHDOG_GRACE_S = 1.0
"""The monostable may take so long to charge after the first heartbeat."""
WATCHDOG_DROP_S = 1.0
"""Twice what the slowest monostable holds the coils after a beat (487 ms, hardware/README.md). Not more than the grace:
until it has dropped the points take it for unarmed, and this says better what is wrong."""


class ConverterWatch:
    """The ADC's reference tells a silent converter from a quiet pilot.

    At the start the front end needs a moment: nothing analogue is judged before `settled`, and nothing may be closed.
    """

    __slots__ = ("_bad", "_settles_at", "_started", "settled", "trusted")

    def __init__(self, now: float) -> None:
        self._bad = 0
        self._started = now
        self._settles_at: float | None = None
        self.settled = False
        """The front end has had its time since its first sound result."""
        self.trusted = False
        """This pass's analogue values may be used."""

    def step(self, reference_v: float, now: float) -> bool:
        """True while the converter is at fault."""
        self.trusted = abs(reference_v - REFERENCE_V) <= REFERENCE_TOLERANCE_V
        self._bad = 0 if self.trusted else self._bad + 1
        if self.settled:
            return self._bad >= ADC_BAD_RESULTS
        if not self.trusted:
            self._settles_at = None
            return now - self._started >= START_LIMIT_S
        if self._settles_at is None:
            self._settles_at = now + START_S
        self.settled = now >= self._settles_at
        return False


class VoltageWatch:
    """Pilot voltages that neither a sound generator nor a sound car can make."""

    __slots__ = ("_gap", "_over")

    def __init__(self) -> None:
        self._gap = 0
        self._over = 0

    def step(self, i: PointInputs, band: Band, duty: float) -> bool:
        """True while the voltage is out of band. Not to be asked while F is commanded."""
        self._over = self._over + 1 if i.cp_high_v > GENERATOR_MAX_V or i.cp_low_v < -GENERATOR_MAX_V else 0
        gap = band is Band.A and duty == 100.0 and i.cp_high_v < GENERATOR_MIN_V
        self._gap = self._gap + 1 if gap else 0
        return self._over >= OVER_RESULTS or self._gap >= GAP_RESULTS


class DutyWatch:
    """Compares the duty read back with the one commanded."""

    __slots__ = ("_bad_since", "_changed", "_duty")

    def __init__(self, now: float) -> None:
        self._duty = 100.0
        self._changed = now
        self._bad_since: float | None = None

    def step(self, measured: float, commanded: float, now: float) -> bool:
        """True while the generator does not follow."""
        if commanded != self._duty:
            self._duty = commanded
            self._changed = now
            self._bad_since = None
        if -DUTY_TOLERANCE <= measured - commanded <= DUTY_TOLERANCE:
            self._bad_since = None
            return False
        if now - self._changed < DUTY_SETTLE_S:
            return False
        if self._bad_since is None:
            self._bad_since = now
        return now - self._bad_since >= DUTY_BAD_S


class CoilWatchdogWatch:
    """The coil watchdog must be armed while the loop feeds it."""

    __slots__ = ("_since",)

    def __init__(self, now: float) -> None:
        self._since = now

    def step(self, armed: bool, now: float) -> bool:
        """True while it is at fault."""
        if armed:
            self._since = now
            return False
        return now - self._since >= WATCHDOG_GRACE_S


class CoilWatchdogDrop:
    """At the start the coil watchdog must be seen unarmed once: one that is stuck armed would drop nothing.

    Until then it gets no beat. The process before may have given one a moment ago: that holds for 487 ms at most.
    """

    __slots__ = ("_began", "seen")

    def __init__(self, now: float) -> None:
        self._began = now
        self.seen = False

    def step(self, armed: bool, now: float) -> bool:
        """True while it is at fault: armed for so long without a beat."""
        self.seen = self.seen or not armed
        return not self.seen and now - self._began >= WATCHDOG_DROP_S


def nominal(i: PointInputs, b: BorneInputs, socket: bool) -> bool:
    """Every input is what an empty, sound point shows at x1: no detector can have anything to say about them."""
    return (
        GENERATOR_MIN_V < i.cp_high_v <= GENERATOR_MAX_V
        and i.cp_low_v > GENERATOR_MIN_V
        and -REFERENCE_TOLERANCE_V <= i.reference_v - REFERENCE_V <= REFERENCE_TOLERANCE_V
        and SENSOR_MIN_C < i.temperature_c <= RESTORE_C
        and -DUTY_TOLERANCE <= i.duty_measured - STEADY_HIGH <= DUTY_TOLERANCE
        and i.pe_ok
        and b.coil_watchdog_armed
        and not (i.rcd_tripped or i.rdc_tripped or i.contactor_closed or i.load_live or i.lock_closed)
        and not (b.emergency_stop or b.door_open or b.missing or i.domestic_plug or i.domestic_closed)
        and (not socket or (i.lock_open and i.pp_ohm > OPEN_OHM))
    )
