"""One point: all its inputs and the time in, all its outputs out. Pure; called every 10 ms.

Order of a pass, and why: first what endangers (faults are raised before anything is decided), then
what the car says (pilot, proximity), then what the station permits, then what the pilot offers, and only
then the contactor and the lock, which thus never act on knowledge older than this pass.
"""

from chargepoint.board.types import STEADY_HIGH, STEADY_LOW, BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.connectors import DOMESTIC
from chargepoint.evse import domestic
from chargepoint.evse.contactor import Contactor
from chargepoint.evse.detect import TripLine, let_faults_go, raise_faults
from chargepoint.evse.domestic import Domestic
from chargepoint.evse.lease import Lease
from chargepoint.evse.lock import Lock, MotorArbiter
from chargepoint.evse.machine import CAR, PILOT_TRIGGER, READY, fire
from chargepoint.evse.messages import Permit
from chargepoint.evse.offer import Derating, Offer
from chargepoint.evse.pilot import DiodeCheck, PilotFilter
from chargepoint.evse.pointconfig import PointConfig
from chargepoint.evse.proximity import ProximityWatch
from chargepoint.evse.register import FaultRegister
from chargepoint.evse.selftest import WHAT, Seen, SelfTests
from chargepoint.evse.wakeup import WakeUp
from chargepoint.evse.watch import CoilWatchdogWatch, ConverterWatch, DutyWatch, VoltageWatch, nominal
from chargepoint.faults import Recover, stops
from chargepoint.iec61851.pilot import GENERATOR_MAX_V, MIN_CURRENT_A, Band
from chargepoint.iec61851.proximity import Proximity
from chargepoint.iec61851.timing import STABLE_C_S, STOP_S

SHORT_S = 0.1
"""E for so long is a short, not the moment in which a plug moves."""
MATING_S = 0.5
"""While a plug goes in its contacts bounce: the coding that stands so long after its pilot is the cable's. Not longer
than `STABLE_C_S`: nothing is closed before. A coding that is gone with the contactor open is a fault after so long: on
the way out the proximity contact may break before the pilot."""
TORN_S = 1.0
"""After C went to A at once under power: is the plug out too (torn out), or still in (cable cut)?"""
TORN_TIMES = 2
"""So often in one plug-in it is a broken wire in the cable, however soon the pilot is back: it must not hammer the
contactor."""
LOCK_LOST_RESULTS = 8
"""An end switch is read every third to fifth pass: two of its readings. The plug's own contacts would tell at once."""

NEVER = float("-inf")
CALM = PointOutputs()
"""What a calm point puts out: the safe state."""

BLOCKED = (
    "", "fault", "no-permission", "car", "wake-up", "current", "lock", "self-test", "other-connector", "diode", "board",
    "reclose-delay", "plug", "contactor",
)  # fmt: skip
"""What can stand in the way of the contactor, as keys."""


