"""Part values and their limits, and the draws of the Monte Carlo.

The first draws of every set are the nominal board and the two boards whose supply rails, source
resistor and divider err together; the others are drawn evenly between the limits, from a seed.
"""

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path

VALUES_FILE = Path(__file__).parent.parent / "carrier" / "frontend-values.toml"

Values = dict[str, dict[str, float]]
Limits = dict[str, dict[str, tuple[float, float, float]]]


# +1: a larger value makes the pilot read higher, -1: lower. Parts that stand here err together in draws 1 and 2.
READS_HIGHER = {
    "pilot_pos_v": 1,
    "pilot_neg_v": 1,
    "R_CP": -1,
    "R_A": -1,
    "R_B": -1,
    "R_C": 1,
    "offset_v": 1,
    "C_HOLD": 1,
    "transit_s": -1,
}


def limits(path: Path = VALUES_FILE) -> Limits:
    """(low, nominal, high) of every part, by section and name."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    out: Limits = {}
    for section, parts in raw.items():
        out[section] = {}
        for name, entry in parts.items():
            nominal = float(entry["nominal"])
            spread = float(entry["abs"]) if "abs" in entry else abs(nominal) * float(entry["tol"])
            out[section][name] = (nominal - spread, nominal, nominal + spread)
    return out


def nominal(bounds: Limits) -> Values:
    return {section: {name: b[1] for name, b in parts.items()} for section, parts in bounds.items()}


def draws(bounds: Limits, count: int, seed: int) -> Iterator[Values]:
    """`count` boards: nominal, all-low readings, all-high readings, then random ones."""
    rng = random.Random(seed)
    for index in range(count):
        values: Values = {}
        for section, parts in bounds.items():
            values[section] = {}
            for name, (low, mid, high) in parts.items():
                if index == 0:
                    value = mid
                elif index in (1, 2):
                    side = READS_HIGHER.get(name, 0) * (1 if index == 2 else -1)
                    value = high if side > 0 else low if side < 0 else mid
                else:
                    value = rng.uniform(low, high)
                values[section][name] = value
        yield values
