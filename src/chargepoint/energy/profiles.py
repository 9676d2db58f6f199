"""Charging profiles: what an operator allows when, and the collection a station keeps of them.

Version-neutral: OCPP 1.6 chargingProfile (3.13, 7.8, with errata sheet 4.0) and 2.0.1 ChargingProfile are both
translated into these. Times are whole UTC seconds since 1970, as the messages carry them; an evse of 0 is the
whole station. How profiles combine is in `composite`. No I/O, no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

DAY_S = 86_400


class Purpose(StrEnum):
    """What a profile is for. OCPP 1.6: ChargePointMaxProfile, TxDefaultProfile, TxProfile."""

    STATION_MAX = "station-max"
    TX_DEFAULT = "tx-default"
    TX = "tx"


class Kind(StrEnum):
    """To what its times refer: a fixed instant, one that returns, or the start of the transaction."""

    ABSOLUTE = "absolute"
    RECURRING = "recurring"
    RELATIVE = "relative"


class Recurrency(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def seconds(self) -> int:
        return DAY_S if self is Recurrency.DAILY else 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` seconds after the schedule's beginning on: at most `limit`, with so many phases."""

    start: int
    limit: float
    """A per phase, or W in all."""
    phases: int | None = None
    """None counts as 3 (errata 3.69). Never scales a limit to the phases really used (errata 3.34)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile with its one schedule."""

    id: int
    purpose: Purpose
    stack: int
    """The highest stack level that has something to say at an instant prevails."""
    kind: Kind
    unit: str
    """`A` per phase, or `W` in all."""
    periods: tuple[Period, ...]
    evse: int = 0
    recurrency: Recurrency | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    start: int | None = None
    """Start of an absolute or recurring schedule; None: see `base`."""
    duration: int | None = None
    """Seconds; None: its last period goes on."""
    min_rate: float | None = None
    """Below this the operator thinks charging inefficient; in `unit`. A hint for sharing."""
    transaction: str | None = None
    """The only transaction it is for; None: whichever runs on the point."""
    installed: int = 0
    """When it was received."""
    connector: int = 1
    """The connector of the evse whose sessions it is for."""

    def base(self, started: int | None, at: int) -> int | None:
        """Where its schedule begins, looked at from `at` on; None: it cannot be placed.

        Relative schedules, and absolute ones without a start (7.13: "relative to start of charging"), begin with the
        transaction; a limit of the whole station knows no transaction and begins when it was installed. That is never
        ahead: a clock that lost time in a power cut must not lift a limit that was in force before.
        """
        if self.kind is not Kind.RELATIVE and self.start is not None:
            return self.start
        if self.purpose is Purpose.STATION_MAX or self.kind is Kind.RECURRING:
            return min(self.installed, at)
        return started


class ProfileError(ValueError):
    """A profile that cannot be. `field` names the member at fault, in neutral terms."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the station accepts.

    OCPP 1.6 reports them as ChargeProfileMaxStackLevel, ChargingScheduleMaxPeriods, MaxChargingProfilesInstalled.
    """

    stack: int = 100
    periods: int = 1440
    profiles: int = 200


def check(profile: Profile, bounds: Bounds = Bounds()) -> None:
    """Raise `ProfileError` when the profile makes no sense by itself, whatever else is installed."""
    _check_place(profile, bounds)
    if profile.unit not in ("A", "W"):
        raise ProfileError("unit", f"unit is {profile.unit!r}; it must be A or W")
    if not profile.periods:
        raise ProfileError("periods", "a schedule needs at least one period")
    if len(profile.periods) > bounds.periods:
        raise ProfileError("periods", f"{len(profile.periods)} periods; at most {bounds.periods} are stored")
    if profile.periods[0].start != 0:
        raise ProfileError("periods", f"the first period starts at {profile.periods[0].start} s; it must start at 0")
    before = -1
    for period in profile.periods:
        if period.start <= before:
            raise ProfileError("periods", f"periods must ascend; {period.start} s comes after {before} s")
        if not 0 <= period.limit < 1e9:
            raise ProfileError("limit", f"limit {period.limit} {profile.unit} is not a limit")
        if period.phases not in (None, 1, 2, 3):
            raise ProfileError("phases", f"number of phases is {period.phases}; it must be 1, 2 or 3")
        before = period.start


