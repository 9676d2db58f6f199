"""The contactor's supervisor: command, mirror contact and load-side voltage must tell the same story.

It closes only when told that everything allows it, in that very pass; it opens whenever told, at once.
"""

from enum import Enum

from chargepoint.iec61851.timing import CONTACTOR_FEEDBACK_S, RECLOSE_AFTER_FAULT_S, RECLOSE_S

CLOSE_TRIES = 2
"""One retry."""
SETTLED_RESULTS = 3
"""Results without mirror contact and voltage that confirm the opening (30 ms), where both are read in every pass."""
BAD = 2
"""What a result against the command counts; one that agrees takes away 1. So a contact that chatters adds up as well,
when more than a third of its results are wrong, and a stray result is soon forgotten."""
WELD_COUNT = BAD * 100
"""Commanded open, and told to be closed for a second, or half of the time for four."""
DROP_COUNT = BAD * 10
"""Feedback lost for 0.1 s while closed, or half of the time for 0.4 s: contactor, or mains behind it, are gone."""


class Trouble(Enum):
    """What the feedback tells against the command. Values are names of the fault table."""

    NONE = ""
    WELDED = "contactor-welded"
    STUCK_OPEN = "contactor-stuck-open"
    DROPS = "contactor-drops"


class Contactor:
    """One contactor."""

    __slots__ = (
        "_changed", "_dead", "_lost", "_not_before", "_signs", "_tries", "closed_at", "closings", "commanded",
        "confirmed", "detail", "open_confirmed", "opened_at", "openings_under_load", "settled_results", "trouble",
    )  # fmt: skip

    def __init__(self, now: float, settled_results: int = SETTLED_RESULTS) -> None:
        """`settled_results`: more than three where the feedback is not read in every pass."""
        self.settled_results = settled_results
        self.commanded = False
        self.confirmed = False
        """Commanded closed, and mirror contact and voltage have followed."""
        self.open_confirmed = False
        """Commanded open, neither mirror contact nor voltage for `settled_results` passes, and earlier signs of closing
        made up for."""
        self.closed_at: float | None = None
        self.opened_at: float | None = None
        self.closings = 0
        self.openings_under_load = 0
        self.trouble = Trouble.NONE
        self.detail = ""
        self._changed = now
        self._not_before = float("-inf")
        self._tries = 0
        self._dead = 0
        """Results in a row without a sign of a closed contact, until the opening is confirmed."""
        self._signs = 0
        """Signs of a closed contact while it is commanded open, counted with `BAD`."""
        self._lost = 0
        """Signs of an open one after it was confirmed closed, counted with `BAD`."""

    def may_close_at(self) -> float:
        """Not before this time."""
        return self._not_before

    def wait_after_fault(self, now: float) -> None:
        """A fault that kept the point from charging has just gone."""
        self._not_before = max(self._not_before, now + RECLOSE_AFTER_FAULT_S)

    def new_car(self) -> None:
        """The tries belong to one plug-in."""
        self._tries = 0

    def open(self, now: float, under_load: bool) -> None:
        """Open at once. `under_load`: the car may be drawing current."""
        if not self.commanded:
            return
        self.commanded = False
        if under_load and self.confirmed:
            self.openings_under_load += 1
        self.confirmed = False
        self._changed = now
        self._dead = self._signs = self._lost = 0
        self._not_before = max(self._not_before, now + RECLOSE_S)

    def step(self, now: float, may_close: bool, mirror: bool, live: bool) -> None:
        """One pass, after any `open`. `trouble` and `detail` tell what is wrong."""
        if self.commanded:
            self._watch_closed(now, mirror, live)
            return
        self._watch_open(now, mirror, live)
        if may_close and self.open_confirmed and self.trouble is Trouble.NONE and now >= self._not_before:
            self.commanded = True
            self.open_confirmed = False
            self.closings += 1
            self._changed = now

    def _watch_open(self, now: float, mirror: bool, live: bool) -> None:
        if mirror or live:
            self._dead = 0
            self.open_confirmed = False
            self._signs = min(self._signs + BAD, WELD_COUNT)
            if self._signs == WELD_COUNT and self.trouble is not Trouble.WELDED:
                self.trouble = Trouble.WELDED
                side = "live" if live else "dead"
                self.detail = f"commanded open; mirror contact {_word(mirror)}, load side {side}"
            return
        if self._signs:
            self._signs -= 1
        if self.open_confirmed:
            return
        self._dead += 1
        if self._dead >= self.settled_results and not self._signs:
            self.open_confirmed = True
            if self.trouble is Trouble.WELDED:
                self.trouble = Trouble.NONE
            if self.closed_at is not None:
                self.opened_at, self.closed_at = now, None

    def _watch_closed(self, now: float, mirror: bool, live: bool) -> None:
        agrees = mirror and live
        if self.confirmed:
            self._lost = max(0, self._lost - 1) if agrees else self._lost + BAD
            if self._lost >= DROP_COUNT:
                self.open(now, under_load=False)
                self.trouble = Trouble.DROPS
                self.detail = f"mirror contact {_word(mirror)}, load side {'live' if live else 'dead'}"
            return
        if agrees:
            self.confirmed = True
            self.closed_at = now
            self._tries = 0
        elif now - self._changed >= CONTACTOR_FEEDBACK_S:
            self._failed_to_close(now, mirror, live)

    def _failed_to_close(self, now: float, mirror: bool, live: bool) -> None:
        self.open(now, under_load=False)
        self._tries += 1
        if self._tries >= CLOSE_TRIES:
            self._tries = 0
            self.trouble = Trouble.STUCK_OPEN
            self.detail = (
                f"mirror contact {_word(mirror)}, load side {'live' if live else 'dead'} after {CLOSE_TRIES} tries"
            )


def _word(closed: bool) -> str:
    return "closed" if closed else "open"
