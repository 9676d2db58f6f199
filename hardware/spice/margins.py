"""How far the committed tables stay from the software's limits: `python -m hardware.spice.margins`."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass

from hardware.spice.tables import COUNTS, LATENCY
from hardware.spice.values import limits

from chargepoint.board import frontend
from chargepoint.iec61851.pilot import DIODE_SEEN_V, Band, keeps

LOOP_S = 0.010
"""Period of the safety loop; a band counts after two results ."""
LOOP_COST_S = 0.001
BUDGET_S = 0.030


@dataclass(frozen=True)
class Margin:
    """The least distance between a load's reading and the limit it must keep to."""

    load: str
    limit: str
    volts: float
    counts: float


PULL_UP_TOLERANCE = 0.002
"""0.1 % part, temperature included."""

COUNT_V = abs(frontend.pilot_v(1) - frontend.pilot_v(0))
BANDS = {band.name: band for band in Band}


def counts() -> list[dict[str, str]]:
    with COUNTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def latencies() -> list[dict[str, str]]:
    with LATENCY.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def band_limits(band: Band, present: Band) -> tuple[float, float]:
    """Readings that are `band` when the present one is `present`: above the first, up to the second, V.

    A boundary moves away from the present band: from below it is what the band below keeps, else `band`'s own edge.
    """
    low, high = float("-inf"), float("inf")
    if band != Band.F:
        low = keeps(Band(band + 1))[1] if present > band else keeps(band)[0]
    if band != Band.A:
        high = keeps(Band(band - 1))[0] if present < band else keeps(band)[1]
    return low, high


def margins() -> list[Margin]:
    """Worst margins of the positive peak per load and corner, and of the negative peak for the diode's test."""
    worst: dict[tuple[str, str], Margin] = {}
    for row in counts():
        name = f"{row['state']} {row['corner']}"
        for limit, volts in _row_margins(row):
            known = worst.get((name, limit))
            if known is None or volts < known.volts:
                worst[name, limit] = Margin(name, limit, volts, volts / COUNT_V)
    return list(worst.values())


def _row_margins(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    low, high = frontend.pilot_v(int(row["high_min"])), frontend.pilot_v(int(row["high_max"]))
    floor, ceiling = frontend.pilot_v(int(row["low_min"])), frontend.pilot_v(int(row["low_max"]))
    pwm = 0.0 < float(row["duty"]) < 100.0
    if row["state"] == "C-no-diode":
        if pwm:
            yield "negative peak above the diode limit", floor - DIODE_SEEN_V
        return
    band = Band.E if row["state"].startswith("E") else BANDS[row["state"]]
    for present in Band:
        least, most = band_limits(band, present)
        if least > float("-inf"):
            yield f"over the lower limit {least:.2f} V, coming from {present.name}", low - least
        if most < float("inf"):
            yield f"under the upper limit {most:.2f} V, coming from {present.name}", most - high
    # Behind the car's diode the low half stays at the generator's -12 V.
    if band in (Band.B, Band.C, Band.D) and pwm:
        yield "negative peak under the diode limit", DIODE_SEEN_V - ceiling


def proximity_reading_ohm(ohm: float) -> tuple[float, float]:
    """What the software may read for a resistance at PP: least and most, by pull-up and ADC. Computed."""
    bounds = limits()["adc"]
    error = bounds["offset_counts"][2] + bounds["gain_counts"][2] + bounds["inl_counts"][2]
    counts = [4096 * ohm / (ohm + frontend.PP_PULL_UP_OHM * (1 + side * PULL_UP_TOLERANCE)) for side in (1, -1)]
    return frontend.pp_ohm(math.floor(counts[0] - error)), frontend.pp_ohm(math.ceil(counts[1] + error))


def reaction_s(detector_ms: float) -> float:
    """From the change at the socket to the order at the contactor's pin, worst phase of the loop."""
    return detector_ms / 1e3 + 2 * LOOP_S + LOOP_COST_S


def duty_error() -> float:
    """Largest difference between the duty and its read-back, percent points."""
    worst = 0.0
    for row in counts():
        for column in ("mean_min", "mean_max"):
            worst = max(worst, abs(frontend.duty_percent(int(row[column])) - float(row["duty"])))
    return worst


def least_per_load() -> list[Margin]:
    """One line per load: its worst margin of all."""
    worst: dict[str, Margin] = {}
    for margin in margins():
        if margin.load not in worst or margin.volts < worst[margin.load].volts:
            worst[margin.load] = margin
    return list(worst.values())


def report() -> str:
    lines = ["load              worst margin               limit"]
    lines += [f"{m.load:16}  {m.volts:+7.3f} V {m.counts:+7.0f} counts  {m.limit}" for m in least_per_load()]
    lines += ["", "change                              duty    detector   order at the pin, worst phase"]
    for row in latencies():
        ms = float(row["detector_ms"])
        lines.append(f"{row['change']:34} {row['duty']:>5} %  {ms:6.2f} ms  {reaction_s(ms) * 1e3:6.2f} ms")
    lines += ["", f"duty read-back: within {duty_error():.2f} percent points"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
