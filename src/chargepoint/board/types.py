"""What the pins mean: the signals a point and the borne give to, and take from, the safety process.

Everything here is in physical units, already freed of the front end's scaling: volts at the
control pilot, ohms at the proximity contact, degrees Celsius at the socket. No I/O, no clock.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

STEADY_HIGH = 100.0
"""Duty in percent for a steady +12 V: pilot states x1, "EVSE not ready"."""

STEADY_LOW = 0.0
"""Duty in percent for a steady -12 V: pilot state F, "EVSE not available"."""


class BoardError(Exception):
    """The board cannot be used; the message names what is missing or wrong, and the remedy."""


class LockDrive(IntEnum):
    """What the lock's H-bridge does."""

    OPEN = -1
    OFF = 0
    CLOSE = 1


@dataclass(slots=True, frozen=True)
class PointInputs:
    """One point's inputs, all of the same instant."""

    cp_high_v: float
    """Positive peak of the control pilot, V."""
    cp_low_v: float
    """Negative peak of the control pilot, V (equals `cp_high_v` when the pilot is steady)."""
    pp_ohm: float
    """Resistance between proximity contact and PE, ohm; `math.inf` when open."""
    contactor_closed: bool
    """The mirror contact says that the main contacts are closed."""
    load_live: bool
    """There is mains voltage on the load side of the contactor."""
    lock_closed: bool
    lock_open: bool
    rcd_tripped: bool
    """The residual current device (30 mA AC) has tripped."""
    rdc_tripped: bool
    """The 6 mA DC detection (RDC-DD, IEC 62955) has tripped."""
    pe_ok: bool
    """The protective-earth monitor sees continuity."""
    temperature_c: float
    """At the socket's contacts, degrees Celsius."""
    reference_v: float
    """The ADC's reading of the 2.5 V reference: tells a silent ADC from a quiet pilot."""
    duty_measured: float
    """Duty of the pilot generator's output as measured by the front end, percent."""
    bay_occupied: bool = False
    domestic_plug: bool = False
    """A plug is in the domestic (Type E/F) socket, where the point has one."""
    domestic_closed: bool = False
    """Mirror contact of the domestic socket's contactor."""


@dataclass(slots=True, frozen=True)
class BorneInputs:
    """Inputs that belong to no point."""

    emergency_stop: bool
    door_open: bool
    coil_watchdog_armed: bool
    """The retriggerable monostable holds the coil supply."""
    grid_closed: tuple[bool, bool] = (False, False)
    """The grid operator's contacts; a broken wire reads as open."""
    missing: str = ""
    """Inputs that no longer answer, in words: the board is broken, or not the one that the configuration describes."""


@dataclass(slots=True, frozen=True)
class PointOutputs:
    """What the safety process commands for one point. The default is the safe state."""

    contactor: bool = False
    duty: float = STEADY_HIGH
    """0 (F), 10..96 (PWM) or 100 (x1), percent."""
    lock: LockDrive = LockDrive.OFF
    rcd_test: bool = False
    domestic_contactor: bool = False


class Board(Protocol):
    """The pins of one borne, as the safety loop sees them."""

    def read_point(self, evse_id: int) -> PointInputs:
        """All inputs of one point. Never raises: what cannot be read shows as an implausible `reference_v`."""

    def read_borne(self) -> BorneInputs: ...

    def write_point(self, evse_id: int, outputs: PointOutputs) -> None:
        """Set the outputs; the contactor first when it opens, last when it closes. Writes only what changed."""

    def write_lamps(self, evse_id: int, red: bool, green: bool, blue: bool) -> None: ...

    def write_buzzer(self, on: bool) -> None:
        """Nothing where there is no buzzer."""

    def heartbeat(self) -> None:
        """Toggle the coil watchdog's heartbeat line. Called by the safety loop itself and by nothing else."""

    def make_safe(self) -> None:
        """Contactors open, pilots steady +12 V, locks unpowered: at start before anything is read, and at exit."""

    def close(self) -> None:
        """`make_safe`, then release the devices."""
