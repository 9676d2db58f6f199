"""OCPP 1.6 numbers connectors 1..n without a gap; the station numbers EVSEs as its configuration does, and the
connectors of each."""

from collections.abc import Sequence
from typing import NamedTuple

from chargepoint.config import EvseSection
from chargepoint.connectors import DOMESTIC, TYPE_2


class Place(NamedTuple):
    """An EVSE and one of its connectors. Evse 0: the station."""

    evse: int
    connector: int = TYPE_2


class Connectors:
    """Connector 0 is the station, connector i the i-th point of the configuration: its Type 2 socket. The domestic
    sockets follow after all of these, in the same order, so that adding one renumbers nothing."""

    def __init__(self, evses: Sequence[int], domestic: Sequence[int] = ()) -> None:
        self._places = (*(Place(evse) for evse in evses), *(Place(evse, DOMESTIC) for evse in domestic))

    @classmethod
    def of(cls, sections: Sequence[EvseSection]) -> "Connectors":
        """Those of a configuration."""
        return cls([s.id for s in sections], [s.id for s in sections if s.domestic is not None])

    @property
    def count(self) -> int:
        return len(self._places)

    @property
    def all(self) -> range:
        """0..n."""
        return range(self.count + 1)

    def evse_of(self, connector: int) -> int | None:
        """The EVSE behind a connector (0: the station); None when there is no such connector."""
        if connector == 0:
            return 0
        place = self.place_of(connector)
        return None if place is None else place.evse

    def place_of(self, connector: int) -> Place | None:
        """The EVSE and the connector of it behind a connectorId; None when there is no such connector."""
        if connector == 0:
            return Place(0)
        return self._places[connector - 1] if 0 < connector <= self.count else None

    def connector_of(self, evse: int, connector: int = TYPE_2) -> int:
        """The connectorId of a connector (evse 0: the station). Raises ValueError for one that does not exist."""
        return 0 if evse == 0 else self._places.index(Place(evse, connector)) + 1
