"""A whole borne on a disk or a clock that misbehaves, while cars charge: what people and the central system notice.

Each trouble is a function of a running borne on a `Machine`; it answers figures for a table and raises AssertionError
when something went wrong. Bounded ones run in the suite, all of them in `bench/storage.py`.
"""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from harness import Borne
from machine import Machine

from chargepoint.sim.central_system import CentralSystem

KNOWN = "04A1B2C3D4E5F6"
SLOW_S = 2.0
ANSWERED_S = 1.0
"""The central system's calls are answered within this time, whatever the disk does."""
HOURS = 3600.0
STAMP_S = 3.0
CHECKED_S = 62.0
"""The program looks at the system's clock once a minute."""
Figures = dict[str, Any]


class Stage:
    """A borne with its central system and its machine."""

    def __init__(self, borne: Borne, central: CentralSystem, machine: Machine) -> None:
        self.borne = borne
        self.central = central
        self.machine = machine

    async def faults(self) -> set[str]:
        status = await self.borne.status()
        return {f["name"] for f in (*status["faults"], *(f for evse in status["evses"] for f in evse["faults"]))}

    async def until_fault(self, name: str, there: bool, timeout_s: float) -> None:
        async def so() -> bool:
            return (name in await self.faults()) is there

        await self.borne.until(so, timeout_s, f"{name} to {'come' if there else 'go'}")

    async def charge(self, timeout_s: float = 30) -> None:
        await self.borne.sim("plug", evse=1)
        await self.borne.until_status(1, "Preparing")
        await self.borne.sim("badge", uid=KNOWN)
        await self.borne.until_status(1, "Charging", timeout_s=timeout_s)

    async def finish(self, timeout_s: float = 30) -> None:
        """Stop by the badge and go; the bill must be what the register says."""
        await self.borne.sim("badge", uid=KNOWN)
        await self.borne.until_status(1, "Finishing", timeout_s=timeout_s)

        async def released() -> bool:
            return not (await self.borne.wires(1))["locked"]

        await self.borne.until(released, timeout_s, "the lock to open")
        await self.borne.sim("unplug", evse=1)
        await self.borne.until_status(1, "Available", timeout_s=timeout_s)

    async def billed(self, sessions: int, timeout_s: float = 40) -> None:
        """So many sessions are at the central system, closed, and all the register's energy is in them."""
        await self.central.wait_until(
            lambda: (
                len(self.central.transactions) == sessions
                and all(t.meter_stop is not None for t in self.central.transactions)
            ),
            timeout_s,
        )
        wires = await self.borne.wires(1)
        first = self.central.transactions[0].meter_start
        assert sum(t.energy_wh or 0 for t in self.central.transactions) == wires["energy"] - first > 0

    async def closed(self) -> bool:
        return bool((await self.borne.wires(1))["contactor"]["real"])


@asynccontextmanager
async def stage(
    extra: str = "", prepare: Callable[[Machine, CentralSystem], None] = lambda machine, central: None
) -> AsyncIterator[Stage]:
    """`prepare` is called before the borne starts."""
    async with CentralSystem(tags=[KNOWN]) as central:
        borne = Borne(central.url, extra, on_machine=True)
        assert borne.machine is not None
        prepare(borne.machine, central)
        try:
            await borne.start()
            await borne.sim("speed", factor=60)
            yield Stage(borne, central, borne.machine)
        finally:
            borne.machine.disk()
            await borne.stop()
            borne.remove()
        assert central.violations == []


async def slow_disk(on: Stage, seconds: float, fsync_s: float = SLOW_S) -> Figures:
    """Every fsync takes seconds: neither the contactor nor the link is disturbed."""
    await on.central.wait_connected()
    await on.charge()
    on.machine.disk(fsync_s=fsync_s)
    answers: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        await on.central.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await on.central.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
        answers.append(time.monotonic() - asked)
        assert await on.closed()
        await asyncio.sleep(0.2)
    assert max(answers) < ANSWERED_S, f"answered after {max(answers):.2f} s"
    assert "loop-overrun" not in await on.faults()
    begun = time.monotonic()
    await on.finish(timeout_s=60)
    finished_s = time.monotonic() - begun
    on.machine.disk()
    await on.billed(1)
    heartbeats = len(on.central.calls("Heartbeat"))
    assert heartbeats >= len(answers) - 1
    return {"answers": len(answers), "slowest answer s": max(answers), "stop to free s": finished_s}


