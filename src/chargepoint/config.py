"""The configuration file as typed objects: what may stand in it, its units, ranges and defaults.

`config_check.py` turns a TOML file into these and names every mistake by its key path. All processes
read the same file; nothing here opens a device or a socket.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from chargepoint.connectors import DOMESTIC, TYPE_2

DEFAULT_PATH = Path("/etc/chargepoint/chargepoint.toml")

Amps = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=48)]
Rotation = Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR", "R", "S", "T"]
"""OCPP's letters: which supply phase (R = L1, S = L2, T = L3) is on the socket's L1, L2, L3."""


class _Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    pass


class StationSection(_Section, frozen=True, kw_only=True):
    id: Name
    """OCPP identity: the last path segment of the URL."""
    vendor: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "chargepoint"
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "Borne"
    serial: Annotated[str, msgspec.Meta(max_length=25)] = ""
    state_dir: Path = Path("/var/lib/chargepoint")
    """The journal, and what the safety process must remember."""
    run_dir: Path = Path("/run/chargepoint")
    """Sockets, and the simulated wires."""
    language: Literal["en", "fr"] = "fr"
    """What a technician reads."""


class SupplySection(_Section, frozen=True, kw_only=True):
    phases: Literal[1, 3] = 3
    voltage: Annotated[float, msgspec.Meta(ge=100, le=300)] = 230
    """V, phase to neutral."""
    max_current: Amps
    """A per phase, for the whole borne."""


class BoardSection(_Section, frozen=True, kw_only=True):
    kind: Literal["raspberry-pi", "simulated", "modbus-pilot"]
    """`modbus-pilot`: each point's pilot, and its safety, is the work of an external controller (`evse.controller`)."""
    pins: dict[str, str] = {}
    """Overrides of the pin map (`board/pins.toml`), signal name to line name."""
    pulls: dict[str, Literal["up", "down"]] = {}
    """Lines that an own carrier holds by a resistor, beside those of the reference carrier, and which way."""


class MeterRef(_Section, frozen=True, kw_only=True):
    model: str
    """Name of a register map (a file of `meter/maps`)."""
    unit: Annotated[int, msgspec.Meta(ge=1, le=247)]
    """Modbus unit id on the shared bus."""


class BuildingMeterSection(_Section, frozen=True, kw_only=True):
    """A meter of everything behind the supply, the borne included: the limit follows what the building leaves over."""

    model: str
    """Name of a register map (a file of `meter/maps`)."""
    unit: Annotated[int, msgspec.Meta(ge=1, le=247)] = 1
    transport: Literal["rtu", "tcp"] = "rtu"
    device: str = ""
    """RTU: its own serial device; empty means the bus of the points' meters."""
    host: str = ""
    """TCP: name or address of the meter or its gateway."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    """TCP port."""
    interval: Annotated[float, msgspec.Meta(ge=0.2, le=5)] = 1.0
    """Seconds between two readings; a meter not heard for ten seconds counts as silent."""
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR"] = "RST"
    """Which phase of the supply is on the meter's L1, L2, L3."""
    max_current: Amps | None = None
    """A per phase that may flow through this meter; None: `supply.max_current`."""
    includes_borne: bool = True
    """The borne's own current passes through this meter."""
    production: bool = False
    """There is a generator behind it: showing less than the borne draws is then no wiring fault."""


class DomesticSection(_Section, frozen=True, kw_only=True):
    """A Type E/F socket on the same point; connector 2 of the EVSE, and behind the point's meter."""

    max_current: Annotated[float, msgspec.Meta(ge=8, le=16)] = 10
    """A. There is no pilot to lower it: the socket has this current, or is off."""
    phase: Literal["R", "S", "T"] = "R"
    """Phase of the supply it is on; one of those of the point."""


