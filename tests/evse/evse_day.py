"""Random cars and faults on two points, the second with a domestic socket too, for as many simulated hours as asked;
used by a test and by the bench.

Time runs in passes of 10 ms for three seconds after each thing that happens, and in steps of a quarter second while
nothing does. After every pass the invariants are checked, and that no opening is missed.
"""

import random
from dataclasses import dataclass, field

from evse_invariants import Invariants
from evse_rig import Rig

from chargepoint.evse.lock import MotorArbiter
from chargepoint.faults import FAULTS, Recover

FINE_S, QUIET_DT = 3.0, 0.25
OPEN_S = 0.05
"""A contactor must be commanded open so soon after its car left C, trip or stop."""
SERVED_S = 45.0
"""A sound car with permission, whatever was before: the pause after a fault is 30 s."""

TROUBLE: tuple[tuple[str, object, object], ...] = (
    ("rdc", True, False), ("rcd", True, False), ("pe_ok", False, True), ("welded", True, False),
    ("contactor_follows", False, True), ("lock_moves", False, True), ("diode", False, True), ("reference_v", 0.0, 2.5),
    ("temperature_c", 73.0, 20.0), ("duty_follows", False, True), ("high_v", 14.0, None), ("pp_ohm", 10.0, None),
    ("pp_ohm", 1e9, None), ("pilot", "E", "C"), ("pilot", "D", "C"), ("lock_at", 0.5, 1.0), ("chatter", 0.5, 0.0),
    ("emergency_stop", True, False), ("door_open", True, False), ("coil_watchdog_armed", False, True),
    ("missing", "lock_is_closed_1", ""), ("domestic_welded", True, False), ("domestic_follows", False, True),
)  # fmt: skip
"""Of one rig's world; the borne's own inputs are set for both."""
BORNE = {"emergency_stop", "door_open", "coil_watchdog_armed", "missing"}


@dataclass
class Day:
    """What happened."""

    passes: int = 0
    cars: int = 0
    served: int = 0
    closings: int = 0
    troubles: int = 0
    worst_open_s: float = 0.0
    faults: set[str] = field(default_factory=set)


class Street:
    """Two points on one lock supply."""

    def __init__(self, seed: int) -> None:
        arbiter = MotorArbiter()
        self.dice = random.Random(seed)
        self.rigs = [Rig(arbiter, id=1), Rig(arbiter, id=2, domestic=True)]
        self.chatter = [0.0, 0.0]
        """How much of the time the contactor's feedback says closed, whatever is commanded; 0: it is right."""
        self.invariants = [Invariants(), Invariants()]
        self.day = Day()
        self._unserved: list[float | None] = [None, None]

    def run(self, hours: float) -> Day:
        end = self.rigs[0].now + hours * 3600
        while self.rigs[0].now < end:
            for rig in self.rigs:
                if self.dice.random() < 0.5:
                    self._something(rig)
            self._pass_time(FINE_S, 0.01)
            self._pass_time(self.dice.choice((1.0, 5.0, 20.0, 120.0)), QUIET_DT)
        return self.day

    def _something(self, rig: Rig) -> None:
        world, dice = rig.world, self.dice
        if world.domestic_plug:
            self._something_domestic(rig)
        elif not world.cable:
            self._heal(rig)
            if rig.point.domestic is not None and dice.random() < 0.4:
                self.day.cars += 1
                world.domestic_plug = True
                rig.permit(16.0, connector=2)
            elif dice.random() < 0.9:
                self.day.cars += 1
                world.cable, world.pilot = dice.choice((13, 20, 32)), dice.choice("BC")
                rig.permit(dice.uniform(6, 32), hold_lock=dice.random() < 0.3)
        elif dice.random() < 0.4:
            self._leave(rig)
        elif dice.random() < 0.5:
            self._trouble(rig)
        elif dice.random() < 0.3:
            rig.silence()
        else:
            world.pilot = dice.choice("BC")
            rig.permit(dice.uniform(0, 32), allowed=dice.random() < 0.8)

    def _something_domestic(self, rig: Rig) -> None:
        dice = self.dice
        if dice.random() < 0.4:
            rig.world.domestic_plug = False
            rig.silence()
        elif dice.random() < 0.6:
            self._trouble(rig)
        else:
            rig.permit(dice.choice((8.0, 16.0)), allowed=dice.random() < 0.8, connector=dice.choice((1, 2)))

    def _trouble(self, rig: Rig) -> None:
        name, bad, _ = self.dice.choice(TROUBLE)
        self.day.troubles += 1
        self._set(rig, name, bad)

    def _set(self, rig: Rig, name: str, value: object) -> None:
        if name in BORNE:
            for each in self.rigs:
                each.borne(**{name: value})  # type: ignore[arg-type]
        elif name == "chatter":
            self.chatter[self.rigs.index(rig)] = float(value)  # type: ignore[arg-type]
            rig.world.welded = False
        else:
            setattr(rig.world, name, value)

    def _leave(self, rig: Rig) -> None:
        rig.world.pilot, rig.world.high_v = "B", None
        self._pass_time(0.2, 0.01)
        rig.permit(0.0, allowed=False)
        rig.world.pilot = "A"
        self._pass_time(2.0, 0.01)
        rig.unplug().silence()

    def _heal(self, rig: Rig) -> None:
        """Causes go; a technician sees to what needs one. Then nothing may be left."""
        for name, _, good in TROUBLE:
            if name not in ("pilot", "lock_at"):
                self._set(rig, name, good)
        rig.unplug().world.domestic_plug = False
        self._pass_time(3.0, 0.01)
        self._pass_time(135.0, QUIET_DT)  # a failed self-test is repeated after a minute
        for name in sorted(rig.faults):
            assert FAULTS[name].recover is Recover.TECHNICIAN, f"stuck in {name}"
            assert rig.point.acknowledge(name, rig.now) == ""
        self._pass_time(3.0, 0.01)
        assert rig.faults == set(), rig.faults
        self._pass_time(31.0, QUIET_DT)
        rig.permit().plug(pilot="C")
        waited = 0.0
        while not rig.out.contactor:
            assert waited < SERVED_S, rig.describe()
            self._pass_time(0.1, 0.01)
            waited += 0.1
        self.day.served += 1
        self._leave(rig)
        self._pass_time(2.0, 0.01)

    def _pass_time(self, seconds: float, dt: float) -> None:
        for _ in range(round(seconds / dt)):
            for number, rig in enumerate(self.rigs):
                self._one(number, rig, dt)
            self.day.passes += 2

    def _one(self, number: int, rig: Rig, dt: float) -> None:
        now = rig.now
        closed, on = rig.out.contactor, rig.out.domestic_contactor
        if self.chatter[number]:
            rig.world.welded = self.dice.random() < self.chatter[number]
        rig.step(dt)
        self.day.closings += (rig.out.contactor and not closed) + (rig.out.domestic_contactor and not on)
        self.invariants[number].check(rig, now)
        self.day.faults |= rig.faults
        world, borne = rig.world, rig.world.borne
        never = world.rcd or world.rdc or not world.pe_ok or borne.emergency_stop or borne.door_open or borne.missing
        must_open = (rig.out.contactor and (never or world.pilot != "C")) or (
            rig.out.domestic_contactor and (never or not world.domestic_plug)
        )
        if not must_open:
            self._unserved[number] = None
            return
        since = self._unserved[number]
        if since is None:
            since = self._unserved[number] = now
        self.day.worst_open_s = max(self.day.worst_open_s, now + dt - since)
        assert now - since <= OPEN_S, f"contactor still closed {now - since:.2f} s after it had to open"
