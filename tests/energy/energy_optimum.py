"""What could be had at best, worked out another way than the allocator does: for tiny cases, by trying everything.

A case is a list of `Load`s and a limit per phase. `best_sum` is a linear programme solved by its corners, `fair_levels`
the weighted max-min fair point found by bisection, `unfair` the proof of such a point by its bottlenecks (an
allocation is max-min fair exactly when every load below its most has a full phase on which nobody has more: Bertsekas
and Gallager, Data Networks, 6.5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

EPSILON = 1e-7


@dataclass(frozen=True)
class Load:
    """One car that is admitted: between 6 A and `most` on these phases."""

    lines: tuple[int, ...]
    most: float
    weight: float = 1.0
    least: float = 6.0


def fits(loads: Sequence[Load], amps: Sequence[float], limit: Sequence[float], slack: float = EPSILON) -> bool:
    return all(
        sum(a for load, a in zip(loads, amps, strict=True) if line in load.lines) <= limit[line] + slack
        for line in range(3)
    )


def best_sum(loads: Sequence[Load], limit: Sequence[float]) -> float | None:
    """The most that all phases together can carry with everybody at 6 A or more; None when that does not fit."""
    if not fits(loads, [load.least for load in loads], limit):
        return None
    count = len(loads)
    planes: list[tuple[list[float], float]] = []
    for i, load in enumerate(loads):
        unit = [1.0 if j == i else 0.0 for j in range(count)]
        planes += [(unit, load.least), (unit, load.most)]
    for line in range(3):
        planes.append(([1.0 if line in load.lines else 0.0 for load in loads], limit[line]))
    best = 0.0
    for chosen in combinations(planes, count):
        corner = _solve([list(row) for row, _ in chosen], [value for _, value in chosen])
        if corner is None or not fits(loads, corner, limit):
            continue
        if all(load.least - EPSILON <= a <= load.most + EPSILON for load, a in zip(loads, corner, strict=True)):
            best = max(best, sum(a * len(load.lines) for load, a in zip(loads, corner, strict=True)))
    return best


def _solve(rows: list[list[float]], values: list[float]) -> list[float] | None:
    """Gauss; None when the planes do not meet in one point."""
    count = len(values)
    for column in range(count):
        pivot = max(range(column, count), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < EPSILON:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        values[column], values[pivot] = values[pivot], values[column]
        for row in range(count):
            if row != column and rows[row][column]:
                factor = rows[row][column] / rows[column][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
                values[row] -= factor * values[column]
    return [value / rows[i][i] for i, value in enumerate(values)]


def fair_levels(loads: Sequence[Load], limit: Sequence[float]) -> list[float]:
    """The max-min fair point above the minimum: the common level is found by halving, then who cannot rise is held."""
    fixed: dict[int, float] = {}

    def at(level: float) -> list[float]:
        return [fixed.get(i, min(load.most, load.least + load.weight * level)) for i, load in enumerate(loads)]

    while len(fixed) < len(loads):
        low, high = 0.0, 1000.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(loads, at(middle), limit) else (low, middle)
        reached = at(low)
        for i in range(len(loads)):
            nudged = [a + (1e-4 if j == i else 0.0) for j, a in enumerate(reached)]
            if i not in fixed and (reached[i] >= loads[i].most - 1e-6 or not fits(loads, nudged, limit)):
                fixed[i] = reached[i]
    return [fixed[i] for i in range(len(loads))]


def unfair(loads: Sequence[Load], amps: Sequence[float], limit: Sequence[float], slack: float) -> list[int]:
    """The loads that have neither their most nor a full phase on which nobody has more than they, to within `slack`."""
    bad = []
    for i, load in enumerate(loads):
        if amps[i] >= load.most - slack:
            continue
        for line in load.lines:
            on = [j for j, other in enumerate(loads) if line in other.lines]
            full = sum(amps[j] for j in on) >= limit[line] - slack
            if full and all(_no_more(loads[j], amps[j], load, amps[i], slack) for j in on):
                break
        else:
            bad.append(i)
    return bad


def _no_more(other: Load, has: float, load: Load, amps: float, slack: float) -> bool:
    """Weighed, the other has no more than this one, or not by `slack` amperes of either."""
    return _level(other, has) <= _level(load, amps) + slack / min(other.weight, load.weight)


def _level(load: Load, amps: float) -> float:
    return (amps - load.least) / load.weight
