"""In the safety process's place where external controllers handle the pilots: its socket, and Modbus behind it."""

import asyncio

from chargepoint.config import Config
from chargepoint.controller.borne import PilotBorne
from chargepoint.evse.single import AlreadyRunning, Claim
from chargepoint.urgency import complain


def main(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Answers the process's exit status."""
    try:
        claim = Claim(config.station.run_dir)
    except AlreadyRunning as refused:
        complain(f"chargepoint evse: {refused}")
        return 1
    with claim:
        asyncio.run(_run(config))
    return 0


async def _run(config: Config) -> None:
    await PilotBorne(config).run()
