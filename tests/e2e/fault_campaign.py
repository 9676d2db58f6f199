"""Every fault the safety process owns, made at the wires of a running borne: noticed, acted on, told, and over as its
row of the fault table says.

Bornes run side by side, one case on each point, because a point rests for 30 s after a fault. The tests play a few of
them; `bench/faults.py` plays all and prints the reaction times.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from harness import Borne, RpcError

from chargepoint.board.pins import load_pins
from chargepoint.board.wires import Wires, line_index
from chargepoint.config_check import load
from chargepoint.faults import FAULTS, FaultRow, Recover
from chargepoint.sim.central_system import CentralSystem

KNOWN = "04A1B2C3D4E5F6"
BORNES_AT_ONCE = 3
TOLD_S = 3.0
"""From the fault in the status to the StatusNotification at the central system."""
LONGEST_QUIET_S = 10.0
"""Rows that need a longer quiet time are not waited for here; the register's own tests prove them."""


class Stage:
    """One point of a running borne, and its Type 2 connector."""

    def __init__(self, borne: Borne, central: CentralSystem, evse: int, wires: Wires, contactor: int) -> None:
        self.borne = borne
        self.central = central
        self.evse = evse
        self.connector = evse
        """As OCPP numbers it."""
        self.wires = wires
        self._contactor = contactor

    async def plug(self, **car: Any) -> None:
        await self.borne.sim("plug", evse=self.evse, **car)
        await self.borne.until_status(self.evse, "Preparing")

    async def ask(self) -> None:
        """The central system wants this point to charge."""
        answer = await self.central.call("RemoteStartTransaction", {"idTag": KNOWN, "connectorId": self.connector})
        assert answer["status"] == "Accepted"

    async def charge(self) -> None:
        await self.plug()
        await self.ask()
        await self.borne.sim("wait", evse=self.evse, contactor=True, timeout=30)
        await self.borne.until_status(self.evse, "Charging")
        await asyncio.sleep(0.5)

    async def stop(self) -> None:
        number = next(t.id for t in reversed(self.central.transactions) if t.connector == self.connector)
        await self.central.call("RemoteStopTransaction", {"transactionId": number})

    async def fault(self, name: str, on: bool = True) -> int:
        """Make a fault, or take it away; CLOCK_MONOTONIC in ns when it took effect on the wires."""
        return int((await self.borne.sim("fault", name=name, evse=self.evse, on=on))["at"] * 1e9)

    async def faults(self) -> set[str]:
        status = await self.borne.status()
        point = next(e for e in status["evses"] if e["id"] == self.evse)
        return {f["name"] for f in [*point["faults"], *status["faults"]]}

    async def until_fault(self, name: str, within_s: float, gone: bool = False) -> None:
        async def there() -> bool:
            return (name in await self.faults()) is not gone

        await self.borne.until(there, within_s, f"{name} to {'go' if gone else 'come'} on point {self.evse}")

    async def opened_after_ms(self, since_ns: int, within_s: float) -> float:
        """Milliseconds from then to the opening command at the contactor's pin."""

        async def opened() -> bool:
            return self.wires.levels[self._contactor] == 0

        await self.borne.until(opened, within_s, f"the contactor's command of point {self.evse} to go")
        return (self.wires.stamps[self._contactor] - since_ns) / 1e6

    async def unplug(self) -> None:
        """Car end, then the cable once the lock lets go; nothing when none is there."""
        wires = await self.borne.wires(self.evse)
        if not wires["plugged"]:
            return
        if wires["car"] is not None:
            await self.borne.sim("unplug", evse=self.evse, side="car")

        async def released() -> bool:
            return not (await self.borne.wires(self.evse))["locked"]

        await self.borne.until(released, 15, f"the lock of point {self.evse} to open")
        await self.borne.sim("unplug", evse=self.evse)


@dataclass
class Case:
    """One fault: how it is made, and what must follow."""

    name: str
    """Of the fault table."""
    make: Callable[[Stage], Awaitable[int]]
    """Makes it; answers CLOCK_MONOTONIC in ns just before."""
    open_ms: float | None
    """The contactor's command must be gone so long after it; None: nothing was closed, or it opens by request."""
    seen_s: float
    """In the status after so long."""
    clear: Callable[[Stage], Awaitable[Any]]
    measured_ms: float | None = field(default=None, compare=False)
    seen_ms: float = 0.0
    where: str = ""
    """Said in the table, when it is not a Type 2 socket."""


