"""The line between the business core and the protocol rooms, in neutral terms.

A protocol room (`ocpp/v16`, `ocpp/v201`) implements `Backend` and calls `StationApi`; it decides nothing.
Transactions do not cross here: the station writes them to the journal's outbox and the room sends them from there.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from chargepoint.connectors import TYPE_2
from chargepoint.energy.composite import Composite
from chargepoint.energy.profiles import Profile, Purpose
from chargepoint.station.settings import Settings


class AuthStatus(StrEnum):
    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT = "ConcurrentTx"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What is known of an id token."""

    status: AuthStatus
    expiry: datetime | None = None
    group: str | None = None
    """OCPP 1.6 parentIdTag, 2.0.1 groupIdToken."""

    @property
    def accepted(self) -> bool:
        return self.status is AuthStatus.ACCEPTED


class ConnectorStatus(StrEnum):
    """Nine states of OCPP 1.6, which the surface uses; 2.0.1 folds them."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class StopReason(StrEnum):
    LOCAL = "Local"
    REMOTE = "Remote"
    EV_DISCONNECTED = "EVDisconnected"
    DEAUTHORIZED = "DeAuthorized"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    SOFT_RESET = "SoftReset"
    HARD_RESET = "HardReset"
    UNLOCK_COMMAND = "UnlockCommand"
    EMERGENCY_STOP = "EmergencyStop"
    OTHER = "Other"


class Outcome(StrEnum):
    """Answer to a command from outside; each room maps it to its own words."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SCHEDULED = "scheduled"
    OCCUPIED = "occupied"
    FAULTED = "faulted"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SUPPORTED = "not-supported"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A connector's (evse 0: the station's) status or fault changed. `error` is a name of the fault table, or None."""

    evse: int
    status: ConnectorStatus
    error: str | None
    info: str
    at: datetime
    connector: int = TYPE_2


@dataclass(frozen=True, slots=True)
class MeterValue:
    """One sampled value. Measurand, unit and phase are OCPP's names, the same in every version."""

    measurand: str
    value: float | str
    """A number; text where `format` is SignedData."""
    unit: str
    phase: str | None = None
    location: str | None = None
    context: str = "Sample.Periodic"
    format: str | None = None
    """None: a plain number."""


@dataclass(frozen=True, slots=True)
class MeterSampled:
    """Values outside any transaction (clock-aligned or triggered). Evse 0: the whole borne."""

    evse: int
    at: datetime
    values: tuple[MeterValue, ...]
    connector: int = TYPE_2


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    kind: str
    info: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BayChanged:
    """A vehicle stands before a point, or none does any more, as the bay's sensor has it."""

    evse: int
    occupied: bool
    reservation: int | None
    """Id of the reservation that holds the point meanwhile."""
    at: datetime


@dataclass(frozen=True, slots=True)
class ReservationContested:
    """Somebody with a badge that is good elsewhere wanted a point that is kept for another."""

    evse: int
    reservation: int
    token: str
    at: datetime


DomainEvent = StatusChanged | MeterSampled | SecurityEvent | BayChanged | ReservationContested


@dataclass(frozen=True, slots=True)
class Reservation:
    """A point kept for a token. Evse 0: one point, whichever, is kept free for it."""

    id: int
    evse: int
    token: str
    expires: datetime
    group: str | None = None
    """Tokens of this group may use it too."""
    connector: int = 0
    """The connector that was asked for; the whole point is kept, for only one of its connectors can be used. 0: any."""


class BackendUnreachable(Exception):
    """The central system did not answer in time, or there is no link: the offline rules apply."""


class Backend(Protocol):
    """What the core asks of a central system."""

    @property
    def online(self) -> bool:
        """Connected, and registration accepted."""

    @property
    def reachable(self) -> bool:
        """Connected, and something is answered, be the registration accepted or not: the way there works."""

    async def load(self) -> None:
        """Put the operator's settings into effect; before anything is decided by them."""

    async def authorize(self, token: str) -> Authorization:
        """Ask about a token. Raises BackendUnreachable within the message time-out."""

    def notify(self, event: DomainEvent) -> None:
        """Report an event, soon and without blocking; dropped or coalesced as the protocol wants while offline."""

    def outbox_changed(self) -> None:
        """There is something new in the journal's outbox."""

    def status(self) -> dict[str, Any]:
        """The `ocpp` part of the station's status: `connected`, `version`, `url`, and what the room adds."""

    def messages(self, count: int) -> list[dict[str, str]]:
        """The last messages on the link, oldest first: `at`, `direction` (`in`, `out`), `text`; redacted."""

    def connect(self) -> None:
        """Connect at once, and stay connected."""

    async def disconnect(self) -> None:
        """Close the link, and stay away until `connect`."""


