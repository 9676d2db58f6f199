"""A point on the bench: a small electrical world around the pure machine, with a clock that the test turns."""

import math
from dataclasses import dataclass, field, replace

from chargepoint.board.types import BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.evse.lock import MotorArbiter
from chargepoint.evse.messages import Permit
from chargepoint.evse.point import Point
from chargepoint.evse.pointconfig import PointConfig

TICK = 0.010
CABLE_OHM = {13: 1500.0, 20: 680.0, 32: 220.0, 63: 100.0}
LEVEL = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0}


@dataclass
class World:
    """What is true outside: the rig turns it into inputs."""

    pilot: str = "A"
    diode: bool = True
    cable: float = 0.0
    pp_ohm: float | None = None
    contactor_follows: bool = True
    mains: bool = True
    """Behind the point's breaker."""
    welded: bool = False
    lock_moves: bool = True
    lock_at: float = 0.0
    """0 open .. 1 closed."""
    lock_seconds: float = 0.3
    rcd: bool = False
    rdc: bool = False
    rcd_test_works: bool = True
    pe_ok: bool = True
    temperature_c: float = 20.0
    reference_v: float = 2.5
    duty_follows: bool = True
    high_v: float | None = None
    domestic_plug: bool = False
    domestic_follows: bool = True
    domestic_welded: bool = False
    borne: BorneInputs = field(default_factory=lambda: BorneInputs(False, False, True))


class Rig:
    """One point and its world. Time begins at an arbitrary 1000 s."""

    def __init__(self, arbiter: MotorArbiter | None = None, now: float = 1000.0, **config: object) -> None:
        self.now = now
        self.point = Point(PointConfig(**{"id": 1, **config}), arbiter or MotorArbiter(), now)  # type: ignore[arg-type]
        self.world = World()
        self.out = PointOutputs()
        self.seen: PointInputs | None = None
        """The inputs of the last pass."""
        self.permission: Permit | None = None
        self._renewed = now - 10
        self.passes = 0
        self.watch = None
        """Called after each pass with the rig."""

    # --- the world ---------------------------------------------------------------------------------------------

    def inputs(self) -> PointInputs:
        w, out = self.world, self.out
        contact = (out.contactor and w.contactor_follows) or w.welded
        level = LEVEL[w.pilot] if w.high_v is None else w.high_v
        if out.duty == 0.0:
            high = low = 0.0 if w.pilot == "E" else -12.0
        elif out.duty == 100.0:
            high = low = level
        else:
            high, low = level, -12.0 if w.diode or w.pilot == "A" else -level
            low = 0.0 if w.pilot == "E" else low
        ohm = w.pp_ohm if w.pp_ohm is not None else CABLE_OHM.get(int(w.cable), math.inf)
        test = out.rcd_test and w.rcd_test_works
        return PointInputs(
            cp_high_v=high, cp_low_v=low, pp_ohm=ohm, contactor_closed=contact, load_live=contact and w.mains,
            lock_closed=w.lock_at >= 1.0, lock_open=w.lock_at <= 0.0, rcd_tripped=w.rcd or test,
            rdc_tripped=w.rdc or test, pe_ok=w.pe_ok, temperature_c=w.temperature_c, reference_v=w.reference_v,
            duty_measured=out.duty if w.duty_follows else 42.0, domestic_plug=w.domestic_plug,
            domestic_closed=(out.domestic_contactor and w.domestic_follows) or w.domestic_welded,
        )  # fmt: skip

    def step(self, dt: float = TICK) -> PointOutputs:
        """One pass, then `dt` seconds in which the world follows the outputs."""
        if self.permission is not None and self.now - self._renewed >= 2.0:
            self._renewed = self.now
            self.point.permit(self.permission, self.now)
        self.seen = self.inputs()
        self.out = self.point.step(self.seen, self.world.borne, self.now)
        if self.world.lock_moves:
            if self.out.lock is LockDrive.CLOSE:
                self.world.lock_at = min(1.0, self.world.lock_at + dt / self.world.lock_seconds)
            elif self.out.lock is LockDrive.OPEN:
                self.world.lock_at = max(0.0, self.world.lock_at - dt / self.world.lock_seconds)
        self.passes += 1
        self.now += dt
        if self.watch is not None:
            self.watch(self)
        return self.out

    def run(self, seconds: float) -> "Rig":
        for _ in range(round(seconds / TICK)):
            self.step()
        return self

    def until(self, condition: object, limit: float = 60.0) -> float:
        """Run until the condition holds; answers how long it took, s."""
        begun = self.now
        while not condition():  # type: ignore[operator]
            assert self.now - begun < limit, f"not within {limit} s; {self.describe()}"
            self.step()
        return self.now - begun

    # --- what tests do -------------------------------------------------------------------------------------------

    def permit(self, current_a: float = 32.0, allowed: bool = True, **more: object) -> "Rig":
        self.permission = Permit(1, allowed, current_a, **more)  # type: ignore[arg-type]
        self._renewed = self.now - 10
        return self

    def silence(self) -> "Rig":
        """The station stops renewing."""
        self.permission = None
        return self

    def plug(self, cable: float = 32, pilot: str = "B") -> "Rig":
        self.world.cable, self.world.pilot = cable, pilot
        return self

    def unplug(self) -> "Rig":
        self.world.cable, self.world.pilot = 0.0, "A"
        return self

    def charging(self, **permit: object) -> "Rig":
        """From nothing to a charging car that has been so for a second."""
        self.run(1.0)
        self.permit(**permit).plug().run(0.5)  # type: ignore[arg-type]
        self.world.pilot = "C"
        self.until(lambda: self.point.contactor.confirmed, 5.0)
        return self.run(1.0)

    @property
    def faults(self) -> set[str]:
        return set(self.point.faults.active)

    def borne(self, **changes: bool) -> None:
        self.world.borne = replace(self.world.borne, **changes)

    def describe(self) -> str:
        p = self.point
        return (
            f"{p.state} duty {p.duty:.1f} contactor {self.out.contactor} waiting {p.blocked_by(self.now)} {self.faults}"
        )
