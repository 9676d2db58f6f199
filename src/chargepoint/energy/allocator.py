"""Sharing one supply between the points of a borne: a pure function, called about once a second.

    allocation = allocate(supply, points, now, memory)      # and again with allocation.memory

How it decides, in this order:

1. What each point may still draw (its *claim*): what its pilot signals, and after a lowering the old signal
   until the meter has seen the drop or `FOLLOW_S` have passed. The sum of claims on a phase never grows above
   the supply's limit; only a limit that itself falls can find claims above it, for as long as cars may take.
2. Which phases a car uses: all of its socket's until the meter has seen it leave some unused for `PHASES_S`, and again
   once the meter is silent.
3. Who is admitted with the minimum of 6 A. When not all fit they take turns: whoever has waited longest goes
   next, of those who never had a turn the one with the least energy.
4. Targets by weighted water-filling per phase between the admitted. A point that draws less than offered for
   `IDLE_S` is counted at what it draws plus `IDLE_MARGIN_A`; what nobody else wants it keeps all the same.
5. A load that cannot be told how much it may draw (`fixed_a`: a domestic socket) gets its whole current or none, and
   none until the cars that must make room for it have lowered theirs. It takes its turn like a car.
6. Lowering comes first; raising takes only the room that claims leave. Between two changes of one pilot lie
   `CHANGE_S`, except where a lowering is needed to respect the limit.

No I/O, no clock: `now` is monotonic seconds, currents are amperes per phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import floor, inf

from chargepoint.energy.limits import MINIMUM_A
from chargepoint.energy.reasons import Offer

Phases = tuple[float, float, float]
"""A value for each of L1, L2, L3."""

FOLLOW_S = 6.0
"""A lowered car is taken to have followed after this: 5 s (IEC 61851-1, A.3, sequence 6) and a margin."""
CHANGE_S = 5.0
"""Least time between two changes of one pilot: a car may still be following the last one."""
IDLE_S = 60.0
"""Drawing less than offered for so long makes a point idle; doubled after every wake-up, up to `IDLE_MAX_S`."""
IDLE_MAX_S = 960.0
IDLE_MARGIN_A = 3.0
"""An idle point is counted at what it draws and this margin."""
WAKE_A = 1.0
"""An idle car that draws within this of what it is offered has woken up."""
PHASES_S = 30.0
"""How long a phase must carry nothing, while another does, to be given to others."""
USED_A, CARRYING_A = 0.5, 3.0
"""A phase is in use above the first; unused phases show only when another carries at least the second."""
TURN_S = 900.0
"""Length of a turn when not all fit."""
HYSTERESIS_S = 210.0
"""A turn lasts at least so long, even with a newcomer waiting; and a car shed for want of room stays off so long
unless `RETURN_A` are free for it."""
RETURN_A = 1.5 * MINIMUM_A
TOLERANCE_A = 0.5
"""A car may draw this much beyond its signal before the excess is taken from what is shared (meter, PWM tolerance)."""
STEP_A = 0.5
"""Changes smaller than this are left out unless the limit needs them or they complete a raise to the cap."""


def wiring(rotation: str, phases: int = 3) -> tuple[int, ...]:
    """Supply phase (0..2) of each of the socket's conductors: `wiring("STR")` is (1, 2, 0). Letters are OCPP's."""
    return tuple("RST".index(letter) for letter in rotation[:phases])


@dataclass(frozen=True, slots=True)
class Supply:
    """What may be drawn per phase in all, and what of it is kept for others."""

    limit_a: Phases
    reserved_a: Phases = (0.0, 0.0, 0.0)

    def free(self) -> list[float]:
        return [max(0.0, limit - kept) for limit, kept in zip(self.limit_a, self.reserved_a, strict=True)]


@dataclass(frozen=True, slots=True)
class Point:
    """One point as it is now."""

    id: int
    wiring: tuple[int, ...]
    """Supply phase of the socket's L1[, L2, L3]; see `wiring()`."""
    connected: bool
    """A car is on the cable. When it is not, nothing can be drawn."""
    wants: bool
    """Connected, allowed to charge and not faulted: it takes part in the sharing, drawing or not."""
    cap_a: float
    """The minimum of its own limits (socket, cable, profiles...), without the share."""
    since: float
    """When it plugged in; tells one car from the next."""
    signalled_a: float = 0.0
    """What the pilot signals, as the safety process reports it; 0 in x1."""
    measured_a: tuple[float | None, ...] = ()
    """Currents on the socket's L1..L3; None or absent where not measured."""
    measured_at: float = -inf
    energy_wh: float = 0.0
    """Delivered in this session."""
    weight: float = 1.0
    """Share above the minimum relative to others, e.g. 2 for a car with a departure ahead."""
    fixed_a: float | None = None
    """All or nothing: the least it can be given, and the most. None: a car, from 6 A to `cap_a`."""

    @property
    def least_a(self) -> float:
        """The least it can be offered; rounded as offers are."""
        return MINIMUM_A if self.fixed_a is None else floor(self.fixed_a * 10 + 1e-6) / 10

    @property
    def most_a(self) -> float:
        """Whatever its own limits leave of it; for a fixed load no more than it takes."""
        return self.cap_a if self.fixed_a is None else min(self.cap_a, self.least_a)


