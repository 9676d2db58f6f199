"""A point's whole state as one tuple, and back: what the exhaustive walk compares and restores.

Time stands still in the walk, at `NOW`. A time that the machine keeps is therefore fresh (its end has not come) or
over, nothing else; that it is over is a move of its own, which any running timer may make before any pass. So
every combination of timers that have and have not ended is reached, whatever their lengths are against each other.
Counters that only compare with a bound are reduced to below and at the bound in the same way.

Every attribute of the machine stands in one of the tables below; a new one that does not is an error.
"""

from collections.abc import Callable, Iterator
from typing import Any

from chargepoint.board.types import LockDrive
from chargepoint.evse.contactor import DROP_COUNT, WELD_COUNT, Contactor
from chargepoint.evse.domestic import SETTLED_PASSES
from chargepoint.evse.pilot import DIODE_MISSING
from chargepoint.evse.point import LOCK_LOST_RESULTS, Point
from chargepoint.evse.register import Active
from chargepoint.evse.selftest import Phase
from chargepoint.evse.watch import GAP_RESULTS
from chargepoint.faults import FAULTS, Recover
from chargepoint.iec61851.pilot import Band, keeps
from chargepoint.iec61851.proximity import Proximity
from chargepoint.iec61851.timing import LOCK_MOVES, LOCK_MOVES_WINDOW_S

NOW = 1000.0
OVER = -1e6
"""A start so long ago that every timer of it has ended."""
PAST = float("-inf")
AHEAD = NOW + 1000.0
"""A deadline that has not come."""
FAR = float("inf")


def _never(_: Any, __: Point) -> bool:
    return False


def _always(_: Any, __: Point) -> bool:
    return True


RUNS: dict[str, Callable[[Any, Point], bool]] = {
    "PilotFilter.since": lambda f, p: f.band in (Band.C, Band.E) or (f.band is Band.D and p.config.ventilated),
    "Lock._since": lambda lock, p: lock.drive is not LockDrive.OFF,
    "Contactor._changed": lambda c, p: c.commanded and not c.confirmed,
    "WakeUp._offered_at": lambda w, p: not w.used,
    "WakeUp._pulse_at": lambda w, p: True,
    "Offer._changed": lambda o, p: True,
    "SelfTests._since": lambda s, p: s.running,
    "SelfTests.rcd_passed_at": lambda s, p: True,
    "Point._stop_since": lambda q, p: True,
    "Point._torn_at": lambda q, p: True,
    "ProximityWatch.since": lambda w, p: w.coding is Proximity.OPEN and p.car and p.config.socket,
    "Point._car_since": lambda q, p: p.car and p.config.socket,
    "DutyWatch._changed": lambda d, p: True,
    "DutyWatch._bad_since": lambda d, p: True,
    "CoilWatchdogWatch._since": lambda w, p: True,
    "ConverterWatch._started": lambda c, p: not c.settled,
    "Domestic._since": lambda d, p: bool(d.plug) or d.plugged,
}
"""Times at which something began, and when anybody looks at them. Else they are left over from before."""

STILL: dict[str, Callable[[Any, Point], bool]] = {
    "SelfTests._since": lambda s, p: s.phase in (Phase.PILOT, Phase.LOCK_CLOSE, Phase.LOCK_OPEN),
    "SelfTests.rcd_passed_at": _always,
    "Lease._until": _always,
    "Contactor._changed": _always,
}
"""What is left of a timer that an alphabet holds still: the first runs in these phases only; the others here never end
(the residual current test stays in date, the station goes on, a contactor follows in time). All that are not here
are over as soon as they begin."""

DUE: dict[str, Callable[[Any, Point], bool]] = {
    "Lease._until": lambda lease, p: lease.wants or lease.hold_lock,
    "Lock._again": lambda lock, p: lock.drive is LockDrive.OFF,
    "Contactor._not_before": lambda c, p: True,
    "ConverterWatch._settles_at": lambda c, p: not c.settled,
    "SelfTests._retry_at": lambda s, p: True,
    "Point._calm_until": lambda q, p: True,
}
"""Deadlines."""

