"""Configuration keys over a real WebSocket: what each takes and refuses, and what a change does while all goes on."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from chargepoint.journal import outbox, store, transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp.v16.configuration import AREA
from chargepoint.ocpp.v16.keys import ALL, MAX_KEYS, Access
from chargepoint.sim.central_system import SILENCE, CallFailed, CentralSystem, Fail
from chargepoint.station.api import BackendUnreachable, ConnectorStatus, StatusChanged

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

GOOD_BAD = {
    "AllowOfflineTxForUnknownId": ("true", "yes"),
    "AuthorizationCacheEnabled": ("false", "0"),
    "AuthorizationKeyIsText": ("true", "text"),
    "AuthorizeRemoteTxRequests": ("TRUE", ""),
    "BlinkRepeat": ("5", "-1"),
    "ClockAlignedDataInterval": ("900", "-900"),
    "ConnectionTimeOut": ("60", "0"),
    "ConnectorPhaseRotation": ("0.RST,1.RST,2.STR", "1.TSR"),
    "CpoName": ("Operator", "x" * 65),
    "FleetParentIdTag": ("FLEET", "x" * 21),
    "FleetUnattended": ("true", "yes"),
    "FreeVendConnectors": ("1, 2", "1,3"),
    "FreeVendIdTag": ("FREE", "x" * 21),
    "HeartbeatInterval": ("600", "0"),
    "LightIntensity": ("100", "80"),
    "LocalAuthListEnabled": ("false", "never"),
    "LocalAuthorizeOffline": ("false", "maybe"),
    "LocalPreAuthorize": ("true", "1"),
    "MaxEnergyOnInvalidId": ("2000", "2.5"),
    "MessageTimeout": ("20", "0"),
    "MeterValuesAlignedData": ("Energy.Active.Import.Register, Voltage", "Energy.Active.Import.Register,RPM"),
    "MeterValuesSampledData": ("Current.Import.L1,Voltage", "Nonsense"),
    "MeterValueSampleInterval": ("10", "ten"),
    "MinimumStatusDuration": ("0", "-3"),
    "ResetRetries": ("2", "x"),
    "KpiInterval": ("86400", "-1"),
    "SiteReports": ("true", "on"),
    "ResumeTransactionAfterPowerLoss": ("0", "-1"),
    "ResumeTransactionAfterRestart": ("false", "off"),
    "RetryBackOffRandomRange": ("0", "-1"),
    "RetryBackOffRepeatTimes": ("3", "99"),
    "RetryBackOffWaitMinimum": ("0", "1e3"),
    "StopTransactionOnEVSideDisconnect": ("false", "nope"),
    "StopTransactionOnInvalidId": ("false", "nope"),
    "StopTxnAlignedData": ("", "SoC"),
    "StopTxnSampledData": ("Energy.Active.Import.Register", "x" * 501),
    "TransactionMessageAttempts": ("5", "0"),
    "TransactionMessageRetryInterval": ("0", "-60"),
    "UnlockConnectorOnEVSideDisconnect": ("false", "2"),
    "UpdateFirmwareAllowed": ("false", "1"),
    "WebSocketPingInterval": ("30", "-1"),
    "WebSocketPongTimeout": ("5", "0"),
}


async def test_every_key_takes_good_values_refuses_bad_ones_and_keeps_the_old(borne, central):
    rows = {key.name: key for key in ALL}
    writable = {name for name, key in rows.items() if key.access is Access.READ_WRITE and not key.secret}
    assert writable == set(GOOD_BAD)
    for name, (good, bad) in GOOD_BAD.items():
        if len(bad) <= 500:
            assert (await central.call("ChangeConfiguration", {"key": name, "value": bad}))["status"] == "Rejected"
        before = await _value(central, name)
        answer = await central.call("ChangeConfiguration", {"key": name.upper(), "value": good})
        assert answer["status"] == "Accepted", name
        after = await _value(central, name)
        assert after.replace(" ", "").lower() == good.replace(" ", "").lower()
        assert before is not None


async def test_read_only_keys_refuse_and_unknown_keys_are_not_supported(borne, central):
    for key in ALL:
        if key.access is Access.READ:
            answer = await central.call("ChangeConfiguration", {"key": key.name, "value": "1"})
            assert answer["status"] == "Rejected", key.name
    answer = await central.call("ChangeConfiguration", {"key": "NoSuchKey", "value": "1"})
    assert answer["status"] == "NotSupported"


async def test_get_configuration_whole_and_in_part(borne, central):
    whole = (await central.call("GetConfiguration"))["configurationKey"]
    names = [row["key"] for row in whole]
    assert names == sorted(names)
    assert {"NumberOfConnectors", "SupportedFeatureProfiles"} <= set(names)
    part = await central.call("GetConfiguration", {"key": ["numberofconnectors", "Nothing"]})
    assert part == {
        "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}],
        "unknownKey": ["Nothing"],
    }


async def test_a_changed_key_takes_effect_is_told_to_the_core_and_survives_a_restart(start, central):
    borne = await start(central, configuration={"MeterValueSampleInterval": 20, "LocalPreAuthorize": True})
    await borne.accepted()
    assert borne.station.settings.sample_interval_s == 20
    assert borne.station.settings.local_pre_authorize
    await central.call("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "30"})
    assert borne.station.settings.sample_interval_s == 30
    assert ("setting_changed", "sample_interval_s") in borne.station.asked
    borne.task.cancel()
    await asyncio.gather(borne.task, return_exceptions=True)
    borne.journal.close()
    await central.wait_until(lambda: not central.connections)
    again = await start(central, configuration={"MeterValueSampleInterval": 20})
    await central.wait_connected()
    assert again.station.settings.sample_interval_s == 30


async def test_a_bad_initial_value_is_left_out_and_the_rest_applied(start, central):
    borne = await start(central, configuration={"ConnectionTimeOut": "soon", "BlinkRepeat": 7, "Nonsense": 1})
    await borne.accepted()
    assert borne.station.settings.connection_timeout_s == 120
    assert borne.station.settings.blink_repeat == 7


async def test_a_kept_value_above_its_bound_counts_as_the_bound(start, central):
    borne = await start(central)
    await borne.accepted()
    await change(central, "MessageTimeout", 120)
    refused = await central.call("ChangeConfiguration", {"key": "MessageTimeout", "value": "121"})
    assert refused == {"status": "Rejected"}
    await borne.journal.write(lambda db: store.put(db, AREA, "MessageTimeout", "600"))
    borne.task.cancel()
    await asyncio.gather(borne.task, return_exceptions=True)
    borne.journal.close()
    await central.wait_until(lambda: not central.connections)
    await start(central)
    await central.wait_connected()
    assert await _value(central, "MessageTimeout") == "120"


async def _value(central: CentralSystem, name: str) -> str:
    answer = await central.call("GetConfiguration", {"key": [name]})
    return str(answer["configurationKey"][0]["value"])


async def change(central, key, value):
    assert await central.call("ChangeConfiguration", {"key": key, "value": str(value)}) == {"status": "Accepted"}


async def test_more_keys_than_the_maximum_are_answered_as_far_as_it_goes_and_all_fit_in_a_frame(borne, central):
    many = [f"Unknown{number}" for number in range(MAX_KEYS + 20)]
    answer = await central.call("GetConfiguration", {"key": many})
    assert answer["unknownKey"] == many[:MAX_KEYS]
    whole = await central.call("GetConfiguration")
    assert len(whole["configurationKey"]) == sum(key.access is not Access.WRITE for key in ALL) <= MAX_KEYS
    assert len(central.frames[-1].text) < 64_000


async def test_a_value_longer_than_a_value_may_be_is_refused(borne, central):
    with pytest.raises(CallFailed) as failure:
        await central.call("ChangeConfiguration", {"key": "CpoName", "value": "x" * 501})
    assert failure.value.code == "PropertyConstraintViolation"
    assert await _value(central, "CpoName") == ""


# --- what a change does, at once --------------------------------------------------------------------------------------


async def test_heartbeat_interval(borne, central):
    mark = central.mark()
    await change(central, "HeartbeatInterval", 1)
    await central.wait_for("Heartbeat", after=mark, timeout_s=3)


async def test_message_timeout(borne, central):
    central.answers["Authorize"] = SILENCE
    await change(central, "MessageTimeout", 1)
    began = time.monotonic()
    with pytest.raises(BackendUnreachable):
        await borne.backend.authorize("TAG1")
    assert 0.9 < time.monotonic() - began < 3


async def test_minimum_status_duration_holds_back_short_states_and_no_fault(borne, central):
    def now(status, error=None):
        borne.backend.notify(StatusChanged(1, status, error, "", NOW))

    await change(central, "MinimumStatusDuration", 1)
    mark = central.mark()
    now(ConnectorStatus.PREPARING)
    now(ConnectorStatus.AVAILABLE)  # a plug that was in for a moment
    now(ConnectorStatus.FAULTED, "over-current")
    first = await central.wait_for("StatusNotification", after=mark, timeout_s=0.5)
    assert first.payload["status"] == "Faulted"
    now(ConnectorStatus.PREPARING)
    began = time.monotonic()
    await central.wait_for("StatusNotification", lambda p: p["status"] == "Preparing", after=mark)
    assert 0.5 < time.monotonic() - began < 3
    assert [r.payload["status"] for r in central.received[mark:]] == ["Faulted", "Preparing"]
    assert central.received[-1].payload["timestamp"] == "2026-03-01T12:00:00.000Z"  # of the transition
    await change(central, "MinimumStatusDuration", 0)
    now(ConnectorStatus.CHARGING)
    await central.wait_for("StatusNotification", lambda p: p["status"] == "Charging", after=mark, timeout_s=0.5)


async def test_websocket_ping_interval_and_pong_timeout(borne, central):
    pings = []
    connection = borne.backend._link._connection
    usual = connection.ping

    async def ping():
        pings.append(time.monotonic())
        return await usual() if len(pings) < 2 else asyncio.get_running_loop().create_future()  # no pong any more

    connection.ping = ping
    await change(central, "WebSocketPongTimeout", 1)
    await change(central, "WebSocketPingInterval", 1)
    await central.wait_until(lambda: len(pings) == 2)
    assert len(central.handshakes) == 1
    await central.wait_until(lambda: len(central.handshakes) == 2)
    assert 0.9 < time.monotonic() - pings[-1] < 3
    assert len(central.calls("BootNotification")) == 1


async def test_back_off(borne, central):
    """Names as in 2.0.1; the link reads them when it waits."""
    backoff = borne.backend._link._backoff
    await change(central, "RetryBackOffWaitMinimum", 4)
    await change(central, "RetryBackOffRandomRange", 0)
    await change(central, "RetryBackOffRepeatTimes", 2)
    backoff.reset()
    assert [backoff.next() for _ in range(5)] == [4, 8, 16, 16, 16]
    await change(central, "RetryBackOffRandomRange", 10)
    backoff.reset()
    assert all(4 <= backoff.next() <= 26 for _ in range(3))


async def begin(borne, mono=1.0):
    stamp = Stamp(borne.journal.boot, mono, NOW.timestamp())
    tx = await borne.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    borne.backend.outbox_changed()
    return tx


async def test_transaction_message_attempts_and_retry_interval(borne, central):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    borne.backend._sender._sleep = sleep
    await change(central, "TransactionMessageAttempts", 4)
    await change(central, "TransactionMessageRetryInterval", 7)
    central.answers["StartTransaction"] = Fail("InternalError")
    await begin(borne)
    await borne.backend._sender.drained(5)
    assert waits == [7, 14, 21]
    assert len(central.calls("StartTransaction")) == 4
    assert await borne.journal.read(outbox.count) == 0


async def test_a_start_whose_answer_was_lost_is_sent_again_as_it_was_and_the_last_answer_counts(borne, central):
    """Behaviours 4, 5 and 10: a new message id, the same payload, and a late answer to the first is nobody's."""
    await change(central, "MessageTimeout", 1)
    await change(central, "TransactionMessageRetryInterval", 0)
    central.answers["StartTransaction"] = SILENCE
    tx = await begin(borne)
    await central.wait_for("StartTransaction")
    first = central.frames[-1] if central.frames[-1].direction == "in" else central.frames[-2]
    message_id = first.text.split(",")[1].strip('" ')
    central.answers["StartTransaction"] = {"transactionId": 6, "idTagInfo": {"status": "Accepted"}}
    await central.wait_until(lambda: len(central.calls("StartTransaction")) == 2)
    late = f'[3,"{message_id}",{{"transactionId":5,"idTagInfo":{{"status":"Accepted"}}}}]'
    await central.send_text(late)
    stamp = Stamp(borne.journal.boot, 3.0, NOW.timestamp() + 2)
    await borne.journal.write(lambda db: transactions.end(db, tx, stamp, 15, "Local", None))
    borne.backend.outbox_changed()
    stop = await central.wait_for("StopTransaction")
    assert stop.payload["transactionId"] == 6
    once, again = central.calls("StartTransaction")
    assert once == again
