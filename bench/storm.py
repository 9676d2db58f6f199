"""Load for the latency bench: a station of its own in an OCPP storm, until it is terminated.

A local central system asks the station for its whole configuration and for triggered messages as fast as it answers.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
import tempfile
from pathlib import Path

from chargepoint.sim.central_system import CallFailed, CentralSystem

CONFIG = """
[station]
id = "STORM"
state_dir = "{root}/state"
run_dir = "{root}/run"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
[[evse]]
id = 2
max_current = 32
[ocpp]
url = "{url}"
security_profile = 0
"""
CALLS = (
    ("GetConfiguration", {}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
)


async def main() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="storm-") as root:
        async with CentralSystem(tags=None) as system:
            config = Path(root) / "storm.toml"
            config.write_text(CONFIG.format(root=root, url=system.url))
            command = [sys.executable, "-m", "chargepoint.console.cli", "station", "-c", str(config)]
            station = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            try:
                await system.wait_connected()
                for name, payload in itertools.cycle(CALLS):
                    try:
                        await system.call(name, payload)
                    except CallFailed:
                        await asyncio.sleep(0.01)  # the station has more of them waiting than it takes
            finally:
                station.terminate()
                await station.wait()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