BOUNDED: dict[str, int] = {
    "DiodeCheck._bad": DIODE_MISSING, "VoltageWatch._gap": GAP_RESULTS, "Point.lock_lost": LOCK_LOST_RESULTS,
    "Contactor._signs": WELD_COUNT, "second Contactor._signs": WELD_COUNT,
    "Contactor._lost": DROP_COUNT, "second Contactor._lost": DROP_COUNT, "second Contactor._dead": SETTLED_PASSES,
}  # fmt: skip
"""Long counters of results: none, some, and (after the move that says so) one less than the bound. Of one that also
goes down in steps of one, "some" goes to none at once, or (after that move) stays."""

CAPPED: dict[str, int] = {
    "Point._torn": 2, "Derating._broken": 3, "ConverterWatch._bad": 3, "VoltageWatch._over": 3, "Contactor._dead": 3,
}  # fmt: skip
"""Short counters of results, up to the bound at which they stop to matter."""

DEAD: dict[str, tuple[Callable[[Any, Point], bool], Any]] = {
    "Lease.current_a": (lambda lease, p: not lease.wants, 0.0),
    "Lease.connector": (lambda lease, p: not lease.wants, 1),
    "Lease.wake_up": (lambda lease, p: not lease.wants, True),
    "Contactor._dead": (lambda c, p: c.commanded or c.open_confirmed, 0),
    "Point.lock_lost": (lambda q, p: not p.contactor.commanded, 0),
    "PilotFilter._pending": (lambda f, p: not f._count, Band.A),
    "ProximityWatch._pending": (lambda w, p: not w._count, None),
    "SelfTests._tries": (lambda s, p: not s.running, 0),
    "SelfTests.detail": (lambda s, p: not s.running, ""),
    "SelfTests._what": (lambda s, p: not (s.due or s.running), "all"),
}
"""Values that nobody looks at under this condition, and what stands for them."""

IGNORED = {
    "Point.config", "Point.plug_count", "Point.wake_ups_ever", "Point.blocked", "Point.locked", "PilotFilter._low",
    "PilotFilter._high", "ProximityWatch._low", "ProximityWatch._high", "Lock._evse",
    "Lock._arbiter", "Lock._recent", "Lock.moves", "Contactor.closed_at", "Contactor.opened_at", "Contactor.closings",
    "Contactor.openings_under_load", "Contactor.detail", "WakeUp.count", "SelfTests.rcd_detail",
    "SelfTests.runs", "SelfTests.passed_at", "FaultRegister.active", "FaultRegister.changes", "FaultRegister.trips",
    "FaultRegister._recoveries", "ConverterWatch.trusted", "SelfTests.measured",
    "SelfTests._rcd_ms", "SelfTests._rdc_ms", "Domestic.plug_count", "Contactor.settled_results",
}  # fmt: skip
"""Reported only, made anew in each pass before anybody looks, told by another value, or kept by `Frames` itself."""

Frame = tuple[Any, ...]
ACTIVE, SPENT, DUTY = 0, 1, 2
"""Places in a frame of the active faults, the faults whose recoveries are spent, and the lock's rated duty (0: moves
are left, 1: only those for opening, 2: none)."""


