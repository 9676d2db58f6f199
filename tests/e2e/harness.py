"""Starts the program as a user does, with a simulated borne, and drives it through its own surface only.

Everything here speaks to `sim.sock` and `station.sock` with its own few lines of JSON-RPC, so that a fault in the
product's client cannot hide one in its server.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from machine import Machine

CONFIG = """
[station]
id = "FR-ARD-0001"
vendor = "Nexans"
model = "Borne 2x22"
serial = "ARD-0001"
state_dir = "{root}/state"
run_dir = "{root}/run"

[supply]
phases = 3
voltage = 230
max_current = 52

[board]
kind = "simulated"

[[evse]]
id = 1
max_current = 32
phases = 3
phase_rotation = "RST"
meter = {{ model = "eastron-sdm630", unit = 1 }}

[[evse]]
id = 2
max_current = 32
phases = 3
phase_rotation = "STR"
meter = {{ model = "eastron-sdm630", unit = 2 }}

[supervision]
safe_after = 0  # tests and campaigns kill processes on purpose, again and again

[ocpp]
version = "1.6"
url = "{url}"
security_profile = 0

[ocpp.configuration]
MeterValueSampleInterval = 1
HeartbeatInterval = 300
{extra}
"""


class RpcError(Exception):
    """The other side answered with a JSON-RPC error."""


class Rpc:
    """One JSON-RPC connection over a Unix socket; notifications are collected."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ids = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.notifications: list[dict[str, Any]] = []

    async def call(self, method: str, /, timeout_s: float = 35.0, **params: Any) -> Any:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 22)
        assert self._reader is not None
        self._ids += 1
        request = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        self._writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(timeout_s):
            while True:
                line = await self._reader.readline()
                if not line:
                    raise ConnectionError(f"{self.path.name} closed during {method}")
                answer = json.loads(line)
                if answer.get("id") == self._ids:
                    break
                self.notifications.append(answer)
        if "error" in answer:
            raise RpcError(answer["error"]["message"])
        return answer["result"]

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def children(pid: int) -> dict[str, int]:
    """The supervisor's children by their command word (`sim`, `evse`, `station`)."""
    found: dict[str, int] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # killed and reaped since it was listed
        for name in ("sim", "evse", "station"):
            if name.encode() in words:
                found[name] = int(child)
    return found


class Borne:
    """A whole borne in a directory of its own."""

    def __init__(
        self,
        url: str,
        extra: str = "",
        edit: Callable[[str], str] = lambda text: text,
        on_machine: bool = False,
    ) -> None:
        """`on_machine`: its processes run on a `machine.Machine`, whose knobs are `machine`."""
        self.root = Path(tempfile.mkdtemp(prefix="borne-"))
        self.config = self.root / "chargepoint.toml"
        self.config.write_text(edit(CONFIG.format(root=self.root, url=url, extra=extra)))
        self.log = self.root / "log"
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.machine = Machine(self.root, self.root / "state") if on_machine else None
        self._rpcs: list[Rpc] = []

    async def spawn(self, *words: str) -> asyncio.subprocess.Process:
        """Start `chargepoint WORDS -c FILE`; its output goes to the log file."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "chargepoint.console.cli",
                *words,
                "-c",
                str(self.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.machine.environment if self.machine is not None else None,
            )
        self.processes[words[0]] = process
        return process

    async def start(self) -> None:
        await self.spawn("run")
        await self.ready()

    async def ready(self, timeout_s: float = 20) -> None:
        """Both sockets answer and the station sees both points."""
        await self.until(self.answers, timeout_s, "the borne to answer")

    async def simulated(self) -> bool:
        """The simulated borne listens."""
        try:
            _, writer = await asyncio.open_unix_connection(str(self.root / "run" / "sim.sock"))
        except OSError:
            return False
        writer.close()
        return True

    async def answers(self) -> bool:
        """Both sockets answer now, and the station sees both points."""
        try:
            status = await self.status()
        except (OSError, RpcError, TimeoutError):
            return False
        return await self.simulated() and all(evse["pilot"] for evse in status["evses"])

    def rpc(self, name: str) -> Rpc:
        rpc = Rpc(self.root / "run" / f"{name}.sock")
        self._rpcs.append(rpc)
        return rpc

    async def once(self, name: str, method: str, /, **params: Any) -> Any:
        rpc = Rpc(self.root / "run" / f"{name}.sock")
        try:
            return await rpc.call(method, **params)
        finally:
            await rpc.close()

    async def sim(self, method: str, /, **params: Any) -> Any:
        return await self.once("sim", method, **params)

    async def station(self, method: str, /, **params: Any) -> Any:
        return await self.once("station", method, **params)

    async def status(self) -> Any:
        return await self.station("status")

    async def evse(self, evse_id: int) -> Any:
        """A point as `status` shows it."""
        return next(e for e in (await self.status())["evses"] if e["id"] == evse_id)

    async def wires(self, evse_id: int) -> Any:
        """A point as the simulated borne shows it."""
        return next(e for e in (await self.sim("show"))["evses"] if e["id"] == evse_id)

    async def until(self, condition: Callable[[], Awaitable[Any]], timeout_s: float, what: str) -> Any:
        """Ask again until the condition holds; the failure names what was waited for and shows the log's end."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            value = await condition()
            if value:
                return value
            await asyncio.sleep(0.05)
        raise AssertionError(f"waited {timeout_s} s for {what}\n{self.tail()}")

    async def until_status(self, evse_id: int, *wanted: str, timeout_s: float = 20) -> Any:
        async def there() -> Any:
            evse = await self.evse(evse_id)
            return evse if evse["status"] in wanted else None

        return await self.until(there, timeout_s, f"point {evse_id} to be {' or '.join(wanted)}")

    def tail(self, lines: int = 60) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def child(self, name: str) -> int:
        """Process id of one of the supervisor's children."""
        return children(self.processes["run"].pid)[name]

    async def kill_child(self, name: str) -> int:
        pid = self.child(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    async def stop(self) -> int | None:
        """End every process by its own id, the supervisor first; answers the supervisor's exit status."""
        code = None
        for rpc in self._rpcs:
            await rpc.close()
        for name, process in self.processes.items():
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(15):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()
            if name == "run":
                code = process.returncode
        return code

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
