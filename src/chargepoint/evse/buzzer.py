"""Plays a few tones once on the borne's buzzer, as the station asked for them. It is never left sounding."""


class BuzzPlayer:
    """The one buzzer of the borne. A new row of tones takes the place of one that still plays."""

    __slots__ = ("_ends", "sounding")

    def __init__(self) -> None:
        self._ends: tuple[float, ...] = ()
        """When each step ends; the first one sounds, then every other one."""
        self.sounding = False

    def play(self, steps_ms: tuple[int, ...], now: float) -> None:
        """Milliseconds sounding, silent, sounding and so on."""
        ends, at = [], now
        for ms in steps_ms:
            at += max(ms, 0) / 1000
            ends.append(at)
        self._ends = tuple(ends)

    def step(self, now: float) -> bool | None:
        """Whether it is to sound now, when that has changed; else None."""
        if not self._ends and not self.sounding:
            return None
        over = sum(end <= now for end in self._ends)
        sounds = over < len(self._ends) and over % 2 == 0
        if over == len(self._ends):
            self._ends = ()
        if sounds is self.sounding:
            return None
        self.sounding = sounds
        return sounds
