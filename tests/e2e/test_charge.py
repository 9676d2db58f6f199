"""A borne charges cars: the whole program, driven only through sim.sock and a WebSocket server."""

import asyncio
import time

import pytest
from conftest import BLOCKED, KNOWN, OTHER, StartBorne
from harness import Borne, RpcError

from chargepoint.sim.central_system import CentralSystem

pytestmark = pytest.mark.asyncio


async def charging(borne: Borne, evse: int, uid: str) -> None:
    await borne.sim("plug", evse=evse)
    await borne.until_status(evse, "Preparing")
    await borne.sim("badge", uid=uid)
    await borne.until_status(evse, "Charging", timeout_s=30)


async def leave(borne: Borne, evse: int) -> None:
    """Take the cable out, as soon as the lock lets go of it."""

    async def released() -> bool:
        return not (await borne.wires(evse))["locked"]

    await borne.until(released, 10, f"the lock of point {evse} to open")
    await borne.sim("unplug", evse=evse)


async def test_a_session_by_badge_is_billed_to_the_watt_hour(central: CentralSystem, start_borne: StartBorne) -> None:
    borne = await start_borne()
    before = (await borne.wires(1))["energy"]
    await borne.sim("speed", factor=60)
    await charging(borne, 1, KNOWN)
    assert (await borne.wires(1))["locked"]
    assert (await borne.wires(1))["contactor"] == {"commanded": True, "real": True}
    await central.wait_for("MeterValues", lambda p: p["connectorId"] == 1, timeout_s=10)
    await borne.sim("badge", uid=KNOWN)
    await borne.until_status(1, "Finishing")
    await leave(borne, 1)
    await borne.until_status(1, "Available")
    await central.wait_for("StopTransaction")
    bill = central.transactions[0]
    register = (await borne.wires(1))["energy"]
    assert bill.reason in (None, "Local")
    assert bill.energy_wh == int(register) - int(before) > 0


