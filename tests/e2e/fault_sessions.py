"""Thousands of charging sessions on the two points of a borne in injected time, with faults drawn at random.

People come to both points, plug, show badges, charge, leave; at point 1 some use the domestic socket. Half of the
sessions get a fault of their own at their point, at a random instant, for a random time; meanwhile what the borne has
in common fails now and then as well (`fault_weather`). What a fault asks for is done as in the field: it goes by
itself, the car is unplugged, or a technician acknowledges it. At the end the central system's account is held against
the meters' registers (`fault_account`).
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import virtual_time
from fault_account import Account, Books, Spans
from fault_proxy import FaultProxy
from fault_visits import CarVisit, DomesticVisit, Visit
from fault_weather import HARD, LINK, Weather
from injected_borne import InjectedBorne

from chargepoint.faults import FAULTS, Recover
from chargepoint.sim.central_system import CentralSystem
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
VERDICT_S = 1.0
"""A self-test that had begun before its trouble went fails a moment after."""
DRAWN_AGAIN_S = 75.0
"""What happened so shortly before a session may still be felt in it: room is held back for 60 s after an overload."""
POINT = tuple(name for name in POINT_FAULTS if not name.startswith("domestic-"))
DOMESTIC = (
    *(name for name in POINT_FAULTS if name.startswith("domestic-")),
    "domestic-lid",
    *("residual-current", "residual-current-dc", "rcd-test-fails", "pe-lost", "over-current"),
    *("over-voltage", "under-voltage", "meter-silent", "meter-noise"),
)
"""Faults of the point while somebody uses its domestic socket; the lid is pushed open, and falls shut again."""
IN_USE = ", domestic socket in use"
UNBILLED = frozenset(
    {"meter-silent", "meter-noise", "contactor-welded", "domestic-welded", "station killed", "evse killed"}
)
"""With one of these the register at the end may not be readable, or move after the end; the next session shows it."""
KEYS = {"WebSocketPingInterval": 30, "ClockAlignedDataInterval": 300}
SOCKET = {"max_current": 10, "phase": "S"}
MORE = {"tic": {}, "sharing": {"safe_current": 16}}
"""Without the Linky there is enough for a car beside the domestic socket, which needs its 10 A or is off."""


class Campaign:
    """One borne, its people and its troubles."""

    def __init__(self, seed: int, sessions: int, trouble: bool = True, kinds: tuple[str, ...] = ()) -> None:
        """`kinds`: the troubles of the whole borne, one after the other; none: drawn at random from all."""
        self.seed = seed
        self.kinds = kinds
        self.dice = random.Random(seed)
        self.wanted = sessions
        self.trouble = trouble
        self.account = Account()
        self.begun = 0
        self.spans = Spans()

    def play(self) -> Account:
        """All of it; the same for the same seed."""
        return virtual_time.run(self.run(), self.seed)

    @property
    def digest(self) -> str:
        """That of a played campaign's account and of every call its central system got: alike if the runs were."""
        calls = [(call.action, call.payload) for call in self.central.received]
        return hashlib.sha256(json.dumps([vars(self.account), calls], sort_keys=True).encode()).hexdigest()[:12]

    async def run(self) -> Account:
        with tempfile.TemporaryDirectory(dir=SCRATCH) as directory:
            async with (
                CentralSystem(tags=list(BADGES.values())) as central,
                FaultProxy(central.port, self.seed) as proxy,
            ):
                self.central = central
                loop = asyncio.get_running_loop()
                loop.names["csms.test"] = "127.0.0.1"  # type: ignore[attr-defined]
                url = f"ws://csms.test:{proxy.port}/ocpp"
                self.borne = borne = InjectedBorne(Path(directory), url, KEYS, socket=SOCKET, **MORE)
                self.now = loop.time
                self.tell_time()
                self.weather = Weather(borne, central, proxy, self.dice, self.account, self.spans, UNBILLED)
                if self.kinds:
                    self.weather.order = itertools.cycle(self.kinds)
                books = Books(borne, central, self.account, self.spans)
                await borne.begin()
                await asyncio.sleep(30)
                borne.electrics.speed = 10.0
                for evse in BADGES:  # both are known here from now on
                    await self.session(evse, CarVisit(borne, evse, self.dice), fault="", stranger=False, count=False)
                people = [asyncio.create_task(self.people(evse)) for evse in BADGES]
                weather = [asyncio.create_task(self.weather.run())] if self.trouble else []
                await asyncio.gather(*people)
                for task in weather:
                    task.cancel()
                await asyncio.gather(*weather, return_exceptions=True)
                self.weather.clear()  # a trouble that was on when the last car left is over
                await books.settle()
                await borne.end()
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
            domestic = evse == 1 and dice.random() < 0.3
            fault = dice.choice(DOMESTIC if domestic else POINT) if self.trouble and dice.random() < 0.5 else ""
            stranger = not fault and dice.random() < 0.05
            visit: Visit = (DomesticVisit if domestic else CarVisit)(self.borne, evse, dice)
            await self.session(evse, visit, fault, stranger)
            await asyncio.sleep(dice.uniform(1, 10))

    async def session(self, evse: int, visit: Visit, fault: str, stranger: bool, count: bool = True) -> None:
        """One car, from its coming until the point is free again."""
        dice, account = self.dice, self.account
        begun = self.now()
        account.sessions += count
        trouble = asyncio.create_task(self.point_trouble(evse, visit, fault)) if fault else None
        charged = await self.come_and_charge(evse, visit, stranger)
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
        await self.leave(evse, visit)
        left = self.now()
        cause_gone = await trouble if trouble is not None else None
        if fault == "rcd-test-fails":
            await asyncio.sleep(VERDICT_S)
        await self.free_again(evse, self.row(visit, fault), cause_gone, left if waits else None)

    def waiting(self, evse: int) -> bool:
        """A fault is active at the point that waits for the unplug, or for a technician."""
        if not self.borne.station_up:
            return False
        return any(f.row.recover is not Recover.SELF for f in self.borne.station.points[evse].faults)

    @staticmethod
    def row(visit: Visit, fault: str) -> str:
        """Its row in the table."""
        beside = isinstance(visit, DomesticVisit) and fault and not fault.startswith("domestic-")
        return fault + IN_USE if beside else fault

    async def come_and_charge(self, evse: int, visit: Visit, stranger: bool) -> bool:
        """Plug and badge in either order, or a start by the operator; whether current came in time."""
        dice = self.dice
        way = "badge" if stranger or dice.random() < 0.8 else "remote"
        tag = STRANGER if stranger else BADGES[evse]
        if way == "badge" and not self.borne.readers_silent and dice.random() < 0.3:
            self.borne.badge(tag, evse)
            await asyncio.sleep(dice.uniform(1, 5))
        begun = self.now()
        while True:
            try:
                visit.plug()
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
            if visit.drawing:
                return True
            if self.needs_asking(evse) and self.now() - asked_at > 12:
                asked_at = self.now()
                await self.ask(evse, visit.connector, tag, way)
                way = "badge"  # whoever the operator's start does not help has a badge
            await asyncio.sleep(0.5)
        return visit.drawing

    def needs_asking(self, evse: int) -> bool:
        if not self.borne.station_up:
            return False
        session = self.borne.station.points[evse].session
        return session.state in ("waiting_auth", "finished", "idle") and not any(
            evse in points for points in self.borne.station.entrance.waiting
        )

    async def ask(self, evse: int, connector: int, tag: str, way: str) -> None:
        if way == "badge" and not self.borne.readers_silent:
            self.borne.badge(tag, evse)
        elif tag != STRANGER:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.central.call(
                    "RemoteStartTransaction", {"idTag": tag, "connectorId": connector}, timeout_s=5.0
                )

    def judge(self, evse: int, begun: float, charged: bool) -> None:
        """A car without a fault of its own: was it served? Where a shared trouble was on, that is counted apart."""
        names, account = self.weather.felt(begun - DRAWN_AGAIN_S), self.account
        if names & HARD:
            return
        if names & LINK:
            account.healthy_offline += 1
            account.healthy_offline_first_try += charged
        elif names:
            account.healthy_hindered += 1
            account.healthy_hindered_first_try += charged
        else:
            account.healthy += 1
            account.healthy_first_try += charged
        if not charged:
            account.missed.append(f"{self.now():.0f} s point {evse} {sorted(names)}: {self.seen(evse)}")

    async def leave(self, evse: int, visit: Visit) -> None:
        """The badge, the operator, or just the car's plug; then the cable, as soon as the lock lets it go."""
        way = self.dice.choice(("badge", "badge", "car", "remote", "full"))
        if way == "badge":
            self.borne.badge(BADGES[evse], evse)
        elif way == "remote":
            await self.remote_stop(visit.connector)
        elif way == "full":
            visit.full()
            await asyncio.sleep(5)
        begun = self.now()
        while not visit.gone:
            self.borne.controller.happened()
            waited = self.now() - begun
            try:
                visit.pull(gently=way == "badge" and waited <= 20)
            except Refused:
                if waited > 30 and self.borne.station_up:
                    await self.hotline(evse)
                if waited > STUCK_S:
                    self.stuck(evse, "the cable stays locked")
                    visit.pull(gently=False, force=True)
            await asyncio.sleep(1.0)

    async def hotline(self, evse: int) -> None:
        """The driver calls; the operator has the plug released."""
        station = self.borne.station
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(40):
                await station.unlock(evse)

    async def remote_stop(self, connector: int) -> None:
        number = next((t.id for t in reversed(self.central.transactions) if t.connector == connector), None)
        if number is not None:
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.central.call("RemoteStopTransaction", {"transactionId": number}, timeout_s=5.0)

    # --- faults of a point -------------------------------------------------------------------------------------------

    async def point_trouble(self, evse: int, visit: Visit, name: str) -> float:
        """Comes at a random instant and goes at another; when it was gone."""
        await asyncio.sleep(self.dice.choice((0.0, self.dice.uniform(0, 5), self.dice.uniform(5, 40))))
        row = self.row(visit, name)
        self.account.faults[row] += 1
        self.borne.fault(name, evse, True)
        begun = self.borne.utc()
        await asyncio.sleep(self.dice.uniform(0.5, 40))
        self.borne.fault(name, evse, False)
        gone, active = self.now(), self.healing(evse)
        if name in UNBILLED:
            self.spans.unread[evse].append((begun, self.borne.utc(), name))
        while active and self.healing(evse) and self.now() - gone < STUCK_S:  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        if active:
            self.account.recovery_s[row].append(self.now() - gone)
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
        available = all(c.status is ConnectorStatus.AVAILABLE for c in point.connectors.values())
        return available and not mine and not borne.electrics.points[evse].lock.holds

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
            f"permitted {point.permitted}, car {outside.car}, domestic {outside.domestic_current_a}, "
            f"tx {point.session.tx}, pending {point.pending is not None}, "
            f"rooms {[(r.reason, r.amps) for r in borne.station.supply.rooms.values()]}"
        )