@dataclass(frozen=True, slots=True)
class PointMemory:
    """What is remembered of a point between two calls."""

    since: float
    offered_a: float = 0.0
    changed_at: float = -inf
    held_a: float = 0.0
    """Signal before the last lowering, still claimed until `held_until` or until the drop is measured."""
    held_until: float = -inf
    drop_from: float = inf
    """The lowering can be seen in readings later than this; `inf` when no drop can be seen."""
    used: frozenset[int] | None = None
    """Conductors the car uses, once known."""
    pattern: frozenset[int] = frozenset()
    pattern_since: float = inf
    idle_since: float = inf
    idle: bool = False
    wakes: int = 0
    turn_since: float | None = None
    """Start of the present turn; None while not admitted."""
    waiting_since: float | None = None
    served_at: float = -inf
    """When its last turn ended."""
    shed_at: float = -inf


Memory = dict[int, PointMemory]


@dataclass(frozen=True, slots=True)
class Allocation:
    """An offer for every point, and what to give to the next call."""

    offers: dict[int, Offer]
    memory: Memory = field(repr=False)


@dataclass(slots=True)
class _Seat:
    """A point during one call."""

    point: Point
    memory: PointMemory
    lines: tuple[int, ...] = ()
    """Supply phases its car uses."""
    claim_a: float = 0.0
    want_a: float = 0.0
    target_a: float = 0.0
    reason: str = ""
    phase: int | None = None
    until: float | None = None


def allocate(supply: Supply, points: Sequence[Point], now: float, memory: Memory) -> Allocation:
    """Decide what every point is offered from now on. `memory` is {} at first, then that of the last allocation.

    Points that are not in `points` are forgotten, so name all of them in every call.
    """
    seats = [_seat(point, memory.get(point.id), now) for point in points]
    free = supply.free()
    _take_excess(seats, free)
    admitted = _admit(seats, list(free), now)
    _fill(admitted, list(free))
    offers = _move(seats, free, now)
    return Allocation(offers, {seat.point.id: seat.memory for seat in seats})


# 1 and 2: what each point claims, and on which phases


def _seat(point: Point, old: PointMemory | None, now: float) -> _Seat:
    memory = (
        old if old is not None and (old.since == point.since or not point.connected) else _newcomer(point, old, now)
    )
    if not point.connected:
        memory = PointMemory(since=point.since)
    memory = _settle(point, memory, now)
    memory = _see_phases(point, memory)
    memory = _see_idling(point, memory)
    used = range(len(point.wiring)) if memory.used is None else sorted(memory.used)
    seat = _Seat(point, memory, tuple(point.wiring[i] for i in used))
    seat.claim_a = max(memory.offered_a, memory.held_a)
    seat.want_a = point.most_a
    if memory.idle:
        seat.want_a = min(point.most_a, max(point.least_a, _drawn(point) + IDLE_MARGIN_A))
    return seat


def _newcomer(point: Point, old: PointMemory | None, now: float) -> PointMemory:
    """A car never seen before. What the last one was offered stays claimed: the exchange may have gone unseen."""
    held = 0.0 if old is None else max(old.offered_a, old.held_a)
    return PointMemory(since=point.since, held_a=held, held_until=now + FOLLOW_S)


