"""Records of the journal as requests: reasons, bounds, times, numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.journal.outbox import Entry
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp import schema
from chargepoint.ocpp.queue import Outgoing, Sample
from chargepoint.ocpp.rpc import to_payload
from chargepoint.ocpp.timestamps import from_text, to_text
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.dialect import number
from chargepoint.ocpp.v16.outgoing import request, status_notification, thinned
from chargepoint.station.api import ConnectorStatus, StatusChanged, StopReason

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONNECTORS = Connectors((4, 9))


def ended(reason="Local", token=None, data=()):
    payload = {"evse": 9, "token": token, "meter_stop_wh": 200.9, "reason": reason, "data": []}
    return Outgoing(Entry(1, "ended", 5, Stamp(1, 0.0, 0.0), payload, 0), AT, "77", tuple(data))


def checked(action, message):
    payload = to_payload(message)
    assert schema.check("1.6", "request", action, payload) is None
    return payload


@pytest.mark.parametrize("reason", list(StopReason))
def test_every_reason_of_a_stop_is_one_of_the_specification(reason):
    payload = checked("StopTransaction", request(ended(reason.value), CONNECTORS))
    assert payload["reason"] == reason.value
    assert "transactionData" not in payload
    assert "idTag" not in payload
    assert payload["meterStop"] == 200


@given(st.integers(0, 600), st.integers(1, 7))
def test_the_data_of_a_stop_keeps_its_first_and_last_and_its_bound(samples, values):
    value = {"measurand": "Voltage", "value": 230.0, "unit": "V"}
    data = tuple(Sample(AT + timedelta(seconds=n), [value] * values) for n in range(samples))
    kept = thinned(data, 400)
    assert sum(len(sample.values) for sample in kept) <= max(400, 2 * values)
    assert list(kept) == sorted(kept, key=lambda sample: sample.at)
    if data:
        assert (kept[0], kept[-1]) == (data[0], data[-1])


def test_a_day_of_samples_fits_into_a_stop():
    value = {"measurand": "Voltage", "value": 230.0, "unit": "V", "phase": "L1-N", "location": "Outlet"}
    data = [Sample(AT + timedelta(seconds=10 * n), [value] * 3) for n in range(8640)]
    payload = checked("StopTransaction", request(ended(data=data), CONNECTORS))
    assert len(str(payload)) < 65_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.1234567Z", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-01t00:00:00.5z", datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_any_fraction_and_offset_and_written_in_utc(text, expected):
    assert from_text(text) == expected
    assert to_text(expected).endswith("Z")
    assert len(to_text(expected)) == 24


@given(st.text(max_size=40))
def test_what_is_no_time_is_an_error_with_a_sentence(text):
    try:
        assert from_text(text).tzinfo is UTC
    except ValueError as error:
        assert "is not a date-time" in str(error)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_time_survives_being_written_and_read(naive):
    at = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1000 * 1000)
    assert from_text(to_text(at)) == at


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0001, "0"), (7360.5, "7360.5"), (1e9, "1000000000"), (16.123456, "16.123")]
)
def test_numbers_have_no_exponent_and_at_most_three_places(value, text):
    assert number(value) == text


def test_a_tag_of_twenty_characters_goes_round():
    payload = {"evse": 4, "connector": 1, "token": "X" * 20, "meter_start_wh": 1, "reservation": None}
    message = Outgoing(Entry(1, "started", 5, Stamp(1, 0.0, 0.0), payload, 0), AT, None)
    assert checked("StartTransaction", request(message, CONNECTORS))["idTag"] == "X" * 20


@pytest.mark.parametrize("status", list(ConnectorStatus))
def test_every_status_is_one_of_the_specification_and_a_long_info_is_cut(status):
    event = StatusChanged(9, status, None, "x" * 80, AT)
    payload = checked("StatusNotification", status_notification(event, CONNECTORS))
    assert (payload["connectorId"], payload["status"], len(payload["info"])) == (2, status.value, 50)


def test_a_fault_without_a_code_is_told_by_its_name():
    event = StatusChanged(4, ConnectorStatus.FAULTED, "no-such-fault", "", AT)
    payload = checked("StatusNotification", status_notification(event, CONNECTORS))
    assert (payload["errorCode"], payload["vendorErrorCode"]) == ("OtherError", "no-such-fault")