def at_once(name: str, open_ms: float, seen_s: float = 2.0, sim: str | None = None) -> Case:
    """Made in mid-charge by one fault of the simulated borne."""
    made = sim or name

    async def make(stage: Stage) -> int:
        await stage.charge()
        return await stage.fault(made)

    return Case(name, make, open_ms, seen_s, lambda stage: stage.fault(made, False))


def before(name: str, seen_s: float, sim: str | None = None) -> Case:
    """There before the car comes; shows when the point is to charge."""
    made = sim or name

    async def make(stage: Stage) -> int:
        await stage.fault(made)
        await stage.plug()
        at = time.monotonic_ns()
        await stage.ask()
        return at

    return Case(name, make, None, seen_s, lambda stage: stage.fault(made, False))


def at_stop(
    name: str, seen_s: float, clear: Callable[[Stage], Awaitable[Any]] | None = None, sim: str | None = None
) -> Case:
    """Made in mid-charge; shows when the session ends."""
    made = sim or name

    async def make(stage: Stage) -> int:
        await stage.charge()
        await stage.fault(made)
        at = time.monotonic_ns()
        await stage.stop()
        return at

    return Case(name, make, None, seen_s, clear or (lambda stage: stage.fault(made, False)))


async def _ventilation(stage: Stage) -> int:
    await stage.charge()
    at = time.monotonic_ns()
    await stage.borne.sim("ev", evse=stage.evse, ventilation=True)
    return at


async def _test_fails(stage: Stage) -> int:
    await stage.fault("rcd-test-fails")
    await stage.borne.sim("plug", evse=stage.evse)
    await stage.borne.until_status(stage.evse, "Preparing")
    at = time.monotonic_ns()
    await stage.borne.sim("unplug", evse=stage.evse)
    return at


async def _lock_test_fails(stage: Stage) -> int:
    await stage.fault("lock-jam")
    at = time.monotonic_ns()
    with contextlib.suppress(RpcError):  # the answer is that it failed
        await stage.borne.station("self_test", evse=stage.evse, what="lock")
    return at


async def _repair_the_lock(stage: Stage) -> None:
    await stage.fault("lock-jam", False)
    await stage.borne.station("self_test", evse=stage.evse, what="lock")


async def _free_the_lock(stage: Stage) -> None:
    await stage.fault("lock-stuck", False)
    await stage.borne.station("unlock", evse=stage.evse)


def cases() -> list[Case]:
    """The bounds are the software's own: what the machine's filters and delays add up to, and a margin for the wires
    of the simulated borne (a tick of its loop, its peak detectors, its contactor)."""
    return [
        at_once("diode", 250),
        at_once("pilot-short", 80),
        at_once("pilot-voltage", 150),
        at_once("pp-open", 250),
        at_once("pp-short", 250),
        at_once("pp-changed", 250),
        at_once("temperature-sensor", 8_000),
        at_once("pe-lost", 80),
        at_once("residual-current", 80),
        at_once("residual-current-dc", 80),
        at_once("contactor-drops", 250),
        at_once("lock-opens", 250),
        at_once("pwm-wrong", 900),
        at_once("cable-cut", 80, seen_s=3.0),
        at_once("over-temperature", 12_000, seen_s=8.0),
        at_once("temperature-derating", 12_000, seen_s=6.0, sim="over-temperature"),
        at_once("over-current", 20_000, seen_s=12.0),
        at_once("over-voltage", 16_000, seen_s=10.0),
        at_once("under-voltage", 16_000, seen_s=10.0),
        at_once("phase-lost", 16_000, seen_s=10.0),
        Case(
            "ventilation-required",
            _ventilation,
            150,
            2.0,
            lambda stage: stage.borne.sim("ev", evse=stage.evse, ventilation=False),
        ),
        Case("rcd-test-fails", _test_fails, None, 8.0, lambda stage: stage.fault("rcd-test-fails", False)),
        Case("self-test-failed", _lock_test_fails, None, 12.0, _repair_the_lock),
        before("contactor-stuck-open", 15.0),
        before("lock-jam", 10.0),
        at_stop("contactor-welded", 4.0),
        at_stop("lock-stuck", 10.0, _free_the_lock),
    ]


