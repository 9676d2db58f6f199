"""Makes the committed tables: `python -m hardware.spice.tables` (some minutes; needs ngspice).

`counts.csv`: the least and the most ADC counts of each load and duty, over cables and boards, the ADC's own errors
included. `latency.csv`: how long after a change the held peaks have crossed the software's limit, worst over boards
and phases of the PWM.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.spice import deck, engine, values
from hardware.spice.car import CABLES_F, DUTIES, Load, loads
from hardware.spice.thresholds import C_KEEPS_V, DIODE_V, to_u

from chargepoint.board.mcp3208 import FULL_SCALE

HERE = Path(__file__).parent
COUNTS = HERE / "counts.csv"
LATENCY = HERE / "latency.csv"
COUNTS_FIELDS = ("state", "corner", "duty", "high_min", "high_max", "low_min", "low_max", "mean_min", "mean_max")
LATENCY_FIELDS = ("change", "duty", "detector_ms")

SEED = 20260
SETTLE_S = 5e-3
MEASURES = "\n".join(f".meas tran {n}_{k} {k} v({n}) from=3m to=5m" for n in ("hi", "lo", "gm") for k in ("min", "max"))


def adc_counts(v: values.Values, bounds: values.Limits, u: float, side: int) -> int:
    """Counts for `u` volts, moved to the bad side by the ADC's offset, gain and linearity limits."""
    reference = v["rails"]["reference_v"]
    share = u / reference
    error = sum(bounds["adc"][name][2] * weight for name, weight in _adc_weights(share))
    raw = share * FULL_SCALE + side * error
    return max(0, min(FULL_SCALE - 1, math.floor(raw) if side < 0 else math.ceil(raw)))


def _adc_weights(share: float) -> tuple[tuple[str, float], ...]:
    return ("offset_counts", 1.0), ("gain_counts", share), ("inl_counts", 1.0)


def count_rows(boards: int) -> Iterator[dict[str, object]]:
    bounds = values.limits()
    drawn = list(values.draws(bounds, boards, SEED))
    for load in loads():
        for duty in (0.0,) if load.steady_low else DUTIES:
            row: dict[str, object] = {"state": load.state, "corner": load.corner, "duty": f"{duty:g}"}
            for column in ("high", "low", "mean"):
                row[f"{column}_min"], row[f"{column}_max"] = FULL_SCALE, 0
            for board in drawn:
                for cable in CABLES_F:
                    got = engine.run(deck.pilot(board, load, duty, cable, SETTLE_S, MEASURES))
                    for column, node in (("high", "hi"), ("low", "lo"), ("mean", "gm")):
                        low = adc_counts(board, bounds, got[f"{node}_min"], -1)
                        high = adc_counts(board, bounds, got[f"{node}_max"], +1)
                        row[f"{column}_min"] = min(int(str(row[f"{column}_min"])), low)
                        row[f"{column}_max"] = max(int(str(row[f"{column}_max"])), high)
            yield row


@dataclass(frozen=True)
class Change:
    """From one load to another, and the crossing that the software must see."""

    name: str
    before: Load
    after: Load
    node: str
    crossing: str
    limit_v: float


def changes() -> tuple[Change, ...]:
    """Every way out of state C that must open the contactor, each from the side where it takes longest."""
    by = {(load.state, load.corner): load for load in loads()}
    down, up = C_KEEPS_V
    slow = by["C", "max"]
    return (
        Change("C to A, unplugged or cable cut", by["C", "min"], by["A", "nom"], "hi", "RISE", up),
        Change("C to B, car opens S2", by["C", "min"], by["B", "min"], "hi", "RISE", up),
        Change("C to D", slow, by["D", "max"], "hi", "FALL", down),
        Change("C to E, pilot shorted to earth", slow, by["E", "80ohm"], "hi", "FALL", down),
        Change("C to E, short behind the diode", slow, by["E-after-diode", "short"], "hi", "FALL", down),
        Change("C, diode lost", by["C", "max"], by["C-no-diode", "max"], "lo", "RISE", DIODE_V),
    )


LATENCY_DUTIES = (5.0, 10.0, 26.7, 53.3, 96.0)
EVENT_S = 3e-3
AFTER_S = 30e-3


def latency_rows(boards: int, phases: int) -> Iterator[dict[str, object]]:
    bounds = values.limits()
    drawn = list(values.draws(bounds, boards, SEED + 1))
    for change in changes():
        for duty in LATENCY_DUTIES:
            worst = 0.0
            for board in drawn:
                for phase in range(phases):
                    at = EVENT_S + phase / phases * deck.PERIOD_S + 20e-6
                    measure = (
                        f".meas tran t WHEN v({change.node})={to_u(change.limit_v):g} {change.crossing}=LAST TD={at:g}"
                    )
                    event = deck.Event(at, change.after)
                    text = deck.pilot(board, change.before, duty, CABLES_F[-1], at + AFTER_S, measure, event)
                    got = engine.run(text)
                    if "t" not in got:
                        raise engine.SpiceError(f"{change.name} at {duty:g} %: not seen within {AFTER_S * 1e3:g} ms")
                    worst = max(worst, got["t"] - at)
            yield {"change": change.name, "duty": f"{duty:g}", "detector_ms": f"{worst * 1e3:.2f}"}


def write(path: Path, fields: tuple[str, ...], rows: Iterator[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, fields, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow(row)
            print(*row.values(), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--boards", type=int, default=12, help="boards drawn for counts.csv")
    parser.add_argument("--latency-boards", type=int, default=5, help="boards drawn for latency.csv")
    parser.add_argument("--phases", type=int, default=20, help="phases of the PWM at which a change happens")
    parser.add_argument("--only", choices=("counts", "latency"))
    args = parser.parse_args()
    if args.only != "latency":
        write(COUNTS, COUNTS_FIELDS, count_rows(args.boards))
    if args.only != "counts":
        write(LATENCY, LATENCY_FIELDS, latency_rows(args.latency_boards, args.phases))


if __name__ == "__main__":
    main()
