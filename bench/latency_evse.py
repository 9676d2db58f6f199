"""The safety process for the latency bench: the product's own loop, machine and board, with shortened pauses.

Between two closings the product waits seconds (re-close delay, half a second of stable C, quiet time after a fault),
which would make 10,000 openings a matter of days. Only those pauses are shortened here. Everything between an input
and the opening command (reading, filtering, deciding, writing, the loop's period) is the product's, unchanged.
"""

import dataclasses
import sys
from pathlib import Path

from chargepoint import faults
from chargepoint.config_check import load
from chargepoint.faults import Recover
from chargepoint.processes import evse

PAUSES = {
    "RECLOSE_S": 0.02,
    "RECLOSE_AFTER_FAULT_S": 0.02,
    "STABLE_C_S": 0.03,
    "DUTY_SPACING_S": 0.02,
}
QUIET_S = 0.02


def shorten() -> None:
    """Put the short pauses where the product's modules have theirs."""
    for name, module in list(sys.modules.items()):
        if name.startswith("chargepoint.evse."):
            for constant, value in PAUSES.items():
                if hasattr(module, constant):
                    setattr(module, constant, value)
    for name in ("residual-current", "emergency-stop", "pilot-short"):
        row = faults.FAULTS[name]
        faults.FAULTS[name] = dataclasses.replace(row, recover=Recover.SELF, after_s=QUIET_S, count=0)


if __name__ == "__main__":
    shorten()
    sys.exit(evse.main(load(Path(sys.argv[1]))))
