"""The whole program against a central system that somebody else wrote: `ocpp-rpc` from npm, in its strict mode.

    npm install --no-save --prefix DIR ocpp-rpc@2.2.1
    ./dev run python bench/independent/run.py DIR

A simulated borne registers, answers every question, and charges a car; the exit status tells whether that
implementation had anything against a single frame.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))

from harness import Borne

HERE = Path(__file__).resolve().parent


class Server:
    """The other implementation's process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[dict[str, Any]] = []

    async def until(self, event: str, method: str | None = None, timeout_s: float = 60.0) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while True:
                for said in self.events:
                    if said["event"] == event and method in (None, said.get("method")):
                        return said
                line = await self._process.stdout.readline()
                if not line:
                    raise ConnectionError("the central system ended")
                self.events.append(json.loads(line))


async def run(modules: Path) -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "server.mjs"), str(port), cwd=modules, stdout=asyncio.subprocess.PIPE
    )
    server = Server(process)
    borne = Borne(f"ws://127.0.0.1:{port}")
    try:
        await server.until("listening")
        await borne.start()
        await server.until("asked")
        await borne.sim("plug", evse=1)
        await borne.until_status(1, "Preparing")
        await borne.sim("badge", uid="04A1B2C3D4E5F6")
        await borne.until_status(1, "Charging", timeout_s=40)
        await server.until("call", "MeterValues")
        await borne.sim("badge", uid="04A1B2C3D4E5F6")
        await server.until("call", "StopTransaction")
    finally:
        await borne.stop()
        borne.remove()
        if process.returncode is None:
            process.terminate()
        await process.wait()
    complaints = [said for said in server.events if said["event"] == "strict"]
    for said in complaints:
        print(said)
    kinds = sorted({said["method"] for said in server.events if said["event"] in ("call", "answer")})
    print(
        f"{len(server.events)} events, {len(kinds)} kinds of message: {', '.join(kinds)}; {len(complaints)} complaints"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(Path(sys.argv[1]).resolve())))
