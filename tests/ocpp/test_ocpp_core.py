"""Core profile over a real WebSocket, judged by the official schemas."""

import asyncio
import http
import json
from datetime import UTC, datetime

import pytest

from chargepoint.journal import outbox, transactions
from chargepoint.journal.stamp import Stamp, set_offset
from chargepoint.ocpp.v16 import registration
from chargepoint.ocpp.v16.trigger import MAX_PENDING
from chargepoint.sim.central_system import SILENCE, CallFailed, Fail
from chargepoint.station.api import (
    Authorization,
    AuthStatus,
    BackendUnreachable,
    BayChanged,
    ConnectorStatus,
    MeterSampled,
    MeterValue,
    Outcome,
    ReservationContested,
    SecurityEvent,
    StatusChanged,
)

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def changed(evse, status, error=None, info=""):
    return StatusChanged(evse, status, error, info, NOW)


# --- registration ----------------------------------------------------------------------------------------------------


async def test_boot_is_followed_by_the_status_of_connectors_0_1_and_2(borne):
    assert [p["connectorId"] for p in borne.central.calls("StatusNotification")] == [0, 1, 2]
    assert borne.central.received[0].action == "BootNotification"
    assert borne.backend.online


async def test_boot_sets_clock_and_heartbeat_interval(start, central):
    central.heartbeat_interval = 1
    borne = await start(central)
    await central.wait_for("Heartbeat")
    assert len(borne.station.clocks) >= 1
    answer = await central.call("GetConfiguration", {"key": ["heartbeatinterval"]})
    assert answer["configurationKey"] == [{"key": "HeartbeatInterval", "readonly": False, "value": "1"}]


async def test_what_happened_before_the_time_was_known_leaves_only_when_it_can_be_dated(start, central):
    """The journal learns the time of this boot from the first answer: not a moment too late for what waits."""
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    central.refuse = http.HTTPStatus.SERVICE_UNAVAILABLE
    borne = await start(central, configuration={"RetryBackOffWaitMinimum": 0, "RetryBackOffRandomRange": 0})

    async def slowly():
        await asyncio.sleep(0.2)
        await borne.journal.write(lambda db: set_offset(db, borne.journal.boot, at.timestamp() - 50.0))

    borne.station.keep_clock = slowly
    await borne.journal.write(
        lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "c:1", Stamp(borne.journal.boot, 50.0), 7)
    )
    borne.backend.outbox_changed()
    central.refuse = None
    started = await central.wait_for("StartTransaction", timeout_s=20)
    assert datetime.fromisoformat(started.payload["timestamp"].replace("Z", "+00:00")) == at


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_who_answers_without_accepting_is_reachable(start, central, status):
    central.answers["BootNotification"] = {"status": status, "currentTime": "2026-01-01T00:00:00Z", "interval": 600}
    borne = await start(central)
    await central.wait_for("BootNotification")
    await asyncio.sleep(0.1)
    assert borne.backend.reachable
    assert not borne.backend.online


async def test_pending_answers_questions_refuses_remote_starts_and_sends_nothing_unasked(start, central):
    central.answers["BootNotification"] = {"status": "Pending", "currentTime": "2026-01-01T00:00:00Z", "interval": 600}
    borne = await start(central)
    await central.wait_for("BootNotification")
    assert "configurationKey" in await central.call("GetConfiguration")
    assert (await central.call("RemoteStartTransaction", {"idTag": "TAG1"}))["status"] == "Rejected"
    assert (await central.call("RemoteStopTransaction", {"transactionId": 1}))["status"] == "Rejected"
    borne.backend.notify(changed(1, ConnectorStatus.PREPARING))
    with pytest.raises(BackendUnreachable):
        await borne.backend.authorize("TAG1")
    assert (await central.call("TriggerMessage", {"requestedMessage": "StatusNotification"}))["status"] == "Accepted"
    await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2)
    assert {r.action for r in central.received} == {"BootNotification", "StatusNotification"}
    assert len(central.calls("StatusNotification")) == 3
    del central.answers["BootNotification"]
    assert (await central.call("TriggerMessage", {"requestedMessage": "BootNotification"}))["status"] == "Accepted"
    await central.wait_for("SecurityEventNotification")
    assert borne.backend.online


