"""What sharing uses beside the optimum, on random small cases: `--cases 2000 --seed 1`.

Of each case: two to four cars that can use all they get, any wiring, caps and weights, a limit per phase; after 150 s
at rest. *fair*: beside the max-min fair point, found by bisection. *most*: beside the most that all phases together can
carry with the same cars at 6 A or more, found by trying every corner: what fairness costs in energy.
"""

import argparse
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "energy"))
from common import save, table
from energy_fleet import Car, Site, Slot
from energy_optimum import Load, best_sum, fair_levels, unfair

from chargepoint.energy.allocator import wiring

SETTLED_S = 150


def case(dice: random.Random) -> tuple[float, float, int] | None:
    """Used beside the fair point and beside the most, and how many have less than is fair; None: nobody charges."""
    limit = [dice.uniform(6, 60) for _ in range(3)] if dice.random() < 0.5 else [dice.uniform(6, 60)] * 3
    words = ("RST", "STR", "TRS", "RTS", "R", "S", "T")
    slots = [
        Slot(n, wiring(dice.choice(words)), dice.choice((32, 32, 20, 16)), dice.choice((1, 1, 2, 0.5, 4)))
        for n in range(1, dice.choice((2, 2, 3, 4)) + 1)
    ]
    site = Site(slots, (limit[0], limit[1], limit[2]))
    for slot in slots:
        slot.plug(Car(phases=dice.choice((1, 3)), lag_s=dice.randint(0, 5)), 0.0)
    site.run(SETTLED_S)
    found = [(slot.offered_a, slot.wiring[: slot.car.phases], slot) for slot in slots if slot.offered_a and slot.car]
    loads = [Load(lines, slot.cap_a, slot.weight) for _, lines, slot in found]
    if not loads:
        return None
    used = sum(amps * len(lines) for amps, lines, _ in found)
    fair = sum(amps * len(load.lines) for amps, load in zip(fair_levels(loads, limit), loads, strict=True))
    less = unfair(loads, [amps for amps, _, _ in found], limit, 1.0)
    return used / fair, used / (best_sum(loads, limit) or used), len(less)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    cases = [found for _ in range(asked.cases) if (found := case(dice)) is not None]
    rows: list[dict[str, Any]] = []
    for place, name in ((0, "beside the fair optimum"), (1, "beside the most in all")):
        shares = sorted(found[place] for found in cases)
        count = len(shares)
        named = {"median": shares[count // 2], "worst 5 %": shares[count // 20], "worst 1 %": shares[count // 100]}
        named["worst"] = shares[0]
        rows.append({"used": name, "n": count, **{what: f"{share:.1%}" for what, share in named.items()}})
    table("Sharing beside the optimum", rows)
    less = sum(found[2] for found in cases)
    print(f"cars with less than is fair, by more than 1 A: {less}")
    save("fairness", rows)
    return 0 if less == 0 and min(found[0] for found in cases) >= 0.95 else 1


if __name__ == "__main__":
    raise SystemExit(main())
