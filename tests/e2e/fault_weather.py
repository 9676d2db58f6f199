"""Troubles of the whole borne in a fault campaign: one at a time, with quiet between, until it is whole again.

Shared parts, network, central system, processes, power, disk, clock and the Linky. What they do together with the
faults of a point is drawn there.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from fault_account import Account, Spans
from fault_proxy import PORTAL_OK, PORTAL_REDIRECT, FaultProxy
from injected_borne import InjectedBorne
from injected_disk import FULL, READ_ONLY, SLOW

from chargepoint.sim.central_system import SILENCE, CentralSystem, Fail
from chargepoint.station.core import CLOCK_CHECK_S

SHARED = ("adc-silent", "emergency-stop", "coil-watchdog", "door-open", "reader-silent", "reader-noise")
NETWORK: dict[str, dict[str, Any]] = {
    "network down": {"down": True},
    "half-open": {"silent": True},
    "delay": {"delay_s": 2.5},
    "loss": {"loss": 0.3},
    "slow": {"bytes_per_s": 200.0},
    "reset in a frame": {"cut": 0.3},
    "frames repeated": {"repeat": 0.5},
    "captive portal (200)": {"portal": PORTAL_OK},
    "captive portal (302)": {"portal": PORTAL_REDIRECT},
}
BACKEND = ("name not found", "answers with errors", "answers nonsense", "does not answer", "refuses (503)")
POWER_CUT = "power cut, clock in 1970"
PROCESSES = ("station killed", "evse killed", "reset by the operator", POWER_CUT)
DISK = (FULL, READ_ONLY, SLOW)
CLOCK = {"clock +3 h": 10_800.0, "clock -3 h": -10_800.0, "clock +26 h": 93_600.0, "clock -26 h": -93_600.0}
"""Steps that NTP vouches for, s."""
LINKY = ("Linky silent", "Linky garbled", "Linky overload")
ALL = (*SHARED, *NETWORK, *BACKEND, *PROCESSES, *DISK, *CLOCK, *LINKY)
HARD = frozenset({*SHARED, *PROCESSES, "Linky overload"})
"""Meanwhile, and shortly after, not even a healthy car can be expected to charge at the first try."""
LINK = frozenset({*NETWORK, *BACKEND})
SUBSCRIBED_A = 36_000 / 230 / 3
MAKES_ROOM_S = 15.0
"""From an overload to the borne's having made room: frames, pilots, and cars that have to be switched off."""
DRAWS_AT_WILL = frozenset({"over-current", "contactor-welded", "domestic-welded", "pwm-wrong"})
"""With one of these a point draws what it likes until it has been cut off, or for ever."""
RECOVERS_S = 600.0
EPOCH_S = 1_000.0
"""What a clock without a battery shows after the start, s since 1970."""
MEAN_QUIET_S = 180.0