async def test_rejected_is_silent_until_the_interval_is_over(start, central):
    central.answers["BootNotification"] = {"status": "Rejected", "currentTime": "2026-01-01T00:00:00Z", "interval": 1}
    await start(central)
    await central.wait_for("BootNotification")
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        await central.call("GetConfiguration", timeout_s=0.2)
    assert len(central.received) == 1
    del central.answers["BootNotification"]
    await central.wait_for("StatusNotification")


@pytest.mark.parametrize("answer", [SILENCE, Fail("InternalError")])
async def test_a_boot_without_an_answer_is_repeated(start, central, monkeypatch, answer):
    monkeypatch.setattr(registration, "RETRY_S", 0)
    central.answers["BootNotification"] = answer
    await start(central, configuration={"MessageTimeout": 1})
    await central.wait_for("BootNotification")
    mark = central.mark()
    await central.wait_for("BootNotification", after=mark)
    del central.answers["BootNotification"]
    await central.wait_for("StatusNotification")


async def test_a_reconnection_sends_no_boot_and_only_what_changed(borne, central):
    mark = central.mark()
    await borne.backend.disconnect()
    borne.backend.notify(changed(1, ConnectorStatus.PREPARING))
    borne.backend.notify(changed(1, ConnectorStatus.CHARGING))
    borne.backend.notify(changed(2, ConnectorStatus.PREPARING))
    borne.backend.notify(changed(2, ConnectorStatus.AVAILABLE))
    borne.backend.connect()
    await central.wait_for("StatusNotification", after=mark)
    await borne.backend.authorize("TAG1")
    told = [(r.payload["connectorId"], r.payload["status"]) for r in central.received[mark:-1]]
    assert told == [(1, "Charging")]


# --- status ----------------------------------------------------------------------------------------------------------


async def test_every_change_is_told_in_order_while_connected(borne, central):
    mark = central.mark()
    told = [ConnectorStatus.PREPARING, ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV]
    for status in told:
        borne.backend.notify(changed(1, status))
    await central.wait_for("StatusNotification", lambda p: p["status"] == "SuspendedEV", after=mark)
    assert [r.payload["status"] for r in central.received[mark:]] == [status.value for status in told]
    assert central.received[mark].payload["timestamp"] == "2026-03-01T12:00:00.000Z"


async def test_a_fault_has_its_error_code_and_its_mrec_code(borne, central):
    borne.backend.notify(changed(2, ConnectorStatus.FAULTED, "over-current", "L1 41 A"))
    payload = (await central.wait_for("StatusNotification", lambda p: p["status"] == "Faulted")).payload
    assert payload["errorCode"] == "OverCurrentFailure"
    assert payload["vendorErrorCode"].startswith("CX")
    assert payload["info"] == "L1 41 A"


async def test_a_short_status_is_not_told(borne, central):
    borne.station.settings.minimum_status_s = 1
    mark = central.mark()
    borne.backend.notify(changed(1, ConnectorStatus.PREPARING))
    borne.backend.notify(changed(1, ConnectorStatus.AVAILABLE))
    borne.backend.notify(changed(2, ConnectorStatus.PREPARING))
    await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2, after=mark)
    assert [r.payload["connectorId"] for r in central.received[mark:]] == [2]


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_status_that_is_not_answered_is_told_again_and_keeps_none_of_the_next_from_being_told(
    start, central, silent
):
    borne = await start(central, configuration={"MessageTimeout": 1})
    await borne.accepted()
    mark = central.mark()
    central.answers["StatusNotification"] = lambda payload: SILENCE if told() <= silent else None

    def told():
        return sum(r.action == "StatusNotification" for r in central.received[mark:])

    borne.backend.notify(changed(1, ConnectorStatus.PREPARING))
    borne.backend.notify(changed(1, ConnectorStatus.CHARGING))
    await central.wait_for("StatusNotification", lambda p: p["status"] == "Charging", after=mark, timeout_s=20)
    assert [p["status"] for p in central.calls("StatusNotification")][-3:] == ["Preparing", "Preparing", "Charging"]
    assert len(central.handshakes) == 1


