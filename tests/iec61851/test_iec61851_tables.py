"""The standard's tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.iec61851.pilot import NOMINAL_V, Band, band_of, car_reads_a, duty_for, keeps, offered_a
from chargepoint.iec61851.proximity import CODED_OHM, Proximity, coding_of


@pytest.mark.parametrize(
    ("amperes", "duty"), [(6, 10.0), (16, 26.667), (20, 33.333), (32, 53.333), (51, 85.0), (80, 96.0)]
)
def test_duty_of_well_known_currents(amperes: float, duty: float) -> None:
    assert duty_for(amperes) == pytest.approx(duty, abs=0.001)


@given(st.floats(0, 80))
def test_the_offer_is_nothing_or_six_and_more_and_never_above_what_was_asked(amperes: float) -> None:
    offered = offered_a(duty_for(amperes))
    assert offered == 0 or 6.0 <= offered <= amperes + 1e-6
    if amperes >= 6 and not 51 < amperes < 52.6:
        assert amperes - offered < 0.1 + 1e-6


@given(st.floats(6, 80))
def test_a_car_reads_what_was_offered(amperes: float) -> None:
    read = car_reads_a(duty_for(amperes))
    assert read is not None
    assert read == pytest.approx(offered_a(duty_for(amperes)), abs=1e-6)


@pytest.mark.parametrize(("duty", "amperes"), [(2.9, 0.0), (5, None), (7.5, 0.0), (9, 6.0), (96.5, 80.0), (98, 0.0)])
def test_a_car_reads_the_odd_duties_of_table_a8(duty: float, amperes: float | None) -> None:
    assert car_reads_a(duty) == amperes


def test_more_than_eighty_amperes_is_an_error() -> None:
    with pytest.raises(ValueError, match="80"):
        duty_for(80.2)


@pytest.mark.parametrize("band", list(Band))
@pytest.mark.parametrize("present", list(Band))
def test_nominal_voltages_are_read_from_any_band(band: Band, present: Band) -> None:
    assert band_of(NOMINAL_V[band], present) is band


def test_between_zero_and_minus_twelve_volts_lies_the_same_hysteresis() -> None:
    assert [band_of(volts, Band.A) for volts in (-6.5, -6.7)] == [Band.E, Band.F]
    assert [band_of(volts, Band.F) for volts in (-5.5, -5.3)] == [Band.F, Band.E]


@pytest.mark.parametrize(
    ("volts", "present", "expected"),
    [(10.4, "A", "A"), (10.35, "A", "B"), (10.6, "B", "B"), (10.66, "B", "A"), (7.4, "B", "B"), (7.34, "B", "C"),
     (7.6, "C", "C"), (7.66, "C", "B"), (4.4, "C", "C"), (4.34, "C", "D"), (1.4, "D", "D"), (1.34, "D", "E")],
)  # fmt: skip
def test_hysteresis_depends_on_the_present_band(volts: float, present: str, expected: str) -> None:
    assert band_of(volts, Band[present]) is Band[expected]


@given(st.floats(-20, 20), st.sampled_from(list(Band)))
def test_keeps_is_band_of_in_two_numbers(volts: float, present: Band) -> None:
    low, high = keeps(present)
    assert (low < volts <= high) == (band_of(volts, present) is present)


def test_a_reading_that_is_no_number_is_never_a_car() -> None:
    assert band_of(math.nan, Band.C) is Band.F


@pytest.mark.parametrize("coding", list(CODED_OHM))
def test_coded_resistances(coding: Proximity) -> None:
    assert {coding_of(ohm) for ohm in CODED_OHM[coding]} == {coding}


@pytest.mark.parametrize(
    ("ohm", "expected"),
    [(59, "short"), (60, "63"), (141, "63"), (150, "32"), (310, "32"), (350, "20"),
     (943, "20"), (1000, "13"), (3000, "13"), (4500, "13"), (4501, "open"),
     (math.inf, "open"), (math.nan, "short"), (-1, "short")],
)  # fmt: skip
def test_between_two_codings_the_lower_current_counts(ohm: float, expected: str) -> None:
    assert coding_of(ohm).value == expected


def test_each_coding_has_the_current_and_the_resistances_of_table_b_2() -> None:
    currents = {coding: coding.current_a for coding in Proximity if coding.is_cable}
    assert currents == {
        Proximity.CABLE_13: 13.0, Proximity.CABLE_20: 20.0, Proximity.CABLE_32: 32.0, Proximity.CABLE_63: 63.0,
    }  # fmt: skip
    assert Proximity.OPEN.current_a == Proximity.SHORT.current_a == 0.0
    assert CODED_OHM == {
        Proximity.CABLE_13: (1100.0, 1500.0, 2460.0), Proximity.CABLE_20: (400.0, 680.0, 936.0),
        Proximity.CABLE_32: (164.0, 220.0, 308.0), Proximity.CABLE_63: (80.0, 100.0, 140.0),
    }  # fmt: skip
