"""One point with an external pilot controller: from the station's permission and the device's state to what the device
is told and what the station is told. Pure; time comes in as an argument (monotonic, s).

The lease is kept here: it runs out when the station dies. Whether the device stops when *this process* dies is the
device's own affair (`watchdog_s` of its map), and most have nothing of the kind.
"""

import math

from chargepoint.config import EvseSection
from chargepoint.controller.device import DeviceState
from chargepoint.controller.maps import ControllerMap
from chargepoint.evse.lease import Lease
from chargepoint.evse.messages import Done, Fault, LockState, Permit, PointReport
from chargepoint.iec61851.pilot import MIN_CURRENT_A, duty_for

SILENT_AFTER = 3
"""Failed requests in a row before a controller counts as silent."""
DISOBEYS_AFTER = 4
"""Readings in a row that contradict what was written before that is a fault."""
OPEN_S = 15.0
"""A contactor has to be open so long after the permission was withdrawn: 6 s for the car to stop (IEC 61851-1, Table
A.6, sequence 9.2), and the slowest device's own pace."""
UNLOCK_S = 8.0
"""How long a release of the plug may take; the station waits two seconds longer."""
CHARGING, PRESENT = "CD", "BCD"
UNHEARD = DeviceState("F", False, 0.0, 0.0, False, None, None, ())
"""Before the device has said anything."""


