"""Every configuration key of OCPP 1.6 this charge point has: one table.

A key is text on the wire. Its row says how the text is read (raising ValueError with a sentence for what cannot
be), and where the value lives: in the neutral `Settings`, in the link's or queue's policy, in what only this
protocol knows, or nowhere because it is a fact.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from chargepoint.config import Config
from chargepoint.energy.profiles import Bounds
from chargepoint.ocpp.connection import LinkPolicy
from chargepoint.ocpp.lookout import ANSWER_TIMEOUT_MAX_S
from chargepoint.ocpp.queue import RetryPolicy
from chargepoint.ocpp.truststore import CHAIN_MAX, STORE_MAX
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.station.metering import supported
from chargepoint.station.settings import Settings

MAX_VALUE: Final = 500
"""Characters: a value is a CiString500Type."""
MEASURANDS_MAX: Final = 10
MAX_INT: Final = 2_147_483_647
STOP_MAX_METER_VALUES: Final = 400
"""Errata 3.91: more would make a frame some central systems refuse."""
MAX_KEYS: Final = 100
CONNECTION_TIMEOUT_LEAST_S: Final = 1
"""With 0 a badge shown first would have run out before its plug could come."""
LOCAL_LIST_MAX: Final = 10_000
SEND_LOCAL_LIST_MAX: Final = 500
PROFILES: Final = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)
_INTEGER: Final = re.compile(r"[+-]?\d{1,10}")


class Access(StrEnum):
    READ_WRITE = "RW"
    READ = "R"
    WRITE = "W"


@dataclass(slots=True)
class ProtocolSettings:
    """What only OCPP 1.6 needs, and the policies of the link and the queue it feeds."""

    link: LinkPolicy = field(default_factory=LinkPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    heartbeat_interval_s: int = 300
    message_timeout_s: int = 30
    update_firmware_allowed: bool = True
    """Take UpdateFirmware where there is no security profile; the white paper's L01.FR.20 to the letter: do not."""
    kpi_interval_s: int = 0
    """0: none are sent."""
    site_reports: bool = False
    cpo_name: str = ""
    key_is_text: bool = False
    """The AuthorizationKey is the password itself, even when it looks hexadecimal."""
    additional_root_check: bool = False


class SecurityKeys(Protocol):
    """The owner of SecurityProfile and AuthorizationKey. Both methods raise ValueError for what cannot be."""

    @property
    def profile(self) -> int: ...
    def propose_profile(self, profile: int) -> None: ...
    def propose_key(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Owners:
    """The objects a key's value may live in."""

    config: Config
    settings: Settings
    protocol: ProtocolSettings
    security: SecurityKeys


Read = Callable[[Owners], str]
Write = Callable[[Owners, str], None]


@dataclass(frozen=True, slots=True)
class Key:
    """One row. `write` checks a text and puts it into effect; ValueError leaves everything as it was."""

    name: str
    access: Access
    read: Read
    write: Write | None = None
    neutral: str | None = None
    """Name of the neutral setting, whose change the core wants to know."""
    secret: bool = False
    """Kept by its owner and not among the settings; the configuration file gives it elsewhere."""


class TooMuch(ValueError):
    """A number above what the key takes. `most`: what it takes."""

    def __init__(self, sentence: str, most: str) -> None:
        super().__init__(sentence)
        self.most = most


def boolean(text: str) -> bool:
    """`true` or `false`, in any case."""
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return lowered == "true"


def integer(least: int = 0, most: int = MAX_INT) -> Callable[[str], int]:
    """An integer within bounds, both included."""

    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text.strip()):
            raise ValueError(f"{text!r} is not an integer")
        value = int(text)
        if value > most:
            raise TooMuch(f"{value} is not from {least} to {most}", show(most))
        if value < least:
            raise ValueError(f"{value} is not from {least} to {most}")
        return value

    return parse


