"""The business process, killed by its own hand (SIGKILL) at a named step of a transaction.

    python bench/stepping_station.py CONFIG STEP

For the power-cut campaign: a kill from outside hits such an instant only by luck.
"""

import os
import signal
import sys
from pathlib import Path

from chargepoint.config_check import load
from chargepoint.processes import station


def main(file: str, wanted: str) -> int:
    def step(name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return station.main(load(Path(file)), step)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