class ControlledPoint:
    """`permit` and `heard` come in; `wanted_a` goes to the device, `report` to the station."""

    def __init__(self, config: EvseSection, regmap: ControllerMap, now: float) -> None:
        self.config = config
        self.map = regmap
        self.lease = Lease()
        self.state = UNHEARD
        self.known = False
        """The device has answered since it was last silent."""
        self.faults: dict[str, Fault] = {}
        self.changes = 0
        """Counts what is worth an immediate report."""
        self._misses = 0
        self._contradictions = 0
        self._withdrawn_at = now
        self._plugged = False
        self._plug_count = 0
        self._closed_at: float | None = None
        self._opened_at: float | None = None
        self._closings = 0
        self._unlock: int | None = None
        self._unlock_until = float("-inf")

    # --- what comes in -----------------------------------------------------------------------------------------------

    def permit(self, message: Permit, now: float) -> None:
        """The station's word, renewed or changed."""
        self.lease.grant(message, now)
        self._set("lease-ended", False, now)
        if self.wanted_a(now) > 0:
            self._withdrawn_at = now

    def step(self, now: float) -> None:
        """Time has passed: a lease may have run out."""
        if self.lease.step(now):
            self._set("lease-ended", True, now)
        if self.wanted_a(now) > 0:
            self._withdrawn_at = now

    def heard(self, state: DeviceState, now: float) -> None:
        """The device told its state."""
        before, self.state = self.state, state
        self._misses = 0
        self._set("controller-silent", False, now)
        if not self.known or before != state:
            self.changes += 1
        self.known = True
        self._see_plug(state)
        self._see_contactor(before, state, now)
        self._judge(state, now)

    def missed(self, why: str, now: float) -> None:
        """It did not answer, or refused."""
        self._misses += 1
        if self._misses >= SILENT_AFTER:
            self.known = False
            self._set("controller-silent", True, now, why)

    def ask_unlock(self, request: int, now: float) -> Done | None:
        """The plug is to be let go. Answers at once when that cannot be; else `unlocked` tells."""
        self.lease.revoke()
        if not self.config.socket:
            return Done(request, self.config.id, False, "a tethered cable has no lock")
        if self.state.locked is None:
            why = "this pilot controller does not tell about its lock; it releases the plug by its own rules"
            return Done(request, self.config.id, False, why)
        self._unlock, self._unlock_until = request, now + UNLOCK_S
        return None

    def unlocked(self, now: float) -> Done | None:
        """The answer to `ask_unlock`, once there is one."""
        if self._unlock is None or (self.state.locked and now < self._unlock_until):
            return None
        request, self._unlock, self._unlock_until = self._unlock, None, float("-inf")
        ok = not self.state.locked
        why = "" if ok else "the pilot controller keeps the plug locked until the car lets go of the pilot"
        return Done(request, self.config.id, ok, why)

    # --- what goes out -----------------------------------------------------------------------------------------------

    def wanted_a(self, now: float) -> float:
        """What the device may permit now, whole amperes; 0: nothing."""
        if not self.lease.allows(now) or now < self._unlock_until:
            return 0.0
        amps = float(math.floor(min(self.lease.current_a, self.config.max_current)))
        return amps if amps >= MIN_CURRENT_A else 0.0

    def obeyed(self, now: float) -> bool:
        """The device holds to be permitted what it was told."""
        wanted = self.wanted_a(now)
        return self.known and abs(self.state.permitted_a - wanted) < 1

    def report(self, now: float, boot: str) -> PointReport:
        """The whole state, in the words of the safety process."""
        state = self.state
        digit = "" if state.letter in "EF" else "2" if state.pwm else "1"
        return PointReport(
            evse=self.config.id,
            t=now,
            boot=boot,
            state=state.letter + digit,
            plugged=self._plugged,
            plug_count=self._plug_count,
            cable_a=state.cable_a if self.config.socket else None,
            duty=duty_for(min(state.offered_a, self.config.max_current)) if state.pwm else 100.0,
            offered_a=state.offered_a,
            contactor_commanded=state.contactor,
            contactor_closed=state.contactor,
            lock=self._lock(),
            permitted=self.wanted_a(now) > 0,
            closed_at=self._closed_at,
            opened_at=self._opened_at,
            waiting="" if state.contactor else self._waiting(now),
            cp_high_v=None,
            cp_low_v=None,
            temperature_c=None,
            derate=1.0,
            wake_ups=0,
            faults=tuple(self.faults.values()),
            counters={"contactor_closings": self._closings, "plug_ins": self._plug_count},
        )

    # --- inside ------------------------------------------------------------------------------------------------------

    def _see_plug(self, state: DeviceState) -> None:
        if state.letter in PRESENT and not self._plugged:
            self._plugged = True
            self._plug_count += 1
        elif state.letter == "A":
            self._plugged = False

    def _see_contactor(self, before: DeviceState, state: DeviceState, now: float) -> None:
        if state.contactor and not before.contactor:
            self._closed_at = now
            self._closings += 1
        elif before.contactor and not state.contactor:
            self._closed_at, self._opened_at = None, now

    def _judge(self, state: DeviceState, now: float) -> None:
        """The device's own faults, and whether it does what it is told."""
        told = dict(state.faults)
        if state.letter in "EF" and not told:
            told = {"controller-fault": f"state {state.letter}"}
        own = {bit.name for bit in self.map.fault} | {"controller-fault"}
        for name in own:
            self._set(name, name in told, now, told.get(name, ""))
        self._contradictions = 0 if self.obeyed(now) else self._contradictions + 1
        detail = ""
        if self._contradictions >= DISOBEYS_AFTER:
            detail = f"told {self.wanted_a(now):g} A, it holds {state.permitted_a:g} A"
        elif state.contactor and self.wanted_a(now) == 0 and now - self._withdrawn_at > OPEN_S:
            detail = "its contactor is closed without permission"
        self._set("controller-disobeys", bool(detail), now, detail)

    def _set(self, name: str, present: bool, now: float, detail: str = "") -> None:
        known = self.faults.get(name)
        if present and (known is None or known.detail != detail):
            self.faults[name] = Fault(name, now if known is None else known.since, detail)
            self.changes += 1
        elif not present and known is not None:
            del self.faults[name]
            self.changes += 1

    def _lock(self) -> LockState:
        if not self.config.socket or self.state.locked is None:
            return "none"
        return "locked" if self.state.locked else "unlocked"

    def _waiting(self, now: float) -> str:
        if any(name != "lease-ended" for name in self.faults):
            return "fault"
        if self.wanted_a(now) == 0:
            return "no-permission"
        return "controller" if self.state.letter in CHARGING else "car"