def measurands(text: str) -> tuple[str, ...]:
    """A comma-separated list; spaces are tolerated, a measurand this borne cannot measure is not (errata 3.14.4)."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if not supported(name):
            raise ValueError(f"{name!r} is not a measurand of this charge point")
    if len(names) > MEASURANDS_MAX:
        raise ValueError(f"{len(names)} measurands are more than {MEASURANDS_MAX}")
    return names


def text_of(most: int) -> Callable[[str], str]:
    """Text of at most so many characters."""

    def parse(text: str) -> str:
        if len(text) > most:
            raise ValueError(f"{len(text)} characters are more than {most}")
        return text

    return parse


def show(value: Any) -> str:
    """A value as the wire has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ",".join(show(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _setting(name: str, attribute: str, parse: Callable[[str], Any], access: Access = Access.READ_WRITE) -> Key:
    def read(owners: Owners) -> str:
        return show(getattr(owners.settings, attribute))

    def write(owners: Owners, text: str) -> None:
        setattr(owners.settings, attribute, parse(text))

    return Key(name, access, read, write, attribute)


def _own(name: str, owner: Callable[[ProtocolSettings], Any], attribute: str, parse: Callable[[str], Any]) -> Key:
    def read(owners: Owners) -> str:
        return show(getattr(owner(owners.protocol), attribute))

    def write(owners: Owners, text: str) -> None:
        setattr(owner(owners.protocol), attribute, parse(text))

    return Key(name, Access.READ_WRITE, read, write)


def _protocol(name: str, attribute: str, parse: Callable[[str], Any]) -> Key:
    return _own(name, lambda protocol: protocol, attribute, parse)


def _link(name: str, attribute: str, parse: Callable[[str], Any]) -> Key:
    return _own(name, lambda protocol: protocol.link, attribute, parse)


def _retry(name: str, attribute: str, parse: Callable[[str], Any]) -> Key:
    return _own(name, lambda protocol: protocol.retry, attribute, parse)


def _fact(name: str, value: Any) -> Key:
    return Key(name, Access.READ, value if callable(value) else lambda owners: show(value))


def wiring(config: Config) -> str:
    """ConnectorPhaseRotation as the borne is really wired; the station itself is the reference."""
    rows = [f"{number}.{evse.phase_rotation}" for number, evse in enumerate(config.evse, start=1)]
    sockets = [evse.domestic.phase for evse in config.evse if evse.domestic is not None]
    rows += [f"{number}.{phase}" for number, phase in enumerate(sockets, start=len(rows) + 1)]
    return ",".join(["0.RST", *rows])


def _write_wiring(owners: Owners, text: str) -> None:
    """The rotation is a fact of the wiring: saying the same is accepted, saying otherwise is not."""
    said = {item.strip().upper() for item in text.split(",") if item.strip()}
    true = set(wiring(owners.config).split(","))
    if not said or not said <= true:
        raise ValueError(f"the connectors are wired {wiring(owners.config)}; change the configuration file with them")


def _write_intensity(owners: Owners, text: str) -> None:
    if integer(most=100)(text) != 100:
        raise ValueError("the lamps cannot be dimmed: their intensity is 100")


def _write_unlock(owners: Owners, text: str) -> None:
    value = boolean(text)
    if value and not any(evse.socket for evse in owners.config.evse):
        raise ValueError("a fixed cable cannot be unlocked")
    owners.settings.unlock_on_ev_disconnect = value


def _read_unlock(owners: Owners) -> str:
    return show(owners.settings.unlock_on_ev_disconnect and any(evse.socket for evse in owners.config.evse))


def _read_free_vend(owners: Owners) -> str:
    evses = [evse.id for evse in owners.config.evse]
    return show([evses.index(evse) + 1 for evse in owners.settings.free_vend_evses if evse in evses])


def _write_free_vend(owners: Owners, text: str) -> None:
    number = integer(1, len(owners.config.evse))
    connectors = [number(item) for item in text.split(",") if item.strip()]
    owners.settings.free_vend_evses = tuple(owners.config.evse[connector - 1].id for connector in connectors)


CORE: Final[Sequence[Key]] = (
    _setting("AllowOfflineTxForUnknownId", "offline_unknown_allowed", boolean),
    _setting("AuthorizationCacheEnabled", "cache_enabled", boolean),
    _setting("AuthorizeRemoteTxRequests", "authorize_remote_start", boolean),
    _setting("BlinkRepeat", "blink_repeat", integer(most=100)),
    _setting("ClockAlignedDataInterval", "aligned_interval_s", integer(most=86_400)),
    _setting("ConnectionTimeOut", "connection_timeout_s", integer(CONNECTION_TIMEOUT_LEAST_S, 86_400)),
    Key("ConnectorPhaseRotation", Access.READ_WRITE, lambda owners: wiring(owners.config), _write_wiring),
    _fact("ConnectorPhaseRotationMaxLength", lambda owners: show(Connectors.of(owners.config.evse).count + 1)),
    _fact("GetConfigurationMaxKeys", MAX_KEYS),
    _protocol("HeartbeatInterval", "heartbeat_interval_s", integer(1, 2_592_000)),
    Key("LightIntensity", Access.READ_WRITE, lambda owners: "100", _write_intensity),
    _setting("LocalAuthorizeOffline", "local_authorize_offline", boolean),
    _setting("LocalPreAuthorize", "local_pre_authorize", boolean),
    _setting("MaxEnergyOnInvalidId", "max_energy_on_invalid_wh", integer()),
    _protocol("MessageTimeout", "message_timeout_s", integer(1, ANSWER_TIMEOUT_MAX_S)),
    _setting("MeterValuesAlignedData", "aligned_measurands", measurands),
    _fact("MeterValuesAlignedDataMaxLength", MEASURANDS_MAX),
    _setting("MeterValuesSampledData", "sampled_measurands", measurands),
    _fact("MeterValuesSampledDataMaxLength", MEASURANDS_MAX),
    _setting("MeterValueSampleInterval", "sample_interval_s", integer(most=86_400)),
    _setting("MinimumStatusDuration", "minimum_status_s", integer(most=3600)),
    _fact("NumberOfConnectors", lambda owners: show(Connectors.of(owners.config.evse).count)),
    _setting("ResetRetries", "reset_retries", integer(most=10)),
    _fact("StopTransactionMaxMeterValues", STOP_MAX_METER_VALUES),
    _setting("StopTransactionOnEVSideDisconnect", "stop_on_ev_disconnect", boolean),
    _setting("StopTransactionOnInvalidId", "stop_on_invalid", boolean),
    _setting("StopTxnAlignedData", "ended_aligned_measurands", measurands),
    _fact("StopTxnAlignedDataMaxLength", MEASURANDS_MAX),
    _setting("StopTxnSampledData", "ended_sampled_measurands", measurands),
    _fact("StopTxnSampledDataMaxLength", MEASURANDS_MAX),
    _retry("TransactionMessageAttempts", "attempts", integer(1, 1000)),
    _retry("TransactionMessageRetryInterval", "interval_s", integer(most=86_400)),
    Key("UnlockConnectorOnEVSideDisconnect", Access.READ_WRITE, _read_unlock, _write_unlock, "unlock_on_ev_disconnect"),
    _fact("SupportedFeatureProfiles", PROFILES),
    _link("WebSocketPingInterval", "ping_interval_s", integer(most=86_400)),
)
"""9.1 of the specification, with errata 3.83, 3.84, 3.91."""

LOCAL_LIST: Final[Sequence[Key]] = (
    _setting("LocalAuthListEnabled", "local_list_enabled", boolean),
    _fact("LocalAuthListMaxLength", LOCAL_LIST_MAX),
    _fact("SendLocalListMaxLength", SEND_LOCAL_LIST_MAX),
)
"""9.2."""

RESERVATION: Final[Sequence[Key]] = (_fact("ReserveConnectorZeroSupported", True),)
"""9.3."""

SMART_CHARGING: Final[Sequence[Key]] = (
    _fact("ChargeProfileMaxStackLevel", Bounds().stack),
    _fact("ChargingScheduleAllowedChargingRateUnit", ("Current", "Power")),
    _fact("ChargingScheduleMaxPeriods", Bounds().periods),
    _fact("ConnectorSwitch3to1PhaseSupported", False),
    _fact("MaxChargingProfilesInstalled", Bounds().profiles),
)
"""9.4."""

FIRMWARE: Final[Sequence[Key]] = (_fact("SupportedFileTransferProtocols", ("HTTP", "HTTPS", "FTP", "FTPS")),)
"""9.5 (errata 3.90)."""

SECURITY: Final[Sequence[Key]] = (
    replace(_protocol("AdditionalRootCertificateCheck", "additional_root_check", boolean), access=Access.READ),
    Key(
        "AuthorizationKey",
        Access.WRITE,
        lambda owners: "",
        lambda owners, text: owners.security.propose_key(text),
        secret=True,
    ),
    _fact("CertificateSignedMaxChainSize", CHAIN_MAX),
    _fact("CertificateStoreMaxLength", STORE_MAX),
    _protocol("CpoName", "cpo_name", text_of(64)),
    Key(
        "SecurityProfile",
        Access.READ_WRITE,
        lambda owners: show(owners.security.profile),
        lambda owners, text: owners.security.propose_profile(integer(most=3)(text)),
        secret=True,
    ),
)
"""White paper, 7."""

OURS: Final[Sequence[Key]] = (
    _protocol("AuthorizationKeyIsText", "key_is_text", boolean),
    _setting("FleetParentIdTag", "fleet_group", text_of(20)),
    _setting("FleetUnattended", "fleet_unattended", boolean),
    Key("FreeVendConnectors", Access.READ_WRITE, _read_free_vend, _write_free_vend, "free_vend_evses"),
    _setting("FreeVendIdTag", "free_vend_tag", text_of(20)),
    _protocol("KpiInterval", "kpi_interval_s", integer(most=2_592_000)),
    _setting("ResumeTransactionAfterPowerLoss", "resume_after_power_loss_s", integer(most=86_400)),
    _setting("ResumeTransactionAfterRestart", "resume_after_restart", boolean),
    _link("RetryBackOffRandomRange", "random_range_s", integer(most=3600)),
    _link("RetryBackOffRepeatTimes", "repeat_times", integer(most=20)),
    _link("RetryBackOffWaitMinimum", "wait_minimum_s", integer(most=3600)),
    _protocol("SiteReports", "site_reports", boolean),
    _protocol("UpdateFirmwareAllowed", "update_firmware_allowed", boolean),
    _link("WebSocketPongTimeout", "pong_timeout_s", integer(1, 600)),
)
"""Keys of no standard; the back-off is named as OCPP 2.0.1 names it."""

ALL: Final[Sequence[Key]] = (*CORE, *LOCAL_LIST, *RESERVATION, *SMART_CHARGING, *FIRMWARE, *SECURITY, *OURS)
