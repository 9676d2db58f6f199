"""OCPP 1.6 numbers connectors 1..n without a gap; the station numbers EVSEs as its configuration does."""

from collections.abc import Sequence


class Connectors:
    """Connector 0 is the station, connector i the i-th point of the configuration."""

    def __init__(self, evses: Sequence[int]) -> None:
        self._evses = tuple(evses)

    @property
    def count(self) -> int:
        return len(self._evses)

    @property
    def all(self) -> range:
        """0..n."""
        return range(self.count + 1)

    def evse_of(self, connector: int) -> int | None:
        """The EVSE behind a connector (0: the station); None when there is no such connector."""
        if connector == 0:
            return 0
        return self._evses[connector - 1] if 0 < connector <= self.count else None

    def connector_of(self, evse: int) -> int:
        """The connector of an EVSE (0: the station). Raises ValueError for one that does not exist."""
        return 0 if evse == 0 else self._evses.index(evse) + 1
