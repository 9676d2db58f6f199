"""How much of a shared connection is left for the borne: from what the Linky or a building meter sees.

One `Source` a meter. It is fed with every reading and with what the borne itself draws, and says at any time how
many amperes per phase the borne may draw. No I/O, no clock: time is monotonic seconds, currents are A per phase.

- What others draw (*base*) is the connection's current less the borne's. The two are measured at different moments,
  so base is kept as an estimate that only moves when no borne current of the last `LAG_S` explains the reading.
- Less room (by more than `SLACK_A`) counts at once while more is drawn than may be; else when it has lasted for
  `PATIENCE_S`, as the connection's meter may be ahead of the borne's. More room counts when it has lasted for
  `PROVEN_S`. So what switches on and off at short intervals does not chase the cars up and down.
- An overload notice of the meter sheds at once and holds for `OVERLOAD_HOLD_S`.
- A source silent for `SILENT_S` is not trusted any more: the configured safe share holds, never the last value,
  until there have been `RECOVER_S` of good readings. The same while a meter contradicts what the borne draws.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from chargepoint.energy.allocator import Phases

SILENT_S = 10.0
RECOVER_S = 60.0
START_S = 10.0
"""Good readings needed after the start, before the first trust."""
LAG_S = 4.0
"""A reading of the connection may be so much later than one of the borne."""
PATIENCE_S = 3.0
"""And so much earlier."""
SLACK_A = 1.0
"""Room may shrink by so much, or by the margin where that is less, before cars are lowered: the margin bears it."""
PROVEN_S = 30.0
"""Room that was there for so long is taken."""
GAIN_A = 1.0
"""More room than this is worth a raise."""
OVERLOAD_HOLD_S = 60.0
OVERLOAD_MARGIN_A = 2.0
"""Shed this much more than the notice asks for: it repeats once a second, a car follows within five."""
WRONG_S = 30.0
"""A contradiction between meter and borne must last so long to be believed."""
WRONG_A, WRONG_PART = 3.0, 0.15
"""The connection may seem to draw so much less than the borne before that is a contradiction (tolerances, lag)."""
SHOWS_A = 6.0
"""Only a borne that draws this much shows how the meter is wired."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """How to treat one source."""

    name: str
    """Name of its limit: `tic` or `building-meter`."""
    safe_a: float
    """Share of the borne, A per phase, while the source is not trusted."""
    margin_a: float = 1.0
    """Kept free below the subscribed current."""
    includes_borne: bool = True
    """The borne's own current passes through this meter."""
    production: bool = False
    """There is a generator behind the meter: less current than the borne draws is no contradiction."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the source leaves for the borne, and why. `reason` is a name of a limit."""

    amps: Phases
    reason: str
    detail: str = ""
    since: float = 0.0
    until: float | None = None
    """When the reason passes by itself, if the meter goes on as it does."""


