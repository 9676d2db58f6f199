"""A shared connection, through the whole program: the Linky's frames, the sharing, the pilots."""

import time

import pytest
from conftest import KNOWN, OTHER, StartBorne
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

pytestmark = pytest.mark.asyncio

TIC = """
[tic]
[sharing]
safe_current = 32
"""


async def charging(borne: Borne, evse: int, uid: str) -> None:
    await borne.sim("plug", evse=evse)
    await borne.until_status(evse, "Preparing")
    await borne.sim("badge", uid=uid)
    await borne.until_status(evse, "Charging", timeout_s=30)


async def offers(borne: Borne) -> list[float]:
    return [evse["offered"] for evse in (await borne.status())["evses"]]


async def limits(borne: Borne, evse: int = 1) -> dict[str, float]:
    return {limit["name"]: limit["amps"] for limit in (await borne.evse(evse))["limits"]}


async def test_two_cars_follow_what_the_linky_leaves(central: CentralSystem, start_borne: StartBorne) -> None:
    borne = await start_borne(TIC)
    await borne.sim("building", current=[10, 10, 10], subscribed_kva=36)
    await charging(borne, 1, KNOWN)

    await charging(borne, 2, OTHER)

    async def shared() -> bool:
        first, second = await offers(borne)
        return "tic" in await limits(borne) and first == second and 19 <= first <= 21.5

    await borne.until(shared, 30, "both to have the same share of 41 A")
    assert "Linky" in await borne.station("why", evse=1, lang="en")
    assert "partagée" in await borne.station("why", evse=2, lang="fr")

    began = time.monotonic()
    await borne.sim("building", current=[45, 10, 10])

    async def lowered() -> bool:
        duties = [(await borne.wires(evse))["duty"] for evse in (1, 2)]
        return all(duty <= 11 or duty == 100 for duty in duties)

    await borne.until(lowered, 8, "both pilots to be lowered")
    taken = time.monotonic() - began
    # A frame of the standard mode takes about 1.5 s on the wire and the next one may just have begun.
    assert taken < 5, taken


async def test_profiles_of_the_central_system_reach_the_pilot(central: CentralSystem, start_borne: StartBorne) -> None:
    borne = await start_borne()
    await charging(borne, 1, KNOWN)
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]},
    }
    began = time.monotonic()
    answer = await central.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})
    assert answer["status"] == "Accepted"

    async def limited() -> bool:
        return abs((await borne.wires(1))["duty"] - 10 / 0.6) < 0.5

    await borne.until(limited, 10, "10 A on the pilot")
    assert time.monotonic() - began < 10
    assert "default profile allows 10 A" in await borne.station("why", evse=1, lang="en")
    schedule = await central.call("GetCompositeSchedule", {"connectorId": 1, "duration": 600})
    assert schedule["status"] == "Accepted"
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 10
    profile["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] = 0  # type: ignore[index]
    await central.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})
    await borne.until_status(1, "SuspendedEVSE")
    assert central.transactions[0].stopped is None
