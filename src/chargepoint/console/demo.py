"""`chargepoint demo`: two cars charge on a simulated borne, before the eyes of whoever typed it.

Everything is real but the electrons and the central system: the processes of `chargepoint run`, driven through
the simulated borne's socket. Every step waits, with a bound, until it has been seen on the wires, in the station's
status or at the central system; the first one that is not seen ends the demonstration with status 1.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from chargepoint.console.picture import Event, Picture, Series, Track
from chargepoint.jsonrpc import Client, RpcError

CONFIG = """\
[station]
id = "DEMO-0001"
vendor = "chargepoint"
model = "Borne 2x22"
state_dir = "{root}/state"
run_dir = "{root}/run"
language = "en"

[supply]
phases = 3
voltage = 230
max_current = 52

[board]
kind = "simulated"

[[evse]]
id = 1
max_current = 32
phase_rotation = "RST"
meter = {{ model = "eastron-sdm630", unit = 1 }}

[[evse]]
id = 2
max_current = 32
phase_rotation = "STR"
meter = {{ model = "eastron-sdm630", unit = 2 }}

[ocpp]
url = "{url}"
security_profile = 0

[ocpp.configuration]
MeterValueSampleInterval = 5
"""

SUPPLY_A = 52.0
TOLERANCE_A = 0.5
SPEED = 60
"""How much faster than in reality energy accumulates: a minute's worth in a second."""
BADGES = {1: "04A1B2C3D4E5F6", 2: "04112233445566"}
REGISTERS_WH = {1: 1_234_567, 2: 89_012}
"""Where the meters stand before: no meter in the street begins at zero."""
STEP_S = 15.0
SAMPLE_S = 0.1


class NotSeen(Exception):
    """A step did not happen within its bound."""


