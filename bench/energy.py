"""How long sharing and composite schedules take: the allocator for 2 to 298 points, profiles over 24 h.

./dev run python bench/energy.py
chrt -f 1 ./dev run python bench/energy.py      # as root: what else the machine does does not count
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from common import percentiles, save, table

from chargepoint.energy.allocator import Memory, Point, Supply, allocate, wiring
from chargepoint.energy.composite import Cap, Running, composite, point_limit
from chargepoint.energy.profiles import DAY_S, Kind, Period, Profile, Profiles, Purpose, Recurrency

NOON = 1_700_006_400


def measure(what: str, call: Callable[[], object], times: int) -> dict[str, Any]:
    """Milliseconds of one call, over many; `cpu`: of the processor alone, whatever else the machine does meanwhile."""
    taken, worked = [], []
    for number in range(times):
        if number % 50 == 49:
            time.sleep(0.2)  # under SCHED_FIFO the kernel would make a pause of its own in the middle of a call
        began, working = time.perf_counter(), time.thread_time()
        call()
        worked.append((time.thread_time() - working) * 1000)
        taken.append((time.perf_counter() - began) * 1000)
    cpu = percentiles(worked)
    row = {**percentiles(taken), "cpu p50": cpu["p50"], "cpu p99": cpu["p99"], "cpu max": cpu["max"]}
    return {"what": what, **{key: round(value, 3) for key, value in row.items()}}


def sharing(count: int) -> Callable[[], None]:
    """A call of the allocator with every point charging and the supply short; the limit moves each time."""
    points = [
        Point(
            id=i,
            wiring=wiring(("RST", "STR", "TRS")[i % 3]),
            connected=True,
            wants=True,
            cap_a=32.0,
            since=0.0,
            signalled_a=6.0,
            measured_a=(6.0, 6.0, 6.0),
            energy_wh=float(i),
        )
        for i in range(count)
    ]
    state: dict[str, Any] = {"now": 0.0, "memory": {}}

    def call() -> None:
        state["now"] += 1.0
        amps = count * (14.0 + state["now"] % 7)
        memory: Memory = state["memory"]
        state["memory"] = allocate(Supply((amps, amps, amps)), points, state["now"], memory).memory

    return call


def profiles(count: int, periods: int, seconds: int | None) -> Profiles:
    """So many stacked daily profiles; with `seconds` each runs only so long, so that many of them show."""
    step = (DAY_S if seconds is None else seconds) // periods
    items = Profiles()
    for i in range(count):
        steps = tuple(Period(k * step, 6.0 + (i + k) % 26) for k in range(periods))
        start = NOON + i * (DAY_S // count)
        items = items.install(
            Profile(
                i, Purpose.TX_DEFAULT, i, Kind.RECURRING, "A", steps,
                recurrency=Recurrency.DAILY, start=start, duration=seconds,
            )
        )  # fmt: skip
    return items


def schedule(items: Profiles) -> Callable[[], object]:
    begin = NOON + 3 * DAY_S
    caps, running = {1: Cap(32)}, {1: Running(NOON)}
    return lambda: composite(items, 1, begin, DAY_S, unit="A", volt=230.0, caps=caps, running=running)


def main() -> int:
    gc.freeze()  # as the station does
    rows = [measure(f"allocate, {n} points", sharing(n), max(500, 2000 // n)) for n in (2, 8, 100, 298)]
    whole, parts = profiles(100, 24, None), profiles(100, 24, DAY_S // 100)
    rows.append(measure("composite of 100 profiles x 24 periods, 24 h", schedule(whole), 1000))
    rows.append(measure("the same, every one of the 2,400 periods showing", schedule(parts), 1000))
    rows.append(measure("limit now of 100 profiles", lambda: point_limit(whole, 1, NOON + DAY_S, Running(NOON)), 300))
    table("Energy: milliseconds a call", rows)
    save("energy", rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
