"""What crosses the wall between the two processes: permission and requests one way, events the other.

A SOCK_SEQPACKET Unix socket, `<run_dir>/evse.sock`; the safety process listens. One JSON object a packet, told
apart by its `type`. The station imports this module and nothing else of `evse`.
All `t` are seconds of CLOCK_MONOTONIC, which both processes share; no wall-clock time crosses the wall.
"""

from typing import Literal

import msgspec

from chargepoint.connectors import TYPE_2

SOCKET_NAME = "evse.sock"
LEASE_S = 10.0
"""How long a permission lasts unless renewed (design decision; see the safety argument)."""
LAST_WORDS_NAME = "evse-last-words"
"""Beside the socket: what the safety process died of, in a line, when it died of an error."""
RENEW_S = 2.0
"""How often the station renews it."""

LockState = Literal["none", "unlocked", "locked", "moving", "failed"]
"""`none`: a tethered cable, there is no lock."""


class Permit(msgspec.Struct, tag="permit", tag_field="type", frozen=True):
    """Permission for one point: a lease of `LEASE_S`, renewed by sending it again."""

    evse: int
    allowed: bool
    """The car may draw current now."""
    current_a: float
    """At most so many amperes per phase; under 6 counts as not allowed."""
    hold_lock: bool = False
    """Keep the plug locked as long as this lease lives, whatever the pilot says (a session is open)."""
    connector: int = TYPE_2
    """1: Type 2. 2: the point's domestic socket, which needs the whole current it is made for. At most one of a point
    is permitted at a time."""
    wake_up: bool = True
    """The wake-up pulse (state F for 4 s, once per plug-in) may be used."""


class Unlock(msgspec.Struct, tag="unlock", tag_field="type", frozen=True):
    """Release the plug as soon as the contactor is confirmed open. Answered by `Done`."""

    evse: int
    id: int


class Lamps(msgspec.Struct, tag="lamps", tag_field="type", frozen=True):
    """Show a pattern on a point's lamps; the safety loop plays it. `steps`: (red, green, blue, ms)."""

    evse: int
    steps: tuple[tuple[bool, bool, bool, int], ...]


class Buzz(msgspec.Struct, tag="buzz", tag_field="type", frozen=True):
    """Sound the borne's buzzer once, for a point: milliseconds sounding, silent, sounding and so on."""

    evse: int
    steps: tuple[int, ...]


class SelfTest(msgspec.Struct, tag="self-test", tag_field="type", frozen=True):
    """Run a self-test (`rcd`, `lock`, `contactor`, `pilot`, `all`); refused with a car plugged. Answered by `Done`,
    whose `detail` has what was measured, or what is wrong."""

    evse: int
    id: int
    what: str = "all"


class Acknowledge(msgspec.Struct, tag="acknowledge", tag_field="type", frozen=True):
    """A technician acknowledges a latched fault; refused while its cause or a plug is present. Answered by `Done`."""

    evse: int
    id: int
    fault: str


class Dump(msgspec.Struct, tag="dump", tag_field="type", frozen=True):
    """Write the recorder's ring to the state directory. Answered by `Done`, with the file's name as `detail`; of one
    for a fault, which is written a moment later and once in ten minutes, without."""

    evse: int
    id: int
    reason: str = "request"
    """Or the name of a fault that the station has raised."""


class Done(msgspec.Struct, tag="done", tag_field="type", frozen=True):
    """The answer to the request `id`."""

    id: int
    evse: int
    ok: bool
    detail: str = ""


class Fault(msgspec.Struct, frozen=True):
    """An active fault: its name in the fault table, since when, and the value that raised it, in words."""

    name: str
    since: float
    detail: str = ""


class Trace(msgspec.Struct, tag="trace", tag_field="type", frozen=True):
    """Send this client a `Sample` of the point every `interval_s` for `seconds` (0 ends it)."""

    evse: int
    seconds: float
    interval_s: float = 0.1


class Sample(msgspec.Struct, tag="sample", tag_field="type", frozen=True):
    """One line of a trace."""

    evse: int
    t: float
    cp_high_v: float
    cp_low_v: float
    pp_ohm: float | None
    duty: float
    state: str
    contactor: bool
    temperature_c: float


class PointReport(msgspec.Struct, tag="point", tag_field="type", frozen=True):
    """The whole state of a point: sent on every change, on connection, and once a second."""

    evse: int
    t: float
    boot: str
    """Identity of this run of the safety process."""
    state: str
    """A1..F, as IEC 61851-1 names them (E and F without a digit)."""
    plugged: bool
    """A cable is in the socket (proximity), or the car is on the tethered cable."""
    plug_count: int
    """Plug-ins of a car since `boot`: tells a car that never left from one that was exchanged unseen."""
    cable_a: float | None
    """What the cable may carry, A; None without cable or when tethered."""
    duty: float
    offered_a: float
    """What the pilot signals to the car now, A; 0 in x1."""
    contactor_commanded: bool
    contactor_closed: bool
    """As the mirror contact says."""
    lock: LockState
    permitted: bool
    """A live lease allows charging."""
    closed_at: float | None
    """When the contactor (of either connector) was last confirmed closed, and since then not opened."""
    opened_at: float | None
    """When one was last confirmed open after having been closed."""
    waiting: str
    """Why the contactor of the connector in use is not closed, as a key; empty when it is.

    `no-permission`, `car`, `lock`, `diode`, `reclose-delay`, `fault`, `self-test`, `wake-up`, ...
    """
    cp_high_v: float | None
    """None, like the two below, where an external controller keeps it to itself."""
    cp_low_v: float | None
    temperature_c: float | None
    derate: float
    """Fraction of the current that temperature still allows, 0..1."""
    wake_ups: int
    """Wake-up pulses in this plug-in."""
    faults: tuple[Fault, ...] = ()
    bay_occupied: bool = False
    connector: int = TYPE_2
    """The connector that is, or was last, in use."""
    domestic_plug: bool = False
    """A plug is in the domestic socket, and has been for long enough not to be its switch's bouncing."""
    counters: dict[str, int] = {}
    """contactor_closings, openings_under_load, lock_moves, trips, wake_ups, ..."""
    domestic_commanded: bool = False
    """The domestic socket's contactor; the `contactor_` fields are the Type 2 socket's."""
    domestic_closed: bool = False
    domestic_count: int = 0
    """Plugs in the domestic socket since `boot`."""


class BorneReport(msgspec.Struct, tag="borne", tag_field="type", frozen=True):
    """What belongs to no point: sent on change, on connection, and once a second."""

    t: float
    boot: str
    faults: tuple[Fault, ...] = ()
    emergency_stop: bool = False
    door_open: bool = False
    ticks: int = 0
    late_max_ms: float = 0.0
    """Worst lateness of the loop since the last report."""
    grid_closed: tuple[bool, bool] = (False, False)
    """The grid operator's contacts, `input-1` and `input-2`; a broken wire reads as open."""


ToEvse = Permit | Unlock | Lamps | Buzz | SelfTest | Acknowledge | Dump | Trace
FromEvse = PointReport | BorneReport | Done | Sample

encode = msgspec.json.Encoder().encode
decode_to_evse = msgspec.json.Decoder(ToEvse).decode
decode_from_evse = msgspec.json.Decoder(FromEvse).decode
