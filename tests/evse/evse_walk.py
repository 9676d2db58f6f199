"""An exhaustive walk over the abstract states of the real machine.

A node is one or two points with their worlds. From each node every move of the alphabet is made: something in the
world changes, or time passes (a pass, or up to a timer's end). Nodes are the same when everything that can matter
later is the same: every discrete value, and for every timer whether it has expired (`AGES`). The machine itself runs;
nothing is modelled twice.
"""

import copyreg
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from evse_invariants import Invariants
from evse_rig import Rig

from chargepoint.board.types import BorneInputs, LockDrive, PointOutputs
from chargepoint.evse.lock import MotorArbiter
from chargepoint.evse.messages import Permit
from chargepoint.evse.point import PointConfig
from chargepoint.faults import FaultRow, Recover, fault

copyreg.pickle(FaultRow, lambda row: (fault, (row.name,)))
copyreg.pickle(BorneInputs, lambda b: (BorneInputs, (b.emergency_stop, b.door_open, b.coil_watchdog_armed)))
copyreg.pickle(PointOutputs, lambda o: (PointOutputs, (o.contactor, o.duty, o.lock, o.rcd_test, o.domestic_contactor)))
copyreg.pickle(
    PointConfig, lambda c: (PointConfig, (c.id, c.max_current_a, c.socket, c.ventilated, c.domestic, c.domestic_a))
)

AGES: dict[str, tuple[float, ...]] = {
    "PilotFilter.since": (0.1, 0.5),
    "Lease._until": (0.0,),
    "Lock._since": (1.0,),
    "Lock._again": (0.0,),
    "Contactor._changed": (1.0,),
    "Contactor._not_before": (0.0,),
    "Contactor._bad_since": (0.1, 1.0),
    "WakeUp._offered_at": (30.0,),
    "WakeUp._pulse_at": (4.0,),
    "Offer._changed": (5.0,),
    "SelfTests._since": (0.5, 1.0),
    "Point._stop_since": (6.0,),
    "Point._torn_at": (1.0,),
    "Point._car_since": (0.5,),
    "DutyWatch._bad_since": (0.2,),
    "CoilWatchdogWatch._since": (1.0,),
    "ConverterWatch._started": (5.0,),
    "ConverterWatch._settles_at": (0.0,),
    "Domestic._since": (0.5,),
}
"""Each timer's ends, s after the time it holds (before it, for a deadline: 0)."""

IGNORED = {
    "moves", "closings", "openings_under_load", "plug_count", "changes", "trips", "wake_ups_ever", "runs", "closed_at",
    "opened_at", "detail", "rcd_detail", "config", "_recent", "_retry_at", "passed_at", "rcd_passed_at", "lock_lost",
    "_low", "_high", "blocked", "seen", "watch", "passes", "now", "_renewed", "row", "_gap", "_over", "locked", "count",
    "_changed", "_duty", "_recoveries", "since", "_calm_until", "measured", "pilot_detail", "_rcd_ms", "_rdc_ms",
}  # fmt: skip
"""What no decision rests on, or another value tells: counters, texts, times only reported, the lock's rated duty."""
KEPT = {"PilotFilter.since", "Contactor._changed", "Offer._changed"}

LIVE: dict[str, Callable[[Any], bool]] = {
    "PilotFilter.since": lambda p: p.band.name in "CDE",
    "Lease._until": lambda lease: lease.wants or lease.hold_lock,
    "Lease.wake_up": lambda lease: lease.wants,
    "Lock._since": lambda lock: lock.drive is not LockDrive.OFF,
    "Contactor._changed": lambda c: c.commanded and not c.confirmed,
    "WakeUp._offered_at": lambda w: not w.used,
    "SelfTests._since": lambda s: s.running,
    "SelfTests._tries": lambda s: s.running,
    "Point._car_since": lambda p: p.car and p.proximity.cable_a is None,
    "ConverterWatch._started": lambda c: not c.settled,
    "ConverterWatch._settles_at": lambda c: not c.settled,
    "PilotFilter._pending": lambda p: p._count > 0,
    "ProximityWatch._pending": lambda p: p._count > 0,
}
"""When a value is looked at at all; else it is left over from before and is no part of the state."""


_Plan = list[tuple[str, tuple[float, ...] | None, Callable[[Any], bool] | None, str]]
_PLANS: dict[type, _Plan] = {}


def _plan(thing: Any) -> _Plan:
    """Which attributes of a class count, when, and the ends of those that are times."""
    kind = type(thing)
    plan = _PLANS.get(kind)
    if plan is None:
        names = list(getattr(thing, "__slots__", ())) or list(vars(thing))
        full = [(n, f"{kind.__name__}.{n}") for n in names]
        plan = _PLANS[kind] = [(n, AGES.get(f), LIVE.get(f), f) for n, f in full if n not in IGNORED or f in KEPT]
    return plan