async def test_start_and_stop_leave_before_the_status_that_follows_them(borne, central):
    mark = central.mark()
    central.delays["StartTransaction"] = 0.05
    stamp = Stamp(borne.journal.boot, 1.0, NOW.timestamp())
    await borne.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    borne.backend.outbox_changed()
    borne.backend.notify(changed(1, ConnectorStatus.CHARGING))
    await central.wait_for("StatusNotification", after=mark)
    assert [r.action for r in central.received[mark:]] == ["StartTransaction", "StatusNotification"]


# --- authorisation and transactions ----------------------------------------------------------------------------------


async def test_authorize_tells_status_expiry_and_group(borne, central):
    central.tags["TAG2"] = {"status": "Blocked", "expiryDate": "2026-01-01T02:00:00.1234567+02:00", "parentIdTag": "P"}
    assert (await borne.backend.authorize("TAG1")).accepted
    blocked = await borne.backend.authorize("tag2")
    assert (blocked.status, blocked.group) == (AuthStatus.BLOCKED, "P")
    assert blocked.expiry == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert (await borne.backend.authorize("x" * 21)).status is AuthStatus.INVALID


async def test_a_badge_shown_while_the_registration_is_being_answered_waits_for_it(start, central):
    central.delays["BootNotification"] = 0.2
    borne = await start(central)
    assert (await borne.backend.authorize("TAG1")).accepted


async def test_authorize_without_an_answer_is_an_unreachable_central_system(start, central):
    central.answers["Authorize"] = SILENCE
    borne = await start(central, configuration={"MessageTimeout": 1})
    await borne.accepted()
    with pytest.raises(BackendUnreachable):
        await borne.backend.authorize("TAG1")


@pytest.mark.parametrize("transaction_id", [0, -7, 2147483647])
async def test_any_transaction_id_is_used_also_with_a_token_that_is_not_accepted(borne, central, transaction_id):
    central.answers["StartTransaction"] = {"transactionId": transaction_id, "idTagInfo": {"status": "Blocked"}}
    boot, utc = borne.journal.boot, NOW.timestamp()
    tx = await borne.journal.write(
        lambda db: transactions.begin(db, 2, 1, "TAG1", None, 5, "car", Stamp(boot, 1.0, utc), 10)
    )
    value = {"measurand": "Power.Active.Import", "value": 7360.5, "unit": "W", "phase": "L1", "location": "Outlet"}
    await borne.journal.write(lambda db: transactions.sampled(db, tx, Stamp(boot, 2.0, utc + 1), 2, [value]))
    await borne.journal.write(
        lambda db: transactions.end(db, tx, Stamp(boot, 3.0, utc + 2), 15, "DeAuthorized", "TAG1")
    )
    borne.backend.outbox_changed()
    stop = (await central.wait_for("StopTransaction")).payload
    assert stop == {
        "transactionId": transaction_id,
        "idTag": "TAG1",
        "meterStop": 15,
        "reason": "DeAuthorized",
        "timestamp": "2026-03-01T12:00:02.000Z",
    }
    assert central.calls("StartTransaction")[0]["reservationId"] == 5
    meter = central.calls("MeterValues")[0]
    assert meter["transactionId"] == transaction_id
    assert meter["meterValue"][0]["sampledValue"] == [
        {
            "value": "7360.5",
            "context": "Sample.Periodic",
            "measurand": "Power.Active.Import",
            "phase": "L1",
            "location": "Outlet",
            "unit": "W",
        }
    ]
    assert [(a[0], a[1], a[2].status) for a in borne.station.answered] == [
        (tx, str(transaction_id), AuthStatus.BLOCKED)
    ]
    await borne.backend._sender.drained(2)
    assert borne.station.asked[0] == ("token_learned", "TAG1", Authorization(AuthStatus.ACCEPTED))


async def test_a_record_that_makes_no_message_is_left_out_and_those_behind_it_are_sent(borne, central):
    stamp = Stamp(borne.journal.boot, 1.0, NOW.timestamp())
    for broken in ({}, {"evse": 77, "values": []}, {"evse": 1, "values": [{"measurand": "Voltage", "value": None}]}):
        await borne.journal.write(lambda db, broken=broken: outbox.add(db, "sampled", None, stamp, broken))
    await borne.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    borne.backend.outbox_changed()
    await central.wait_for("StartTransaction")


