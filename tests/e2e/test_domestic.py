"""The domestic socket, end to end: sim.sock on one side, a WebSocket server on the other, the whole program between."""

import asyncio
from typing import Any

import pytest
from conftest import KNOWN, OTHER, StartBorne
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

pytestmark = pytest.mark.asyncio

DOMESTIC = 3
"""connectorId: two Type 2 sockets, then the domestic one of point 1, on L2."""


def with_socket(text: str) -> str:
    return text.replace("\n[[evse]]\nid = 2", "\n[evse.domestic]\nmax_current = 10\nphase = 'S'\n\n[[evse]]\nid = 2")


async def shown(borne: Borne, connector: int) -> Any:
    return (await borne.evse(1))["connectors"][connector - 1]


async def until_connector(borne: Borne, connector: int, *wanted: str, timeout_s: float = 20) -> None:
    async def there() -> bool:
        return (await shown(borne, connector))["status"] in wanted

    await borne.until(there, timeout_s, f"connector {connector} of point 1 to be {' or '.join(wanted)}")


async def charging(borne: Borne, uid: str = KNOWN, load: float = 9) -> None:
    await borne.sim("plug", evse=1, connector=2, load=load)
    await until_connector(borne, 2, "Preparing")
    await borne.sim("badge", uid=uid)
    await until_connector(borne, 2, "Charging", timeout_s=30)


