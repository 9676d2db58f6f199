"""An exhaustive walk over the abstract states of the real machine, until no new state is found.

A state is a frame of the point (`evse_frames`), who owns the lock motors' supply, and where the obedient lock is. From
each state every move is made: any input combination of the alphabet in one pass, any word of the station, or the end
of any timer that runs. What the inputs may be is not bound to what a sound world could show: an input that an alphabet
frees takes any of its values in any pass. The machine itself runs; nothing is modelled twice.

After the walk, from every single state two stories are followed to their end: all causes gone and the plug out
(the point must be in order again, a technician acknowledging what is his), and a sound car with permission
(it must get power, or a fault that stops the point must say why not).
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from evse_frames import NOW, Frame, Frames
from evse_invariants import check_pass

from chargepoint.board.types import BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.evse.lock import MotorArbiter
from chargepoint.evse.messages import Permit
from chargepoint.evse.point import Point
from chargepoint.evse.pointconfig import PointConfig
from chargepoint.faults import FAULTS, Recover

Node = tuple[int, bool, Frame]
"""Owner of the lock supply, whether the obedient lock is closed, the point."""
Word = tuple[str, Callable[[Point], Any]]

VOLT = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0, "F": -12.0, "over": 13.6, "weak": 10.7}
CABLE_OHM = {0: 1e9, 13: 1500.0, 20: 680.0, 32: 220.0, -1: 10.0}
"""0: nothing, -1: short."""
OBEY = "obey"
"""An input that follows the command, and is right."""
OTHER = 99
"""Another point's number, as owner of the lock supply."""

SOUND: dict[str, tuple[Any, ...]] = {
    "pilot": ("A",), "diode": (True,), "cable": (0,), "contact": (OBEY,), "lock": (OBEY,), "rcd": (OBEY,),
    "rdc": (OBEY,), "pe_ok": (True,), "temperature_c": (20.0,), "reference_v": (2.5,), "duty": (OBEY,),
    "domestic_plug": (False,), "domestic_contact": (OBEY,), "stop": (False,), "door": (False,), "armed": (True,),
}  # fmt: skip
LOCK = {"closed": (True, False), "open": (False, True), "between": (False, False), "both": (True, True)}


