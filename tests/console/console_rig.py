"""A whole borne with its central system, and a person at its console: 80 by 24 on a pseudo-terminal."""

import asyncio
import ctypes
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyte

from chargepoint.jsonrpc import Client
from chargepoint.sim.central_system import CentralSystem

GOOD_BADGES = {1: "04A1B2C3D4E5F6", 2: "04112233445566"}
BAD_BADGE = "04DEADBEEF0001"
PATIENCE_S = 40.0
"""The machine may be busy with other tests."""

CONFIG = """\
[station]
id = "BORNE-1"
state_dir = "{root}/state"
run_dir = "{root}/run"
language = "fr"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
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
ConnectionTimeOut = 60
[console]
pin_file = "{root}/pin"
"""


def die_with_parent() -> None:
    """Between fork and exec: no process of a test outlives it, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def take_terminal() -> None:
    """As `die_with_parent`; and the terminal on standard input becomes this session's own, so that Ctrl-C signals."""
    die_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def poll(condition: Callable[[], Awaitable[Any]], interval_s: float) -> bool:
    """Ask again until it holds; False when patience ends."""
    end = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(interval_s)
    return True


class Terminal:
    """A program on a pseudo-terminal, and what a person would see of it."""

    def __init__(self, *words: str, term: str = "vt100") -> None:
        self._words = words
        self._term = term
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.process: asyncio.subprocess.Process | None = None
        self._master = -1

    async def start(self) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": self._term, "PYTHONUTF8": "1", "INPUTRC": "/dev/null"}
        environment.pop("COLUMNS", None)
        environment.pop("LINES", None)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chargepoint.console.cli", *self._words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        self._master = master
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has gone
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.raw += data
        self._stream.feed(data)

    def type(self, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            data = data[os.write(self._master, data[:1024]) :]

    async def pour(self, data: bytes) -> None:
        """Type more than the line takes at once, while what is echoed is read."""
        os.set_blocking(self._master, False)
        while data:
            try:
                data = data[os.write(self._master, data[:1024]) :]
            except BlockingIOError:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)
        os.set_blocking(self._master, True)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async def holds() -> bool:
            return condition()

        if not await poll(holds, 0.01):
            raise AssertionError(f"never saw {what} in\n" + "\n".join(self.screen.display))

    async def command(self, line: str, prompt: str = "BORNE-1> ") -> list[str]:
        """Type a line; what is said until the next prompt, line by line."""
        begin = len(self.raw)
        self.type(line + "\r")
        end = f"\n{prompt}".encode()
        await self.until(lambda: self.raw.endswith(end, begin), f"a prompt after {line!r}")
        said = bytes(self.raw[begin : -len(prompt)]).decode().replace("\r", "")
        return said.split("\n")[1:-1]

    async def close(self) -> None:
        if self.process is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Rig:
    """A borne in a directory, driven at its wires and by its central system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.config = root / "borne.toml"
        self.log = root / "log"
        self.central = CentralSystem(tags=list(GOOD_BADGES.values()))
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, *words: str, edit: Callable[[str], str] = lambda text: text) -> None:
        """Start `chargepoint WORDS`, `run` when there are none."""
        await self.central.start()
        self.config.write_text(edit(CONFIG.format(root=self.root, url=self.central.url)))
        for word in words or ("run",):
            await self.spawn(*word.split())
            if word in ("run", "sim serve"):
                self._sim = await self._reach("sim.sock")

    async def spawn(self, *words: str) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chargepoint.console.cli", *words, "-c", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self.processes.append(process)
        return process

    async def _reach(self, name: str) -> Client:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await Client.connect(self.root / "run" / name)
                except OSError:
                    await asyncio.sleep(0.02)

    async def connect(self) -> None:
        """Wait for the station."""
        self._station = await self._reach("station.sock")

    async def sim(self, method: str, **params: Any) -> Any:
        return await self._sim.call(method, **params)

    async def ask(self, method: str, **params: Any) -> Any:
        return await self._station.call(method, **params)

    async def evse(self, number: int) -> dict[str, Any]:
        status = await self.ask("status")
        return next(evse for evse in status["evses"] if evse["id"] == number)

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str) -> None:
        if not await poll(condition, 0.05):
            raise AssertionError(f"never saw {what}: {await self.ask('status')}\n{self.log.read_text()[-3000:]}")

    async def until_status(self, number: int, *wanted: str) -> None:
        async def there() -> bool:
            return (await self.evse(number))["status"] in wanted

        await self.until(there, f"point {number} {' or '.join(wanted)}")

    async def until_fault(self, name: str) -> None:
        async def there() -> bool:
            status = await self.ask("status")
            faults = [fault for evse in status["evses"] for fault in evse["faults"]] + status["faults"]
            return any(fault["name"] == name for fault in faults)

        await self.until(there, name)

    async def until_no_fault(self, name: str) -> None:
        async def gone() -> bool:
            return name not in {fault["name"] for fault in (await self.ask("status"))["faults"]}

        await self.until(gone, f"no {name}")

    async def clear(self, number: int = 1) -> None:
        """End whatever goes on at a point and take the cable away."""
        if (await self.evse(number))["transaction"] is not None:
            await self.ask("stop", evse=number)
        wires = next(evse for evse in (await self.sim("show"))["evses"] if evse["id"] == number)
        if wires["plugged"]:

            async def unlocked() -> bool:
                return (await self.evse(number))["lock"] == "unlocked"

            await self.until(unlocked, f"point {number} unlocked")
            await self.sim("unplug", evse=number)
        await self.until_status(number, "Available")

    async def close(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.terminate()
        for process in self.processes:
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        await self.central.close()