class Point:
    """One point of the borne. Time is CLOCK_MONOTONIC seconds, given to every method that needs it."""

    def __init__(self, config: PointConfig, arbiter: MotorArbiter, now: float) -> None:
        self.config = config
        self.state = "A1"
        self.car = False
        """A car is on the pilot, as last seen."""
        self.plug_count = 0
        self.unlock_wanted = False
        """The station asked to release the plug: nothing is permitted until it is done."""
        self.duty = STEADY_HIGH
        self.faults = FaultRegister()
        self.pilot = PilotFilter(now)
        self.diode = DiodeCheck()
        self.proximity = ProximityWatch(now)
        self.lease = Lease()
        self.lock = Lock(config.id, arbiter)
        self.contactor = Contactor(now)
        self.offer = Offer()
        self.derating = Derating()
        self.wake_up = WakeUp()
        self.self_tests = SelfTests()
        self.domestic = Domestic(now) if config.domestic else None
        self.rcd, self.rdc, self.earth = TripLine(), TripLine(), TripLine()
        self.wake_ups_ever = 0
        self.blocked = ""
        """What stood in the way of the contactor when it was last asked, with a car that is ready."""
        self.lock_lost = 0
        self.locked = False
        self.out_of_service = False
        """F is shown to an empty socket because a technician is needed."""
        self.converter = ConverterWatch(now)
        self._voltage = VoltageWatch()
        self._duty_watch = DutyWatch(now)
        self.watchdog = CoilWatchdogWatch(now)
        self._calm_until = NEVER
        self._stop_since: float | None = None
        self._torn_at: float | None = None
        self._torn = 0
        """How often in this plug-in C went to A at once under power with the plug in."""
        self._car_since = now

    # --- what the machine asks ---------------------------------------------------------------------------------

    def withheld(self, now: float) -> bool:
        """F is on the pilot."""
        return self.duty == STEADY_LOW

    def entered(self, now: float) -> None:
        """The machine changed state. The diode shows itself to a car under PWM only; after it it is sought anew."""
        if self.state not in READY:
            self.diode.forget()

    # --- what the station says ---------------------------------------------------------------------------------

    def permit(self, permit: Permit, now: float) -> None:
        """A permission for this point. While a release of the plug is under way, there is none for that plug: a word
        about it only ends what the other socket had."""
        self._calm_until = NEVER
        if not self.unlock_wanted or permit.connector == DOMESTIC:
            self.lease.grant(permit, now)
        else:
            self.lease.revoke()

    def request_unlock(self) -> None:
        """Release the plug: x1, the contactor opens, then the lock. `unlock_wanted` falls when it is done."""
        self._calm_until = NEVER
        self.unlock_wanted = True
        if self.lease.connector != DOMESTIC:  # the plug of the other socket is none of this lease's
            self.lease.revoke()
        self.lock.retry()

    def acknowledge(self, name: str, now: float) -> str:
        """A technician acknowledges a fault. Answers why it is refused; empty when it is gone."""
        if name == "rcd-test-fails":  # its cause is known again only after the next test, which the answer starts
            self.faults.set(name, False, now)
        refused = self.faults.acknowledge(name, self.vacant)
        if not refused:
            self.wait_after_fault(now)
            if name in ("rcd-test-fails", "residual-current", "residual-current-dc"):
                self.self_tests.request("all")
        return refused

    def wait_after_fault(self, now: float) -> None:
        """A fault that kept the point from charging has just gone: neither contactor closes for a while."""
        self.contactor.wait_after_fault(now)
        if self.domestic is not None:
            self.domestic.contactor.wait_after_fault(now)

    def request_self_test(self, what: str) -> str:
        """Run a self-test in the next passes. Answers why it is refused; empty when it begins."""
        if not self.vacant:
            return "a plug is in the socket: unplug first"
        if what not in WHAT:
            return f"there is no self-test '{what}'; there are {', '.join(WHAT)}"
        self._calm_until = NEVER
        self.self_tests.request(what)
        return ""

    # --- the pass ----------------------------------------------------------------------------------------------

    def step(self, i: PointInputs, b: BorneInputs, now: float) -> PointOutputs:
        """One pass of the loop."""
        if self._calm_until != NEVER:
            if now < self._calm_until and not self.faults.active and nominal(i, b, self.config.socket):
                return CALM
            self._calm_until = NEVER
            self.watchdog.step(True, now)  # it was armed in every calm pass
        raise_faults(self, i, b, now)
        if self.domestic is not None and self.domestic.see(i.domestic_plug, now) and not self.domestic.plugged:
            self.self_tests.due = True
            self._vacated()
        if self.converter.trusted:
            self._read_pilot(i, now)
            if self.config.socket:
                self._read_proximity(i, now)
            self.derating.step(i.temperature_c)
        if self.lease.step(now):
            self.faults.set("lease-ended", True, now)
        if self.faults.active:
            let_faults_go(self, now)
        self._set_pilot(now)
        self._watch_lock(i, now)
        self._switch(i, b, now)
        drive = self._drive_lock(i, now) if self.config.socket else LockDrive.OFF
        if self.domestic is not None:
            domestic.switch(self, self.domestic, i, b, now)
        if self.converter.settled and not self.self_tests.quiet(now):
            self._test(i, b, now)
        self._calm_until = self._calm(i, b)
        socket_2 = self.domestic is not None and self.domestic.contactor.commanded
        return PointOutputs(self.contactor.commanded, self.duty, drive, self.self_tests.rcd_output, socket_2)

    def _calm(self, i: PointInputs, b: BorneInputs) -> float:
        """Until when nothing can change while all inputs are nominal: an empty point, wanting nothing, in order.

        Most passes of a day are such; they are spared the rest. With a car, a permission, a fault or a movement there
        are none; nor after a stray result, which a detector counts until it has seen a sound one.
        """
        quiet = (
            self.state == "A1"
            and self.duty == STEADY_HIGH
            and not (self.car or self.unlock_wanted or self.faults.active or self.lease.wants or self.lease.hold_lock)
            and (self.domestic is None or self.domestic.calm)
            and self.pilot.steady
            and not self.may_trip
            and self.proximity.coding is Proximity.OPEN
            and self.derating.factor == 1.0
            and self.converter.settled
            and self._torn_at is None
            and self.contactor.open_confirmed
            and self.lock.drive is LockDrive.OFF
            and not self.lock.failed
            and nominal(i, b, self.config.socket)
        )
        return self.self_tests.due_at() if quiet else NEVER

    @property
    def free(self) -> bool:
        """Neither a car nor a cable at the Type 2 connector."""
        return not self.car and self.proximity.coding is Proximity.OPEN  # as it always is on a tethered point

    @property
    def vacant(self) -> bool:
        """Neither a car nor a cable, nor a plug in the domestic socket."""
        return self.free and not (self.domestic is not None and self.domestic.plugged)

    @property
    def may_trip(self) -> bool:
        """A tripped result of a residual current device or of the earth monitor is not made up for yet."""
        return bool(self.rcd.count or self.rdc.count or self.earth.count)

    @property
    def plugged(self) -> bool:
        return self.proximity.cable if self.config.socket else self.car

    # --- the car -----------------------------------------------------------------------------------------------

    def _read_pilot(self, i: PointInputs, now: float) -> None:
        if self.duty == STEADY_LOW:
            self._duty_watched(i, now)
            return
        # What neither generator nor car can make is no band: it must not pass for a car that has left.
        if i.cp_high_v <= GENERATOR_MAX_V and self.pilot.step(i.cp_high_v, now):
            self._band_changed(self.pilot.band, now)
            fire(self, PILOT_TRIGGER[self.pilot.band], now)
        self._duty_watched(i, now)
        if not self.converter.settled:
            return
        faults, band = self.faults, self.pilot.band
        wrong = self._voltage.step(i, band, self.duty) or band is Band.F
        if wrong or faults.active:
            faults.set("pilot-voltage", wrong, now, f"{i.cp_high_v:.1f} V / {i.cp_low_v:.1f} V")
        if band >= Band.D or faults.active:
            held = now - self.pilot.since
            faults.set("pilot-short", band is Band.E and held >= SHORT_S, now, f"{i.cp_high_v:.1f} V")
            asks = band is Band.D and not self.config.ventilated
            faults.set("ventilation-required", asks, now)
        if self.state in READY and self.diode.step(i.cp_low_v):
            faults.set("diode", True, now, f"low half of the pilot {i.cp_low_v:.1f} V instead of -12 V")

    def _duty_watched(self, i: PointInputs, now: float) -> None:
        wrong = self._duty_watch.step(i.duty_measured, self.duty, now) and self.converter.settled
        if wrong or self.faults.active:
            detail = f"measured {i.duty_measured:.1f} %, commanded {self.duty:.1f} %"
            self.faults.set("pwm-wrong", wrong, now, detail)

    def _band_changed(self, band: Band, now: float) -> None:
        if band in (Band.B, Band.C, Band.D):
            if not self.car:
                self._car_arrives(now)
            self.wake_up.cancel()  # a car that moves is awake; for one in B the offer begins it anew
        elif band is Band.A:
            if self.contactor.commanded and self.proximity.cable:
                self._torn_at = now
                self._torn += 1
                if self._torn >= TORN_TIMES:
                    self.faults.set("cable-cut", True, now, f"12 V from C, {self._torn} times in one plug-in")
            self._car_leaves()

    def _car_arrives(self, now: float) -> None:
        self.car = True
        self._car_since = now
        self.plug_count += 1
        self._torn_at = None
        self.wake_up.new_car()
        self.contactor.new_car()
        self.proximity.remember()

    def _car_leaves(self) -> None:
        if not self.car:
            return
        self.car = False
        self.wake_up.cancel()
        self.self_tests.due = True
        self._vacated()

    def _vacated(self) -> None:
        if self.free:
            self._torn = 0
        if self.vacant:
            self.faults.unplugged()
            self.unlock_wanted = False

    def _read_proximity(self, i: PointInputs, now: float) -> None:
        watch, faults = self.proximity, self.faults
        if watch.step(i.pp_ohm, now):
            self._coding_changed(now)
        if self.car or faults.active:
            missing = self.car and watch.coding is Proximity.OPEN
            # A plug that goes in slowly, or is on its way out, is no fault as long as nothing can be live.
            long = self.contactor.commanded or now - max(watch.since, self._car_since) >= MATING_S
            faults.set("pp-open", missing and long, now, f"{i.pp_ohm:.0f} ohm")
            changed = self.car and watch.cable and watch.cable_a not in (None, watch.coding.current_a)
            faults.set("pp-changed", changed, now, f"{i.pp_ohm:.0f} ohm, the cable was {watch.cable_a} A")
        if watch.coding is Proximity.SHORT or faults.active:
            faults.set("pp-short", watch.coding is Proximity.SHORT, now, f"{i.pp_ohm:.0f} ohm")
        if self._torn_at is not None:  # a car that arrives has ended it
            if not watch.cable:
                self._torn_at = None
            elif now - self._torn_at >= TORN_S:
                self._torn_at = None
                faults.set("cable-cut", True, now, "12 V from C with the plug still in")

    def _coding_changed(self, now: float) -> None:
        watch = self.proximity
        if watch.coding is Proximity.OPEN and self.state in ("E", "F"):
            self._car_leaves()  # the pilot cannot tell, the plug does
        if not self.car or watch.cable_a is None or self._mating(now):
            watch.remember()
        self._vacated()

    def _mating(self, now: float) -> bool:
        return now - self._car_since < MATING_S

    # --- the pilot's output --------------------------------------------------------------------------------------

    def limit_a(self, now: float) -> float:
        """What may be offered now, A; under 6 nothing."""
        if self.unlock_wanted or self.faults.stops or not self.lease.allows(now):
            return 0.0
        if self.state not in CAR and not (self.state == "F" and self.car):  # F with a car: its wake-up pulse
            return 0.0
        if self.contactor.commanded and not self.self_tests.in_date(now):  # a charge of a day pauses for the test
            return 0.0
        if self.state[0] == "D" and not self.config.ventilated:
            return 0.0
        limit = min(self.lease.current_a, self.config.max_current_a, self.config.max_current_a * self.derating.factor)
        if self.config.socket:
            limit = min(limit, self.proximity.cable_a or 0.0) if self.proximity.cable else 0.0
        return limit if limit >= MIN_CURRENT_A else 0.0

    def _set_pilot(self, now: float) -> None:
        factor = self.derating.factor
        if factor < 1.0 or self.derating.sensor_bad or self.faults.active:
            hot = f"derated to {factor:g}"
            self.faults.set("temperature-derating", 0.0 < factor < 1.0, now, hot)
            self.faults.set("over-temperature", factor == 0.0, now)
            self.faults.set("temperature-sensor", self.derating.sensor_bad, now)
        limit = self.limit_a(now)
        if limit == 0.0:
            self.wake_up.cancel()
        pulsing = self.wake_up.step(now, self.state == "B2" and self.lease.wake_up)
        self.offer.step(now, limit)
        duty = self.offer.duty
        if pulsing or self._shows_out_of_service():
            duty = STEADY_LOW
        elif self.self_tests.duty is not None and self.state == "A1":
            duty = self.self_tests.duty
        if duty != self.duty:
            self._duty_changes(duty, now)
        self._follow_ready(now)

    def _shows_out_of_service(self) -> bool:
        """F to an empty socket that waits for a technician. A car that is there keeps x1, so that its leaving is seen;
        a tethered point keeps x1 always, for it has no proximity contact to see a car come."""
        faults = self.faults
        if not faults.active or not self.config.socket or self.car or self.state not in ("A1", "F"):
            self.out_of_service = False
        else:
            self.out_of_service = any(
                stops(a.row) and a.row.recover is Recover.TECHNICIAN for a in faults.active.values()
            )
        return self.out_of_service

    def _duty_changes(self, duty: float, now: float) -> None:
        if duty == STEADY_LOW:
            if self.wake_up.pulsing:
                self.wake_ups_ever += 1
            self.duty = duty
            self.pilot.restart()
            fire(self, "withhold", now)
        self.duty = duty

    def _follow_ready(self, now: float) -> None:
        if self.offer.on and self.state in ("B1", "C1", "D1"):
            fire(self, "ready", now)
            if self.state == "B2":
                self.wake_up.offered(now)
        elif not self.offer.on and self.state in READY:
            fire(self, "not_ready", now)

    # --- contactor -----------------------------------------------------------------------------------------------

    def drawing(self) -> bool:
        """The car has closed its S2, in a state that this point serves."""
        letter = self.state[0]
        return letter == "C" or (letter == "D" and self.config.ventilated)

    def blocked_by(self, now: float, armed: bool = True) -> str:
        """Why the contactor may not be closed now, as a key; empty when nothing stands in the way."""
        if self.faults.stops:
            return "fault"
        if self.unlock_wanted or not self.lease.allows(now):
            return "no-permission"
        if not self.car:
            return "car"
        if self.wake_up.pulsing:
            return "wake-up"
        if self.limit_a(now) < MIN_CURRENT_A:
            return "current"
        if self.config.socket and not self.locked:
            return "lock"
        if self.self_tests.running or not self.self_tests.in_date(now):
            return "self-test"
        if self.domestic is not None and self.domestic.live:
            return "other-connector"
        if not self.drawing() or self.state not in READY:
            return "car"
        if not self.diode.sound:
            return "diode"
        if self.may_trip or not (self.converter.trusted and self.converter.settled and armed):
            return "board"
        if not (self.contactor.commanded or self.contactor.open_confirmed):
            return "contactor"
        if now < self.contactor.may_close_at():
            return "reclose-delay"
        if not self.pilot.steady or now - self.pilot.since < STABLE_C_S:
            return "car"
        return ""

    def _switch(self, i: PointInputs, b: BorneInputs, now: float) -> None:
        contactor = self.contactor
        may_close = False
        if contactor.commanded:
            if self.state in READY:
                self._stop_since = None
            elif self._stop_since is None:
                self._stop_since = now
            late = self._stop_since is not None and now - self._stop_since >= STOP_S
            if late or self.faults.opens or not self.drawing():
                contactor.open(now, under_load=self.state[0] != "B")
        elif self.state in READY:
            self.blocked = self.blocked_by(now, b.coil_watchdog_armed)
            may_close = not self.blocked
        if not contactor.commanded:
            self._stop_since = None
        contactor.step(now, may_close, i.contactor_closed, i.load_live)

    def _test(self, i: PointInputs, b: BorneInputs, now: float) -> None:
        seen = Seen(
            vacant=self.vacant,
            contactor_open=self.contactor.open_confirmed and (self.domestic is None or not self.domestic.live),
            rcd=i.rcd_tripped,
            rdc=i.rdc_tripped,
            reference_ok=self.converter.trusted,
            board_whole=not b.missing,
            pilot_wrong="pwm-wrong" in self.faults.active,
            duty=i.duty_measured,
            locked=self.locked,
            unlocked=i.lock_open and not i.lock_closed,
            lock_failed=self.lock.failed is not LockDrive.OFF,
            has_lock=self.config.socket,
        )
        self.self_tests.step(now, seen)

    # --- lock ----------------------------------------------------------------------------------------------------

    def _watch_lock(self, i: PointInputs, now: float) -> None:
        closed = i.lock_closed and not i.lock_open
        self.lock_lost = 0 if closed else self.lock_lost + 1
        self.locked = closed
        if self.contactor.commanded and self.config.socket and self.lock_lost >= LOCK_LOST_RESULTS:
            self.faults.set("lock-opens", True, now, "the end switch no longer confirms")

    def lock_wanted(self, now: float) -> bool:
        """The plug is to be locked. Whether it may be unlocked is another question: only with the contactor open."""
        if self.self_tests.lock_closed and self.vacant:
            return True
        if self.unlock_wanted or not self.proximity.cable:
            return False
        faults = self.faults.active
        if "lock-jam" in faults or "lock-opens" in faults:
            return False
        lease = self.lease
        if self.locked:
            kept = lease.ran_out and self.state != "E"  # the cable alone may short the pilot: it is no car to wait for
            return lease.holds(now) or (self.car and (lease.allows(now) or kept))
        return self.car and (lease.holds(now) or lease.allows(now))

    def _drive_lock(self, i: PointInputs, now: float) -> LockDrive:
        may_unlock = self.contactor.open_confirmed and not self.contactor.commanded
        drive = self.lock.step(now, self.lock_wanted(now), may_unlock, i.lock_closed, i.lock_open)
        if i.lock_open and not i.lock_closed and drive is LockDrive.OFF:
            self.unlock_wanted = False
        return drive
