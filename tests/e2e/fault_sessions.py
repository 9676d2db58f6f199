"""Thousands of charging sessions on the two points of a borne in injected time, with faults drawn at random.

People come to both points, plug, show badges, charge, leave. Half of the sessions get a fault of their own at their
point, at a random instant, for a random time; meanwhile the network, the shared parts and the processes of the borne
fail now and then as well. What a fault asks for is done as in the field: it goes by itself, the car is unplugged, or a
technician acknowledges it. At the end the central system's account is held against the meters' registers.
"""

import asyncio
import contextlib
import random
import statistics
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fault_proxy import PORTAL_OK, PORTAL_REDIRECT, FaultProxy
from injected_borne import InjectedBorne

from chargepoint.faults import FAULTS, Recover
from chargepoint.sim.car import Car
from chargepoint.sim.central_system import SILENCE, CentralSystem, Fail
from chargepoint.sim.electrics import Refused
from chargepoint.sim.fault_names import POINT_FAULTS
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.evse_link import LinkLost

BADGES = {1: "04A1B2C3D4E5F6", 2: "04112233445566"}
STRANGER = "04DEADBEEF0000"
FIRST_TRY_S = 60.0
"""A healthy car draws more than 1 A so soon after plug and badge."""
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None
STUCK_S = 420.0
"""A point whose every fault has been taken away, and what its rows ask for done, is usable after this, or stuck."""
DRAWN_AGAIN_S = 45.0
"""What happened so shortly before a session may still be felt in it: the pause after a fault is 30 s."""
POINT = tuple(name for name in POINT_FAULTS if not name.startswith("domestic-"))
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
PROCESSES = ("station killed", "evse killed", "reset by the operator")
UNBILLED = frozenset({"meter-silent", "meter-noise", "contactor-welded", "station killed", "evse killed"})
"""With one of these the register at the end may not be readable, or move after the end; the next session shows it."""


@dataclass
class Account:
    """What was done, and what came of it."""

    sessions: int = 0
    healthy: int = 0
    healthy_first_try: int = 0
    healthy_offline: int = 0
    healthy_offline_first_try: int = 0
    faulty: int = 0
    faulty_charged: int = 0
    refused_strangers: int = 0
    stranger_charged: int = 0
    stuck: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """From the end of the cause (or from the unplug or acknowledgement its row asks for) until it is over."""
    transactions: int = 0
    lost: int = 0
    """Never closed, or in the journal and not at the central system."""
    twice: int = 0
    repeated_by_resend: int = 0
    """Sent again after a lost answer with the same content: one transaction, as OCPP 1.6 has it."""
    unbilled_wh: int = 0
    unbilled_explained_wh: int = 0
    billed_wh: int = 0
    violations: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Healthy cars that did not charge at the first try: when and what was seen."""
    seconds: float = 0.0
    station_starts: int = 0
    deaths: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        bad = self.stuck or self.lost or self.twice or self.unbilled_wh or self.violations or self.deaths
        return not bad and not self.stranger_charged

    def add(self, other: "Account") -> None:
        """Take in another run's figures."""
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, dict):
                for key, values in theirs.items():
                    mine[key].extend(values)
            else:
                setattr(self, name, mine + theirs)

    def rows(self) -> list[dict[str, Any]]:
        """Recovery by fault."""
        return [
            {
                "fault": name,
                "times": self.faults[name],
                "p50_s": round(statistics.median(values), 1),
                "mean_s": round(statistics.fmean(values), 1),
                "max_s": round(max(values), 1),
            }
            for name, values in sorted(self.recovery_s.items())
        ]