class Demo:
    """One demonstration: the borne's sockets, what was sampled on the wires, and how the steps are told."""

    def __init__(self, central: Any) -> None:
        self._central = central
        self._begun = time.monotonic()
        self._sim: Client
        self._station: Client
        self._samples: list[tuple[float, list[dict[str, Any]]]] = []
        self._events: list[Event] = []

    async def connect(self, run_dir: Path) -> None:
        """Wait until both control sockets answer."""
        self._sim = await self._reach(run_dir / "sim.sock")
        for evse, wh in REGISTERS_WH.items():
            await self._sim.call("set_energy", evse=evse, wh=wh)
        self._station = await self._reach(run_dir / "station.sock")

    async def _reach(self, path: Path) -> Client:
        end = time.monotonic() + STEP_S
        while True:
            try:
                return await Client.connect(path)
            except OSError as error:
                if time.monotonic() > end:
                    raise NotSeen(f"{path.name} does not answer within {STEP_S:g} s") from error
                await asyncio.sleep(0.05)

    # --- what is looked at

    async def wires(self, evse: int) -> dict[str, Any]:
        """A point as the simulated borne's wires are."""
        shown = await self._sim.call("show")
        return next(point for point in shown["evses"] if point["id"] == evse)

    async def status(self, evse: int) -> dict[str, Any]:
        """A point as the station sees it."""
        shown = await self._station.call("status")
        return next(point for point in shown["evses"] if point["id"] == evse)

    async def seen(self, what: str, look: Callable[[], Awaitable[str | None]]) -> None:
        """Look again until `look` answers what it saw; tell it."""
        end = time.monotonic() + STEP_S
        if sys.stdout.isatty():
            print(f"           {what:<46}", end="\r", flush=True)
        while (found := await look()) is None:
            if time.monotonic() > end:
                print(f"           {what:<46} NOT SEEN", flush=True)
                raise NotSeen(f"{what}: not seen within {STEP_S:g} s")
            await asyncio.sleep(0.05)
        print(f"  {time.monotonic() - self._begun:5.1f} s  {what:<46} {found}", flush=True)

    async def act(self, text: str, method: str, **params: Any) -> None:
        """Do something a driver does."""
        now = time.monotonic()
        self._events.append(Event(now, text))
        print(f"\n  {now - self._begun:5.1f} s  > {text}", flush=True)
        await self._sim.call(method, **params)

    async def sample(self) -> None:
        """Note what is on the wires, for the picture; until cancelled."""
        while True:
            shown = await self._sim.call("show")
            self._samples.append((time.monotonic(), shown["evses"]))
            await asyncio.sleep(SAMPLE_S)

    # --- the steps

    async def play(self) -> None:
        """The whole demonstration. Raises NotSeen."""
        await self.seen("the borne announces itself (BootNotification)", self._booted)
        await self.seen("both meters are read", self._both_read)
        await self.seen("both points are free", self._both_free)
        await self._sim.call("speed", factor=SPEED)
        await self.arrive(1, 32.0)
        await asyncio.sleep(3)
        await self.arrive(2, SUPPLY_A / 2)
        await self.seen("the first car is lowered for the second", lambda: self._draws(1, SUPPLY_A / 2))
        await self.seen("each phase of the supply stays within 52 A", self._within_supply)
        await asyncio.sleep(3)
        await self.leave(1)
        await self.seen("the second car gets what the first one left", lambda: self._draws(2, 32.0))
        await asyncio.sleep(3)
        await self.leave(2)

    async def arrive(self, evse: int, expected_a: float) -> None:
        """A car plugs in, its driver shows a badge, it charges."""
        await self.act(f"car {evse} plugs in at point {evse}", "plug", evse=evse, cable=32)
        await self.seen("pilot B: a car is there", lambda: self._has_status(evse, "Preparing"))
        await self.act(f"its driver shows badge {BADGES[evse]}", "badge", uid=BADGES[evse])
        await self.seen("the plug is locked, the contactor closes", lambda: self._closed(evse))
        await self.seen("the central system books the start", lambda: self._booked(evse))
        await self.seen(f"the car draws {expected_a:g} A per phase", lambda: self._draws(evse, expected_a))

    async def leave(self, evse: int) -> None:
        """The driver shows the badge again, takes the cable, leaves."""
        await self.act(f"the driver of car {evse} shows the badge again", "badge", uid=BADGES[evse])
        await self.seen("the contactor opens, the plug is released", lambda: self._released(evse))
        await self.act(f"the driver takes the cable of point {evse}", "unplug", evse=evse)
        await self.seen("the point is free again", lambda: self._has_status(evse, "Available"))
        await self.seen("the bill is the register's difference", lambda: self._billed(evse))

    async def _booted(self) -> str | None:
        boots = self._central.calls("BootNotification")
        return f"{boots[0]['chargePointVendor']} {boots[0]['chargePointModel']}" if boots else None

    async def _both_read(self) -> str | None:
        registers = {evse: (await self.status(evse))["energy"] for evse in REGISTERS_WH}
        return " and ".join(f"{wh} Wh" for wh in registers.values()) if registers == REGISTERS_WH else None

    async def _both_free(self) -> str | None:
        free = [(await self.status(evse))["status"] == "Available" for evse in (1, 2)]
        return "Available" if all(free) else None

    async def _has_status(self, evse: int, wanted: str) -> str | None:
        status, wires = await self.status(evse), await self.wires(evse)
        return f"{wanted}, pilot {wires['cp_high']:.1f} V" if status["status"] == wanted else None

    async def _closed(self, evse: int) -> str | None:
        wires = await self.wires(evse)
        return f"duty {wires['duty']:.1f} %" if wires["contactor"]["real"] and wires["locked"] else None

    async def _booked(self, evse: int) -> str | None:
        for transaction in self._central.transactions:
            if transaction.connector == evse:
                return f"transaction {transaction.id}, register {transaction.meter_start} Wh"
        return None

    async def _draws(self, evse: int, expected_a: float) -> str | None:
        wires = await self.wires(evse)
        currents = wires["current"]
        near = all(abs(current - expected_a) <= TOLERANCE_A for current in currents)
        return f"{max(currents):.1f} A, {wires['power'] / 1000:.1f} kW" if near else None

    async def _within_supply(self) -> str | None:
        first, second = (await self.wires(1))["current"], (await self.wires(2))["current"]
        sums = [a + b for a, b in zip(first, second, strict=True)]
        return " ".join(f"{total:.1f}" for total in sums) + " A" if max(sums) <= SUPPLY_A + TOLERANCE_A else None

    async def _released(self, evse: int) -> str | None:
        wires, status = await self.wires(evse), await self.status(evse)
        return "open, unlocked" if not wires["contactor"]["real"] and status["lock"] == "unlocked" else None

    async def _billed(self, evse: int) -> str | None:
        difference = (await self.wires(evse))["energy"] - REGISTERS_WH[evse]
        for transaction in self._central.transactions:
            if transaction.connector == evse and transaction.energy_wh is not None:
                right = abs(transaction.energy_wh - difference) < 1.0
                return f"{transaction.energy_wh} Wh" if right else None
        return None

    # --- what remains

    def bill(self) -> list[str]:
        """What the central system would invoice."""
        lines = ["The bill, as the central system has it:"]
        for booked in self._central.transactions:
            what = f"transaction {booked.id}, point {booked.connector}, badge {booked.id_tag}"
            registers = f"{booked.meter_stop} - {booked.meter_start} = {booked.energy_wh} Wh"
            lines.append(f"  {what}: {registers} ({booked.reason})")
        return lines

    def picture(self) -> Picture:
        """Pilot, duty, current and power of both points."""

        def lines(read: Callable[[dict[str, Any]], float]) -> list[Series]:
            found = []
            for index, evse in enumerate((1, 2)):
                points = [(at, read(evses[index])) for at, evses in self._samples]
                found.append(Series(f"point {evse}", points))
            return found

        tracks = [
            Track("Pilot, positive peak", "V", lines(lambda e: float(e["cp_high"])), low=0, high=12),
            Track("Pilot, duty cycle", "%", lines(lambda e: float(e["duty"])), low=0, high=100),
            Track("Current per phase", "A", lines(lambda e: float(max(e["current"]))), low=0, high=40),
            Track("Power", "kW", lines(lambda e: float(e["power"]) / 1000), low=0, high=25),
        ]
        return Picture("Two cars share a supply of 52 A", tracks, self._events)


