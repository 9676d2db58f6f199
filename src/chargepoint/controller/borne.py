"""The process in place of the safety process: the same socket, the same messages, other devices behind it.

One task for each Modbus line asks its controllers in turn. At the start every permission is withdrawn before anything
else, at the end too; what happens to a car between a crash and the next start is the device's own affair.
"""

import asyncio
import contextlib
import os
import signal
import time

import structlog

from chargepoint.config import Config, ControllerSection, EvseSection
from chargepoint.controller.device import Device
from chargepoint.controller.maps import load
from chargepoint.controller.point import ControlledPoint
from chargepoint.evse.messages import (
    SOCKET_NAME,
    Acknowledge,
    BorneReport,
    Buzz,
    Done,
    Dump,
    Lamps,
    Permit,
    SelfTest,
    ToEvse,
    Trace,
    Unlock,
)
from chargepoint.evse.server import Client, Server
from chargepoint.meter.link import ModbusLink, NoAnswer, Refused
from chargepoint.sdnotify import Notifier

log = structlog.get_logger()

POLL_S = 0.5
"""Between two questions to one controller; a changed permission does not wait for it."""
REPORT_S = 1.0
STUCK_S = 30.0
"""A line whose task has not got round for so long: the service manager is to start the process anew."""
FAREWELL_S = 3.0
"""The last withdrawal may take so long."""
AGAIN_S = 0.05
"""Between two tries of it, beside the line's own quiet time."""
TIMEOUT_S = 0.5


class Line:
    """One Modbus line and the controllers on it."""

    def __init__(self, link: ModbusLink) -> None:
        self.link = link
        self.members: list[tuple[Device, ControlledPoint]] = []
        self.wake = asyncio.Event()
        self.turned_at = time.monotonic()
        self.to_clear: list[tuple[Device, asyncio.Future[str]]] = []
        """Acknowledgements under way."""


