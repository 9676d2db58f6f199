"""Plays the lamp patterns the station chose; when the station has fallen silent, that nobody can charge here."""

from chargepoint.evse.messages import LEASE_S

Step = tuple[bool, bool, bool, int]
"""Red, green, blue, milliseconds."""


ALONE: tuple[Step, ...] = ((True, False, False, 150), (False, False, False, 2850))
"""Out of service. A point that goes on saying that it is free invites drivers to wait for nothing."""


class LampPlayer:
    """One point's lamps."""

    __slots__ = ("_alone", "_begun", "_heard_at", "_steps", "_total_s", "_wanted", "shown")

    def __init__(self) -> None:
        self._steps: tuple[Step, ...] = ()
        self._total_s = 0.0
        self._begun = 0.0
        self._wanted: tuple[Step, ...] = ()
        self._heard_at = float("-inf")
        self._alone = False
        self.shown: tuple[bool, bool, bool] | None = None

    def play(self, steps: tuple[Step, ...], now: float) -> None:
        """Play this pattern for ever. The one that plays already is not begun anew."""
        self._wanted = steps
        self.heard(now)
        self._begin(steps, now)

    def heard(self, now: float) -> None:
        """The station is alive: its pattern holds for the length of a lease."""
        self._heard_at = now
        if self._alone:
            self._alone = False
            self._begin(self._wanted, now)

    def _begin(self, steps: tuple[Step, ...], now: float) -> None:
        if steps == self._steps:
            return
        self._steps = steps
        self._total_s = sum(max(step[3], 1) for step in steps) / 1000
        self._begun = now

    def step(self, now: float) -> tuple[bool, bool, bool] | None:
        """The lamps to show now, when they differ from those shown; else None."""
        if not self._alone and now - self._heard_at > LEASE_S and self._wanted:
            self._alone = True
            self._begin(ALONE, now)
        colour = self._colour(now)
        if colour == self.shown:
            return None
        self.shown = colour
        return colour

    def _colour(self, now: float) -> tuple[bool, bool, bool]:
        if len(self._steps) <= 1:
            return self._steps[0][:3] if self._steps else (False, False, False)
        left = (now - self._begun) % self._total_s
        for red, green, blue, ms in self._steps:
            left -= max(ms, 1) / 1000
            if left < 0:
                return red, green, blue
        return self._steps[-1][:3]