class ControllerSection(_Section, frozen=True, kw_only=True):
    """A pilot controller on Modbus: IEC 61851-1, contactor, lock and residual current are its work. It is on TCP
    (`host`) or on a serial line of its own (`device`)."""

    model: str
    """Name of a register map (a file of `controller/maps`)."""
    host: str = ""
    """Name or address, for Modbus TCP."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    """TCP port."""
    device: str = ""
    """Serial device, for Modbus RTU; not that of the meters."""
    baudrate: Literal[2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Literal["N", "E", "O"] = "N"
    unit: Annotated[int, msgspec.Meta(ge=1, le=255)] | None = None
    """Modbus unit; None: as the maker delivers it."""


class EvseSection(_Section, frozen=True, kw_only=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=99)]
    max_current: Annotated[float, msgspec.Meta(ge=6, le=80)]
    """A."""
    phases: Literal[1, 3] = 3
    phase_rotation: Rotation = "RST"
    socket: bool = True
    """False: tethered cable, so no lock and no proximity contact."""
    ventilated: bool = False
    """The site is ventilated: state D may be energised."""
    meter: MeterRef | None = None
    domestic: DomesticSection | None = None
    controller: ControllerSection | None = None
    """With `board.kind = "modbus-pilot"`: who handles this point's pilot."""
    weight: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 1.0
    """Share of the supply above the minimum, relative to the other points."""
    evse_id: str = ""
    """Public identifier of the point, FR*xxx*E form; shown, never sent by OCPP 1.6."""

    @property
    def connectors(self) -> tuple[int, ...]:
        """Their numbers, as in `chargepoint.connectors`."""
        return (TYPE_2,) if self.domestic is None else (TYPE_2, DOMESTIC)


class MeterBusSection(_Section, frozen=True, kw_only=True):
    port: str = ""
    """Serial device; empty: `/dev/chargepoint-meters`, a name that the udev rules give."""
    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Literal["N", "E", "O"] = "N"
    interval: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    """Seconds between two readings of one meter."""