async def test_values_outside_a_transaction_have_no_transaction_id(borne, central):
    values = (
        MeterValue("Energy.Active.Import.Register", 1234.0, "Wh", context="Sample.Clock"),
        MeterValue("Frequency", 50.01, "Hz", context="Sample.Clock"),
    )
    borne.backend.notify(MeterSampled(0, NOW, values))
    payload = (await central.wait_for("MeterValues")).payload
    assert "transactionId" not in payload
    assert payload["connectorId"] == 0
    assert [v.get("unit") for v in payload["meterValue"][0]["sampledValue"]] == ["Wh", None]


async def test_a_security_event_goes_through_the_outbox(borne, central):
    await borne.backend.disconnect()
    borne.backend.notify(SecurityEvent("StartupOfTheDevice", "", NOW))
    borne.backend.notify(SecurityEvent("TamperDetectionActivated", "door", NOW))
    borne.backend.connect()
    await central.wait_for("SecurityEventNotification", lambda p: p.get("techInfo") == "door")
    await borne.backend._sender.drained(2)
    assert await borne.journal.read(outbox.count) == 0


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        ({"idTag": "TAG1", "connectorId": 2}, ("remote_start", "TAG1", 2, None)),
        ({"idTag": "TAG1"}, ("remote_start", "TAG1", None, None)),
        ({"idTag": "TAG1", "connectorId": 0}, None),
        ({"idTag": "TAG1", "connectorId": 3}, None),
        ({"idTag": "TAG1", "connectorId": -1}, None),
    ],
)
async def test_remote_start(borne, central, payload, asked):
    answer = await central.call("RemoteStartTransaction", payload)
    assert answer["status"] == ("Accepted" if asked else "Rejected")
    assert borne.station.asked == ([asked] if asked else [])


@pytest.mark.parametrize(
    ("action", "payload", "outcome", "asked", "status"),
    [
        ("RemoteStopTransaction", {"transactionId": 0}, Outcome.ACCEPTED, ("remote_stop", "0"), "Accepted"),
        ("RemoteStopTransaction", {"transactionId": 9}, Outcome.UNKNOWN, ("remote_stop", "9"), "Rejected"),
        ("Reset", {"type": "Hard"}, Outcome.ACCEPTED, ("reset", True), "Accepted"),
        ("Reset", {"type": "Soft"}, Outcome.REJECTED, ("reset", False), "Rejected"),
        ("UnlockConnector", {"connectorId": 1}, Outcome.ACCEPTED, ("unlock", 1), "Unlocked"),
        ("UnlockConnector", {"connectorId": 1}, Outcome.FAILED, ("unlock", 1), "UnlockFailed"),
        ("UnlockConnector", {"connectorId": 2}, Outcome.NOT_SUPPORTED, ("unlock", 2), "NotSupported"),
        ("UnlockConnector", {"connectorId": 5}, Outcome.ACCEPTED, None, "NotSupported"),
        ("UnlockConnector", {"connectorId": 0}, Outcome.ACCEPTED, None, "NotSupported"),
        ("ClearCache", {}, Outcome.ACCEPTED, ("clear_cache",), "Accepted"),
        ("ClearCache", {}, Outcome.REJECTED, ("clear_cache",), "Rejected"),
    ],
)
async def test_commands_reach_the_core_and_its_outcome_the_answer(
    borne, central, action, payload, outcome, asked, status
):
    borne.station.outcome = outcome
    assert (await central.call(action, payload))["status"] == status
    assert borne.station.asked == ([asked] if asked else [])


@pytest.mark.parametrize(
    ("connector", "kind", "outcome", "status"),
    [
        (0, "Inoperative", Outcome.SCHEDULED, "Scheduled"),
        (1, "Inoperative", Outcome.ACCEPTED, "Accepted"),
        (2, "Operative", Outcome.ACCEPTED, "Accepted"),
        (2, "Operative", Outcome.REJECTED, "Rejected"),
    ],
)
async def test_change_availability(borne, central, connector, kind, outcome, status):
    borne.station.outcome = outcome
    answer = await central.call("ChangeAvailability", {"connectorId": connector, "type": kind})
    assert answer["status"] == status
    assert borne.station.asked == [("set_availability", connector, kind == "Operative")]


