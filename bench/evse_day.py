"""A day of random cars and faults on two points of the safety machine, in minutes.

`python bench/evse_day.py [HOURS] [SEED]`
"""

import gc
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "evse"))

from evse_day import Street


def main() -> int:
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
    street = Street(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    gc.collect()
    gc.disable()
    street.run(0.5)
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    day = street.run(hours)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{hours:g} h: {day.passes} passes, {day.cars} cars, {day.closings} closings, {day.troubles} troubles,")
    print(f"{day.served} times served again, {len(day.faults)} kinds of fault,")
    print(f"worst opening {day.worst_open_s * 1000:.0f} ms,")
    print(f"memory grew {grown} kB without the collector; {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
