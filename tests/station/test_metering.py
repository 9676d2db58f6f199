"""From a reading to the values OCPP names."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chargepoint.meter.reading import Reading
from chargepoint.ocpp.v16.dialect import meter_value
from chargepoint.station.metering import MEASURANDS, supported, values

READING = Reading(
    at=1.0,
    energy_wh=1234,
    power_w=11_040.0,
    current_a=(16.0, 16.1, 15.9),
    voltage_v=(230.0, 231.0, 229.0),
    power_phases_w=(3680.0, 3719.0, 3641.0),
)


def told(*measurands: str) -> list[tuple[str, object, str | None]]:
    found = values(READING, measurands, "Sample.Periodic", 16.0, 3, None)
    assert {value.location for value in found} <= {"Outlet"}
    return [(value.measurand, value.value, value.phase) for value in found]


def test_each_phase_is_a_value_of_its_own_beside_the_sum() -> None:
    assert told("Power.Active.Import", "Current.Import", "Voltage") == [
        ("Power.Active.Import", 11_040.0, None),
        ("Power.Active.Import", 3680.0, "L1"),
        ("Power.Active.Import", 3719.0, "L2"),
        ("Power.Active.Import", 3641.0, "L3"),
        ("Current.Import", 16.0, "L1"),
        ("Current.Import", 16.1, "L2"),
        ("Current.Import", 15.9, "L3"),
        ("Voltage", 230.0, "L1-N"),
        ("Voltage", 231.0, "L2-N"),
        ("Voltage", 229.0, "L3-N"),
    ]


def test_a_power_factor_is_no_percentage() -> None:
    (value,) = values(replace(READING, power_factor=0.98), ["Power.Factor"], "Sample.Periodic", 16.0, 3, None)
    sent = meter_value(datetime(2026, 1, 1, tzinfo=UTC), [value])["sampledValue"][0]
    assert sent["value"] == "0.98"
    assert "unit" not in sent


def test_one_phase_can_be_asked_for() -> None:
    assert told("Current.Import.L2", "Voltage.L3") == [("Current.Import", 16.1, "L2"), ("Voltage", 229.0, "L3-N")]


def test_what_the_meter_did_not_give_is_left_out() -> None:
    assert told("Frequency", "Energy.Active.Export.Register", "Temperature") == []


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, True) for name in MEASURANDS),
        ("Current.Import.L1", True),
        ("Energy.Active.Import.Register.L1", False),
        ("Frequency.L2", False),
        ("Current.Import.L4", False),
        ("SoC", False),
        ("L1", False),
        ("", False),
    ],
)
def test_only_what_can_have_a_value_is_supported(name: str, known: bool) -> None:
    assert supported(name) is known