async def test_change_availability_of_no_connector_is_rejected(borne, central):
    answer = await central.call("ChangeAvailability", {"connectorId": 3, "type": "Operative"})
    assert answer["status"] == "Rejected"
    assert borne.station.asked == []


async def test_data_transfer_of_a_vendor_nobody_knows(borne, central):
    answer = await central.call("DataTransfer", {"vendorId": "org.example", "messageId": "m", "data": "{}"})
    assert answer == {"status": "UnknownVendorId"}


LEAVES = '"departure": "2026-01-31T08:00:00Z"'


async def test_a_departure_told_by_data_transfer_reaches_the_station(borne, central):
    data = '{"connectorId": 2, "departure": "2026-01-31T08:00:00Z", "energyWh": 12000}'
    told = {"vendorId": "chargepoint", "messageId": "Departure", "data": data}
    assert (await central.call("DataTransfer", told))["status"] == "Accepted"
    assert borne.station.asked == [("departure", 2, datetime(2026, 1, 31, 8, tzinfo=UTC), 12000)]
    borne.station.outcome = Outcome.REJECTED
    assert await central.call("DataTransfer", told) == {
        "status": "Rejected",
        "data": "no transaction runs at connector 2",
    }


@pytest.mark.parametrize(
    ("message", "data", "status", "word"),
    [
        ("Arrival", "{}", "UnknownMessageId", "there is Departure"),
        ("Departure", "", "Rejected", "a text like"),
        ("Departure", '{"connectorId": 1, "departure": "soon", "energyWh": 1}', "Rejected", "not a date-time"),
        (
            "Departure",
            '{"connectorId": 1, "departure": "2026-01-31T08:00:00Z", "energyWh": -1}',
            "Rejected",
            "energyWh",
        ),
        (
            "Departure",
            '{"connectorId": 9, "departure": "2026-01-31T08:00:00Z", "energyWh": 1}',
            "Rejected",
            "connector 9",
        ),
    ],
)
async def test_a_departure_that_cannot_be_is_refused_in_words(borne, central, message, data, status, word):
    answer = await central.call("DataTransfer", {"vendorId": "chargepoint", "messageId": message, "data": data})
    assert answer["status"] == status and word in answer["data"]
    assert borne.station.asked == []


@pytest.mark.parametrize(
    ("message", "connector", "status", "action", "connectors"),
    [
        ("Heartbeat", None, "Accepted", "Heartbeat", None),
        ("StatusNotification", None, "Accepted", "StatusNotification", [0, 1, 2]),
        ("StatusNotification", 0, "Accepted", "StatusNotification", [0]),
        ("StatusNotification", 3, "Rejected", None, None),
        ("MeterValues", None, "Accepted", "MeterValues", [1, 2]),
        ("MeterValues", 2, "Accepted", "MeterValues", [2]),
        ("MeterValues", 0, "Rejected", None, None),
        ("MeterValues", 9, "Rejected", None, None),
        ("BootNotification", None, "Rejected", None, None),
    ],
)
async def test_trigger_message_is_answered_first_and_then_obeyed(
    borne, central, message, connector, status, action, connectors
):
    mark, frames = central.mark(), len(central.frames)
    request = {"requestedMessage": message} | ({} if connector is None else {"connectorId": connector})
    assert (await central.call("TriggerMessage", request))["status"] == status
    if action is None:
        await asyncio.sleep(0.05)
        assert central.received[mark:] == []
        return
    last = None if connectors is None else connectors[-1]
    await central.wait_for(action, lambda p: p.get("connectorId") == last, after=mark)
    if connectors is not None:
        assert [r.payload["connectorId"] for r in central.received[mark:]] == connectors
    answers = [frame.text.startswith("[3") for frame in central.frames[frames:] if frame.direction == "in"]
    assert answers[0]
    if message == "MeterValues":
        sampled = central.received[mark].payload["meterValue"][0]["sampledValue"]
        assert {value["context"] for value in sampled} == {"Trigger"}