class Campaign:
    """One borne, its people and its troubles."""

    def __init__(self, seed: int, sessions: int, trouble: bool = True) -> None:
        self.dice = random.Random(seed)
        self.wanted = sessions
        self.trouble = trouble
        self.account = Account()
        self.begun = 0
        self.bad_since: dict[str, float] = {}
        """Shared troubles that are on."""
        self.bad_until: dict[str, float] = {}
        self.spoilt: dict[int, list[tuple[float, float, str]]] = {1: [], 2: []}
        """When something that may leave energy unbilled was on, UTC."""

    async def run(self) -> Account:
        with tempfile.TemporaryDirectory(dir=SCRATCH) as directory:
            async with CentralSystem(tags=list(BADGES.values())) as central, FaultProxy(central.port) as proxy:
                self.central, self.proxy = central, proxy
                loop = asyncio.get_running_loop()
                loop.names["csms.test"] = "127.0.0.1"  # type: ignore[attr-defined]
                self.borne = InjectedBorne(
                    Path(directory), f"ws://csms.test:{proxy.port}/ocpp", {"WebSocketPingInterval": 30}
                )
                self.now = loop.time
                self.tell_time()
                await self.borne.begin()
                await asyncio.sleep(10)
                self.borne.electrics.speed = 10.0
                for evse in BADGES:  # both are known here from now on
                    await self.session(evse, fault="", stranger=False, count=False)
                people = [asyncio.create_task(self.people(evse)) for evse in BADGES]
                weather = [asyncio.create_task(self.weather())] if self.trouble else []
                await asyncio.gather(*people)
                for task in weather:
                    task.cancel()
                await asyncio.gather(*weather, return_exceptions=True)
                await self.settle_books()
                await self.borne.end()
        return self.account

    def tell_time(self) -> None:
        """The central system's clock is the borne's."""

        def text() -> str:
            return datetime.fromtimestamp(self.borne.utc(), UTC).isoformat().replace("+00:00", "Z")

        self.central.answers = {
            "BootNotification": lambda p: {"status": "Accepted", "currentTime": text(), "interval": 300},
            "Heartbeat": lambda p: {"currentTime": text()},
        }

    # --- people ------------------------------------------------------------------------------------------------------

    async def people(self, evse: int) -> None:
        while self.begun < self.wanted:
            self.begun += 1
            dice = self.dice
            fault = dice.choice(POINT) if self.trouble and dice.random() < 0.5 else ""
            stranger = not fault and dice.random() < 0.05
            await self.session(evse, fault, stranger)
            await asyncio.sleep(dice.uniform(1, 10))

    async def session(self, evse: int, fault: str, stranger: bool, count: bool = True) -> None:
        """One car, from its coming until the point is free again."""
        dice, account = self.dice, self.account
        begun = self.now()
        account.sessions += count
        trouble = asyncio.create_task(self.point_trouble(evse, fault)) if fault else None
        charged = await self.come_and_charge(evse, stranger)
        if stranger:
            account.refused_strangers += not charged
            account.stranger_charged += charged
        elif fault:
            account.faulty += 1
            account.faulty_charged += charged
        elif count:
            self.judge(evse, begun, charged)
        if charged:
            await asyncio.sleep(dice.uniform(3, 30))
        waits = self.waiting(evse)
        await self.leave(evse)
        left = self.now()
        cause_gone = await trouble if trouble is not None else None
        await self.free_again(evse, fault, cause_gone, left if waits else None)

    def waiting(self, evse: int) -> bool:
        """A fault is active at the point that waits for the unplug, or for a technician."""
        if not self.borne.station_up:
            return False
        return any(f.row.recover is not Recover.SELF for f in self.borne.station.points[evse].faults)

    async def come_and_charge(self, evse: int, stranger: bool) -> bool:
        """Plug and badge in either order, or a start by the operator; whether current came in time."""
        dice = self.dice
        way = "badge" if stranger or dice.random() < 0.8 else "remote"
        tag = STRANGER if stranger else BADGES[evse]
        point = self.borne.electrics.points[evse]
        car = Car(dice.choice((16.0, 32.0)), dice.choice((1, 3)))
        if way == "badge" and not self.borne.readers_silent and dice.random() < 0.3:
            self.borne.badge(tag, evse)
            await asyncio.sleep(dice.uniform(1, 5))
        begun = self.now()
        while True:
            try:
                point.plug(32, car)
                break
            except Refused:
                if self.now() - begun > 60:
                    return False
                await asyncio.sleep(1)
        self.borne.controller.happened()
        await asyncio.sleep(dice.uniform(1, 4))
        asked_at = -100.0
        begun = self.now()
        while self.now() - begun < FIRST_TRY_S:
            if point.current_a[0] > 1.0:
                return True
            if self.needs_asking(evse) and self.now() - asked_at > 12:
                asked_at = self.now()
                await self.ask(evse, tag, way)
                way = "badge"  # whoever the operator's start does not help has a badge
            await asyncio.sleep(0.5)
        return point.current_a[0] > 1.0

    def needs_asking(self, evse: int) -> bool:
        if not self.borne.station_up:
            return False
        session = self.borne.station.points[evse].session
        return session.state in ("waiting_auth", "finished", "idle") and not any(
            evse in points for points in self.borne.station.entrance.waiting
        )

    async def ask(self, evse: int, tag: str, way: str) -> None:
        if way == "badge" and not self.borne.readers_silent:
            self.borne.badge(tag, evse)
        elif tag != STRANGER:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.central.call("RemoteStartTransaction", {"idTag": tag, "connectorId": evse}, timeout_s=5.0)

    def judge(self, evse: int, begun: float, charged: bool) -> None:
        """A car without a fault of its own: was it served? Where a shared trouble was on, that is counted apart."""
        names = {name for name, at in self.bad_until.items() if at >= begun - DRAWN_AGAIN_S} | set(self.bad_since)
        account = self.account
        hard = {name for name in names if name in SHARED or name in PROCESSES}
        if hard:
            return
        if names:
            account.healthy_offline += 1
            account.healthy_offline_first_try += charged
        else:
            account.healthy += 1
            account.healthy_first_try += charged
        if not charged:
            account.missed.append(f"{self.now():.0f} s point {evse} {sorted(names)}: {self.seen(evse)}")

    async def leave(self, evse: int) -> None:
        """The badge, the operator, or just the car's plug; then the cable, as soon as the lock lets it go."""
        dice, point = self.dice, self.borne.electrics.points[evse]
        way = dice.choice(("badge", "badge", "car", "remote", "full"))
        if way == "badge":
            self.borne.badge(BADGES[evse], evse)
        elif way == "remote":
            await self.remote_stop(evse)
        elif way == "full" and point.car is not None:
            point.car.wants_energy = False
            await asyncio.sleep(5)
        begun = self.now()
        while point.cable is not None or point.car is not None:
            self.borne.controller.happened()
            waited = self.now() - begun
            side = "car" if point.car is not None and (way != "badge" or waited > 20) else "socket"
            try:
                point.unplug(side, force=False)  # type: ignore[arg-type]
            except Refused:
                if waited > 30 and self.borne.station_up:
                    await self.hotline(evse)
                if waited > STUCK_S:
                    self.stuck(evse, "the cable stays locked")
                    point.unplug("socket", force=True)
            await asyncio.sleep(1.0)

    async def hotline(self, evse: int) -> None:
        """The driver calls; the operator has the plug released."""
        station = self.borne.station
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(40):
                await station.unlock(evse)

    async def remote_stop(self, evse: int) -> None:
        number = next((t.id for t in reversed(self.central.transactions) if t.connector == evse), None)
        if number is not None:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.central.call("RemoteStopTransaction", {"transactionId": number}, timeout_s=5.0)

    # --- faults of a point -------------------------------------------------------------------------------------------

    async def point_trouble(self, evse: int, name: str) -> float:
        """Comes at a random instant and goes at another; when it was gone."""
        await asyncio.sleep(self.dice.choice((0.0, self.dice.uniform(0, 5), self.dice.uniform(5, 40))))
        self.account.faults[name] += 1
        self.borne.fault(name, evse, True)
        begun = self.borne.utc()
        await asyncio.sleep(self.dice.uniform(0.5, 40))
        self.borne.fault(name, evse, False)
        gone, active = self.now(), self.healing(evse)
        if name in UNBILLED:
            self.spoilt[evse].append((begun, self.borne.utc(), name))
        while active and self.healing(evse) and self.now() - gone < STUCK_S:  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        if active:
            self.account.recovery_s[name].append(self.now() - gone)
        return gone

    def healing(self, evse: int) -> bool:
        """A fault is active at the point that goes by itself once its cause has gone."""
        if not self.borne.station_up:
            return False
        return any(f.row.recover is Recover.SELF for f in self.borne.station.points[evse].faults)

    async def free_again(self, evse: int, fault: str, cause_gone: float | None, left: float | None) -> None:
        """Until the point is as before. A technician comes for what needs one. `left`: when the car did, where a fault
        waited for that."""
        begun, needed = self.now(), left is not None
        done: dict[str, float] = {}
        while not self.free(evse):
            if self.borne.station_up:
                for name in sorted(self.borne.faults(evse) & FAULTS.keys()):
                    needed = needed or FAULTS[name].recover is not Recover.SELF
                    if FAULTS[name].recover is Recover.TECHNICIAN:
                        await self.technician(evse, name, done)
            if self.now() - begun > STUCK_S:
                self.stuck(evse, f"after {fault or 'no fault of its own'}")
                return
            await asyncio.sleep(0.5)
        if cause_gone is not None and needed:
            since = max(cause_gone, left if left is not None else begun, *done.values())
            self.account.recovery_s[fault].append(max(0.0, self.now() - since))

    def free(self, evse: int) -> bool:
        borne = self.borne
        if not borne.station_up or borne.controller.safety is None:
            return False
        point = borne.station.points[evse]
        mine = {f.name for f in point.faults}
        return point.status is ConnectorStatus.AVAILABLE and not mine and not borne.electrics.points[evse].lock.holds

    async def technician(self, evse: int, name: str, done: dict[str, float]) -> None:
        """Repaired, says the technician: a self-test where one proves it, and the acknowledgement."""
        link = self.borne.controller
        with contextlib.suppress(LinkLost):
            if name == "rcd-test-fails":
                await link.self_test(evse, "all", 30.0)
            if (await link.acknowledge(evse, name, 5.0)).ok:
                done[name] = self.now()

    def stuck(self, evse: int, what: str) -> None:
        self.account.stuck.append(f"{self.now():.0f} s point {evse} {what}: {self.seen(evse)}")

    def seen(self, evse: int) -> str:
        borne = self.borne
        if not borne.station_up or borne.controller.safety is None:
            return "a process is down"
        point, outside = borne.station.points[evse], borne.electrics.points[evse]
        report = point.report
        return (
            f"{point.status.value}, {point.session.state}, pilot {report.state if report else '?'}, "
            f"waiting {report.waiting if report else '?'}, faults {sorted(borne.faults(evse))}, "
            f"made {sorted(outside.faults)}, lock {outside.lock.position:.1f}, online {borne.backend.online}, "
            f"permitted {point.permitted}, car {outside.car}"
        )

    # --- troubles of the whole borne ---------------------------------------------------------------------------------

    async def weather(self) -> None:
        """One trouble at a time, with quiet between: what they do together at a point is drawn there."""
        while True:
            await asyncio.sleep(self.dice.expovariate(1 / 180.0))
            name = self.dice.choice((*SHARED, *NETWORK, *BACKEND, *PROCESSES))
            self.account.faults[name] += 1
            self.bad_since[name] = self.now()
            began = self.borne.utc()
            await self.one_trouble(name)
            gone = self.now()
            try:
                async with asyncio.timeout(600):
                    while not self.whole(name):  # noqa: ASYNC110  (time is injected: looking costs nothing)
                        await asyncio.sleep(0.5)
            except TimeoutError:
                self.account.stuck.append(f"{self.now():.0f} s the borne does not recover from {name}")
            self.account.recovery_s[name].append(self.now() - gone)
            self.bad_until[name] = self.now()
            del self.bad_since[name]
            if name in UNBILLED:
                for evse in self.spoilt:
                    self.spoilt[evse].append((began, self.borne.utc(), name))

    async def one_trouble(self, name: str) -> None:
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
            await self.backend_trouble(name, length)
        elif name == "station killed":
            await borne.kill_station()
            await asyncio.sleep(self.dice.uniform(0.5, 5))
            borne.start_station()
        elif name == "evse killed":
            borne.controller.kill()
            await asyncio.sleep(self.dice.uniform(0.2, 2))
            borne.controller.start()
        else:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                kind = self.dice.choice(("Soft", "Hard"))
                await self.central.call("Reset", {"type": kind}, timeout_s=5.0)
                await asyncio.sleep(40)

    async def backend_trouble(self, name: str, length: float) -> None:
        central = self.central
        before = dict(central.answers)
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
            central.answers = before

    def whole(self, name: str) -> bool:
        borne = self.borne
        if not borne.station_up or borne.controller.safety is None or not borne.backend.online:
            return False
        active = {f.name for f in borne.station.faults}
        active |= {f.name for point in borne.station.points.values() for f in point.faults}
        return not active & {*SHARED, "reader-lost", "evse-process-lost"} and all(
            point.report is not None for point in borne.station.points.values()
        )

    # --- the books ---------------------------------------------------------------------------------------------------

    async def settle_books(self) -> None:
        """Everything is delivered; then the account is held against the registers."""
        borne, account = self.borne, self.account
        self.proxy.turn()  # a trouble that was on when the last car left is over
        self.central.refuse = None
        borne.loop.names["csms.test"] = "127.0.0.1"
        self.tell_time()
        if borne.controller.safety is None:
            borne.controller.start()
        if not borne.station_up:
            borne.start_station()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(900):
                while not borne.backend.online or await borne.station.queue():  # noqa: ASYNC110
                    await asyncio.sleep(1.0)
        account.seconds, account.station_starts = self.now(), borne.starts
        made = ("was used before", "answer to nothing")  # by the network, which repeats frames
        account.violations = [v for v in self.central.violations if not any(what in v for what in made)]
        if borne.failure is not None:
            account.deaths.append(repr(borne.failure))
        account.lost += await borne.station.queue()
        for evse, register in ((e, p.register_wh) for e, p in borne.electrics.points.items()):
            self.settle_point(evse, register)

    def settle_point(self, evse: int, register: int) -> None:
        account = self.account
        starts: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for booked in self.central.transactions:
            if booked.connector == evse:
                starts[booked.started, booked.id_tag, booked.meter_start].append(booked)
        at = 0
        for (started, _, start_wh), booked in sorted(starts.items()):
            account.transactions += 1
            account.repeated_by_resend += len(booked) - 1
            ends = {(b.meter_stop, b.stopped) for b in booked if b.meter_stop is not None}
            account.lost += not ends
            account.twice += len(ends) > 1
            if ends:
                stop_wh = min(ends)[0]
                self.gap(evse, at, start_wh, started)
                account.billed_wh += stop_wh - start_wh
                at = stop_wh
        self.gap(evse, at, register, "the end")

    def gap(self, evse: int, billed_to: int, begins_at: int, when: str) -> None:
        """Energy between the end of one bill and the beginning of the next."""
        missing = abs(begins_at - billed_to)
        if missing == 0:
            return
        until = self.borne.utc() if when == "the end" else datetime.fromisoformat(when).timestamp()
        explained = any(begun < until and until - ended < 900 for begun, ended, _ in self.spoilt[evse])
        if explained:
            self.account.unbilled_explained_wh += missing
        else:
            self.account.unbilled_wh += missing
            self.account.missed.append(f"{missing} Wh before {when} at point {evse}")