@asynccontextmanager
async def stages(edit: Callable[[str], str] = lambda text: text) -> Any:
    """A borne of two points with a central system of its own. `edit` changes its configuration."""
    async with CentralSystem(tags={KNOWN: "Accepted"}) as central:
        borne = Borne(central.url, edit=edit)
        try:
            await borne.spawn("run")
            await borne.ready(60)
            await central.wait_connected()
            config = load(borne.config)
            pins = load_pins(config)
            wires = Wires(config.station.run_dir / "sim-wires")
            yield [Stage(borne, central, evse, wires, line_index(pins.line("contactor", evse))) for evse in (1, 2)]
            wires.close()
            assert central.violations == []
        finally:
            await borne.stop()
            borne.remove()


async def play(case: Case, stage: Stage) -> None:
    """Make it, watch it, take it away, watch it go."""
    row = FAULTS[case.name]
    mark = stage.central.mark()
    at = await case.make(stage)

    async def seen() -> None:
        await stage.until_fault(case.name, case.seen_s)
        case.seen_ms = (time.monotonic_ns() - at) / 1e6

    async def opened() -> None:
        if case.open_ms is not None and case.name != "temperature-derating":
            case.measured_ms = await stage.opened_after_ms(at, case.open_ms / 1000 + 2)
            assert case.measured_ms <= case.open_ms, f"opened after {case.measured_ms:.0f} ms, not {case.open_ms:.0f}"

    await asyncio.gather(opened(), seen())
    if row.faulted:
        await told(stage, mark, row)
    await case.clear(stage)
    await recovers(case, stage)


async def told(stage: Stage, mark: int, row: FaultRow) -> None:
    """The central system hears of it, with the error code of its row."""
    shown = "SuspendedEVSE" if row.pauses else "Faulted"
    await stage.central.wait_for(
        "StatusNotification",
        lambda p: (p["connectorId"], p["status"], p["errorCode"]) == (stage.connector, shown, row.ocpp16),
        after=mark,
        timeout_s=TOLD_S,
    )


async def recovers(case: Case, stage: Stage) -> None:
    row = FAULTS[case.name]
    if row.recover is Recover.SELF:
        if row.after_s <= LONGEST_QUIET_S:
            await stage.until_fault(case.name, row.after_s + 8.0, gone=True)
        elif case.name == "contactor-stuck-open":  # sooner than by itself
            await stage.unplug()
            await stage.until_fault(case.name, 5.0, gone=True)
        return
    assert case.name in await stage.faults(), "it went although its row asks for more"
    await stage.unplug()
    if row.recover is Recover.UNPLUG:
        await stage.until_fault(case.name, 5.0, gone=True)
        return
    await asyncio.sleep(1.0)
    assert case.name in await stage.faults(), "it went without a technician"
    if case.name == "rcd-test-fails":  # repaired, says the technician: let it be proven
        await stage.borne.station("self_test", evse=stage.evse)
    await acknowledge(case.name, stage)
    await stage.until_fault(case.name, 3.0, gone=True)


async def acknowledge(name: str, stage: Stage) -> None:
    """As soon as the safety process accepts it: the cause must be seen to be gone first."""

    refused = ""

    async def accepted() -> bool:
        nonlocal refused
        try:
            await stage.borne.station("acknowledge", evse=stage.evse, fault=name)
        except RpcError as error:
            refused = str(error)
            return False
        return True

    try:
        await stage.borne.until(accepted, 5.0, f"the acknowledgement of {name}")
    except AssertionError as error:
        raise AssertionError(f"{refused}: {error}") from error


@dataclass
class BorneFault:
    """One fault of the whole borne, made while both points charge."""

    name: str
    open_ms: float
    sim: str = ""
    """The simulated borne's name for it, when that is another."""
    measured_ms: float = 0.0
    seen_ms: float = 0.0


def borne_faults() -> list[BorneFault]:
    return [
        BorneFault("emergency-stop", 80),
        BorneFault("door-open", 250),
        BorneFault("adc-silent", 100),
        BorneFault("coil-watchdog", 1_200),
        BorneFault("board-mismatch", 1_200, sim="expander-silent"),
    ]