def _settle(point: Point, memory: PointMemory, now: float) -> PointMemory:
    """Let go of the signal before the last lowering once the car has followed."""
    if point.connected and point.signalled_a > memory.offered_a + 0.1:
        # The pilot still shows more than was last decided: the six seconds begin when it has come down.
        return replace(memory, held_a=max(memory.held_a, point.signalled_a), held_until=now + FOLLOW_S)
    if memory.held_a <= 0:
        return memory
    followed = point.measured_at > memory.drop_from and _drawn(point) <= memory.offered_a + TOLERANCE_A
    if now >= memory.held_until or followed:
        return replace(memory, held_a=0.0, held_until=-inf, drop_from=inf)
    return memory


def _drawn(point: Point) -> float:
    return max((a for a in point.measured_a if a is not None), default=0.0)


def _measured(point: Point) -> bool:
    """All conductors of the socket have been measured."""
    return len(point.measured_a) >= len(point.wiring) and None not in point.measured_a[: len(point.wiring)]


def _see_phases(point: Point, memory: PointMemory) -> PointMemory:
    if len(point.wiring) == 1 or not point.wants:
        return memory
    if not _measured(point):  # nobody would see the car take the others up again: they are its own until seen anew
        known = memory.used is not None or memory.pattern_since != inf
        return replace(memory, used=None, pattern=frozenset(), pattern_since=inf) if known else memory
    carrying = frozenset(i for i in range(len(point.wiring)) if (point.measured_a[i] or 0.0) > USED_A)
    if memory.used is not None and carrying - memory.used:
        return replace(memory, used=None, pattern=frozenset(), pattern_since=inf)
    if _drawn(point) < CARRYING_A:
        return memory if memory.pattern_since == inf else replace(memory, pattern=frozenset(), pattern_since=inf)
    if carrying != memory.pattern:
        return replace(memory, pattern=carrying, pattern_since=point.measured_at)
    if memory.used != carrying and point.measured_at - memory.pattern_since >= PHASES_S:
        return replace(memory, used=carrying)
    return memory


def _see_idling(point: Point, memory: PointMemory) -> PointMemory:
    if memory.idle and not _measured(point):
        return replace(memory, idle=False, idle_since=inf)  # who is not measured any more counts whole
    if not point.wants or memory.offered_a <= 0 or not _measured(point) or point.measured_at <= memory.changed_at:
        return memory
    drawn = _drawn(point)
    if memory.idle:
        if drawn < memory.offered_a - WAKE_A:
            return memory
        return replace(memory, idle=False, idle_since=inf, wakes=memory.wakes + 1)
    if drawn >= memory.offered_a - IDLE_MARGIN_A:
        return memory if memory.idle_since == inf else replace(memory, idle_since=inf)
    if memory.idle_since == inf:
        return replace(memory, idle_since=point.measured_at)
    patience = min(IDLE_MAX_S, IDLE_S * 2.0**memory.wakes)
    return replace(memory, idle=point.measured_at - memory.idle_since >= patience)


def _take_excess(seats: Sequence[_Seat], free: list[float]) -> None:
    """A car that draws more than it may, after its time to follow, takes it from what is shared."""
    for seat in seats:
        point = seat.point
        if not point.connected or point.measured_at <= seat.memory.changed_at + CHANGE_S:
            continue
        for line, amps in zip(point.wiring, point.measured_a, strict=False):
            excess = (amps or 0.0) - (seat.claim_a if line in seat.lines else 0.0)
            if excess > TOLERANCE_A:
                free[line] = max(0.0, free[line] - excess)


# 3: who gets the minimum


