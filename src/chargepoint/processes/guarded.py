"""The station's start with an eye on how the last ones ended: whole, or, after a run of crashes, in safe mode.

The whole station is imported only after the look at the notes: a program that falls over at an import can still say so.
"""

import importlib
import time

from chargepoint.config import Config
from chargepoint.processes import safe_mode
from chargepoint.processes.crashes import Crashes
from chargepoint.processes.exits import WRONG_CONFIGURATION


def main(config: Config) -> int:
    """Run the station. Answers the process's exit status."""
    crashes = Crashes(config.station.run_dir, config.supervision.safe_after)
    safe = crashes.begin(time.monotonic())
    if safe is not None:
        return safe_mode.main(config, safe)
    try:
        status: int = importlib.import_module("chargepoint.processes.station").main(config)
    except BaseException as error:
        crashes.ended(time.monotonic(), error)
        raise
    crashes.ended(time.monotonic(), status=0 if status == WRONG_CONFIGURATION else status)
    return status