async def full_disk(on: Stage, refuses: int = errno.ENOSPC) -> Figures:
    """The disk takes nothing in mid-session, through its end and another session; then it takes writes again."""
    await on.central.wait_connected()
    await on.charge()
    on.machine.disk(refuses=refuses)
    await on.until_fault("disk-full", True, 70)
    assert await on.closed()
    await on.finish()
    await on.charge()
    await on.finish()
    await on.billed(2)
    on.machine.disk()
    freed = time.monotonic()
    await on.until_fault("disk-full", False, 30)
    healed_s = time.monotonic() - freed
    await on.borne.kill_child("station")
    await on.borne.ready()
    await on.charge()
    await on.finish()
    await on.billed(3)
    return {"sessions": 3, "fault gone after s": healed_s}


async def refusing_at_start(on: Stage) -> Figures:
    """The disk was read-only when the borne started (see `prepare`): it charges, says so, and bills."""
    await on.central.wait_connected()
    await on.until_fault("disk-full", True, 20)
    await on.charge()
    await asyncio.sleep(2.0)
    await on.finish()
    await on.billed(1)
    return {"sessions": 1}


async def clock_steps(on: Stage, hold_s: float = CHECKED_S) -> Figures:
    """Steps of hours in both directions in mid-session, believed (NTP) and not: power and timers do not notice."""
    await on.central.wait_connected()
    await on.charge()
    opened = 0
    for shift in (3 * HOURS, -3 * HOURS, 26 * HOURS, -26 * HOURS, 0.0):
        on.machine.clock(shift, disciplined=True)
        end = time.monotonic() + hold_s
        while time.monotonic() < end:
            opened += not await on.closed()
            await asyncio.sleep(0.1)
    assert opened == 0, "the contactor opened"
    mark = on.central.mark()
    await on.central.wait_for("MeterValues", after=mark, timeout_s=5)  # its timer goes on
    await on.finish()
    await on.billed(1)
    _stamped_now(on.central.transactions[0].stopped, "the stop")
    return {"steps": 5, "contactor opened": opened}


async def back_over_a_boundary(on: Stage) -> Figures:
    """Clock-aligned values every 5 s; the clock, held by NTP, goes back over boundaries: each is told with its own
    time, and the values go on."""
    await on.central.wait_connected()
    await on.charge()
    for shift in (0.0, -12.0, 0.0):
        on.machine.clock(shift, disciplined=True)
        await asyncio.sleep(CHECKED_S)
    await on.finish()
    await on.billed(1)
    stamps = [
        entry["timestamp"]
        for payload in on.central.calls("MeterValues")
        for entry in payload["meterValue"]
        if any(v.get("context") == "Sample.Clock" for v in entry["sampledValue"]) and payload["connectorId"] == 1
    ]
    assert all(_utc(stamp) % 5 == 0 for stamp in stamps), stamps
    back = sum(_utc(one) > _utc(next_) for one, next_ in pairwise(stamps))
    assert back == 1, stamps
    steps = [_utc(next_) - _utc(one) for one, next_ in pairwise(stamps)]
    assert all(step in (5.0, 10.0, 15.0, 20.0) for step in steps if step > 0), steps
    return {"aligned values": len(stamps), "went back": back, "longest gap s": max(steps)}


async def no_clock_at_boot(on: Stage) -> Figures:
    """1970 and nobody who knows better: a whole session is made offline. Later the link comes: every stamp is true."""
    await on.charge()
    begun = time.time()
    assert not (await on.borne.status())["clock"]["synchronised"]
    await asyncio.sleep(2.0)
    await on.finish()
    ended = time.time()
    on.central.refuse = None
    await on.central.wait_connected(40)
    await on.billed(1)
    booked = on.central.transactions[0]
    _stamped(booked.started, begun, "the start")
    _stamped(booked.stopped, ended, "the stop")
    return {"start off by s": _utc(booked.started) - begun, "stop off by s": _utc(booked.stopped or "") - ended}


def _utc(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC).timestamp()


def _stamped(stamp: str | None, at: float, what: str) -> None:
    assert stamp is not None
    assert abs(_utc(stamp) - at) < STAMP_S, f"{what} is stamped {stamp}, {_utc(stamp) - at:.1f} s off"


def _stamped_now(stamp: str | None, what: str) -> None:
    _stamped(stamp, time.time(), what)
