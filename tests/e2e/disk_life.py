"""The power goes: what the disk may hold at any instant of a borne's life, and what the borne makes of it.

A whole borne runs on a `Machine`, sessions are charged, and the central system changes everything it can change. From
the machine's log many disks are made, each as it may be after the power went at some instant: the synced for certain,
and some of the rest. The journal of each must open whole and hold whatever had been answered or sent by then.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "ocpp"))

from harness import Borne
from machine import Change, PowerCut, changes
from pki import Authority

from chargepoint.evse import memory
from chargepoint.evse.memory import FILE_NAME as EVSE_FILE
from chargepoint.journal.journal import FILE_NAME, Journal
from chargepoint.sim.central_system import CentralSystem

KNOWN = "04A1B2C3D4E5F6"
EXTRA = """
ConnectionTimeOut = 10
LocalAuthListEnabled = true
"""
LOCK_S = 12.0
"""A lock makes ten moves in a minute at most: two in each session."""
Holds = Callable[[sqlite3.Connection], bool]


@dataclass
class Promise:
    """Something that must be on the disk from an instant on (CLOCK_MONOTONIC), until something else may replace it."""

    what: str
    since: float
    holds: Holds
    until: float = float("inf")


@dataclass
class Life:
    """What happened, as the outside saw it."""

    promises: list[Promise] = field(default_factory=list)
    latched: float = float("inf")
    """When a latched fault was shown by the safety process."""
    log: list[Change] = field(default_factory=list)


@dataclass
class Verdict:
    """What was found on many disks."""

    disks: int = 0
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def _exists(sql: str, *values: Any) -> Holds:
    return lambda db: db.execute(f"SELECT 1 FROM {sql}", values).fetchone() is not None


def _stored(area: str, key: str, wanted: Callable[[Any], bool]) -> Holds:
    def holds(db: sqlite3.Connection) -> bool:
        row = db.execute("SELECT value FROM store WHERE area = ? AND key = ?", (area, key)).fetchone()
        return row is not None and wanted(json.loads(row[0]))

    return holds


class Witness:
    """Lives a borne's life, and notes what was answered and sent, and when."""

    def __init__(self, borne: Borne, central: CentralSystem) -> None:
        self.borne = borne
        self.central = central
        self.life = Life()
        self._newest: dict[str, Promise] = {}
        central.answers["StartTransaction"] = self._started
        central.answers["StopTransaction"] = self._stopped

    def _promise(self, what: str, holds: Holds) -> None:
        """From now on; whatever was promised under the same name before may go from the asking on."""
        promise = Promise(what, time.monotonic(), holds)
        self._newest[what] = promise
        self.life.promises.append(promise)

    def _started(self, payload: dict[str, Any]) -> None:
        wh, evse = payload["meterStart"], payload["connectorId"]
        self._promise(f"start at {wh} Wh", _exists("tx WHERE evse = ? AND meter_start_wh = ?", evse, wh))

    def _stopped(self, payload: dict[str, Any]) -> None:
        wh = payload["meterStop"]
        self._promise(f"stop at {wh} Wh", _exists("tx WHERE ended = 1 AND last_wh = ?", wh))

    async def ask(self, action: str, what: str, holds: Holds, **payload: Any) -> None:
        """Something of the operator's: from the answer on it is there."""
        before = self._newest.get(what)
        if before is not None:
            before.until = time.monotonic()
        answer = await self.central.call(action, payload)
        assert answer.get("status", "Accepted") in ("Accepted", "Scheduled"), (action, answer)
        self._promise(what, holds)

    async def everything(self, turn: int) -> None:
        """One of each thing that the operator can change."""
        until = "2036-01-01T00:00:00Z"
        value = str(turn % 2)
        await self.ask(
            "ChangeConfiguration",
            "configuration",
            _stored("settings", "MinimumStatusDuration", lambda v: str(v) == value),
            key="MinimumStatusDuration",
            value=value,
        )
        await self.ask(
            "SendLocalList",
            "local list",
            _exists("token WHERE source = 'list' AND token = ?", f"LISTED{turn}"),
            listVersion=turn + 1,
            updateType="Full",
            localAuthorizationList=[{"idTag": f"LISTED{turn}", "idTagInfo": {"status": "Accepted"}}],
        )
        await self.ask(
            "ReserveNow",
            "reservation",
            _exists("store WHERE area LIKE '%reserv%' AND value LIKE ?", f"%HOLDER{turn}%"),
            connectorId=2,
            expiryDate=until,
            idTag=f"HOLDER{turn}",
            reservationId=turn + 1,
        )
        await self.ask(
            "SetChargingProfile",
            "profile",
            _exists("store WHERE area LIKE '%profile%' AND value LIKE ?", f"%{20 + turn}.%"),
            connectorId=0,
            csChargingProfiles={
                "chargingProfileId": 7,
                "stackLevel": 1,
                "chargingProfilePurpose": "ChargePointMaxProfile",
                "chargingProfileKind": "Absolute",
                "chargingSchedule": {
                    "startSchedule": "2026-01-01T00:00:00Z",
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 20.0 + turn}],
                },
            },
        )
        await self.ask("CancelReservation", "reservation", lambda db: True, reservationId=turn + 1)
        for operative in (False, True):
            await self.ask(
                "ChangeAvailability",
                "availability",
                _stored("availability", "2", lambda v, to=operative: v.get("scheduled", v["operative"]) is to),  # type: ignore[misc]
                connectorId=2,
                type="Operative" if operative else "Inoperative",
            )

    async def certificate(self) -> None:
        """A root of the operator's, for good."""
        root = Authority("Root of the power cuts").pem
        await self.ask(
            "InstallCertificate",
            "certificate",
            _exists("store WHERE value LIKE ?", f"%{root.splitlines()[1]}%"),
            certificateType="CentralSystemRootCertificate",
            certificate=root,
        )

    async def session(self) -> None:
        """One session by badge at point 1."""
        await self.borne.sim("plug", evse=1)
        await self.borne.until_status(1, "Preparing")
        await self.borne.sim("badge", uid=KNOWN)
        await self.borne.until_status(1, "Charging", timeout_s=30)
        await asyncio.sleep(1.0)
        await self.borne.sim("badge", uid=KNOWN)
        await self.borne.until_status(1, "Finishing", timeout_s=30)
        self._promise("cache", _exists("token WHERE source = 'cache' AND token = ?", KNOWN))
        await self.leave()

    async def leave(self) -> None:
        async def released() -> bool:
            return not (await self.borne.wires(1))["locked"]

        await self.borne.until(released, 15, "the lock to open")
        await self.borne.sim("unplug", evse=1)
        await self.borne.until_status(1, "Available", "Faulted")

    async def latch(self) -> None:
        """A fault that only a technician takes back: seen in the status means remembered, after a moment."""
        await self.borne.sim("fault", name="residual-current", evse=1)
        await self.borne.until_status(1, "Faulted")
        await asyncio.sleep(0.5)
        self.life.latched = time.monotonic()
        await asyncio.sleep(0.5)