def key_of(thing: Any, now: float, into: list[Any]) -> None:
    """Append everything of an object that can matter later, with time reduced to expired or not."""
    for name, ends, live, full in _plan(thing):
        value = getattr(thing, name) if live is None or live(thing) else None
        if value is None or value.__class__ in _PLAIN:
            into.append(value)
        elif value.__class__ is float:
            if ends is not None:
                age = now - value + 1e-9
                into.append(sum([age >= end for end in ends]))
            else:
                assert not 900.0 < value < 1e6, f"{full} is a time that no row of AGES knows"
                into.append(value if full != "World.lock_at" else (value > 0.0) + (value >= 1.0))
        elif value.__class__ is dict:
            for fault_name in sorted(value):
                active = value[fault_name]
                waits = not active.present and active.row.recover is Recover.SELF
                into.append((fault_name, active.present, waits and now - active.gone_at >= active.row.after_s))
        elif isinstance(value, Enum):
            into.append(value)
        elif isinstance(value, MotorArbiter):
            into.append(value.owner)
        elif isinstance(value, int):
            into.append(min(value, 3))
        elif isinstance(value, BorneInputs):
            into.append(value)
        else:
            key_of(value, now, into)


_PLAIN = frozenset({bool, str})


Move = tuple[str, Callable[[Rig], None]]


class Walk:
    """Walks until no new node is found, or `limit` nodes."""

    def __init__(
        self, rigs: tuple[Rig, ...], moves: list[Move], waits: tuple[tuple[float, bool], ...], limit: int = 10**9
    ) -> None:
        self._start = rigs
        self._moves = moves
        self._waits = waits
        self._limit = limit
        self.nodes = 0
        self.transitions = 0
        self.whole = True
        """Every reachable node was visited."""
        self.closings = 0
        self.faults: set[str] = set()
        self.states: set[str] = set()
        self.faulty: dict[Any, bytes] = {}
        """For each distinct set of faults and lock trouble, one node that has it."""

    def run(self) -> "Walk":
        first = self._freeze(self._start, tuple(Invariants() for _ in self._start))
        seen = {self._key(self._start)}
        queue = deque([first])
        while queue:
            frozen = queue.popleft()
            self.nodes += 1
            for after in self._successors(frozen):
                self.transitions += 1
                key = self._key(after[0])
                if key not in seen:
                    if len(seen) >= self._limit:
                        self.whole = False
                        continue
                    seen.add(key)
                    node = self._freeze(*after)
                    self._notice(after[0], node)
                    queue.append(node)
        return self

    def _successors(self, frozen: bytes) -> Iterator[tuple[tuple[Rig, ...], tuple[Invariants, ...]]]:
        for number in range(len(self._start)):
            for _, change in self._moves:
                rigs, invariants = pickle.loads(frozen)
                change(rigs[number])
                self._pass(rigs, invariants, 0.01)
                self._pass(rigs, invariants, 0.01)
                yield rigs, invariants
        for wait, renewed in self._waits:
            rigs, invariants = pickle.loads(frozen)
            self._pass(rigs, invariants, wait)
            if renewed:
                for rig in rigs:
                    renew(rig)
            self._pass(rigs, invariants, 0.01)
            yield rigs, invariants

    def _pass(self, rigs: tuple[Rig, ...], invariants: tuple[Invariants, ...], dt: float) -> None:
        for rig, invariant in zip(rigs, invariants, strict=True):
            before = rig.now
            closed = rig.out.contactor
            rig.step(dt)
            invariant.check(rig, before)
            self.closings += rig.out.contactor and not closed
        assert sum(rig.out.lock is not LockDrive.OFF for rig in rigs) <= 1, "two lock motors at once"

    def _notice(self, rigs: tuple[Rig, ...], node: bytes) -> None:
        for rig in rigs:
            self.states.add(rig.point.state)
            self.faults |= rig.faults
        trouble = tuple(
            (tuple(sorted(r.faults)), r.point.lock.failed, r.point.unlock_wanted, r.point.self_tests.phase)
            for r in rigs
        )
        self.faulty.setdefault(trouble, node)

    @staticmethod
    def _freeze(rigs: tuple[Rig, ...], invariants: tuple[Invariants, ...]) -> bytes:
        for rig in rigs:
            rig.seen = None
        return pickle.dumps((rigs, invariants), 5)

    @staticmethod
    def _key(rigs: tuple[Rig, ...]) -> Any:
        key: list[Any] = []
        for rig in rigs:
            key_of(rig.point, rig.now, key)
            key_of(rig.world, rig.now, key)
            key.append(rig.out)
        return tuple(key)


def put(**values: Any) -> Callable[[Rig], None]:
    """A move that sets things of the world."""

    def change(rig: Rig) -> None:
        for name, value in values.items():
            setattr(rig.world, name, value)

    return change


def say(allowed: bool, hold: bool = False, connector: int = 1) -> Callable[[Rig], None]:
    """A move of the station: it permits, or withdraws (holding the plug or not)."""

    def change(rig: Rig) -> None:
        rig.point.permit(Permit(1, allowed, 32.0, hold_lock=hold, connector=connector), rig.now)

    return change


def renew(rig: Rig) -> None:
    """The station goes on renewing whatever it said last."""
    lease = rig.point.lease
    if lease.wants or lease.hold_lock:
        say(lease.wants, lease.hold_lock, lease.connector)(rig)


def release(rig: Rig) -> None:
    """Somebody asks for the plug; after 20 s without success the request is given up (`borne.UNLOCK_LIMIT_S`)."""
    rig.point.request_unlock()