async def test_a_remote_start_and_stop_charge_a_car_without_a_badge(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await borne.sim("plug", evse=2)
    await borne.until_status(2, "Preparing")
    answer = await central.call("RemoteStartTransaction", {"idTag": KNOWN, "connectorId": 2})
    assert answer["status"] == "Accepted"
    await borne.until_status(2, "Charging", timeout_s=30)
    transaction = central.transactions[0]
    assert (transaction.connector, transaction.id_tag) == (2, KNOWN)
    answer = await central.call("RemoteStopTransaction", {"transactionId": transaction.id})
    assert answer["status"] == "Accepted"
    stopped = await central.wait_for("StopTransaction")
    assert stopped.payload["reason"] == "Remote"
    await borne.sim("wait", evse=2, contactor=False, timeout=10)


async def test_badge_then_plug_charges_the_car_that_is_plugged_in_next(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await borne.sim("badge", uid=KNOWN)
    await central.wait_for("Authorize")
    await borne.sim("plug", evse=2)
    await borne.until_status(2, "Charging", timeout_s=30)
    assert central.transactions[0].connector == 2
    await borne.sim("unplug", evse=2, side="car")
    stopped = await central.wait_for("StopTransaction")
    assert stopped.payload["reason"] == "EVDisconnected"


async def test_a_blocked_badge_is_refused_and_no_contactor_closes(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await borne.sim("plug", evse=1)
    await borne.until_status(1, "Preparing")
    await borne.sim("badge", uid=BLOCKED)
    await central.wait_for("Authorize")
    await asyncio.sleep(1.5)
    assert (await borne.evse(1))["status"] == "Preparing"
    assert not (await borne.wires(1))["contactor"]["commanded"]
    assert central.transactions == []


async def test_the_second_car_lowers_the_first_and_the_supply_is_never_exceeded(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)

    async def offered(evse: int, low: float, high: float) -> bool:
        return bool(low <= (await borne.evse(evse))["offered"] <= high)

    await borne.until(lambda: offered(1, 31.9, 32.0), 20, "point 1 alone to be offered 32 A")
    await charging(borne, 2, OTHER)
    worst = 0.0
    end = time.monotonic() + 25
    while time.monotonic() < end:
        evses = (await borne.sim("show"))["evses"]
        phases = [sum(evse["current"][phase] for evse in evses) for phase in range(3)]
        worst = max(worst, *phases)
        if await offered(1, 25, 26.05) and await offered(2, 25, 26.05):
            break
        await asyncio.sleep(0.1)
    assert await offered(1, 25, 26.05)
    assert await offered(2, 25, 26.05)
    assert worst <= 52.0


async def test_sessions_made_offline_are_replayed_in_order_with_the_right_transaction(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await borne.sim("badge", uid=KNOWN)  # waits for the plug, and is in the authorisation cache now
    await central.wait_for("Authorize")
    await borne.station("disconnect")
    mark = central.mark()
    await borne.sim("speed", factor=60)
    await borne.sim("plug", evse=1)
    await borne.until_status(1, "Charging", timeout_s=30)
    begun = (await borne.status())["ocpp"]["queue"]  # the start is among them, and a security event may join

    async def values() -> bool:
        return (await borne.status())["ocpp"]["queue"] >= begun + 3

    await borne.until(values, 30, "sets of values to wait in the queue")
    await borne.sim("badge", uid=KNOWN)
    await borne.until_status(1, "Finishing")
    await leave(borne, 1)
    await borne.until_status(1, "Available")
    assert central.transactions == []
    await borne.station("connect")
    await central.wait_for("StopTransaction", timeout_s=20)
    actions = [
        received.action
        for received in central.received[mark:]
        if received.action in ("StartTransaction", "MeterValues", "StopTransaction")
    ]
    assert actions[0] == "StartTransaction"
    assert actions[-1] == "StopTransaction"
    assert "MeterValues" in actions[1:-1]
    transaction = central.transactions[0]
    assert all(values["transactionId"] == transaction.id for values in central.calls("MeterValues"))
    assert transaction.energy_wh is not None
    assert transaction.energy_wh > 0


async def test_a_station_killed_in_mid_session_resumes_and_closes_the_transaction_once(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    killed = await borne.kill_child("station")

    async def again() -> bool:
        try:
            return borne.child("station") != killed
        except KeyError:
            return False

    await borne.until(again, 10, "the station to be started again")
    await borne.ready()
    await borne.until_status(1, "Charging", timeout_s=30)
    await borne.sim("badge", uid=KNOWN)
    await central.wait_for("StopTransaction", timeout_s=20)
    await asyncio.sleep(1)
    assert len(central.calls("StartTransaction")) == 1
    assert len(central.calls("StopTransaction")) == 1
    register = int((await borne.wires(1))["energy"])
    assert central.transactions[0].meter_stop == register


async def test_a_session_whose_car_left_while_the_station_was_dead_is_closed_with_power_loss(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    await borne.kill_child("station")
    await borne.sim("unplug", evse=1, side="car")
    await central.wait_for("StopTransaction", timeout_s=30)
    assert len(central.calls("StopTransaction")) == 1
    assert central.calls("StopTransaction")[0]["transactionId"] == central.transactions[0].id


async def test_a_killed_safety_process_drops_the_contactor_within_half_a_second(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    wires = borne.rpc("sim")
    await wires.call("show")
    await borne.kill_child("evse")
    start = time.monotonic()
    opened = None
    while time.monotonic() < start + 2:
        evse = (await wires.call("show"))["evses"][0]
        if not evse["contactor"]["real"]:
            opened = time.monotonic() - start
            break
        await asyncio.sleep(0.005)
    assert opened is not None
    assert opened <= 0.5
    await borne.until_status(1, "Charging", timeout_s=60)
    await borne.sim("badge", uid=KNOWN)
    await central.wait_for("StopTransaction", timeout_s=20)
    assert len(central.transactions) == 1


async def test_a_plug_is_held_while_its_session_lasts(central: CentralSystem, start_borne: StartBorne) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    with pytest.raises(RpcError):
        await borne.sim("unplug", evse=1)


async def test_a_second_instance_on_the_same_state_is_refused_with_a_sentence(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    mark = len(borne.log.read_bytes())
    second = await borne.spawn("station")
    async with asyncio.timeout(10):
        assert await second.wait() == 1
    said = borne.log.read_bytes()[mark:].decode()
    assert str(borne.root) in said
    assert "Traceback" not in said


async def test_noise_on_the_wires_is_survived_and_the_next_car_charges(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    for name in ("meter-noise",):
        await borne.sim("fault", name=name, evse=1)
    await borne.sim("fault", name="reader-noise")
    await asyncio.sleep(3)
    await borne.sim("fault", name="reader-noise", on=False)
    await borne.sim("fault", name="meter-noise", evse=1, on=False)
    await charging(borne, 1, KNOWN)


async def test_a_stop_signal_opens_the_contactors_and_ends_every_process(
    central: CentralSystem, start_borne: StartBorne
) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    assert await borne.stop() == 0