def _admit(seats: Sequence[_Seat], left: list[float], now: float) -> list[_Seat]:
    """Give 6 A to as many as fit, in order; take their minimum from `left`. Those left out get their reason.

    The first who must wait for others' turns is *next*: while it waits, nobody on its phases begins a turn that would
    outlast theirs. Else two single-phase cars, each taking its turns in the other's, would keep a three-phase car
    waiting for ever.
    """
    asking = _asking(seats, now)
    newcomer = any(s.memory.waiting_since is not None and s.memory.served_at == -inf for s in asking)
    asking.sort(key=lambda seat: _order(seat, now, newcomer))
    admitted: list[_Seat] = []
    whole = list(left)
    next_lines: frozenset[int] = frozenset()
    next_from = now
    for seat in asking:
        least = seat.point.least_a
        full = next((line for line in seat.lines if left[line] < least - 1e-9), None)
        returning = seat.memory.turn_since is None and now - seat.memory.shed_at < HYSTERESIS_S
        enough = least + RETURN_A - MINIMUM_A
        if full is None and not (returning and min(left[line] for line in seat.lines) < enough):
            for line in seat.lines:
                left[line] -= least
            if seat.memory.turn_since is None or _over(seat, now, newcomer):
                began = now if next_lines.isdisjoint(seat.lines) else seat.memory.turn_since or next_from
                seat.memory = replace(seat.memory, turn_since=began, waiting_since=None)
            admitted.append(seat)
            continue
        seat.phase = full
        if full is None:
            seat.reason, seat.until = "hysteresis", seat.memory.shed_at + HYSTERESIS_S
        else:
            in_the_way = [other for other in admitted if not set(other.lines).isdisjoint(seat.lines)]
            seat.reason = "turn" if any(full in other.lines for other in in_the_way) else _no_room(seat)
            if seat.reason == "turn" and not next_lines and min(whole[line] for line in seat.lines) >= least - 1e-9:
                next_lines = frozenset(seat.lines)
                next_from = max(other.memory.turn_since or now for other in in_the_way)
        seat.memory = _leave(
            seat.memory, now, asked=True, taken_over=seat.reason == "turn" and _over(seat, now, newcomer)
        )
    waiting = [seat for seat in asking if seat.reason == "turn"]
    for place, seat in enumerate(waiting):
        seat.until = max(_free_at(line, admitted, now) for line in seat.lines) + place * TURN_S
    return admitted


def _free_at(line: int, admitted: Sequence[_Seat], now: float) -> float:
    """When the first turn on this phase ends at the latest."""
    return min((min(s.memory.turn_since or now, now) + TURN_S for s in admitted if line in s.lines), default=now)


def _asking(seats: Sequence[_Seat], now: float) -> list[_Seat]:
    """Those that could charge if there were room; the others get their reason."""
    asking: list[_Seat] = []
    for seat in seats:
        if not seat.point.connected:
            seat.reason = "no-car"
        elif not seat.point.wants:
            seat.reason = "not-asking"
        elif seat.point.most_a < seat.point.least_a:
            seat.reason = "own-limit"
        else:
            asking.append(seat)
            continue
        seat.memory = _leave(seat.memory, now, asked=False)
    return asking


def _no_room(seat: _Seat) -> str:
    return "no-room" if seat.point.fixed_a is None else "no-room-fixed"


def _over(seat: _Seat, now: float, newcomer: bool) -> bool:
    """Its turn is over: others may have the place. An idle car holds nobody up."""
    began = seat.memory.turn_since
    if began is None:
        return False
    if now - began >= TURN_S:
        return True
    return now - began >= HYSTERESIS_S and (newcomer or (seat.memory.idle and _drawn(seat.point) < USED_A))


def _order(seat: _Seat, now: float, newcomer: bool) -> tuple[int, float, float, int]:
    """Running turns first, then whoever was served longest ago; in either case least energy for its weight first."""
    memory = seat.memory
    energy = seat.point.energy_wh / max(seat.point.weight, 1e-3)
    if memory.turn_since is not None and not _over(seat, now, newcomer):
        return (0, 0.0, energy, seat.point.id)
    return (1, now if memory.turn_since is not None else memory.served_at, energy, seat.point.id)


def _leave(memory: PointMemory, now: float, asked: bool, taken_over: bool = False) -> PointMemory:
    """Not admitted: its turn, if it had one, ends here."""
    waiting = (memory.waiting_since if memory.waiting_since is not None else now) if asked else None
    if memory.turn_since is None:
        return memory if memory.waiting_since == waiting else replace(memory, waiting_since=waiting)
    shed_at = now if asked and not taken_over else memory.shed_at
    return replace(
        memory, turn_since=None, waiting_since=waiting, served_at=now, shed_at=shed_at, idle=False, idle_since=inf
    )


# 4: what each should get


def _fill(admitted: Sequence[_Seat], left: list[float]) -> None:
    """Raise all from the minimum together, each by its weight, until a phase is full or it has what it wants."""
    for seat in admitted:
        seat.target_a = seat.point.least_a
        for line in seat.lines:
            left[line] -= seat.point.least_a
    _raise_together(admitted, left)
    idle = [seat for seat in admitted if seat.memory.idle and seat.reason == "full"]
    for seat in idle:
        seat.want_a = seat.point.most_a
    _raise_together(idle, left)
    for seat in idle:
        if seat.reason == "share":
            seat.reason = "idle"
    on = [sum(line in seat.lines for seat in admitted) for line in range(3)]
    for seat in admitted:
        if seat.reason == "share" and seat.phase is not None and on[seat.phase] == 1:
            seat.reason = "supply"


