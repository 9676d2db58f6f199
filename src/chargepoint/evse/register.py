"""The faults that are active on a point, and how each of them goes, as its row of the fault table says."""

from chargepoint.faults import FAULTS, Effect, FaultRow, Recover, row_of, stops


class Active:
    """One active fault."""

    __slots__ = ("detail", "gone_at", "present", "row", "since")

    def __init__(self, row: FaultRow, since: float, detail: str, present: bool) -> None:
        self.row = row
        self.since = since
        self.detail = detail
        self.present = present
        """Its cause is there."""
        self.gone_at = since
        """When the cause was last seen."""


class FaultRegister:
    """All active faults of one point."""

    __slots__ = ("_recoveries", "active", "changes", "opens", "stops", "trips")

    def __init__(self) -> None:
        self.active: dict[str, Active] = {}
        self.opens = False
        """One of them opens the contactor at once."""
        self.stops = False
        """One of them keeps the point from charging."""
        self.changes = 0
        """Goes up with each fault that comes or goes."""
        self.trips = 0
        """Faults that opened or stopped since the start; what was remembered over it is none."""
        self._recoveries: dict[str, int] = {}

    def set(self, name: str, present: bool, now: float, detail: str = "") -> None:
        """The cause of a fault is present, or not. Raises it, or lets its recovery begin."""
        active = self.active.get(name)
        if active is None:
            if present:
                row = FAULTS[name]
                self._add(Active(row, now, detail, True))
                if stops(row):
                    self.trips += 1
        elif present:
            active.present = True
            active.gone_at = now
        else:
            active.present = False

    def restore(self, name: str, now: float, detail: str) -> None:
        """A latched fault remembered over a restart; its cause is not known to be present.

        One that only another version knows keeps the point out of service as well, and its name.
        """
        if name not in self.active:
            self._add(Active(row_of(name), now, detail, False))

    def step(self, now: float, vacant: bool, free: bool | None = None) -> bool:
        """Let go what may go. `vacant`: neither car nor cable, nor a plug in the domestic socket. `free`: no car nor
        cable, whatever is in the domestic socket; what waits for the unplug is the Type 2 connector's. True when one
        that made the point Faulted has gone."""
        released = False
        free = vacant if free is None else free
        for name in [n for n, a in self.active.items() if not a.present and self._may_go(a, now, vacant, free)]:
            row = self.active.pop(name).row
            self.changes += 1
            released = released or row.faulted
            if row.recover is Recover.SELF and not vacant:
                self._recoveries[name] = self._recoveries.get(name, 0) + 1
        self._judge()
        return released

    def unplugged(self) -> None:
        """A new plug-in begins with all its recoveries."""
        self._recoveries.clear()

    def acknowledge(self, name: str, vacant: bool) -> str:
        """A technician acknowledges. Answers why it is refused; empty when the fault is gone."""
        active = self.active.get(name)
        if active is None:
            return f"there is no active fault '{name}' on this point"
        if active.row.recover is not Recover.TECHNICIAN:
            return f"'{name}' goes by itself when its cause does; it takes no acknowledgement"
        if active.present:
            return f"the cause of '{name}' is still present: {active.detail or 'see the point'}"
        if not vacant:
            return "a plug is in the socket: unplug first"
        del self.active[name]
        self.changes += 1
        self._judge()
        return ""

    def latched(self) -> dict[str, str]:
        """What must be remembered over a restart: name and detail."""
        return {name: a.detail for name, a in self.active.items() if a.row.latching}

    def _may_go(self, active: Active, now: float, vacant: bool, free: bool) -> bool:
        row = active.row
        if row.recover is Recover.TECHNICIAN:
            return False
        if row.recover is Recover.UNPLUG:
            return free
        if row.count and self._recoveries.get(row.name, 0) >= row.count and not vacant:
            return False
        return now - active.gone_at >= row.after_s

    def _add(self, active: Active) -> None:
        self.active[active.row.name] = active
        self.changes += 1
        self._judge()

    def _judge(self) -> None:
        self.opens = any(a.row.effect is Effect.OPEN for a in self.active.values())
        self.stops = self.opens or any(a.row.effect is Effect.STOP for a in self.active.values())