class Weather:
    """What happens to one borne beside its people."""

    def __init__(
        self,
        borne: InjectedBorne,
        central: CentralSystem,
        proxy: FaultProxy,
        dice: random.Random,
        account: Account,
        spans: Spans,
        unreading: frozenset[str],
    ) -> None:
        """`unreading`: after these a register may not be readable, or move after the end."""
        self.borne, self.central, self.proxy = borne, central, proxy
        self.dice, self.account, self.spans, self.unreading = dice, account, spans, unreading
        self.now: Callable[[], float] = borne.loop.time
        self.since: dict[str, float] = {}
        """Troubles that are on."""
        self.until: dict[str, float] = {}
        self.order: Iterator[str] = iter(lambda: dice.choice(ALL), "")
        """What comes next: drawn at random, as it is."""
        self._answers = dict(central.answers)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self.dice.expovariate(1 / MEAN_QUIET_S))
            await self.one(next(self.order))

    async def one(self, name: str) -> None:
        """A trouble from its coming until the borne is as before."""
        self.account.faults[name] += 1
        self.since[name] = self.now()
        began = self.borne.utc()
        await self._make(name)
        gone = self.now()
        try:
            async with asyncio.timeout(RECOVERS_S):
                while not self.whole():  # noqa: ASYNC110  (time is injected: looking costs nothing)
                    await asyncio.sleep(0.5)
        except TimeoutError:
            self.account.stuck.append(f"{self.now():.0f} s the borne does not recover from {name}")
        self.account.recovery_s[name].append(self.now() - gone)
        self.until[name] = self.now()
        del self.since[name]
        if name in self.unreading:
            for spans in self.spans.unread.values():
                spans.append((began, self.borne.utc(), name))

    def felt(self, since: float) -> set[str]:
        """Troubles that were on then, or have been since."""
        return {name for name, at in self.until.items() if at >= since} | set(self.since)

    def clear(self) -> None:
        """Take everything away that may be on."""
        borne = self.borne
        self.proxy.turn()
        self.central.refuse, self.central.answers = None, dict(self._answers)
        borne.loop.names["csms.test"] = "127.0.0.1"
        borne.disk.trouble = ""
        borne.disciplined, borne.clock_shift = True, 0.0
        borne.electrics.building_a = (0.0, 0.0, 0.0)
        if borne.tic is not None and borne.tic_wire is not None:
            borne.tic.silent = borne.tic_wire.garbled = False
        if borne.controller.safety is None:
            borne.controller.start()
        if not borne.station_up:
            borne.start_station()

    def whole(self) -> bool:
        borne = self.borne
        if not borne.station_up or borne.controller.safety is None or not borne.backend.online:
            return False
        station = borne.station
        active = {f.name for f in station.faults}
        active |= {f.name for point in station.points.values() for f in point.faults}
        gone = {*SHARED, "reader-lost", "evse-process-lost", "disk-full", "tic-lost", "clock-unsynchronised"}
        rooms = all(room.reason == name for name, room in station.supply.rooms.items())
        right = abs(station.clock.utc() - borne.utc()) < 1.0
        seen = all(point.report is not None for point in station.points.values())
        return not active & gone and rooms and right and seen

    # --- making them -------------------------------------------------------------------------------------------------

    async def _make(self, name: str) -> None:
        borne, length = self.borne, self.dice.uniform(2, 120)
        if name in SHARED:
            borne.fault(name, None, True)
            await asyncio.sleep(min(length, 40))
            borne.fault(name, None, False)
        elif name in NETWORK:
            self.proxy.turn(**NETWORK[name])
            if name.startswith("captive"):
                self.proxy.reset()
            await asyncio.sleep(length)
            self.proxy.turn()
        elif name in BACKEND:
            await self._backend(name, length)
        elif name in DISK:
            borne.disk.trouble = name
            await asyncio.sleep(length)
            borne.disk.trouble = ""
        elif name in CLOCK:
            await self._wrong_clock(CLOCK[name], CLOCK_CHECK_S + length)
        elif name in LINKY:
            await self._linky(name, length)
        else:
            await self._process(name, length)

    async def _process(self, name: str, length: float) -> None:
        borne = self.borne
        if name == "station killed":
            await borne.kill_station()
            await asyncio.sleep(self.dice.uniform(0.5, 5))
            borne.start_station()
        elif name == "evse killed":
            borne.controller.kill()
            await asyncio.sleep(self.dice.uniform(0.2, 2))
            borne.controller.start()
        elif name == POWER_CUT:
            borne.disciplined = False
            borne.clock_shift = EPOCH_S - borne.utc()
            await borne.power_cut(length)
            await asyncio.sleep(self.dice.uniform(2, 120))
            borne.disciplined, borne.clock_shift = True, 0.0
        else:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                kind = self.dice.choice(("Soft", "Hard"))
                await self.central.call("Reset", {"type": kind}, timeout_s=5.0)
                await asyncio.sleep(40)

    async def _backend(self, name: str, length: float) -> None:
        central = self.central
        if name == "name not found":
            names = self.borne.loop.names
            address = names.pop("csms.test")
            self.proxy.reset()
            await asyncio.sleep(length)
            names["csms.test"] = address
        elif name == "refuses (503)":
            central.refuse = HTTPStatus.SERVICE_UNAVAILABLE
            self.proxy.reset()
            await asyncio.sleep(length)
            central.refuse = None
        else:
            wrong: Any = {"answers with errors": Fail(), "answers nonsense": {"surprise": [1]}}.get(name, SILENCE)
            actions = ["Authorize", "Heartbeat", "StatusNotification", "MeterValues"]
            if name != "answers nonsense":
                actions += ["StartTransaction", "StopTransaction"]
            central.answers.update(dict.fromkeys(actions, wrong))
            await asyncio.sleep(length)
            central.answers = dict(self._answers)

    async def _wrong_clock(self, shift: float, length: float) -> None:
        """The borne follows NTP once a minute, to the wrong time and back."""
        borne, began = self.borne, self.borne.utc()
        borne.clock_shift = shift
        span = len(self.spans.shifted)
        self.spans.shifted.append((began, began + length + CLOCK_CHECK_S, shift))
        await asyncio.sleep(length)
        borne.clock_shift = 0.0
        self.spans.shifted[span] = (began, borne.utc() + CLOCK_CHECK_S, shift)

    async def _linky(self, name: str, length: float) -> None:
        borne = self.borne
        assert borne.tic is not None and borne.tic_wire is not None
        if name == "Linky overload":
            await self._overload(MAKES_ROOM_S + length)
            return
        borne.tic.silent = name == "Linky silent"
        borne.tic_wire.garbled = name == "Linky garbled"
        await asyncio.sleep(length)
        borne.tic.silent = borne.tic_wire.garbled = False

    async def _overload(self, length: float) -> None:
        """The building draws so much that the borne must make room."""
        electrics, ends = self.borne.electrics, self.now() + length
        first, second, third = (self.dice.uniform(30, 60) for _ in range(3))
        electrics.building_a = (first, second, third)
        await asyncio.sleep(MAKES_ROOM_S)
        while self.now() < ends:
            own = [sum(amps) for amps in zip(*(p.supply_current_a for p in electrics.points.values()), strict=True)]
            left = [max(0.0, SUBSCRIBED_A - amps) for amps in electrics.building_a]
            wild = any(DRAWS_AT_WILL & p.faults for p in electrics.points.values())
            if not wild and any(amps > most + 1.0 for amps, most in zip(own, left, strict=True)):
                self.account.overloads.append(f"{self.now():.0f} s draws {own} A of {left} A")
            await asyncio.sleep(1.0)
        electrics.building_a = (0.0, 0.0, 0.0)