async def test_a_session_in_the_domestic_socket_is_billed_to_the_watt_hour(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(edit=with_socket)
    before = (await borne.wires(1))["energy"]
    await borne.sim("speed", factor=60)
    await charging(borne)
    wires = await borne.wires(1)
    assert wires["domestic"]["contactor"] == {"commanded": True, "real": True} and wires["current"] == [0, 9, 0]
    assert not wires["contactor"]["commanded"] and not wires["locked"]
    values = (await central.wait_for("MeterValues", lambda p: p["connectorId"] == DOMESTIC, timeout_s=10)).payload
    assert values["transactionId"] == central.transactions[0].id
    await borne.sim("badge", uid=KNOWN)
    await until_connector(borne, 2, "Finishing")
    await borne.sim("unplug", evse=1, connector=2)
    await until_connector(borne, 2, "Available")
    await central.wait_for("StopTransaction")
    bill = central.transactions[0]
    assert bill.connector == DOMESTIC and len(central.transactions) == 1
    assert bill.energy_wh == int((await borne.wires(1))["energy"]) - int(before) > 0
    told = [p["status"] for p in central.calls("StatusNotification") if p["connectorId"] == DOMESTIC]
    assert [s for s in told if s != "Available"] == ["Preparing", "Charging", "Finishing"]


async def test_a_car_in_the_type_2_socket_refuses_the_domestic_one_and_the_borne_says_why(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(edit=with_socket)
    await borne.sim("plug", evse=1)
    await borne.until_status(1, "Preparing")
    await borne.sim("badge", uid=KNOWN)
    await until_connector(borne, 1, "Charging", timeout_s=30)
    await borne.sim("plug", evse=1, connector=2)
    told = await central.wait_for(
        "StatusNotification", lambda p: p["connectorId"] == DOMESTIC and p["status"] == "Unavailable"
    )
    assert told.payload["info"] == "the Type 2 socket of this point is in use"
    answer = await central.call("RemoteStartTransaction", {"idTag": OTHER, "connectorId": DOMESTIC})
    assert answer["status"] == "Rejected"

    async def said() -> bool:
        return "domestic socket waits" in await borne.station("why", evse=1, lang="en")

    await borne.until(said, 5, "the borne to say that the second plug waits")
    assert "prise domestique est inutilisable" in await borne.station("why", evse=1, lang="fr", connector=2)
    wires = await borne.wires(1)
    assert wires["contactor"]["real"] and not wires["domestic"]["contactor"]["commanded"]
    await borne.sim("badge", uid=KNOWN)
    await until_connector(borne, 1, "Finishing")
    await borne.until(lambda: unlocked(borne), 10, "the lock to open")
    await borne.sim("unplug", evse=1)
    await until_connector(borne, 1, "Available")
    await until_connector(borne, 2, "Preparing")
    await borne.sim("badge", uid=OTHER)
    await borne.sim("wait", evse=1, connector=2, contactor=True, timeout=20)
    assert not (await borne.wires(1))["contactor"]["real"]


async def unlocked(borne: Borne) -> bool:
    return not (await borne.wires(1))["locked"]


async def drawn(borne: Borne) -> list[float]:
    """On the phases of the supply, A."""
    evses = (await borne.sim("show"))["evses"]
    return [sum(evse["current"][phase] for evse in evses) for phase in range(3)]


async def full(borne: Borne) -> bool:
    return max(await drawn(borne)) > 31.5


async def test_the_central_system_reaches_the_domestic_connector_with_every_message(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(edit=lambda text: with_socket(text).replace("max_current = 52", "max_current = 32"))
    await borne.sim("plug", evse=2)
    await borne.sim("badge", uid=OTHER)
    keys = await central.call("GetConfiguration", {"key": ["NumberOfConnectors", "ConnectorPhaseRotation"]})
    assert {k["key"]: k["value"] for k in keys["configurationKey"]} == {
        "NumberOfConnectors": "3",
        "ConnectorPhaseRotation": "0.RST,1.RST,2.STR,3.S",
    }
    answer = await central.call("RemoteStartTransaction", {"idTag": KNOWN, "connectorId": DOMESTIC})
    assert answer["status"] == "Accepted"
    await central.wait_for("StatusNotification", lambda p: p["connectorId"] == DOMESTIC and p["status"] == "Preparing")
    await borne.until(lambda: full(borne), 20, "the car at point 2 to draw all there is")
    await borne.sim("plug", evse=1, connector=2, load=10)
    worst = 0.0
    while (await shown(borne, 2))["status"] != "Charging":  # not before the car has made room
        worst = max(worst, *await drawn(borne))
    assert worst <= 32.05
    transaction = next(t for t in central.transactions if t.connector == DOMESTIC)
    assert (await central.call("UnlockConnector", {"connectorId": DOMESTIC}))["status"] == "NotSupported"
    mark = central.mark()
    for message in ("StatusNotification", "MeterValues"):
        asked = {"requestedMessage": message, "connectorId": DOMESTIC}
        assert (await central.call("TriggerMessage", asked))["status"] == "Accepted"
        await central.wait_for(message, lambda p: p["connectorId"] == DOMESTIC, after=mark)
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9}]}
    profile = {
        "chargingProfileId": 1,
        "transactionId": transaction.id,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    set_profile = {"connectorId": DOMESTIC, "csChargingProfiles": profile}
    assert (await central.call("SetChargingProfile", {**set_profile, "connectorId": 1}))["status"] == "Rejected"
    assert (await central.call("SetChargingProfile", set_profile))["status"] == "Accepted"
    await borne.sim("wait", evse=1, connector=2, contactor=False, timeout=10)
    await until_connector(borne, 2, "SuspendedEVSE")
    asked = {"connectorId": DOMESTIC, "duration": 60, "chargingRateUnit": "A"}
    composite = await central.call("GetCompositeSchedule", asked)
    assert composite["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 9
    assert (await central.call("ClearChargingProfile", {"connectorId": DOMESTIC}))["status"] == "Accepted"
    await until_connector(borne, 2, "Charging")
    out = {"connectorId": DOMESTIC, "type": "Inoperative"}
    assert (await central.call("ChangeAvailability", out))["status"] == "Scheduled"
    assert (await central.call("RemoteStopTransaction", {"transactionId": transaction.id}))["status"] == "Accepted"
    await until_connector(borne, 2, "Unavailable")
    assert (await central.call("ChangeAvailability", {**out, "type": "Operative"}))["status"] == "Accepted"
    await borne.sim("unplug", evse=1, connector=2)
    await until_connector(borne, 2, "Available")
    kept = {"connectorId": DOMESTIC, "expiryDate": "2099-01-01T00:00:00Z", "idTag": KNOWN, "reservationId": 7}
    assert (await central.call("ReserveNow", kept))["status"] == "Accepted"
    await until_connector(borne, 2, "Reserved")
    assert (await shown(borne, 1))["status"] == "Unavailable"
    assert (await central.call("ReserveNow", {**kept, "connectorId": 4, "reservationId": 8}))["status"] == "Rejected"


async def test_a_killed_station_goes_on_without_opening_the_contactor_or_ends_what_has_left(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(edit=with_socket)
    await charging(borne)
    killed = await borne.kill_child("station")
    opened = False
    async with asyncio.timeout(30):
        while not opened:
            opened = not (await borne.wires(1))["domestic"]["contactor"]["real"]
            if await restarted(borne, killed) and await borne.answers():
                break
            await asyncio.sleep(0.05)
    await until_connector(borne, 2, "Charging", timeout_s=30)
    assert not opened
    await borne.kill_child("station")
    await borne.sim("unplug", evse=1, connector=2)
    await borne.sim("wait", evse=1, connector=2, contactor=False, timeout=1)
    stopped = await central.wait_for("StopTransaction", timeout_s=30)
    # A station that is back before the plug's switch has been open for half a second sees it leave.
    assert stopped.payload["reason"] in ("PowerLoss", "EVDisconnected")
    await until_connector(borne, 2, "Available")
    assert len(central.calls("StartTransaction")) == len(central.calls("StopTransaction")) == 1
    assert central.transactions[0].meter_stop == int((await borne.wires(1))["energy"])


async def restarted(borne: Borne, killed: int) -> bool:
    try:
        return borne.child("station") != killed
    except KeyError:
        return False


async def test_residual_current_and_a_weld_end_the_session_and_latch(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne(edit=with_socket)
    await charging(borne)
    await borne.sim("fault", name="residual-current", evse=1)
    await borne.sim("fault", name="domestic-welded", evse=1)
    told = await central.wait_for(
        "StatusNotification", lambda p: p["connectorId"] == DOMESTIC and p["status"] == "Faulted"
    )
    assert told.payload["errorCode"] == "GroundFailure"

    async def both() -> bool:
        faults = {fault["name"] for fault in (await borne.evse(1))["faults"]}
        return faults >= {"residual-current", "domestic-contactor"}

    await borne.until(both, 5, "both faults to be told")
    for name in ("residual-current", "domestic-welded"):
        await borne.sim("fault", name=name, evse=1, on=False)
    stopped = await central.wait_for("StopTransaction", timeout_s=20)
    assert stopped.payload["reason"] == "Other"
    await borne.sim("unplug", evse=1, connector=2)
    assert not (await borne.wires(1))["domestic"]["contactor"]["commanded"]
    await borne.sim("plug", evse=1)
    await borne.sim("badge", uid=OTHER)
    await asyncio.sleep(1.5)
    assert await both() and not (await borne.wires(1))["contactor"]["commanded"]
    assert (await shown(borne, 1))["status"] == (await shown(borne, 2))["status"] == "Faulted"