class ReaderSection(_Section, frozen=True, kw_only=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    kind: Literal["pn532", "rdm6300", "id12", "id20", "sl032", "twn4", "wiegand", "hid", "hid-decimal"] = "pn532"
    """The keys of `reader.reader.KINDS`."""
    port: str = ""
    """Serial device; empty: `/dev/chargepoint-reader`, and `-reader-N` for reader N after the first.

    `wiegand`: stays empty; its two lines are `wiegand_zero` and `wiegand_one` of the pin map."""
    evses: tuple[int, ...] = ()
    """Points it serves; empty means all."""
    byte_order: Literal["msb", "lsb"] = "msb"
    """`msb`: bytes in the order the card sends them; `lsb`: reversed."""
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 0.6
    """A card held at the reader counts once until it has been away for so long."""


class TicSection(_Section, frozen=True, kw_only=True):
    port: str = ""
    """Serial device; empty: `/dev/chargepoint-tic`."""
    serial: str = ""
    """ADCO/ADSC of the meter to listen to; empty means any."""
    limits: bool = True
    """Limit the borne to what the subscribed power leaves; false: only listen for tariff and relays."""
    includes_borne: bool = True
    """The borne is fed through this meter."""
    production: bool = False
    """There is a generator behind the meter."""


class SharingSection(_Section, frozen=True, kw_only=True):
    """How the supply is shared, and what holds while nobody knows how much of it is left."""

    safe_current: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    """A per phase for the whole borne while a meter of the connection is silent or wrong; None: 6 A for each point."""
    margin: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    """A per phase kept free below what the connection's meters allow."""
    fleet_groups: tuple[str, ...] = ()
    """Groups (parent id tags) of car-share badges."""
    fleet_weight: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 1.0
    """Share of a fleet car above the minimum, others having 1."""
    off_peak: tuple[str, ...] = ()
    """Tariffs (LTARF or PTEC as the meter writes them) in which fleet cars charge; empty: in all."""


class GridSignalSection(_Section, frozen=True, kw_only=True):
    """A contact of the grid operator that limits points. A broken wire reads as an open contact, so a signal that must
    not be missed is `active = "open"`: the wire's break then limits. With "closed" a broken wire is no signal."""

    name: Name
    source: Literal[
        "tic-relay-1", "tic-relay-2", "tic-relay-3", "tic-relay-4",
        "tic-relay-5", "tic-relay-6", "tic-relay-7", "tic-relay-8", "input-1", "input-2",
    ]  # fmt: skip
    """`tic-relay-1`: the Linky's real contact, 2 to 8 its virtual ones; a Linky silent for 10 s gives no signal.
    `input-1`, `input-2`: contacts wired to the controller board (24 V, `grid_a` and `grid_b` of the pin map)."""
    limit: Annotated[float, msgspec.Meta(ge=0, le=80)]
    """A for each point while the signal is active; below 6: charging pauses."""
    active: Literal["closed", "open"] = "closed"
    evses: tuple[int, ...] = ()
    """Points it concerns; empty means all."""


class OcppSection(_Section, frozen=True, kw_only=True):
    version: Literal["1.6", "2.0.1"] = "1.6"
    """This release speaks 1.6; `check` refuses the other."""
    url: str = ""
    """ws:// or wss:// address without the identity; empty means no central system."""
    security_profile: Literal[0, 1, 2, 3] = 2
    allow_insecure: bool = False
    """Accept security profile 0 on a real board."""
    password_file: Path | None = None
    csms_ca_file: Path | None = None
    client_certificate_file: Path | None = None
    client_key_file: Path | None = None
    firmware_crl_file: Path | None = None
    """PEM lists of revoked certificates (CRL) of the manufacturer: firmware signed with one of them is refused."""
    configuration: dict[str, Any] = {}
    variables: dict[str, Any] = {}


class AuthorisationSection(_Section, frozen=True, kw_only=True):
    pairing_window: Annotated[float, msgspec.Meta(ge=5, le=600)] = 120
    """Seconds a badge waits for a plug, unless ConnectionTimeOut has been set."""
    free_vend_tag: Annotated[str, msgspec.Meta(max_length=20)] = ""
    """A dedicated bay: a plug-in alone starts a session with this tag; empty means off. OCPP's idTag has 20 characters:
    a central system would never take a transaction with a longer one."""
    free_vend_evses: tuple[int, ...] = ()
    fleet_group: str = ""
    """Offline, badges of this group may start at a point that a reservation keeps for the group; empty means off."""
    fleet_unattended: bool = False
    """Offline, plugging in at such a point is enough: the session runs on the reservation's own token."""


class ModemSection(_Section, frozen=True, kw_only=True):
    """What is done, besides connecting again and again, about a central system that stays away."""

    reset_command: tuple[str, ...] = ()
    """Resets the modem: a program and its arguments, run without a shell; empty: nothing."""
    reset_after: Annotated[float, msgspec.Meta(ge=120, le=604800)] = 900
    """Seconds without a link before the first reset; after 2, 4, 8... times that, up to a day, it comes again."""
    power_command: tuple[str, ...] = ()
    """Takes the modem off its supply and back; empty: nothing."""
    power_after: Annotated[float, msgspec.Meta(ge=120, le=604800)] = 3600
    """Seconds without a link before that."""
    reboot_command: tuple[str, ...] = ()
    """Starts the machine anew: while no cable is in any socket, or on a hard reset of the operator's; empty: never."""
    reboot_after: Annotated[float, msgspec.Meta(ge=600, le=2592000)] = 14400
    """Seconds without a link before that."""


class SupervisionSection(_Section, frozen=True, kw_only=True):
    """What is done about a station that falls again and again."""

    safe_after: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5
    """Crashes within two minutes after which it starts in safe mode: no charging, but `status` and `why` tell why;
    the whole station is tried again after 1, 2, 5, 10, then every 30 minutes. 0: never."""


class LogSection(_Section, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


LAMP_PATTERN = r"^(red|green|blue|yellow|cyan|magenta|white|off)( \d{2,4} \d{2,4}){0,6}$"
Lamp = Annotated[str, msgspec.Meta(pattern=LAMP_PATTERN)]


class LampsSection(_Section, frozen=True, kw_only=True):
    """What a point's lamps show the driver: a colour, then for how many milliseconds they are lit and dark, again and
    again; without a rhythm they are lit. Rhythms differ, so that nobody has to tell colours apart; `check` sees to it.
    """

    available: Lamp = "green"
    """Free."""
    preparing: Lamp = "green 700 700"
    """A plug or a badge is awaited."""
    charging: Lamp = "blue 2600 400"
    waiting_car: Lamp = "blue 200 250 200 1350"
    """The car takes no current."""
    waiting_current: Lamp = "blue 200 250 200 250 200 1400"
    """The borne gives none: no share of the supply, a protection that is being tested, and the reasons of the next
    rows where they are left out."""
    waiting_grid: Lamp | None = None
    """The connection leaves too little: the Linky, the building's meter, a signal of the grid operator."""
    waiting_temperature: Lamp | None = None
    """The socket is too warm."""
    waiting_schedule: Lamp | None = None
    """A profile or a limit of the operator, of a technician, or off-peak hours to come."""
    waiting_authorisation: Lamp | None = None
    """A cable is in and a badge is awaited (left out: `preparing`), or the badge was refused after the start."""
    finishing: Lamp = "green 1500 300 200 300"
    """The session is over and the cable still in."""
    reserved: Lamp = "yellow 1400 300 200 250 200 300"
    unavailable: Lamp = "red 150 2850"
    """Out of service by order."""
    faulted: Lamp = "red 300 300"
    asking: Lamp = "white 120 120"
    """For two seconds, like the following: the central system is asked about a badge."""
    accepted: Lamp = "green 900 100"
    refused: Lamp = "red 90 90 90 430"
    understood: Lamp = "blue 500 200"
    """A badge ended a session."""


TONE_PATTERN = r"^$|^\d{2,3}( \d{2,3} \d{2,3}){0,4}$"
Tones = Annotated[str, msgspec.Meta(pattern=TONE_PATTERN)]


class BuzzerSection(_Section, frozen=True, kw_only=True):
    """A buzzer for the whole borne, beside the lamps: for how many milliseconds it sounds, is silent, sounds, once."""

    enabled: bool = False
    """There is one, at the line `buzzer` of the pin map."""
    accepted: Tones = "120"
    """A badge begins or ends a session."""
    refused: Tones = "80 80 80 80 80"
    fault: Tones = "600 300 600"
    """A point has got a fault; empty, as in the other rows: no sound."""


class ConsoleSection(_Section, frozen=True, kw_only=True):
    """The technician's console."""

    pin_file: Path = Path("/etc/chargepoint/console-pin")
    """Holds the hash of the PIN; written by the console's `pin` or by provisioning."""


class Config(_Section, frozen=True, kw_only=True):
    station: StationSection
    supply: SupplySection
    board: BoardSection
    evse: Annotated[tuple[EvseSection, ...], msgspec.Meta(min_length=1, max_length=16)]
    meter_bus: MeterBusSection = MeterBusSection()
    reader: tuple[ReaderSection, ...] = (ReaderSection(),)
    building_meter: BuildingMeterSection | None = None
    tic: TicSection | None = None
    sharing: SharingSection = SharingSection()
    grid_signal: tuple[GridSignalSection, ...] = ()
    ocpp: OcppSection = OcppSection()
    authorisation: AuthorisationSection = AuthorisationSection()
    lamps: LampsSection = LampsSection()
    buzzer: BuzzerSection = BuzzerSection()
    modem: ModemSection = ModemSection()
    supervision: SupervisionSection = SupervisionSection()
    log: LogSection = LogSection()
    console: ConsoleSection = ConsoleSection()

    @property
    def simulated(self) -> bool:
        """Only `board`'s factory and the choice of default ports may ask this."""
        return self.board.kind == "simulated"

    @property
    def external_pilots(self) -> bool:
        return self.board.kind == "modbus-pilot"

    def meter_port(self) -> str:
        """Serial device of the meter bus."""
        return self.meter_bus.port or self._wire("meters")

    def reader_port(self, reader: ReaderSection) -> str:
        """Serial device of a badge reader; of one on GPIO lines only words."""
        if reader.kind == "wiegand":
            return "GPIO lines of the pin map"
        return reader.port or self._wire("reader" if reader.id == 1 and not self.simulated else f"reader-{reader.id}")

    def tic_port(self) -> str:
        """Serial device of the Linky TIC; empty when the borne listens to none."""
        if self.tic is None:
            return ""
        return self.tic.port or self._wire("tic")

    def _wire(self, name: str) -> str:
        """The link that the simulated borne makes to a pseudo-terminal, or the udev rules to the carrier's UART."""
        return str(self.station.run_dir / f"sim-{name}") if self.simulated else f"/dev/chargepoint-{name}"

    def reader_evses(self, reader: ReaderSection) -> tuple[int, ...]:
        return reader.evses or tuple(e.id for e in self.evse)