class Frames:
    """Takes frames of one point and puts them back."""

    def __init__(self, point: Point, still: frozenset[str] = frozenset()) -> None:
        """`still`: timers that the alphabet cannot bring to matter, kept at their end."""
        self.point = point
        self._fields: list[tuple[Any, str]] = []
        self._tidy: list[tuple[Any, str, str, Callable[[Any, Point], bool]]] = []
        self._capped: list[tuple[Any, str, int, int | None]] = []
        self._dead: list[tuple[Any, str, Callable[[Any, Point], bool], Any]] = []
        self._ends: dict[int, tuple[str, Any]] = {}
        self.names: list[str] = ["active", "spent", "duty"]
        self._pool = {name: Active(row, 0.0, "", True) for name, row in FAULTS.items()}
        self._collect(point, still)
        self._calm = self.names.index("Point._calm_until")
        self._read, self._write = self._straight()

    def _collect(self, thing: Any, still: frozenset[str]) -> None:
        for name in list(getattr(thing, "__slots__", ())) or list(vars(thing)):
            full = f"{type(thing).__name__}.{name}"
            value = getattr(thing, name)
            if full in IGNORED:
                if full == "FaultRegister.active":
                    assert value is self.point.faults.active
                continue
            if type(value).__module__.startswith("chargepoint.evse") and not hasattr(value, "value"):
                self._collect(value, still)
                continue
            self._field(thing, name, full, still)

    def _field(self, thing: Any, name: str, full: str, still: frozenset[str]) -> None:
        place = len(self.names)
        second = isinstance(thing, Contactor) and thing is not self.point.contactor
        known = f"second {full}" if second else full
        bound = BOUNDED.get(known)
        self.names.append(known)
        self._fields.append((thing, name))
        if full in RUNS:
            runs = RUNS[full] if full not in still else STILL.get(full, _never)
            self._tidy.append((thing, name, "since", runs))
            if full not in still or runs is not _always:
                self._ends[place] = ("since", OVER)
        elif full in DUE:
            runs = DUE[full] if full not in still else STILL.get(full, _never)
            self._tidy.append((thing, name, "due", runs))
            if full not in still or runs is not _always:
                self._ends[place] = ("due", PAST)
        elif bound is not None and known in still:
            self._dead.append((thing, name, _always, 0))
        elif bound is not None:
            self._capped.append((thing, name, 1, bound))
            self._ends[place] = ("bad", bound - 1)
        else:
            value = getattr(thing, name)
            assert not isinstance(value, float) or not abs(value - NOW) < 500, f"{full} is a time that no table knows"
            if full in CAPPED:
                self._capped.append((thing, name, CAPPED[full], None))
        if full in DEAD:
            self._dead.append((thing, name, *DEAD[full]))
        if full in still and full not in self._timers():
            self._dead.append((thing, name, _always, getattr(thing, name)))

    @staticmethod
    def _timers() -> set[str]:
        return {*RUNS, *DUE, *BOUNDED}

    def take(self) -> Frame:
        """The point's state; what does not matter is made the same in it."""
        faults = self.point.faults
        active: Any = ()
        if faults.active:
            told = [(n, a.present, not a.present and self._waits(a)) for n, a in faults.active.items()]
            active = tuple(sorted(told))
        spent = tuple(sorted([n for n, c in faults._recoveries.items() if FAULTS[n].count and c >= FAULTS[n].count]))
        recent = self.point.lock._recent
        return self._read(active, spent, self._duty_of(recent) if recent else 0)

    def _straight(self) -> tuple[Callable[[Any, Any, int], Frame], Callable[[Frame], None]]:
        """Reading and writing all fields as straight code, made from the tables: a walk does both millions of times."""
        space: dict[str, Any] = {"p": self.point, "OVER": OVER, "NOW": NOW, "PAST": PAST, "AHEAD": AHEAD, "FAR": FAR}
        names: dict[int, str] = {}

        def called(thing: Any) -> str:
            name = names.setdefault(id(thing), f"t{len(names)}")
            space[name] = thing
            return name

        lines = []
        for number, (thing, name, dead, value) in enumerate(self._dead):
            space[f"dead{number}"], space[f"value{number}"] = dead, value
            lines.append(f"if dead{number}({called(thing)}, p): {called(thing)}.{name} = value{number}")
        for thing, name, cap, bound in self._capped:
            full = f"{called(thing)}.{name}"
            capped = cap if bound is None else f"{cap} if {full} < {bound} else {bound}"
            lines.append(f"if {full} > {cap}: {full} = {capped}")
        for number, (thing, name, kind, runs) in enumerate(self._tidy):
            space[f"runs{number}"] = runs
            full, asked = f"{called(thing)}.{name}", f"runs{number}({called(thing)}, p)"
            lines.append(f"v = {full}")
            if kind == "since":
                lines.append(f"if v is not None and v != OVER and (v < NOW or not {asked}): {full} = OVER")
            else:
                lines.append("if v is None or v == PAST or v == FAR: pass")
                lines.append("elif v == AHEAD:")
                lines.append(f"    if not {asked}: {full} = PAST")
                lines.append(f"else: {full} = AHEAD if v > NOW and {asked} else PAST")
        fields = ", ".join(f"{called(thing)}.{name}" for thing, name in self._fields)
        body = "".join(f"    {line}\n" for line in lines)
        exec(f"def read(a, s, d):\n{body}    return (a, s, d, {fields})\n", space)
        exec(f"def write(f):\n    _, _, _, {fields} = f\n", space)
        return space["read"], space["write"]

    @staticmethod
    def _waits(active: Active) -> bool:
        row = active.row
        return row.recover is Recover.SELF and row.after_s > 0 and active.gone_at >= NOW

    @staticmethod
    def _duty_of(recent: list[float]) -> int:
        moves = sum(at > NOW - LOCK_MOVES_WINDOW_S for at in recent)
        return 0 if moves < LOCK_MOVES - 3 else 1 if moves < LOCK_MOVES else 2

    def put(self, frame: Frame) -> None:
        """Make the point be in that state."""
        point = self.point
        self._write(frame)
        faults = point.faults
        faults.active.clear()
        for name, present, waits in frame[ACTIVE]:
            active = self._pool[name]
            active.present = present
            active.gone_at = NOW if present or waits else OVER
            faults.active[name] = active
        faults._recoveries.clear()
        for name in frame[SPENT]:
            faults._recoveries[name] = FAULTS[name].count
        point.lock._recent[:] = [NOW] * (0, LOCK_MOVES - 3, LOCK_MOVES)[frame[DUTY]]
        point.pilot._low, point.pilot._high = keeps(point.pilot.band)
        point.proximity._low = point.proximity._high = -1.0

    def ends(self, frame: Frame, spends: bool, wear: bool) -> Iterator[tuple[str, Frame]]:
        """What may end before the next pass: a timer, a quiet time, a bound of a counter. `spends`: the recoveries of
        a fault too. `wear`: the lock's moves too."""
        for place, (kind, end) in self._ends.items():
            value = frame[place]
            if (
                (kind == "since" and value == NOW)
                or (kind == "due" and value == AHEAD)
                or (kind == "bad" and value == 1)
            ):
                after = _with(frame, place, end)
                if self.names[place] in ("SelfTests.rcd_passed_at", "SelfTests._retry_at"):
                    after = _with(after, self._calm, PAST)
                yield self.names[place], after
        for index, (name, present, waits) in enumerate(frame[ACTIVE]):
            if waits:
                active = (*frame[ACTIVE][:index], (name, present, False), *frame[ACTIVE][index + 1 :])
                yield f"quiet {name}", _with(frame, ACTIVE, active)
            if spends and FAULTS[name].count and name not in frame[SPENT]:
                yield f"spent {name}", _with(frame, SPENT, tuple(sorted((*frame[SPENT], name))))
        if wear:
            for level in {0: (1,), 1: (0, 2), 2: (0,)}[frame[DUTY]]:
                yield f"lock moves {level}", _with(frame, DUTY, level)

    def all_over(self, frame: Frame) -> Frame:
        """Every timer has ended, as after hours without a pass; the tests are in date and the station goes on. An
        opening that is being confirmed is so with the next result."""
        kept = ("SelfTests.rcd_passed_at", "Lease._until", "Point._calm_until")
        after = list(frame)
        for place, (kind, end) in self._ends.items():
            if self.names[place] not in kept and kind != "bad" and frame[place] in (NOW, AHEAD):
                after[place] = end
            if self.names[place] == "second Contactor._dead" and frame[place]:
                after[place] = end
        after[self._calm] = PAST
        after[ACTIVE] = tuple((name, present, False) for name, present, _ in frame[ACTIVE])
        after[DUTY] = 0
        return tuple(after)


def _with(frame: Frame, place: int, value: Any) -> Frame:
    return (*frame[:place], value, *frame[place + 1 :])
