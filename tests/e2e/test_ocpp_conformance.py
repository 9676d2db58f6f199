"""OCPP 1.6 by its behaviours: the whole program against a scripted central system that checks every frame.

What needs no car is judged in tests/ocpp on the protocol room alone; here are the behaviours in which the
whole borne takes part. `docs/ocpp16.md` names the test of each.
"""

import asyncio
import random
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import KNOWN, OTHER, StartBorne
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from fuzz_ocpp import CALLS, Mutator

pytestmark = pytest.mark.asyncio


async def change(central: CentralSystem, key: str, value: str) -> None:
    assert await central.call("ChangeConfiguration", {"key": key, "value": value}) == {"status": "Accepted"}


async def charge(borne: Borne, evse: int = 1, uid: str = KNOWN, *, status: str = "Charging") -> None:
    await borne.sim("plug", evse=evse)
    await borne.until_status(evse, "Preparing", "Charging")
    await borne.sim("badge", uid=uid)
    await borne.until_status(evse, status, timeout_s=30)


async def registered(central: CentralSystem, start_borne: StartBorne, extra: str = "") -> Borne:
    """A borne that has been accepted and has told its statuses."""
    borne = await start_borne(extra)
    await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2, timeout_s=20)
    return borne


def story(central: CentralSystem, after: int, connector: int) -> list[str]:
    """Status names and transaction messages of a connector, in the order they arrived."""
    told = []
    for received in central.received[after:]:
        if received.action == "StatusNotification" and received.payload["connectorId"] == connector:
            told.append(received.payload["status"])
        elif received.action in ("StartTransaction", "StopTransaction"):
            told.append(received.action)
    return told