class Source:
    """One meter of the connection."""

    def __init__(self, rules: SourceRules, now: float) -> None:
        self.rules = rules
        self._borne: deque[tuple[float, Phases]] = deque()
        self._base: list[float] | None = None
        self._lows: deque[tuple[float, Phases]] = deque()
        self._room: list[float] | None = None
        self._proving: list[float] = []
        """The least room of the present stretch of `PROVEN_S`."""
        self._proving_since = now
        self._good_since: float | None = None
        self._last_at: float | None = None
        self._trusted = False
        self._ever = False
        self._overload_at = float("-inf")
        self._wrong_since: float | None = None
        self._wrong = ""
        self._begun = now
        self._changed: tuple[tuple[str, str], float] = (("", ""), now)

    @property
    def trusted(self) -> bool:
        """As of the last `room`."""
        return self._trusted

    @property
    def base_a(self) -> Phases | None:
        """What others are thought to draw."""
        return None if self._base is None else (self._base[0], self._base[1], self._base[2])

    def lost(self, now: float) -> bool:
        """It is a fault: silent after having been given time to speak, or contradicting the borne."""
        heard_at = self._last_at if self._last_at is not None else self._begun
        return bool(self._wrong) or now - heard_at > SILENT_S or (self._ever and not self._trusted)

    def borne(self, at: float, amps: Phases) -> None:
        """What the borne itself draws on the phases of the supply, by its own meters."""
        self._borne.append((at, amps))
        while len(self._borne) > 1 and self._borne[1][0] <= at - LAG_S:
            self._borne.popleft()

    def reading(self, at: float, drawn_a: Phases, limit_a: Phases, overload: bool = False) -> None:
        """The meter's reading: drawn per phase (negative: fed in) and the most that may be drawn per phase."""
        if self._last_at is not None and at - self._last_at > SILENT_S:
            self._forget()
        self._good_since = at if self._good_since is None else self._good_since
        self._last_at = at
        self._contradiction(at, drawn_a)
        low, high = self._base_between(drawn_a)
        lasting = self._lasting(at, low)
        low = [low[i] if drawn_a[i] > limit_a[i] else lasting[i] for i in range(3)]
        if overload:
            self._overload_at = at
        calm = at - self._overload_at >= OVERLOAD_HOLD_S
        if self._base is None:
            self._base = list(high)
        for i in range(3):
            if overload:
                self._base[i] = max(self._base[i], high[i])
            elif self._base[i] < low[i]:
                self._base[i] = low[i]
            elif self._base[i] > high[i] and calm:
                self._base[i] = high[i]
        self._take_room(at, limit_a, overload, calm)

    def room(self, now: float) -> Room:
        """What may be drawn by the borne at this moment."""
        safe = self.rules.safe_a
        silent = self._last_at is None or now - self._last_at > SILENT_S
        if silent:
            self._forget()
            detail = "never heard" if self._last_at is None else "silent"
            return self._say("safe-share", f"{self.rules.name}: {detail}", now, (safe, safe, safe))
        if self._wrong:
            self._trusted = False
            return self._say("safe-share", f"{self.rules.name}: {self._wrong}", now, (safe, safe, safe))
        patience = RECOVER_S if self._ever else START_S
        if not self._trusted and (self._good_since is None or now - self._good_since < patience):
            detail = f"{self.rules.name}: heard for a short time only"
            until = None if self._good_since is None else self._good_since + patience
            return self._say("safe-share", detail, now, (safe, safe, safe), until)
        self._trusted = self._ever = True
        assert self._room is not None
        amps = (self._room[0], self._room[1], self._room[2])
        if now - self._overload_at < OVERLOAD_HOLD_S:
            return self._say("overload", "", now, amps, self._overload_at + OVERLOAD_HOLD_S)
        return self._say(self.rules.name, "", now, amps)

    def _say(self, reason: str, detail: str, now: float, amps: Phases, until: float | None = None) -> Room:
        if self._changed[0] != (reason, detail):
            self._changed = ((reason, detail), now)
        return Room(amps, reason, detail, self._changed[1], until)

    def _forget(self) -> None:
        self._good_since = None
        self._trusted = False
        self._base = self._room = None
        self._lows.clear()
        self._wrong, self._wrong_since = "", None

    def _lasting(self, at: float, low: Sequence[float]) -> list[float]:
        """The least of what others must have drawn in the last `PATIENCE_S`."""
        self._lows.append((at, (low[0], low[1], low[2])))
        while self._lows[0][0] < at - PATIENCE_S:
            self._lows.popleft()
        return [min(amps[i] for _, amps in self._lows) for i in range(3)]

    def _base_between(self, drawn: Phases) -> tuple[list[float], list[float]]:
        """Bounds of what others may be drawing, with any borne current of the last seconds."""
        if not self.rules.includes_borne or not self._borne:
            return [max(0.0, a) for a in drawn], [max(0.0, a) for a in drawn]
        most = [max(amps[i] for _, amps in self._borne) for i in range(3)]
        least = [min(amps[i] for _, amps in self._borne) for i in range(3)]
        low = [max(0.0, drawn[i] - most[i]) for i in range(3)]
        high = [max(0.0, drawn[i] - least[i]) for i in range(3)]
        return low, high

    def _take_room(self, at: float, limit: Phases, overload: bool, calm: bool) -> None:
        assert self._base is not None
        margin = self.rules.margin_a
        shed = OVERLOAD_MARGIN_A if overload else 0.0
        found = [max(0.0, limit[i] - margin - shed - self._base[i]) for i in range(3)]
        if self._room is None or not self._trusted:
            self._room = list(found)
            self._proving, self._proving_since = found, at
            return
        slack = 0.0 if overload else min(SLACK_A, margin)
        for i in range(3):
            self._proving[i] = min(self._proving[i], found[i])
            if found[i] < self._room[i] - slack:
                self._room[i] = found[i]
        if at - self._proving_since < PROVEN_S:
            return
        for i in range(3):
            if calm and self._proving[i] >= self._room[i] + GAIN_A:
                self._room[i] = self._proving[i]
        self._proving, self._proving_since = found, at

    def _contradiction(self, at: float, drawn: Phases) -> None:
        """A meter through which the borne draws cannot show less than the borne draws."""
        if not self.rules.includes_borne or self.rules.production or not self._borne:
            return
        least = [min(amps[i] for _, amps in self._borne) for i in range(3)]
        wrong = wiring_fault(drawn, least)
        if not wrong:
            if self._wrong:
                self._good_since = at
            self._wrong, self._wrong_since = "", None
            return
        self._wrong_since = at if self._wrong_since is None else self._wrong_since
        if at - self._wrong_since >= WRONG_S:
            self._wrong = wrong


