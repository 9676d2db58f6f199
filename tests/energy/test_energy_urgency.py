"""A car that leaves soon gets more of what is shared, the more it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.energy.urgency import MOST, urgency

HOUR = 3600.0


@pytest.mark.parametrize(
    ("missing_wh", "left_s", "factor"),
    [
        (0, HOUR, 1.0),  # has what it needs
        (10_000, 0, 1.0),  # has left, or should have: no reason to take from others any more
        (10_000, -5, 1.0),
        (2_000, HOUR, 1.75),  # needs a tenth of what it could draw: the first quarter
        (12_000, HOUR, 3.25),
        (22_000, HOUR, MOST),  # must draw all it may from now on
        (50_000, HOUR, MOST),
    ],
)
def test_the_factor_grows_with_what_is_missing_and_how_near_the_departure_is(
    missing_wh: float, left_s: float, factor: float
) -> None:
    assert urgency(missing_wh, left_s, 22_080) == factor


@given(st.floats(0, 1e5), st.floats(1, 1e5), st.floats(1380, 55_000))
def test_the_factor_is_bounded_and_nearer_never_weighs_less(missing: float, left: float, most: float) -> None:
    assert 1.0 <= urgency(missing, left, most) <= urgency(missing, left / 2, most) <= MOST
