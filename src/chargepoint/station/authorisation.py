"""Whether a token may charge: the rules of the local list, the cache, and of being offline. Pure.

Order of knowledge: the local list before the cache (OCPP 1.6, 3.5.3). Online, a token is asked for at the central
system, unless it may be accepted from local knowledge first (`local_pre_authorize`); what local knowledge does not
accept is always asked for. Offline, local knowledge decides, and after it the rule for unknown tokens.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from chargepoint.station.api import Authorization, AuthStatus
from chargepoint.station.settings import Settings


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a token on the spot; None where there is no entry."""

    listed: Authorization | None = None
    cached: Authorization | None = None


REFUSED_OFFLINE = Authorization(AuthStatus.INVALID)


def effective(entry: Authorization, utc: float) -> Authorization:
    """A kept entry as it counts now: ConcurrentTx is a valid token (OCPP 1.6, 3.5.2), a passed expiry is not."""
    if entry.status is AuthStatus.CONCURRENT:
        entry = Authorization(AuthStatus.ACCEPTED, entry.expiry, entry.group)
    if entry.accepted and entry.expiry is not None and entry.expiry <= datetime.fromtimestamp(utc, UTC):
        return Authorization(AuthStatus.EXPIRED, entry.expiry, entry.group)
    return entry


def local(known: Known, settings: Settings, utc: float) -> Authorization | None:
    """What the list, or else the cache, says of the token; None when it is in neither (or they are off)."""
    if settings.local_list_enabled and known.listed is not None:
        return effective(known.listed, utc)
    if settings.cache_enabled and known.cached is not None:
        return effective(known.cached, utc)
    return None


def before_asking(known: Known, settings: Settings, utc: float) -> Authorization | None:
    """Online: accept without asking, or None to ask."""
    if not settings.local_pre_authorize:
        return None
    entry = local(known, settings, utc)
    return entry if entry is not None and entry.accepted else None


@dataclass(frozen=True, slots=True)
class Fleet:
    """The rule for a fleet whose reservation holds a point: its badges may start there offline."""

    holder: bool = False
    """The token is the very one such a reservation is for."""
    group: str = ""
    """The fleet's group, when a reservation of it is held."""


def offline(known: Known, settings: Settings, utc: float, fleet: Fleet = Fleet()) -> Authorization:
    """What holds when the central system cannot be asked. What is known to be refused stays refused."""
    entry = local(known, settings, utc)
    if entry is not None and not entry.accepted:
        return entry
    if fleet.group and (fleet.holder or (entry is not None and entry.group == fleet.group)):
        return entry or Authorization(AuthStatus.ACCEPTED, None, fleet.group)
    if entry is not None:
        return entry if settings.local_authorize_offline else REFUSED_OFFLINE
    return Authorization(AuthStatus.ACCEPTED) if settings.offline_unknown_allowed else REFUSED_OFFLINE


@dataclass(frozen=True, slots=True)
class AfterStart:
    """What the central system's verdict on a running transaction's token leads to."""

    stop: bool
    more_wh: int | None
    """Energy that may still be delivered; None for no bound."""


def after_start(authorization: Authorization, settings: Settings) -> AfterStart:
    """StopTransactionOnInvalidId and MaxEnergyOnInvalidId (OCPP 1.6 9.1, errata 3.5 and 3.17)."""
    if authorization.accepted:
        return AfterStart(False, None)
    if settings.stop_on_invalid:
        return AfterStart(True, 0)
    return AfterStart(False, settings.max_energy_on_invalid_wh)