def wiring_fault(drawn: Sequence[float], borne: Sequence[float]) -> str:
    """What must be wrong with a meter that shows `drawn` while the borne draws `borne`; empty when nothing need be."""

    def misses(seen: float, own: float) -> bool:
        return own >= SHOWS_A and seen < own - max(WRONG_A, WRONG_PART * own)

    bad = [i for i in range(3) if misses(drawn[i], borne[i])]
    if not bad:
        return ""
    backwards = [i for i in bad if drawn[i] < 0 and not misses(-drawn[i], borne[i])]
    if backwards == bad:
        return f"wired backwards on {_names(bad)}"
    for order in permutations(range(3)):
        if not any(misses(drawn[order[i]], borne[i]) for i in range(3)):
            return f"phases exchanged: {_names(bad)} of the borne is seen on {_names([order[i] for i in bad])}"
    return f"does not see what the borne draws on {_names(bad)}"


def _names(phases: Sequence[int]) -> str:
    return ", ".join(f"L{i + 1}" for i in phases)


def tightest(rooms: Sequence[Room], static_a: Phases) -> Phases:
    """What all sources and the fixed supply leave per phase."""
    amps = [min([static_a[i], *(room.amps[i] for room in rooms)]) for i in range(3)]
    return (amps[0], amps[1], amps[2])


@dataclass(frozen=True, slots=True)
class GridSignal:
    """A contact of the grid operator: while it is in its active position, points get no more than `limit_a`."""

    name: str
    limit_a: float
    evses: tuple[int, ...]
    """Empty: all points."""
    bit: int
    """Of the TIC's RELAIS: 0 the real contact, 1..7 virtual ones; of the board: 0 the first input."""
    active_closed: bool = True
    wired: bool = False
    """A contact wired to the board; else a relay of the Linky."""

    def active(self, closed: int) -> bool:
        """Whether it asks for less; `closed` has a bit for each closed contact."""
        return bool(closed >> self.bit & 1) is self.active_closed

    def concerns(self, evse: int) -> bool:
        return not self.evses or evse in self.evses