async def play_borne_fault(fault: BorneFault, points: list[Stage]) -> None:
    borne = points[0].borne
    await asyncio.gather(*(stage.charge() for stage in points))
    made, row = fault.sim or fault.name, FAULTS[fault.name]
    mark = points[0].central.mark()
    at = int((await borne.sim("fault", name=made))["at"] * 1e9)
    fault.measured_ms = max([await stage.opened_after_ms(at, 2.0) for stage in points])
    assert fault.measured_ms <= fault.open_ms, f"opened after {fault.measured_ms:.0f} ms, not {fault.open_ms:.0f}"
    for stage in points:
        await stage.until_fault(fault.name, 2.0)
    fault.seen_ms = (time.monotonic_ns() - at) / 1e6
    for stage in points:
        await told(stage, mark, row)
    await borne.sim("fault", name=made, on=False)
    for stage in points:
        await stage.until_fault(fault.name, row.after_s + 5.0, gone=True)


async def play_stopped_evse(stage: Stage) -> None:
    """The coil watchdog opens the contactor; the loop says afterwards that it was late."""
    await stage.charge()
    pid = stage.borne.child("evse")
    os.kill(pid, signal.SIGSTOP)
    try:
        await stage.borne.sim("wait", evse=stage.evse, contactor=False, timeout=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    await stage.until_fault("loop-overrun", 3.0)


async def play_stopped_station(stage: Stage) -> None:
    """Its permission runs out, the car stops; it goes on when the station is back."""
    await stage.charge()
    pid = stage.borne.child("station")
    os.kill(pid, signal.SIGSTOP)
    try:
        await stage.borne.sim("wait", evse=stage.evse, contactor=False, timeout=17)
    finally:
        os.kill(pid, signal.SIGCONT)
    await stage.borne.sim("wait", evse=stage.evse, contactor=True, timeout=15)


class Campaign:
    """Everything above, several bornes side by side: most of the time is waiting."""

    def __init__(self, only: set[str] | None = None) -> None:
        """`only`: the names of the faults to be played; None: all."""
        self.failures: dict[str, str] = {}
        self.points = [case for case in cases() if only is None or case.name in only]
        self.bornes = [fault for fault in borne_faults() if only is None or fault.name in only]
        self._processes = only is None
        self._stages: Callable[[], Any] = stages
        self._room = asyncio.Semaphore(BORNES_AT_ONCE)

    async def run(self) -> None:
        pairs = [self._pair(self.points[number : number + 2]) for number in range(0, len(self.points), 2)]
        alone = [self._alone(fault.name, self._borne_fault(fault)) for fault in self.bornes]
        if self._processes:
            alone.append(self._alone("loop-overrun", lambda points: play_stopped_evse(points[0])))
            alone.append(self._alone("lease-ended", lambda points: play_stopped_station(points[0])))
        await asyncio.gather(*alone, *pairs)

    @staticmethod
    def _borne_fault(fault: BorneFault) -> Callable[[list[Stage]], Awaitable[None]]:
        return lambda points: play_borne_fault(fault, points)

    async def _pair(self, two: list[Case]) -> None:
        async def both(points: list[Stage]) -> None:
            games = [self._guarded(case.name, play(case, stage)) for case, stage in zip(two, points, strict=False)]
            await asyncio.gather(*games)

        await self._alone(" and ".join(case.name for case in two), both)

    async def _alone(self, name: str, game: Callable[[list[Stage]], Awaitable[None]]) -> None:
        async def on_a_borne() -> None:
            async with self._room, self._stages() as points:
                await game(points)

        await self._guarded(name, on_a_borne())

    async def _guarded(self, name: str, game: Awaitable[None]) -> None:
        try:
            await game
        except (AssertionError, TimeoutError, RpcError, OSError) as error:
            for part in name.split(" and "):
                self.failures[part] = str(error) or repr(error)


def table(played: Campaign) -> list[dict[str, object]]:
    """The measured times, one row a fault."""
    rows: list[dict[str, object]] = []
    for case in played.points:
        row: dict[str, object] = {"fault": f"{case.name}{case.where}", "open_ms": None, "bound_ms": None}
        if case.measured_ms is not None:
            row |= {"open_ms": round(case.measured_ms), "bound_ms": case.open_ms}
        rows.append(row | {"told_ms": round(case.seen_ms)})
    for fault in played.bornes:
        times = {"open_ms": round(fault.measured_ms), "bound_ms": fault.open_ms, "told_ms": round(fault.seen_ms)}
        rows.append({"fault": fault.name, **times})
    return rows
