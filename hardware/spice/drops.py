"""How fast the hardware lets go by itself, and whether the lock's reserve opens it: `python -m hardware.spice.drops`.

Three circuits apart from the pilot: the one-shot of the coil watchdog, the comparator interlock's delay with the
contactor's release behind it, and the lock motor on its reserve capacitor.
"""

import argparse
import csv
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from hardware.spice import engine, values

OUT = Path(__file__).parent / "drops.csv"
FIELDS = ("quantity", "unit", "least", "most", "limit")
SEED = 20261
SENSOR_A = 0.08
"""What the 6 mA sensor may take from the lock's 12 V: taken, not its data sheet's."""
LESS_IS_WORSE = {"C_RESERVE", "age_and_cold", "regulator_efficiency", "motor_ohm"}
"""Of the lock's values; of the others more is worse."""


def one_shot(v: values.Values) -> str:
    """Timing of the retriggerable one-shot after the last edge: C_T charges through R_T to 1 - 1/e of the supply."""
    w, supply = v["watchdog"], v["rails"]["logic_v"]
    level = supply * (1 - math.exp(-w["K"]))
    return f"""* coil watchdog: from the last heartbeat edge to the end of the pulse
Vs s 0 {supply:g}
Rt s t {w["R_T"]:g}
Ct t 0 {w["C_T"]:g} IC=0
.tran 0.1m 1 UIC
.meas tran t WHEN v(t)={level:g}
.end
"""


def interlock(v: values.Values) -> str:
    """From a comparator's output to a switched-off coil supply: RC filter into a Schmitt gate."""
    i, supply = v["interlock"], v["rails"]["logic_v"]
    return f"""* comparator interlock: filter and gate
Vc c 0 PULSE({supply:g} 0 1m 1u 1u 1 2)
Rf c f {i["R_FILTER"]:g}
Cf f 0 {i["C_FILTER"]:g} IC={supply:g}
.tran 20u 0.2 UIC
.meas tran t WHEN v(f)={supply * 0.35:g} FALL=1
.end
"""


def release(v: values.Values) -> str:
    """The coil's current after its switch opens, into the suppressor across the switch."""
    c, supply = v["contactor"], v["rails"]["supply_24_v"]
    return f"""* contactor coil after switch-off
Vs s 0 {supply:g}
Rc s l {c["coil_ohm"]:g}
Lc l d {c["coil_h"]:g} IC={supply / c["coil_ohm"]:g}
Vd d e 0
Dz e f dz
Vz f 0 {c["clamp_v"]:g}
.model dz D(IS=1e-9 N=1)
.tran 10u 0.1 UIC
.meas tran t WHEN i(Vd)={c["drop_a"]:g} FALL=1
.end
"""


def lock(v: values.Values) -> str:
    """The reserve feeds the lock's regulator: stall current while the motor starts, then running current.

    Motor and residual current sensor are constant loads of the regulator, so the capacitor sees constant power.
    """
    k, supply = v["lock"], v["rails"]["supply_24_v"]
    capacity = k["C_RESERVE"] * k["age_and_cold"]
    sensor_w = k["motor_v"] * SENSOR_A / k["regulator_efficiency"]
    stall_w = k["motor_v"] ** 2 / k["motor_ohm"] / k["regulator_efficiency"] + sensor_w
    run_w = k["motor_v"] * k["run_a"] / k["regulator_efficiency"] + sensor_w
    end = k["start_s"] + k["travel_s"]
    return f"""* lock reserve: supply gone at 0, bolt open at {end:g} s
Cr r 0 {capacity:g} IC={supply - 0.6:g}
Rl r 0 1e6
Vm m 0 PWL(0 {stall_w:g} {k["start_s"]:g} {stall_w:g} {k["start_s"] + 1e-3:g} {run_w:g} 2 {run_w:g})
Bm r 0 I=V(m)/max(V(r),3)
.tran 0.5m 2 UIC
.meas tran left FIND v(r) AT={end:g}
.meas tran t WHEN v(r)={k["regulator_min_in_v"]:g} FALL=1
.end
"""


def corners(bounds: values.Limits) -> Iterator[values.Values]:
    """Two boards whose one-shot errs wholly to one side, each with a lock whose parts all err to the worse side."""
    for side in (0, 2):
        v = values.nominal(bounds)
        v["watchdog"] = {name: b[side] for name, b in bounds["watchdog"].items()}
        v["lock"] = {name: b[0 if name in LESS_IS_WORSE else 2] for name, b in bounds["lock"].items()}
        v["rails"]["supply_24_v"] = bounds["rails"]["supply_24_v"][0]
        yield v


def rows(boards: int) -> list[dict[str, str]]:
    bounds = values.limits()
    watchdog, total, coil, left, spare = [], [], [], [], []
    for v in itertools.chain(values.draws(bounds, boards, SEED), corners(bounds)):
        watchdog.append(engine.run(one_shot(v))["t"] * 1e3)
        gate = (engine.run(interlock(v))["t"] - 1e-3 + v["interlock"]["driver_s"]) * 1e3
        let_go = (engine.run(release(v))["t"] + v["contactor"]["travel_s"]) * 1e3
        coil.append(let_go)
        # The held peak must fall from the top of C to the window's lower edge, on the bleed of the lowest duty.
        slow_bleed_ms = v["detector"]["R_BLEED"] * v["detector"]["C_HOLD"] / 0.10 * 1e3
        peak = slow_bleed_ms * math.log((1.65 + 0.11 * 7.2) / v["interlock"]["low_v"]) + 1.0
        total.append(peak + gate + let_go)
        got = engine.run(lock(v))
        left.append(got["left"])
        spare.append(got.get("t", 2.0) / (v["lock"]["start_s"] + v["lock"]["travel_s"]))
    return [
        _row("coil watchdog after the last heartbeat", "ms", watchdog, "300..500"),
        _row("contactor release, coil off to open contacts", "ms", coil, "..60"),
        _row("pilot leaves C/D at 10 % duty to open contacts, by the interlock alone", "ms", total, "..100"),
        _row("lock reserve left when the bolt is open", "V", left, f"{bounds['lock']['regulator_min_in_v'][2]:.2f}.."),
        _row("lock reserve: running time over time needed", "", spare, "1.0.."),
    ]


def _row(quantity: str, unit: str, found: list[float], limit: str) -> dict[str, str]:
    return {
        "quantity": quantity,
        "unit": unit,
        "least": f"{min(found):.2f}",
        "most": f"{max(found):.2f}",
        "limit": limit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Hardware drop times and the lock's reserve, as drops.csv.")
    parser.add_argument("--boards", type=int, default=60)
    args = parser.parse_args()
    with OUT.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        table.writeheader()
        for row in rows(args.boards):
            table.writerow(row)
            print(*row.values(), file=sys.stderr)


if __name__ == "__main__":
    main()
