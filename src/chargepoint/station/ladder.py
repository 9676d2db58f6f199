"""What to do about a central system that stays away: one rung after the other. Pure; time comes in as an argument.

Connecting again, with growing and random pauses, goes on all the time and is the protocol room's: the lowest rung.
When that has not helped for long enough, the modem is reset; then it is taken off its supply for a moment; then, where
the configuration wants it and while nobody uses the borne, the machine is started anew. Each rung has its own hour and
comes again after twice, four times, ... that time. Only a link that has been good for a while begins the ladder anew:
one that comes and goes does not.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

SETTLE_S: Final = 120.0
"""After a rung the network has this time to come back before the next one."""
STABLE_S: Final = 120.0
"""A link that has been up for so long is a good one."""
LONGEST_S: Final = 24 * 3600.0
"""The longest pause between two actions of one rung."""
TOLD_S: Final = 60.0
"""A link that has been away for so long is told as a fault: shorter gaps are everyday."""


class Rung(StrEnum):
    """From below; the names stand in `status` and in the figures."""

    RECONNECT = "reconnect"
    MODEM_RESET = "modem-reset"
    MODEM_POWER = "modem-power"
    REBOOT = "reboot"


@dataclass(slots=True)
class Ladder:
    """`after`: the rungs there are besides `RECONNECT`, and after how many seconds without a link each comes first."""

    after: dict[Rung, float]
    before: dict[Rung, int] = field(default_factory=dict)
    """How often each was taken in this outage already (before a reboot that it asked for itself)."""
    rung: Rung | None = None
    """The highest that was taken in this outage; None while there is none."""
    _lost_at: float | None = None
    _up_at: float | None = None
    _quiet_until: float = float("-inf")
    _due: dict[Rung, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.before:
            self.rung = max(self.before, key=list(Rung).index)

    def away_s(self, now: float) -> float:
        """How long the central system has been away; 0 while the link is up."""
        return now - self._lost_at if self._lost_at is not None and self._up_at is None else 0.0

    def taken(self, rung: Rung) -> int:
        """How often, in this outage."""
        return self.before.get(rung, 0)

    def step(self, online: bool, idle: bool, now: float) -> Rung | None:
        """What is to be done now, or None. `idle`: nobody uses the borne, no cable is in any socket."""
        if online:
            self._good(now)
            return None
        self._up_at = None
        if self._lost_at is None:
            self._lost_at = now
            self._due = {rung: now + self._pause(rung) for rung in self.after}
        self.rung = self.rung or Rung.RECONNECT
        if now < self._quiet_until:
            return None
        for rung in (Rung.REBOOT, Rung.MODEM_POWER, Rung.MODEM_RESET):
            if self._due.get(rung, float("inf")) <= now and (rung is not Rung.REBOOT or idle):
                return self._take(rung, now)
        return None

    def _good(self, now: float) -> None:
        if self._up_at is None:
            self._up_at = now
        if now - self._up_at >= STABLE_S:
            self._lost_at, self.rung = None, None
            self.before, self._due = {}, {}

    def _take(self, rung: Rung, now: float) -> Rung:
        """A rung stands for those below it as well: they wait their time anew."""
        order = list(Rung)
        self.before[rung] = self.taken(rung) + 1
        for lower in self.after:
            if order.index(lower) <= order.index(rung):
                self._due[lower] = now + self._pause(lower)
        self._quiet_until = now + SETTLE_S
        self.rung = max(rung, self.rung or rung, key=order.index)
        return rung

    def _pause(self, rung: Rung) -> float:
        return float(min(self.after[rung] * 2 ** min(self.taken(rung), 16), max(LONGEST_S, self.after[rung])))
