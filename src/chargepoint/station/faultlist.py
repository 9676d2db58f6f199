"""The faults that are active at a point, or at the station: those the safety process reports, and the station's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chargepoint.evse.messages import Fault
from chargepoint.faults import FaultRow, Recover, Severity, row_of

_ORDER = (Severity.CRITICAL, Severity.ERROR, Severity.WARNING, Severity.INFO)
GRACE_S = 300.0
"""A transaction waits so long for a fault that can clear by itself."""
GRACE_STAYS_S = 5.0
"""The same, for a fault that needs an unplug or a technician."""


@dataclass(frozen=True, slots=True)
class Active:
    """An active fault; `since` is monotonic."""

    name: str
    since: float
    detail: str = ""

    @property
    def row(self) -> FaultRow:
        return row_of(self.name)


class FaultList:
    """Active faults by name, worst first."""

    def __init__(self) -> None:
        self._reported: dict[str, Active] = {}
        self._own: dict[str, Active] = {}

    def reported(self, faults: Iterable[Fault]) -> None:
        """What the safety process says now, in place of what it said before."""
        self._reported = {f.name: Active(f.name, f.since, f.detail) for f in faults}

    def own(self, name: str, on: bool, now: float, detail: str = "") -> bool:
        """Raise or clear one of the station's own; True when that is news."""
        if on == (name in self._own):
            return False
        if on:
            self._own[name] = Active(name, now, detail)
        else:
            del self._own[name]
        return True

    def detail(self, name: str, detail: str) -> None:
        """Say it anew of a fault of the station's own that is active; it has been so since when it was."""
        known = self._own.get(name)
        if known is not None and known.detail != detail:
            self._own[name] = Active(name, known.since, detail)

    def __iter__(self) -> Iterator[Active]:
        active = {**self._reported, **self._own}.values()
        return iter(sorted(active, key=lambda a: (_ORDER.index(a.row.severity), a.since, a.name)))

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self._reported


def blocking(faults: Iterable[Active]) -> Active | None:
    """The worst that lets nothing be charged or begun."""
    return next((f for f in faults if f.row.faulted), None)


def shows_faulted(faults: Iterable[Active], running: bool) -> bool:
    """The connector is shown as Faulted; `running`: a transaction is, and one that only waits for a fault's end shows
    as suspended."""
    return any(f.row.faulted and not (running and f.row.pauses) for f in faults)


def overdue(faults: Iterable[Active], now: float) -> Active | None:
    """A fault for which a transaction has waited long enough."""
    for active in faults:
        if not active.row.faulted or active.row.pauses:
            continue
        if active.name == "emergency-stop":
            return active
        grace = GRACE_S if active.row.recover is Recover.SELF else GRACE_STAYS_S
        if now - active.since >= grace:
            return active
    return None