async def test_statuses_and_transaction_messages_come_in_the_order_of_the_specification(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    await change(central, "StopTxnSampledData", "Energy.Active.Import.Register,Voltage")
    mark = central.mark()
    await charge(borne)
    await central.wait_for("StatusNotification", lambda p: p["status"] == "Charging")
    await borne.sim("badge", uid=KNOWN)
    await central.wait_for("StatusNotification", lambda p: p["status"] == "Finishing")
    told = story(central, mark, 1)
    assert told[0] == "Preparing"
    assert told.index("StartTransaction") < told.index("Charging")
    assert told[-2:] == ["StopTransaction", "Finishing"]
    bill = central.transactions[0]
    contexts = [value["context"] for sample in bill.stop_data for value in sample["sampledValue"]]
    assert contexts[0] == "Transaction.Begin"
    assert contexts[-1] == "Transaction.End"
    measured = {value["measurand"] for sample in bill.stop_data for value in sample["sampledValue"]}
    assert measured == {"Energy.Active.Import.Register", "Voltage"}


async def test_a_token_refused_in_the_answer_to_the_start_ends_or_suspends_as_configured(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    central.answers["StartTransaction"] = {"transactionId": 0, "idTagInfo": {"status": "Invalid"}}
    await borne.sim("plug", evse=1)
    await borne.until_status(1, "Preparing")
    await borne.sim("badge", uid=KNOWN)
    stop = (await central.wait_for("StopTransaction")).payload
    assert (stop["transactionId"], stop["reason"]) == (0, "DeAuthorized")
    await change(central, "StopTransactionOnInvalidId", "false")
    central.answers["StartTransaction"] = {"transactionId": 7, "idTagInfo": {"status": "Blocked"}}
    mark = central.mark()
    await charge(borne, 2, OTHER, status="SuspendedEVSE")
    await borne.sim("wait", evse=2, contactor=False, timeout=10)
    assert "StopTransaction" not in [received.action for received in central.received[mark:]]


async def test_a_reservation_keeps_the_point_for_its_holder_and_is_named_in_the_start(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    reserve: dict[str, Any] = {"connectorId": 1, "idTag": OTHER, "reservationId": 3}
    reserve["expiryDate"] = "2100-01-01T00:00:00Z"
    assert await central.call("ReserveNow", reserve) == {"status": "Accepted"}
    await borne.until_status(1, "Reserved")
    start = {"idTag": KNOWN, "connectorId": 1}
    assert await central.call("RemoteStartTransaction", start) == {"status": "Rejected"}
    await borne.sim("plug", evse=1)
    await borne.sim("badge", uid=OTHER)
    await borne.until_status(1, "Charging", timeout_s=30)
    assert central.transactions[0].reservation == 3
    assert await central.call("CancelReservation", {"reservationId": 3}) == {"status": "Rejected"}


async def test_availability_is_scheduled_and_unlocking_ends_the_transaction(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    await charge(borne)
    request = {"connectorId": 1, "type": "Inoperative"}
    assert await central.call("ChangeAvailability", request) == {"status": "Scheduled"}
    assert await central.call("UnlockConnector", {"connectorId": 1}, timeout_s=20) == {"status": "Unlocked"}
    assert (await central.wait_for("StopTransaction")).payload["reason"] == "UnlockCommand"
    await borne.sim("unplug", evse=1)
    await borne.until_status(1, "Unavailable")
    start = {"idTag": KNOWN, "connectorId": 1}
    assert await central.call("RemoteStartTransaction", start) == {"status": "Rejected"}
    request["type"] = "Operative"
    assert await central.call("ChangeAvailability", request) == {"status": "Accepted"}
    await borne.until_status(1, "Available")


async def test_a_soft_reset_ends_the_transaction_and_the_borne_registers_anew(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    await charge(borne)
    mark = central.mark()
    assert await central.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
    assert (await central.wait_for("StopTransaction", after=mark)).payload["reason"] == "SoftReset"
    await central.wait_for("BootNotification", after=mark, timeout_s=30)
    await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2, after=mark, timeout_s=30)


async def test_a_listed_token_is_not_asked_for_and_aligned_values_are_on_the_clock(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    await change(central, "LocalPreAuthorize", "true")
    await change(central, "ClockAlignedDataInterval", "2")
    entry = {"idTag": KNOWN, "idTagInfo": {"status": "Accepted"}}
    request = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [entry]}
    assert await central.call("SendLocalList", request) == {"status": "Accepted"}
    outside = (await central.wait_for("MeterValues", lambda p: "transactionId" not in p)).payload
    at = datetime.fromisoformat(outside["meterValue"][0]["timestamp"])
    assert (at.second % 2, at.microsecond) == (0, 0)
    assert {v["context"] for v in outside["meterValue"][0]["sampledValue"]} == {"Sample.Clock"}
    await charge(borne)
    assert central.calls("Authorize") == []


async def test_a_remote_stop_is_obeyed_though_the_link_is_cut_after_its_answer(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne, "RetryBackOffWaitMinimum = 0\nRetryBackOffRandomRange = 0")
    await charge(borne)
    transaction = central.transactions[0].id
    assert await central.call("RemoteStopTransaction", {"transactionId": transaction + 1}) == {"status": "Rejected"}
    assert await central.call("RemoteStopTransaction", {"transactionId": transaction}) == {"status": "Accepted"}
    await central.drop()
    stop = (await central.wait_for("StopTransaction", timeout_s=30)).payload
    assert (stop["transactionId"], stop["reason"]) == (transaction, "Remote")
    assert len(central.calls("BootNotification")) == 1


async def test_broken_frames_are_survived_and_the_next_car_charges(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await registered(central, start_borne)
    mutator, choose = Mutator(3), random.Random(4)
    acting = ("Reset", "ChangeAvailability", "ReserveNow", "UnlockConnector", "RemoteStartTransaction")
    calls = [call for call in CALLS if call[0] not in acting]
    for number in range(300):
        action, payload = choose.choice(calls)
        await central.send_text(mutator.frame([2, f"fuzz-{number}", action, payload]))
        if number % 10 == 9:
            await asyncio.sleep(0.1)  # a flood would be answered in part only, and that on purpose
    await central.call("ClearChargingProfile", timeout_s=30)
    await charge(borne)
    central.violations[:] = [text for text in central.violations if "an answer to nothing" not in text]