def _raise_together(seats: Sequence[_Seat], left: list[float]) -> None:
    rising = list(seats)
    for seat in seats:
        seat.reason, seat.phase = "full", None
    while rising:
        load = [0.0, 0.0, 0.0]
        for seat in rising:
            for line in seat.lines:
                load[line] += seat.point.weight
        step = min((seat.want_a - seat.target_a) / seat.point.weight for seat in rising)
        for line in range(3):
            if load[line] > 0:
                step = min(step, left[line] / load[line])
        step = max(0.0, step)
        for line in range(3):
            left[line] -= step * load[line]
        still: list[_Seat] = []
        for seat in rising:
            seat.target_a += step * seat.point.weight
            full = next((line for line in seat.lines if left[line] <= 1e-6), None)
            if seat.want_a - seat.target_a <= 1e-6:
                seat.target_a = seat.want_a
            elif full is not None:
                seat.reason, seat.phase = "share", full
            else:
                still.append(seat)
        rising = still if len(still) < len(rising) else []  # every round settles one; never go round for ever


# 5: from what is to what should be


def _move(seats: Sequence[_Seat], free: list[float], now: float) -> dict[int, Offer]:
    for seat in seats:
        seat.target_a = floor(seat.target_a * 10 + 1e-6) / 10
    _lower(seats, free, now)
    room = list(free)
    coming: set[int] = set()
    for seat in seats:
        for line in seat.lines:
            room[line] -= seat.claim_a
        if seat.claim_a >= seat.target_a + STEP_A:
            coming.update(seat.lines)
    offers: dict[int, Offer] = {}
    for seat in sorted(seats, key=lambda s: (s.memory.offered_a, s.point.id)):
        _raise(seat, room, coming, now)
        offers[seat.point.id] = Offer(seat.memory.offered_a, seat.target_a, seat.reason, seat.phase, seat.until)
    return {seat.point.id: offers[seat.point.id] for seat in seats}


def _lower(seats: Sequence[_Seat], free: Sequence[float], now: float) -> None:
    load = [0.0, 0.0, 0.0]
    for seat in seats:
        for line in seat.lines:
            load[line] += seat.memory.offered_a
    for seat in seats:
        memory = seat.memory
        if seat.target_a >= memory.offered_a:
            continue
        own = seat.target_a == 0 or seat.point.cap_a < memory.offered_a
        needed = own or any(load[line] > free[line] + 1e-6 for line in seat.lines)
        rested = now - memory.changed_at >= CHANGE_S and memory.offered_a - seat.target_a >= STEP_A
        if not needed and not rested:
            continue
        held = max(memory.held_a, memory.offered_a)
        visible = _measured(seat.point) and _drawn(seat.point) > seat.target_a + TOLERANCE_A
        seat.memory = replace(
            memory,
            offered_a=seat.target_a,
            changed_at=now,
            held_a=held if seat.point.connected else 0.0,
            held_until=now + FOLLOW_S,
            drop_from=now if visible else inf,
        )
        seat.claim_a = held if seat.point.connected else 0.0


def _raise(seat: _Seat, room: list[float], coming: set[int], now: float) -> None:
    """Raise a point as far as the others' claims leave room. `coming`: phases on which more room is about to come."""
    memory = seat.memory
    if seat.target_a <= memory.offered_a:
        return
    reach = min(seat.target_a, max(seat.claim_a, memory.offered_a) + min(room[line] for line in seat.lines))
    reach = floor(reach * 10 + 1e-6) / 10
    more = any(line in coming for line in seat.lines) and reach < seat.target_a
    if reach < seat.point.least_a or (more and memory.offered_a > 0):
        # A car that charges already waits for its whole raise; one without current takes what there is from 6 A on.
        seat.reason = "settling"
        return
    step = 0.1 if reach >= seat.point.most_a else STEP_A
    if reach - memory.offered_a < step - 1e-6 or now - memory.changed_at < CHANGE_S:
        return
    for line in seat.lines:
        room[line] -= max(0.0, reach - seat.claim_a)
    seat.claim_a = max(seat.claim_a, reach)
    seat.memory = replace(memory, offered_a=reach, changed_at=now)
