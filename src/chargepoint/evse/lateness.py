"""Is the loop in time? One pass far too late is a fault, and so are several too late close behind one another."""

PERIOD_S = 0.010
OVERRUN_S = 0.25
"""A pass that ends its writing so long after its deadline is a fault: the process was stopped or starved, well before
the coil watchdog's 326 ms."""
LATE_S = 0.030
"""A filter of two results with passes 40 ms apart opens 80 ms after the car has; later than that the standard's 100 ms
(`OPEN_LIMIT_S`) are in danger."""
LATE_COSTS = 2
LATE_SUM = 10
"""A late pass counts two, one in time makes up for half of it: five late passes in a row are a fault, and so is more
than a third of all for a while, not the one here and there of a busy machine."""


class Lateness:
    """Judges each pass by how long after its own deadline it begins: whoever paces the loop otherwise says so."""

    __slots__ = ("_sum", "_withheld", "bad", "worst_s")

    def __init__(self) -> None:
        self._sum = 0
        self._withheld = False
        self.bad = False
        """The points must be open. Ends when passes in time have made up for all that were late."""
        self.worst_s = 0.0
        """Since whoever tells it has set it back."""

    def begins(self, late: float) -> None:
        """A pass begins, `late` s after its deadline."""
        self.worst_s = max(self.worst_s, late)
        if late >= OVERRUN_S or self._withheld:
            self._sum = LATE_SUM
        else:
            self._sum = min(LATE_SUM, self._sum + LATE_COSTS) if late > LATE_S else max(0, self._sum - 1)
        self._withheld = False
        self.bad = self._sum == LATE_SUM or (self.bad and self._sum > 0)

    def may_beat(self, since_deadline: float) -> bool:
        """The pass has written its outputs, `since_deadline` s after its deadline: may the coil watchdog be fed?

        After a pass that took too long its coils may have dropped, and contacts that a beat closes again would close
        unseen: the next pass opens before it beats. A pass that has opened itself may beat.
        """
        self._withheld = since_deadline >= OVERRUN_S and not self.bad
        return not self._withheld