class PilotBorne:
    """All points, their lines, and the socket."""

    def __init__(self, config: Config) -> None:
        self.boot = os.urandom(6).hex()
        now = time.monotonic()
        self.points: dict[int, ControlledPoint] = {}
        self._lines: dict[tuple[str, int], Line] = {}
        self._line_of: dict[int, tuple[Line, Device]] = {}
        for evse in config.evse:
            self._add(evse, now)
        self._notifier = Notifier()
        self._server = Server(config.station.run_dir / SOCKET_NAME, self._problem)
        self._told: dict[int, object] = {}
        self._asked: dict[int, Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._turns = 0

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_reader(self._server.fileno(), self._packets)
        serving = [(line, asyncio.create_task(self._serve(line))) for line in self._lines.values()]
        telling = asyncio.create_task(self._tell())
        tasks = [telling, *(task for _, task in serving)]
        self._notifier.ready()
        log.info(
            "ready", points=list(self.points), boot=self.boot, lines=[line.link.name for line in self._lines.values()]
        )
        waiting = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiting}:
                task.result()  # none ends but by a mistake: let it be seen
        finally:
            self._notifier.stopping()
            loop.remove_reader(self._server.fileno())
            self._stopping.set()
            for task in (waiting, telling):
                task.cancel()
            await self._farewell(serving)
            for task in tasks:
                task.cancel()
            await asyncio.gather(waiting, *tasks, return_exceptions=True)
            for line in self._lines.values():
                line.link.close()
            self._server.close()

    # --- devices -----------------------------------------------------------------------------------------------------

    def _add(self, evse: EvseSection, now: float) -> None:
        section = evse.controller
        if section is None:  # `check` has refused it
            raise ValueError(f"point {evse.id} has no controller")
        regmap = load(section.model)
        key = (section.device, 0) if section.device else (section.host, section.port)
        if key not in self._lines:
            self._lines[key] = Line(_link(section))
        line = self._lines[key]
        device = Device(line.link, section.unit or regmap.unit, regmap)
        point = self.points[evse.id] = ControlledPoint(evse, regmap, now)
        line.members.append((device, point))
        self._line_of[evse.id] = (line, device)
        if not regmap.watchdog_s:
            log.warning("controller_has_no_watchdog", evse=evse.id, model=section.model)

    async def _serve(self, line: Line) -> None:
        """Until the process stops, and then to the end of the request under way: a line must not be asked anew before
        its answer has come, or its quiet time is over."""
        for device, point in line.members:
            with contextlib.suppress(NoAnswer, Refused):  # the turns below say so, and say it again
                await device.permit(0.0)
            point.known = False
        while not self._stopping.is_set():
            line.wake.clear()
            while line.to_clear:
                await _clear(*line.to_clear.pop(0))
            for device, point in line.members:
                if not self._stopping.is_set():
                    await self._turn(device, point)
            line.turned_at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await line.wake.wait()

    async def _turn(self, device: Device, point: ControlledPoint) -> None:
        """Ask one controller, and tell it again what it does not hold."""
        try:
            if not point.known and (wrong := await device.begin()):
                log.warning("controller_settings", evse=point.config.id, wrong=wrong)
            if point.known and not point.obeyed(time.monotonic()):
                await device.permit(point.wanted_a(time.monotonic()))
            state = await device.read()
        except (NoAnswer, Refused) as e:
            point.missed(str(e), time.monotonic())
        else:
            point.heard(state, time.monotonic())
        self._tell_changes()

    async def _farewell(self, serving: list[tuple[Line, asyncio.Task[None]]]) -> None:
        """Withdraw every permission, again and again within a bound: nothing else stops a car when this ends."""
        held = {point.config.id: "no time was left" for point in self.points.values()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await asyncio.gather(*(self._withdraw(line, task, held) for line, task in serving))
        for evse, why in held.items():
            log.error("permission_not_withdrawn", evse=evse, why=why)

    async def _withdraw(self, line: Line, task: asyncio.Task[None], held: dict[int, str]) -> None:
        """`held`: points and why they may still be permitted; those that answered are taken out."""
        line.wake.set()
        await asyncio.wait({task})
        while left := [(device, point.config.id) for device, point in line.members if point.config.id in held]:
            for device, evse in left:
                try:
                    await device.permit(0.0)
                except (NoAnswer, Refused) as e:
                    held[evse] = str(e)
                    await asyncio.sleep(AGAIN_S)
                else:
                    del held[evse]

    # --- talk --------------------------------------------------------------------------------------------------------

    def _packets(self) -> None:
        self._server.poll(self._handle, self._greet)

    async def _tell(self) -> None:
        while True:
            now = time.monotonic()
            self._turns += 1
            for evse, point in self.points.items():
                point.step(now)
                self._server.broadcast(point.report(now, self.boot))
                self._told[evse] = self._key(point, now)
            self._server.broadcast(self._borne_report(now))
            self._answer_unlocks(now)
            if all(now - line.turned_at < STUCK_S for line in self._lines.values()):
                self._notifier.alive()
            await asyncio.sleep(REPORT_S)

    def _tell_changes(self) -> None:
        now = time.monotonic()
        for evse, point in self.points.items():
            key = self._key(point, now)
            if key != self._told.get(evse):
                self._told[evse] = key
                self._server.broadcast(point.report(now, self.boot))
        self._answer_unlocks(now)

    def _key(self, point: ControlledPoint, now: float) -> object:
        return (point.changes, point.wanted_a(now))

    def _borne_report(self, now: float) -> BorneReport:
        return BorneReport(now, self.boot, ticks=self._turns)

    def _greet(self, client: Client) -> None:
        now = time.monotonic()
        for point in self.points.values():
            self._server.send(client, point.report(now, self.boot))
        self._server.send(client, self._borne_report(now))

    def _handle(self, message: ToEvse, client: Client) -> None:
        point = self.points.get(message.evse)
        request = getattr(message, "id", None)
        if point is None:
            if request is not None:
                self._server.send(client, Done(request, message.evse, False, f"there is no point {message.evse}"))
            return
        now = time.monotonic()
        match message:
            case Permit():
                before = point.wanted_a(now)
                point.permit(message, now)
                if point.wanted_a(now) != before:
                    self._line_of[message.evse][0].wake.set()
            case Unlock():
                self._asked[message.evse] = client
                answer = point.ask_unlock(message.id, now)
                self._line_of[message.evse][0].wake.set()
                if answer is not None:
                    self._server.send(client, answer)
            case Acknowledge():
                task = asyncio.get_running_loop().create_task(self._acknowledge(point, message, client))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case SelfTest():
                why = "the pilot controller tests itself; nothing can be ordered here"
                self._server.send(client, Done(message.id, message.evse, False, why))
            case Dump():
                why = "there is no recorder: the pilot is the external controller's"
                self._server.send(client, Done(message.id, message.evse, False, why))
            case Lamps() | Buzz() | Trace():
                pass  # it has neither lamps nor a buzzer of ours, nor a pilot to be sampled

    async def _acknowledge(self, point: ControlledPoint, message: Acknowledge, client: Client) -> None:
        refused = ""
        if message.fault not in point.faults:
            refused = f"{message.fault} is not active"
        elif point.state.letter in "BCD":
            refused = "a car is connected: unplug it first"
        else:
            line, device = self._line_of[message.evse]
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            line.to_clear.append((device, future))
            line.wake.set()
            refused = await future
        self._server.send(client, Done(message.id, message.evse, not refused, refused))

    def _answer_unlocks(self, now: float) -> None:
        for evse, point in self.points.items():
            answer = point.unlocked(now)
            if answer is not None and evse in self._asked:
                self._server.send(self._asked.pop(evse), answer)

    def _problem(self, what: str, detail: str) -> None:
        log.warning(what, detail=detail)


async def _clear(device: Device, future: "asyncio.Future[str]") -> None:
    try:
        cleared = await device.clear()
    except (NoAnswer, Refused) as e:
        why = str(e)
    else:
        why = "" if cleared else "this pilot controller cannot be told to: switch its supply off and on"
    if not future.done():
        future.set_result(why)


def _link(section: ControllerSection) -> ModbusLink:
    if section.device:
        return ModbusLink(section.device, section.baudrate, section.parity, timeout_s=TIMEOUT_S)
    return ModbusLink(section.host, tcp_port=section.port, timeout_s=TIMEOUT_S)