async def live(turns: int) -> Life:
    """A borne's life of so many sessions and rounds of changes."""
    async with CentralSystem(tags=[KNOWN]) as central:
        borne = Borne(central.url, EXTRA, on_machine=True)
        assert borne.machine is not None
        witness = Witness(borne, central)
        try:
            await borne.start()
            await central.wait_connected()
            await borne.sim("speed", factor=60)
            await witness.certificate()
            for turn in range(turns):
                await asyncio.sleep(LOCK_S if turn >= 3 else 0.0)
                await asyncio.gather(witness.everything(turn), witness.session())
            await witness.latch()
        finally:
            await borne.stop()
        witness.life.log = list(changes(borne.machine.log))
        borne.remove()
        assert central.violations == []
    return witness.life


def judge(life: Life, disks: int, seed: int, work: Path) -> Verdict:
    """Make disks of random instants, the strictest kind (only the synced) among them, and look at each."""
    dice = Random(seed)
    verdict = Verdict()
    instants = sorted(dice.sample(range(1, len(life.log)), min(disks, len(life.log) - 1)))
    power, done = PowerCut(), 0
    for number, instant in enumerate(instants):
        for change in life.log[done:instant]:
            power.follow(change)
        done = instant
        at = life.log[instant - 1].at
        kind = ("synced only", "some of the rest", "everything")[number % 3]
        files = power.disk() if number % 3 == 0 else power.disk(dice) if number % 3 == 1 else power.everything()
        place = work / "disk"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for path, content in files.items():
            (place / Path(path).name).write_bytes(content)
        where = f"change {instant} of {len(life.log)}, {kind}"
        _look(life, at, place, where, verdict)
        verdict.disks += 1
    return verdict


def _look(life: Life, at: float, place: Path, where: str, verdict: Verdict) -> None:
    due = [p for p in life.promises if p.since < at <= p.until]
    asyncio.run(_look_at_journal(place, due, where, verdict))
    remembered = memory.load(place / EVSE_FILE)
    if remembered.damaged:
        verdict.damaged.append(f"{where}: {EVSE_FILE}: {remembered.damaged}")
    points = remembered.points
    if at > life.latched and not (1 in points and "residual-current" in points[1].latched):
        verdict.lost.append(f"{where}: the latched fault")


async def _look_at_journal(place: Path, due: list[Promise], where: str, verdict: Verdict) -> None:
    journal = Journal.open(place / FILE_NAME, "the next boot")
    try:
        if journal.loss is not None:
            verdict.damaged.append(f"{where}: {journal.loss.sentence()}")
        for promise in due:
            if not await journal.read(promise.holds):
                verdict.lost.append(f"{where}: {promise.what}")
    finally:
        journal.close()