async def test_triggers_a_central_system_does_not_answer_keep_nobody_waiting_and_are_bounded(borne, central):
    central.answers["StatusNotification"] = SILENCE
    statuses = []
    for _ in range(3 * MAX_PENDING):
        answer = await central.call("TriggerMessage", {"requestedMessage": "StatusNotification"}, timeout_s=2)
        statuses.append(answer["status"])
    assert statuses[:MAX_PENDING] == ["Accepted"] * MAX_PENDING
    assert statuses[-1] == "Rejected"
    assert await central.call("GetLocalListVersion", timeout_s=2) == {"listVersion": 0}


async def test_triggered_values_name_the_transaction_that_runs(borne, central):
    central.first_transaction_id = 0
    stamp = Stamp(borne.journal.boot, 1.0, NOW.timestamp())
    tx = await borne.journal.write(lambda db: transactions.begin(db, 2, 1, "TAG1", None, None, "car", stamp, 10))
    borne.station.transaction_of = lambda evse, connector: tx if evse == 2 else None
    await central.call("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2})
    early = await central.wait_for("MeterValues")  # its id is not known yet
    assert "transactionId" not in early.payload
    borne.backend.outbox_changed()
    await central.wait_for("StartTransaction")
    await borne.backend._sender.drained(2)
    mark = central.mark()
    await central.call("TriggerMessage", {"requestedMessage": "MeterValues"})
    await central.wait_for("MeterValues", lambda p: p["connectorId"] == 2, after=mark)
    assert [(p.payload["connectorId"], p.payload.get("transactionId")) for p in central.received[mark:]] == [
        (1, None),
        (2, 0),
    ]


async def test_a_message_known_but_not_offered_and_one_unknown(borne, central):
    for action, code in (("Authorize", "NotSupported"), ("FlyToTheMoon", "NotImplemented")):
        with pytest.raises(CallFailed) as failure:
            await central.call(action, {"idTag": "x"})
        assert failure.value.code == code


# --- of no standard ---


async def test_key_figures_are_sent_at_their_interval_and_not_unless_asked_for(borne, central):
    assert central.calls("DataTransfer") == []
    await central.call("ChangeConfiguration", {"key": "KpiInterval", "value": "1"})
    sent = (await central.wait_for("DataTransfer")).payload
    assert (sent["vendorId"], sent["messageId"]) == ("chargepoint", "KPIs")
    assert json.loads(sent["data"]) == {"figures": {"sessions_total": 3.0}, "days": {}}
    await central.call("ChangeConfiguration", {"key": "KpiInterval", "value": "0"})
    count = len(central.calls("DataTransfer"))
    await asyncio.sleep(1.2)
    assert len(central.calls("DataTransfer")) == count


async def test_what_happens_at_a_bay_is_told_where_asked_for_and_waits_for_the_link(borne, central):
    borne.backend.notify(BayChanged(1, True, None, NOW))
    await central.call("ChangeConfiguration", {"key": "SiteReports", "value": "true"})
    borne.backend.notify(BayChanged(2, True, 7, NOW))
    first = (await central.wait_for("DataTransfer")).payload
    assert (first["vendorId"], first["messageId"]) == ("chargepoint", "BayOccupancy")
    assert json.loads(first["data"]) == {
        "connectorId": 2,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "occupied": True,
        "reservationId": 7,
    }
    mark = central.mark()
    await borne.backend.disconnect()
    borne.backend.notify(ReservationContested(2, 7, "TAG1", NOW))
    borne.backend.notify(BayChanged(2, False, 7, NOW))
    borne.backend.connect()
    await central.wait_for("DataTransfer", lambda p: p["messageId"] == "BayOccupancy", after=mark)
    told = [r.payload for r in central.received[mark:] if r.action == "DataTransfer"]
    assert json.loads(told[0]["data"]) == {
        "connectorId": 2,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "reservationId": 7,
        "idTag": "TAG1",
    }
    assert [p["messageId"] for p in told] == ["ReservationContested", "BayOccupancy"]