class StationApi(Protocol):
    """What a protocol room, the console or a test may ask of the core. Every wait inside has a bound."""

    settings: Settings
    """Live values; whoever changes one calls `setting_changed`."""

    async def remote_start(
        self, token: str, evse: int | None, profile: Profile | None = None, connector: int | None = None
    ) -> Outcome:
        """Start as if the token had been presented. `profile` is for this transaction alone; its evse is ignored.

        `connector`: only there; None: at whichever of the point's connectors is plugged.
        """

    async def remote_stop(self, backend_tx_id: str) -> Outcome: ...
    async def stop(self, evse: int, reason: StopReason) -> Outcome: ...
    async def unlock(self, evse: int, connector: int = TYPE_2) -> Outcome:
        """Stop the connector's transaction first (UnlockCommand), then release the plug.

        ACCEPTED: released; FAILED: the lock did not open; NOT_SUPPORTED: no lock; UNKNOWN: no such point.
        """

    async def set_availability(
        self, evse: int, operative: bool, connector: int | None = None, for_update: bool = False
    ) -> Outcome:
        """Persisted before it is answered. SCHEDULED: after the transaction. Evse 0: the whole station.

        `connector` None: all of the evse. `for_update`: out of service for the time of an update, and back after it,
        except what somebody has taken out of service meanwhile.
        """

    async def reset(self, hard: bool) -> Outcome:
        """Answered first; then transactions end (SoftReset, HardReset) and the process exits to be started again."""

    async def clear_cache(self) -> Outcome: ...
    async def reserve(self, reservation: Reservation) -> Outcome:
        """Keep a point; one of the same id is replaced.

        ACCEPTED, OCCUPIED (in use or kept for another), FAULTED, UNAVAILABLE, or REJECTED: this cannot be kept.
        """

    async def cancel_reservation(self, reservation_id: int) -> Outcome:
        """ACCEPTED, or UNKNOWN: there is none of that id."""

    async def set_profile(self, profile: Profile) -> Outcome:
        """Install a charging profile, kept across restarts, in effect within a second.

        ACCEPTED, or REJECTED: a profile for a transaction that is not running. Raises energy.profiles.ProfileError.
        """

    async def clear_profiles(
        self,
        id: int | None = None,
        evse: int | None = None,
        purpose: Purpose | None = None,
        stack: int | None = None,
        connector: int | None = None,
    ) -> Outcome:
        """Remove the profiles that match all that is given; UNKNOWN when there was none."""

    async def departure(self, evse: int, at: datetime, energy_wh: int) -> Outcome:
        """The running session's car leaves at `at` and needs `energy_wh` in all by then: its share grows with that.

        ACCEPTED, REJECTED: no transaction runs there, UNKNOWN: no such point.
        """

    def composite(self, evse: int, duration: int, unit: str, connector: int = TYPE_2) -> Composite | None:
        """The composite schedule of a connector (evse 0: of the sum) from now on; None when it cannot be told."""

    def evse_ids(self) -> tuple[int, ...]: ...
    def in_service(self) -> tuple[tuple[int, int], ...]:
        """Evse and connector of all that are in service, as the operator and the technician want it.

        One that goes out of service with the end of its transaction is not.
        """

    def status_of(self, evse: int, connector: int = TYPE_2) -> StatusChanged:
        """The present status, to be sent after a boot or on request."""

    def sample_now(self, evse: int, context: str, connector: int = TYPE_2) -> MeterSampled | None:
        """Present values of a connector by `sampled_measurands`, or None before the first reading.

        A point has one meter: what flows now is told of the connector in use alone.
        """

    def transaction_of(self, evse: int, connector: int | None = None) -> int | None:
        """Local id of the point's open transaction; with `connector`, only if it is there."""

    async def transaction_answered(self, tx: int, backend_id: str | None, authorization: Authorization) -> None:
        """The central system's answer to a started transaction: its id for it, and what it thinks of the token."""

    async def token_learned(self, token: str, authorization: Authorization) -> None:
        """The central system told, unasked, what it thinks of a token: the cache is updated."""

    def key_figures(self) -> dict[str, Any]:
        """Counters since the first start, and the availability of the last days, as JSON has them."""

    async def setting_changed(self, name: str) -> None:
        """A setting was changed and stored: timers restart."""

    def clock_offered(self, utc: datetime) -> None:
        """The central system told its time."""

    async def clock_kept(self) -> None:
        """Wait until what was offered is durable: from then on the journal can date what happened before it."""