def _check_place(profile: Profile, bounds: Bounds) -> None:
    if not 0 <= profile.stack <= bounds.stack:
        raise ProfileError("stack", f"stack level {profile.stack} is not within 0 to {bounds.stack}")
    if profile.purpose is Purpose.STATION_MAX and profile.evse != 0:
        raise ProfileError("evse", f"a limit of the whole station cannot be set on point {profile.evse}")
    if profile.purpose is Purpose.STATION_MAX and profile.kind is Kind.RELATIVE:
        raise ProfileError("kind", "a limit of the whole station cannot be relative to a transaction")
    if profile.purpose is Purpose.TX and profile.evse == 0:
        raise ProfileError("evse", "a profile for a transaction needs the point it is for")
    if profile.transaction is not None and profile.purpose is not Purpose.TX:
        raise ProfileError("transaction", f"a {profile.purpose} profile cannot name a transaction")
    if (profile.kind is Kind.RECURRING) != (profile.recurrency is not None):
        raise ProfileError("recurrency", "recurrency belongs to a recurring profile, and to no other")
    if profile.duration is not None and profile.duration < 0:
        raise ProfileError("duration", f"duration {profile.duration} s is negative")
    if profile.valid_from is not None and profile.valid_to is not None and profile.valid_to <= profile.valid_from:
        raise ProfileError("valid_to", "the profile ends before it begins to be valid")


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles of a station: immutable, each change gives a new collection."""

    items: tuple[Profile, ...] = ()

    def __iter__(self) -> Iterator[Profile]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def install(self, profile: Profile, bounds: Bounds = Bounds()) -> "Profiles":
        """With the profile, which replaces one of its id, and one of its purpose and stack level on the same evse.

        Raises `ProfileError` when it cannot be, or does not fit in.
        """
        check(profile, bounds)
        kept = tuple(old for old in self.items if not _replaces(profile, old))
        if len(kept) >= bounds.profiles:
            raise ProfileError("profiles", f"{len(kept)} profiles are installed; no more fit in, clear some first")
        return Profiles((*kept, profile))

    def clear(
        self,
        id: int | None = None,
        evse: int | None = None,
        purpose: Purpose | None = None,
        stack: int | None = None,
        connector: int | None = None,
    ) -> tuple["Profiles", int]:
        """Without those that match all that is given (an id: only that, whatever else), and how many went.

        Nothing given clears everything (errata 3.25, 3.26).
        """

        def goes(profile: Profile) -> bool:
            if id is not None:
                return profile.id == id
            given = (
                (evse, profile.evse),
                (purpose, profile.purpose),
                (stack, profile.stack),
                (connector, profile.connector),
            )
            return all(wanted is None or wanted == has for wanted, has in given)

        kept = tuple(profile for profile in self.items if not goes(profile))
        return Profiles(kept), len(self.items) - len(kept)

    def ended(self, evse: int) -> "Profiles":
        """Without the profiles of the transaction that has just ended on a point."""
        return Profiles(tuple(p for p in self.items if p.purpose is not Purpose.TX or p.evse != evse))

    def chain(
        self, evse: int, transaction: str | None = None, running: bool = True, connector: int = 1
    ) -> list[Profile]:
        """Those that may limit a transaction on a point's connector; the first with something to say at an instant
        prevails.

        The transaction's own by stack level; then the point's defaults; then the station's (3.13.1). Without a
        running transaction only the defaults count.
        """
        own = [
            p
            for p in self.items
            if p.purpose is Purpose.TX
            and (p.evse, p.connector) == (evse, connector)
            and running
            and p.transaction in (None, transaction)
        ]
        places = ((evse, connector), (0, 1))
        defaults = [p for p in self.items if p.purpose is Purpose.TX_DEFAULT and (p.evse, p.connector) in places]
        return _by_stack(own) + sorted(defaults, key=lambda p: (p.evse == 0, -p.stack))

    def station_chain(self) -> list[Profile]:
        """Those that limit the sum over all points, by stack level."""
        return _by_stack(p for p in self.items if p.purpose is Purpose.STATION_MAX)


def _by_stack(profiles: Iterable[Profile]) -> list[Profile]:
    return sorted(profiles, key=lambda p: -p.stack)


def _replaces(new: Profile, old: Profile) -> bool:
    same = (new.purpose, new.stack, new.evse, new.connector) == (old.purpose, old.stack, old.evse, old.connector)
    return new.id == old.id or same


def to_dict(profile: Profile) -> dict[str, Any]:
    """For the journal: JSON values only. Connector 1 goes without saying, so that an older release reads it too."""
    data = asdict(profile)
    if profile.connector == 1:
        del data["connector"]
    return data


def from_dict(data: Mapping[str, Any]) -> Profile:
    """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError on anything else."""
    fields = dict(data)
    fields["purpose"] = Purpose(fields["purpose"])
    fields["kind"] = Kind(fields["kind"])
    fields["recurrency"] = None if fields["recurrency"] is None else Recurrency(fields["recurrency"])
    fields["periods"] = tuple(Period(**period) for period in fields["periods"])
    return Profile(**fields)
