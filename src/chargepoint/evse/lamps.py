"""Plays the lamp patterns the station chose."""

Step = tuple[bool, bool, bool, int]
"""Red, green, blue, milliseconds."""


class LampPlayer:
    """One point's lamps."""

    __slots__ = ("_begun", "_steps", "_total_s", "shown")

    def __init__(self) -> None:
        self._steps: tuple[Step, ...] = ()
        self._total_s = 0.0
        self._begun = 0.0
        self.shown: tuple[bool, bool, bool] | None = None

    def play(self, steps: tuple[Step, ...], now: float) -> None:
        """Play this pattern for ever. The one that plays already is not begun anew."""
        if steps == self._steps:
            return
        self._steps = steps
        self._total_s = sum(max(step[3], 1) for step in steps) / 1000
        self._begun = now

    def step(self, now: float) -> tuple[bool, bool, bool] | None:
        """The lamps to show now, when they differ from those shown; else None."""
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
