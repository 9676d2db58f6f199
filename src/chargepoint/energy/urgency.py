"""How much more of what is shared a car gets that must leave again soon. Pure; no clock."""

from math import ceil

MOST = 4.0
"""Weight of a car that has to charge with all it may draw from now on, others having 1."""
QUARTERS = 4
"""The weight moves in so many steps, so that a nearing departure does not stir the pilots all the time."""


def urgency(missing_wh: float, left_s: float, most_w: float) -> float:
    """The factor of a car that needs `missing_wh` within `left_s` and can draw at most `most_w`.

    1 when it needs nothing or its time has passed, `MOST` when it needs all it can draw until it leaves; in between by
    the part that it needs.
    """
    if missing_wh <= 0 or left_s <= 0 or most_w <= 0:
        return 1.0
    part = min(1.0, missing_wh * 3600.0 / left_s / most_w)
    return 1.0 + (MOST - 1.0) * ceil(part * QUARTERS) / QUARTERS