def run(svg: Path | None = None) -> int:
    """Play the demonstration. Exit status 0 only when every step was seen."""
    return asyncio.run(_run(svg))


async def _run(svg: Path | None) -> int:
    from chargepoint.sim.central_system import CentralSystem

    root = Path(tempfile.mkdtemp(prefix="borne-"))
    log = root / "log"
    print("A borne with two sockets on a supply of 52 A per phase, simulated at its wires.")
    async with CentralSystem(tags=list(BADGES.values())) as central:
        config = root / "chargepoint.toml"
        config.write_text(CONFIG.format(root=root, url=central.url))
        demo = Demo(central)
        with log.open("wb") as output:
            borne = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chargepoint.console.cli", "run", "-c", str(config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            await _watch(demo, root / "run")
        except (NotSeen, RpcError, OSError) as error:
            print(f"\nThe demonstration failed: {error}\n\nThe end of the borne's log:", file=sys.stderr)
            print("\n".join(log.read_text(errors="replace").splitlines()[-40:]), file=sys.stderr)
            return 1
        finally:
            await _end(borne)
            await asyncio.to_thread(shutil.rmtree, root)
        violations = central.violations
    return _tell(demo, svg or _free_name(), violations)


async def _watch(demo: Demo, run_dir: Path) -> None:
    """Play while the wires are sampled."""
    await demo.connect(run_dir)
    sampler = asyncio.create_task(demo.sample())
    try:
        await demo.play()
    finally:
        sampler.cancel()
        await asyncio.wait([sampler])


async def _end(borne: asyncio.subprocess.Process) -> None:
    """Stop the borne as Ctrl-C would."""
    if borne.returncode is None:
        borne.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await borne.wait()
        except TimeoutError:
            borne.kill()
            await borne.wait()


def _tell(demo: Demo, svg: Path, violations: list[Any]) -> int:
    picture = demo.picture()
    svg.write_text(picture.svg(), encoding="utf-8")
    width = min(shutil.get_terminal_size().columns, 120)
    print()
    print("\n".join(picture.sketch(width - 2)))
    print()
    print("\n".join(demo.bill()))
    print(f"The picture of the session: {svg}")
    if violations:
        print(f"The central system found messages that break the OCPP schemas: {violations}", file=sys.stderr)
        return 1
    print("Every step was seen.")
    return 0


def _free_name() -> Path:
    handle, name = tempfile.mkstemp(prefix="charge-", suffix=".svg")
    os.close(handle)
    return Path(name)