@dataclass(frozen=True)
class Alphabet:
    """What may happen in one walk."""

    inputs: dict[str, tuple[Any, ...]]
    """Freed inputs and their values; `plug` frees pilot and cable together: pairs."""
    words: tuple[Word, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    still: frozenset[str] = frozenset()
    spends: bool = True
    """The recoveries that a fault has in one plug-in may be spent."""
    wear: bool = False
    """The lock's rated duty may be used up."""
    shared: bool = False
    """Another point may hold the lock supply at any time."""
    settled: bool = False
    """Begin with a point that has passed its self-tests; what is held still stays as it is then."""

    def combinations(self) -> list[dict[str, Any]]:
        """Every input combination."""
        free = {**SOUND, **self.inputs}
        plugs = free.pop("plug", None)
        if plugs is not None:
            del free["pilot"], free["cable"]
        made = [dict(zip(free, values, strict=True)) for values in product(*free.values())]
        if plugs is None:
            return made
        return [{**rest, "pilot": pilot, "cable": cable} for pilot, cable in plugs for rest in made]


def inputs_of(w: dict[str, Any], point: Point, closed: bool) -> PointInputs:
    """What the converter and the lines show, given the outputs of the pass before."""
    level = VOLT[w["pilot"]]
    if point.duty == 0.0:
        high = low = 0.0 if w["pilot"] == "E" else -12.0
    elif point.duty == 100.0:
        high = low = level
    else:
        high = level
        low = 0.0 if w["pilot"] == "E" else -12.0 if w["diode"] or level > 10 else -level
    mirror, live = (point.contactor.commanded,) * 2 if w["contact"] is OBEY else w["contact"]
    lock = LOCK["closed" if closed else "open"] if w["lock"] is OBEY else LOCK[w["lock"]]
    test = point.self_tests.rcd_output
    second = point.domestic.contactor.commanded if point.domestic is not None else False
    return PointInputs(
        high, low, CABLE_OHM[w["cable"]], mirror, live, lock[0], lock[1], test if w["rcd"] is OBEY else w["rcd"],
        test if w["rdc"] is OBEY else w["rdc"], w["pe_ok"], w["temperature_c"], w["reference_v"],
        point.duty if w["duty"] is OBEY else w["duty"], False, w["domestic_plug"],
        second if w["domestic_contact"] is OBEY else w["domestic_contact"],
    )  # fmt: skip


class Walk:
    """Walks one point until no new state is found, or `limit` states."""

    def __init__(self, alphabet: Alphabet, limit: int = 10**9, arbiter: MotorArbiter | None = None) -> None:
        self._alphabet = alphabet
        self._limit = limit
        self.arbiter = arbiter or MotorArbiter()
        self._point = Point(PointConfig(**{"id": 1, **alphabet.config}), self.arbiter, NOW)
        self._frames = Frames(self._point)
        self._worlds = [(w, BorneInputs(w["stop"], w["door"], w["armed"])) for w in alphabet.combinations()]
        self._obedient = all(w["lock"] is OBEY for w, _ in self._worlds)
        self.seen: set[Node] = set()
        self.passes = self.moves = self.closings = 0
        self.whole = True
        """Every reachable state was visited."""
        self.faults: set[str] = set()
        self.states: set[str] = set()
        if alphabet.settled:
            self._restore(self.settled())
        self._frames = Frames(self._point, alphabet.still)

    def run(self) -> "Walk":
        first: Node = (0, False, self._frames.take())
        self.seen.add(first)
        queue = deque([first])
        while queue:
            node = queue.popleft()
            for after in self._successors(node):
                if after not in self.seen:
                    if len(self.seen) >= self._limit:
                        self.whole = False
                        continue
                    self.seen.add(after)
                    queue.append(after)
        return self

    @property
    def transitions(self) -> int:
        return self.passes + self.moves

    def _successors(self, node: Node) -> Iterator[Node]:
        for after in self.between(node):
            self.moves += 1
            yield after
        yield from self.after_a_pass(node)

    def between(self, node: Node) -> Iterator[Node]:
        """What may happen between two passes."""
        owner, closed, frame = node
        for _, ended in self._frames.ends(frame, self._alphabet.spends, self._alphabet.wear):
            yield owner, closed, ended
        if self._alphabet.shared and owner in (0, OTHER):
            yield OTHER - owner, closed, frame
        for _, word in self._alphabet.words:
            self._restore(node)
            word(self._point)
            yield owner, closed, self._frames.take()

    def after_a_pass(self, node: Node) -> Iterator[Node]:
        """Every input combination; those that look the same to the point in this state only once."""
        self._restore(node)
        for seen, borne in dict.fromkeys((inputs_of(w, self._point, node[1]), borne) for w, borne in self._worlds):
            self._restore(node)
            yield self._pass(node, seen, borne)

    def settled(self) -> Node:
        """Some passes after the start: the front end has settled, the self-tests are done."""
        node: Node = (0, False, self._frames.take())
        world, borne = self._worlds[0]
        for _ in range(30):
            self._restore((node[0], node[1], self._frames.all_over(node[2])))
            node = self._pass(node, inputs_of(world, self._point, node[1]), borne)
        assert self._point.self_tests.in_date(NOW) and not self._point.self_tests.running
        return node

    def drives(self, frame: Frame) -> bool:
        """The lock motor runs."""
        return frame[self._frames.names.index("Lock.drive")] is not LockDrive.OFF

    def _restore(self, node: Node) -> None:
        self.arbiter.owner = node[0]
        self._frames.put(node[2])

    def _pass(self, node: Node, seen: PointInputs, borne: BorneInputs) -> Node:
        owner, closed, _ = node
        point = self._point
        second = point.domestic is not None and point.domestic.contactor.commanded
        before = PointOutputs(point.contactor.commanded, point.duty, domestic_contactor=second)
        out = point.step(seen, borne, NOW)
        self.passes += 1
        check_pass(point, seen, borne, out, NOW, before)
        assert owner in (0, point.config.id) or self.arbiter.owner == owner, (
            "it took the lock supply from another point"
        )
        if out.contactor and not before.contactor:
            self.closings += 1
        self.states.add(point.state)
        self.faults.update(point.faults.active)
        return self.arbiter.owner, self._moved(out, closed), self._frames.take()

    def _moved(self, out: PointOutputs, closed: bool) -> bool:
        if not self._obedient or out.lock is LockDrive.OFF:
            return closed
        return out.lock is LockDrive.CLOSE

    # --- what follows from every state -----------------------------------------------------------------------------

    def every_state_can_be_left(self) -> int:
        """From each state: causes gone, plug out, timers over, a technician at hand. Answers the passes it took."""
        return self._all_end("A", 0, self._healed)

    def every_sound_car_gets_power(self) -> int:
        """From each state: a sound car with permission. It gets power, or a fault says why not."""
        return self._all_end("C", 32, self._served)

    def _healed(self) -> bool:
        point = self._point
        lock = not point.config.socket or not point.locked
        return not point.faults.active and point.state == "A1" and lock and not point.unlock_wanted and point.vacant

    def _served(self) -> bool:
        return self._point.contactor.commanded or self._point.faults.stops

    def _all_end(self, pilot: str, cable: int, good: Callable[[], bool]) -> int:
        """Each state is followed, one successor each, only until one that is known to end well."""
        world = {name: values[0] for name, values in SOUND.items()} | {"pilot": pilot, "cable": cable}
        borne = BorneInputs(False, False, True)
        well: set[Node] = set()
        passes = 0
        for start in self.seen:
            owner, closed, frame = start
            node: Node = (0 if owner == OTHER else owner, closed or not self._obedient, frame)
            path: list[Node] = []
            on_path: set[Node] = set()
            while node not in well:
                assert node not in on_path, f"stuck: {self.describe(node)}"
                path.append(node)
                on_path.add(node)
                self._restore((node[0], node[1], self._frames.all_over(node[2])))
                if pilot == "A":
                    self._technician()
                else:
                    self._point.permit(Permit(1, True, 32.0, hold_lock=True), NOW)
                seen = inputs_of(world, self._point, node[1])
                out = self._point.step(seen, borne, NOW)
                passes += 1
                moved = node[1] if out.lock is LockDrive.OFF else out.lock is LockDrive.CLOSE
                if good():
                    break
                node = (self.arbiter.owner, moved, self._frames.take())
            well.update(path)
        return passes

    def _technician(self) -> None:
        for name in [n for n in self._point.faults.active if FAULTS[n].recover is Recover.TECHNICIAN]:
            self._point.acknowledge(name, NOW)

    # --- for people -------------------------------------------------------------------------------------------------

    def describe(self, node: Node) -> str:
        """A state in words: what is not as in an empty point."""
        values = dict(zip(self._frames.names, node[2], strict=True))
        return f"owner {node[0]}, lock {'closed' if node[1] else 'open'}, {values}"

    def repeats(self, samples: int, seed: int = 1) -> None:
        """The same state and inputs give the same result, whatever was walked in between: nothing that matters is left
        out of the frames."""
        dice = random.Random(seed)
        some = dice.sample(sorted(self.seen, key=hash), min(samples, len(self.seen)))
        first = [self._digest(node) for node in some]
        for node, digest in reversed(list(zip(some, first, strict=True))):
            assert self._digest(node) == digest, f"something is left out of {self.describe(node)}"

    def _digest(self, node: Node) -> list[Node]:
        return list(self._successors(node))


class Pair:
    """Walks two points on one lock supply: every combination of their states, moves and inputs."""

    def __init__(self, alphabet: Alphabet, limit: int = 10**9) -> None:
        self._limit = limit
        self.whole = True
        self._one = Walk(alphabet)
        self._two = Walk(replace(alphabet, config={**alphabet.config, "id": 2}), arbiter=self._one.arbiter)
        self.seen: set[Any] = set()
        self.passes = self.moves = 0

    @property
    def transitions(self) -> int:
        return self.passes + self.moves

    def run(self) -> "Pair":
        first = (0, self._one.settled()[1:], self._two.settled()[1:])
        self.seen.add(first)
        queue = deque([first])
        while queue:
            owner, one, two = queue.popleft()
            after = [(o, changed, two) for o, *changed in self._one.between((owner, *one))]
            after += [(o, one, changed) for o, *changed in self._two.between((owner, *two))]
            self.moves += len(after)
            after += self._passes(owner, one, two)
            for node in after:
                node = (node[0], tuple(node[1]), tuple(node[2]))
                if node not in self.seen:
                    if len(self.seen) >= self._limit:
                        self.whole = False
                        continue
                    self.seen.add(node)
                    queue.append(node)
        return self

    def _passes(self, owner: int, one: Any, two: Any) -> list[Any]:
        """The first point's pass, then the second's: as the loop does it."""
        made = []
        for first in self._one.after_a_pass((owner, *one)):
            for second in self._two.after_a_pass((first[0], *two)):
                self.passes += 1
                made.append((second[0], first[1:], second[1:]))
                drives = sum(walk.drives(node[2]) for walk, node in ((self._one, first), (self._two, second)))
                assert drives <= 1, "two lock motors at once"
        return made


def say(allowed: bool, hold: bool = False, connector: int = 1, current_a: float = 32.0) -> Callable[[Point], None]:
    """A word of the station: it permits, or withdraws (holding the plug or not)."""
    permit = Permit(1, allowed, current_a, hold_lock=hold, connector=connector)
    return lambda point: point.permit(permit, NOW)


def give_up(point: Point) -> None:
    """A release that took too long is given up (`borne.UNLOCK_LIMIT_S`)."""
    point.unlock_wanted = False


def acknowledge(point: Point) -> None:
    """A technician acknowledges whatever may be."""
    for name in [n for n in point.faults.active if FAULTS[n].recover is Recover.TECHNICIAN]:
        point.acknowledge(name, NOW)


__all__ = ["OBEY", "Alphabet", "Pair", "Walk", "Word", "acknowledge", "give_up", "say"]
