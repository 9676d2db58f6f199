"""Points kept for somebody (OCPP 1.6, 5.13 and 7.32). Pure: points come in as `Spot`s, time as UTC.

A reservation of a point keeps that point; one of evse 0 keeps one point free, whichever. It ends when its holder's
transaction begins, when it expires, and when its point is faulted or out of service. A disturbance shorter than
`FAULT_S` does not end it: a restart of one process is none of the driver's business.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from chargepoint.station.api import Outcome, Reservation
from chargepoint.station.badges import same

FAULT_S = 10.0


@dataclass(frozen=True, slots=True)
class Spot:
    """What a reservation needs to know of a point."""

    evse: int
    free: bool
    """Nothing plugged, nobody authorised."""
    in_service: bool = True
    faulted_s: float | None = None
    """For how long it has been faulted; None when it is not."""
    out: frozenset[int] = frozenset()
    """Its connectors that are out of service."""
    beside: frozenset[int] = frozenset()
    """Its connectors that are free although something is plugged in at another one, which keeps nobody out."""

    @property
    def offered(self) -> bool:
        return self.free and self.in_service and self.faulted_s is None


def holds(reservation: Reservation, token: str, group: str | None) -> bool:
    """This badge is the one, or of the group, the point is kept for."""
    return same(reservation.token, token) or same(reservation.group, group)


class Reservations:
    """All reservations of the station."""

    def __init__(self, items: Iterable[Reservation] = ()) -> None:
        self._items = {item.id: item for item in items}

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def at(self, evse: int) -> Reservation | None:
        """The reservation of exactly this point."""
        return next((r for r in self._items.values() if r.evse == evse), None)

    def add(self, new: Reservation, spots: Sequence[Spot], utc: float) -> Outcome:
        """Keep a point, replacing a reservation of the same id; when refused, the old one stays."""
        if new.expires.timestamp() <= utc:
            return Outcome.REJECTED
        others = Reservations(r for r in self._items.values() if r.id != new.id)
        chosen = [_for(new, s) for s in spots if new.evse in (0, s.evse)]
        if not chosen:
            return Outcome.REJECTED
        outcome = _state([s for s in chosen if new.evse != 0 or others.at(s.evse) is None] or chosen)
        if outcome is not Outcome.ACCEPTED:
            return outcome
        if new.evse != 0 and others.at(new.evse) is not None:
            return Outcome.OCCUPIED
        spare = [s for s in spots if s.offered and s.evse != new.evse and others.at(s.evse) is None]
        if len(spare) < sum(r.evse == 0 for r in (*others, new)):
            return Outcome.OCCUPIED
        self._items = {**others._items, new.id: new}
        return Outcome.ACCEPTED

    def get(self, reservation_id: int) -> Reservation | None:
        """The reservation of this id."""
        return self._items.get(reservation_id)

    def take_back(self, new: Reservation, old: Reservation | None) -> None:
        """Undo the `add` of one that could not be recorded, if it is still there; what it had replaced (`old`) holds
        again, unless its point has been given to another since."""
        if self._items.get(new.id) is not new:
            return
        del self._items[new.id]
        if old is not None and (old.evse == 0 or self.at(old.evse) is None):
            self._items[old.id] = old

    def cancel(self, reservation_id: int) -> bool:
        """True when there was one of this id."""
        return self._items.pop(reservation_id, None) is not None

    def match(self, evse: int, token: str, group: str | None) -> Reservation | None:
        """The reservation this badge would use at this point: the point's own before one for any point."""
        mine = [r for r in self._items.values() if r.evse in (0, evse) and holds(r, token, group)]
        return max(mine, key=lambda r: r.evse, default=None)

    def keeps_from(self, evse: int, token: str | None, group: str | None, spots: Sequence[Spot]) -> bool:
        """The point is kept from this badge (None: from anybody without a reservation).

        The last free points are kept for reservations of evse 0.
        """
        own = self.at(evse)
        if own is not None:
            return token is None or not holds(own, token, group)
        floating = [r for r in self._items.values() if r.evse == 0]
        if not floating or (token is not None and any(holds(r, token, group) for r in floating)):
            return False
        spare = [s for s in spots if s.offered and s.evse != evse and self.at(s.evse) is None]
        here = next((s for s in spots if s.evse == evse), None)
        return here is not None and len(spare) < len(floating)

    def prune(self, spots: Sequence[Spot], used: Iterable[int], utc: float, known_time: bool) -> list[Reservation]:
        """Take out and return what has ended. `used`: ids with which a transaction has begun."""
        used = set(used)
        gone = [
            r
            for r in self._items.values()
            if r.id in used or (known_time and r.expires.timestamp() <= utc) or _lost(r, spots)
        ]
        for reservation in gone:
            del self._items[reservation.id]
        return gone


def _state(spots: Sequence[Spot]) -> Outcome:
    """Whether one of these points could be kept, or why none."""
    if any(s.offered for s in spots):
        return Outcome.ACCEPTED
    if any(s.in_service and s.faulted_s is None for s in spots):
        return Outcome.OCCUPIED
    if any(s.in_service for s in spots):
        return Outcome.FAULTED
    return Outcome.UNAVAILABLE


def _lost(reservation: Reservation, spots: Sequence[Spot]) -> bool:
    chosen = [_for(reservation, s) for s in spots if reservation.evse in (0, s.evse)]
    return all(not s.in_service or (s.faulted_s is not None and s.faulted_s >= FAULT_S) for s in chosen)


def _for(reservation: Reservation, spot: Spot) -> Spot:
    """A point as somebody sees it who needs the connector that was asked for."""
    if reservation.connector in spot.out:
        return replace(spot, in_service=False)
    return replace(spot, free=True) if reservation.connector in spot.beside else spot


def to_dict(reservation: Reservation) -> dict[str, Any]:
    """For the journal."""
    return {
        "id": reservation.id,
        "evse": reservation.evse,
        "token": reservation.token,
        "expires": reservation.expires.timestamp(),
        "group": reservation.group,
        "connector": reservation.connector,
    }


def from_dict(data: dict[str, Any]) -> Reservation:
    """The inverse of `to_dict`. Raises KeyError or TypeError on anything else."""
    expires = datetime.fromtimestamp(data["expires"], UTC)
    return Reservation(data["id"], data["evse"], data["token"], expires, data["group"], data.get("connector", 0))
