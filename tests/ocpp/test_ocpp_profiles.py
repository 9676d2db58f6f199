"""LocalAuthListManagement, Reservation and SmartCharging over a real WebSocket."""

from datetime import UTC, datetime

import pytest

from chargepoint.energy.profiles import Kind, Period, Profile, Purpose, Recurrency
from chargepoint.journal import tokens, transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp.v16 import local_list
from chargepoint.sim.central_system import CallFailed
from chargepoint.station.api import Outcome, Reservation

pytestmark = pytest.mark.asyncio


# --- local list -------------------------------------------------------------------------------------------------------


def row(tag, status="Accepted", **info):
    return {"idTag": tag, "idTagInfo": {"status": status, **info}}


async def send(central, version, kind, *rows):
    payload = {"listVersion": version, "updateType": kind}
    if rows:
        payload["localAuthorizationList"] = list(rows)
    return (await central.call("SendLocalList", payload))["status"]


async def version(central):
    return (await central.call("GetLocalListVersion"))["listVersion"]


async def looked_up(borne, tag):
    return (await borne.journal.read(lambda db: tokens.lookup(db, tag)))[0]


async def test_a_full_list_replaces_and_a_differential_one_changes(borne, central):
    assert await version(central) == 0
    assert await send(central, 3, "Full", row("A"), row("B", "Blocked", parentIdTag="P")) == "Accepted"
    assert await version(central) == 3
    expiring = row("c", expiryDate="2030-01-01T00:00:00Z")
    assert await send(central, 4, "Differential", {"idTag": "a"}, expiring) == "Accepted"
    assert await looked_up(borne, "A") is None
    assert (await looked_up(borne, "b")).group == "P"
    assert (await looked_up(borne, "C")).expiry == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert await send(central, 2, "Full", row("D")) == "Accepted"
    assert await looked_up(borne, "B") is None
    assert await version(central) == 2


@pytest.mark.parametrize("wrong", [1, 3])
async def test_a_differential_list_of_an_old_version_is_a_mismatch_and_changes_nothing(borne, central, wrong):
    await send(central, 3, "Full", row("A"))
    assert await send(central, wrong, "Differential", row("B")) == "VersionMismatch"
    assert await looked_up(borne, "B") is None


@pytest.mark.parametrize("wrong", [0, -1])
async def test_zero_and_minus_one_are_no_versions(borne, central, wrong):
    assert await send(central, wrong, "Full", row("A")) == "Failed"


async def test_a_list_too_long_fails_and_the_old_one_stays(borne, central, monkeypatch):
    monkeypatch.setattr(local_list, "LOCAL_LIST_MAX", 2)
    monkeypatch.setattr(local_list, "SEND_LOCAL_LIST_MAX", 3)
    await send(central, 1, "Full", row("A"), row("B"))
    assert await send(central, 2, "Differential", row("C")) == "Failed"
    assert await send(central, 2, "Full", row("C"), row("D"), row("E")) == "Failed"
    assert await send(central, 2, "Full", *(row(str(n)) for n in range(4))) == "Failed"
    assert await looked_up(borne, "A") is not None
    assert await looked_up(borne, "C") is None
    assert await version(central) == 1


async def test_a_full_list_needs_information_on_every_tag(borne, central):
    assert await send(central, 1, "Full", {"idTag": "A"}) == "Failed"


async def test_an_emptied_list_has_version_zero(borne, central):
    await send(central, 1, "Full", row("A"))
    assert await send(central, 7, "Full") == "Accepted"
    assert await version(central) == 0


async def test_a_list_that_is_off_is_not_supported(borne, central):
    await central.call("ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "false"})
    assert await send(central, 1, "Full", row("A")) == "NotSupported"


async def test_an_answer_that_contradicts_the_list_is_told_as_a_conflict(borne, central):
    await send(central, 1, "Full", row("TAG1", "Blocked"))
    stamp = Stamp(borne.journal.boot, 1.0, 1_772_000_000.0)
    await borne.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    borne.backend.outbox_changed()
    conflict = await central.wait_for("StatusNotification", lambda p: p["errorCode"] == "LocalListConflict")
    assert conflict.payload["connectorId"] == 0


# --- reservation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.ACCEPTED, "Accepted"),
        (Outcome.OCCUPIED, "Occupied"),
        (Outcome.FAULTED, "Faulted"),
        (Outcome.UNAVAILABLE, "Unavailable"),
        (Outcome.REJECTED, "Rejected"),
    ],
)
async def test_reserve_now(borne, central, outcome, status):
    borne.station.outcome = outcome
    payload = {
        "connectorId": 0,
        "idTag": "TAG1",
        "parentIdTag": "P",
        "reservationId": 7,
        "expiryDate": "2100-01-01T02:00:00+02:00",
    }
    assert (await central.call("ReserveNow", payload))["status"] == status
    assert borne.station.asked == [
        ("reserve", Reservation(7, 0, "TAG1", datetime(2100, 1, 1, tzinfo=UTC), "P")),
    ]


@pytest.mark.parametrize(("connector", "expiry"), [(3, "2100-01-01T00:00:00Z"), (1, "2020-01-01T00:00:00Z")])
async def test_a_reservation_that_cannot_be_is_rejected(borne, central, connector, expiry):
    payload = {"connectorId": connector, "idTag": "TAG1", "reservationId": 7, "expiryDate": expiry}
    assert (await central.call("ReserveNow", payload))["status"] == "Rejected"
    assert borne.station.asked == []


@pytest.mark.parametrize(("outcome", "status"), [(Outcome.ACCEPTED, "Accepted"), (Outcome.UNKNOWN, "Rejected")])
async def test_cancel_reservation(borne, central, outcome, status):
    borne.station.outcome = outcome
    assert (await central.call("CancelReservation", {"reservationId": 0}))["status"] == status
    assert borne.station.asked == [("cancel_reservation", 0)]


# --- smart charging ---------------------------------------------------------------------------------------------------


def charging_profile(**fields):
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 16.0},
            {"startPeriod": 60, "limit": 6.1, "numberPhases": 1},
        ],
        **fields.pop("schedule", {}),
    }
    return {
        "chargingProfileId": 5,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **fields,
    }


async def set_profile(central, connector, profile):
    return (await central.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": profile}))[
        "status"
    ]


async def test_a_profile_is_translated_whole(borne, central):
    profile = charging_profile(
        chargingProfileKind="Recurring",
        recurrencyKind="Daily",
        validFrom="2026-01-01T00:00:00Z",
        validTo="2026-02-01T00:00:00.9Z",
        schedule={"startSchedule": "2026-01-01T06:00:00+01:00", "duration": 3600, "minChargingRate": 6.0},
    )
    assert await set_profile(central, 2, profile) == "Accepted"
    (_, told) = borne.station.asked[0]
    assert told == Profile(
        id=5,
        purpose=Purpose.TX_DEFAULT,
        stack=2,
        kind=Kind.RECURRING,
        unit="A",
        periods=(Period(0, 16.0), Period(60, 6.1, 1)),
        evse=2,
        recurrency=Recurrency.DAILY,
        valid_from=1767225600,
        valid_to=1769904000,
        start=1767243600,
        duration=3600,
        min_rate=6.0,
        installed=told.installed,
    )


async def test_a_profile_names_the_transaction_by_the_central_systems_id(borne, central):
    central.first_transaction_id = 0
    stamp = Stamp(borne.journal.boot, 1.0, 1_772_000_000.0)
    tx = await borne.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    borne.backend.outbox_changed()
    await central.wait_for("StartTransaction")
    await borne.backend._sender.drained(2)
    for transaction_id in (0, 99):
        await set_profile(
            central, 1, charging_profile(chargingProfilePurpose="TxProfile", transactionId=transaction_id)
        )
    told = [what[1].transaction for what in borne.station.asked if what[0] == "set_profile"]
    assert told == [str(tx), "-1"]


@pytest.mark.parametrize(
    ("connector", "profile"),
    [
        (3, charging_profile()),
        (1, charging_profile(chargingProfilePurpose="ChargePointMaxProfile")),
        (1, charging_profile(schedule={"chargingRateUnit": "kW"})),
        (1, charging_profile(chargingProfileKind="Sometimes")),
    ],
)
async def test_a_wrong_connector_or_enumeration_is_a_property_constraint_violation(borne, central, connector, profile):
    with pytest.raises(CallFailed) as failure:
        await set_profile(central, connector, profile)
    assert failure.value.code == "PropertyConstraintViolation"
    assert borne.station.asked == []


@pytest.mark.parametrize(
    "profile",
    [
        charging_profile(schedule={"chargingSchedulePeriod": [{"startPeriod": 10, "limit": 16.0}]}),
        charging_profile(schedule={"chargingSchedulePeriod": []}),
        charging_profile(stackLevel=101),
        charging_profile(chargingProfileKind="Recurring"),
        charging_profile(schedule={"chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1.0}]}),
    ],
)
async def test_a_profile_that_cannot_be_is_rejected(borne, central, profile):
    assert await set_profile(central, 1, profile) == "Rejected"
    assert borne.station.asked == []


async def test_a_remote_start_brings_its_own_profile(borne, central):
    profile = charging_profile(chargingProfilePurpose="TxProfile", chargingProfileKind="Relative")
    payload = {"idTag": "TAG1", "connectorId": 1, "chargingProfile": profile}
    assert (await central.call("RemoteStartTransaction", payload))["status"] == "Accepted"
    assert borne.station.asked[0][3].purpose is Purpose.TX
    without = {"idTag": "TAG1", "chargingProfile": profile}
    assert (await central.call("RemoteStartTransaction", without))["status"] == "Accepted"


@pytest.mark.parametrize(
    "profile",
    [
        charging_profile(),
        charging_profile(chargingProfilePurpose="TxProfile", transactionId=1),
        charging_profile(chargingProfilePurpose="TxProfile", schedule={"chargingSchedulePeriod": []}),
    ],
)
async def test_a_remote_start_with_another_profile_is_rejected(borne, central, profile):
    payload = {"idTag": "TAG1", "connectorId": 1, "chargingProfile": profile}
    assert (await central.call("RemoteStartTransaction", payload))["status"] == "Rejected"
    assert borne.station.asked == []


async def test_half_a_character_in_a_tag_is_taken_for_none_and_breaks_nothing(borne, central):
    tag = {"idTag": "A\ud800B", "idTagInfo": {"status": "Accepted"}}
    request = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [tag]}
    assert await central.call("SendLocalList", request) == {"status": "Accepted"}
    listed, _ = await borne.journal.read(lambda db: tokens.lookup(db, "A?B"))
    assert listed is not None
    whole = {**tag, "idTag": "\N{GRINNING FACE}"}  # two halves that make one
    request = {"listVersion": 2, "updateType": "Full", "localAuthorizationList": [whole]}
    assert await central.call("SendLocalList", request) == {"status": "Accepted"}
    assert (await borne.journal.read(lambda db: tokens.lookup(db, "\N{GRINNING FACE}")))[0] is not None


@pytest.mark.parametrize(
    ("payload", "asked", "status"),
    [
        ({}, ("clear_profiles", None, None, None, None), "Accepted"),
        ({"id": 5, "connectorId": 9}, ("clear_profiles", 5, None, None, None), "Accepted"),
        (
            {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 0},
            ("clear_profiles", None, 0, Purpose.STATION_MAX, 0),
            "Accepted",
        ),
        ({"connectorId": 9}, None, "Unknown"),
    ],
)
async def test_clear_charging_profile(borne, central, payload, asked, status):
    assert (await central.call("ClearChargingProfile", payload))["status"] == status
    assert borne.station.asked == ([asked] if asked else [])


async def test_clearing_what_is_not_there_is_unknown(borne, central):
    borne.station.outcome = Outcome.UNKNOWN
    assert (await central.call("ClearChargingProfile", {"id": 1}))["status"] == "Unknown"


async def test_the_composite_schedule_has_its_start_outside(borne, central):
    answer = await central.call("GetCompositeSchedule", {"connectorId": 0, "duration": 120, "chargingRateUnit": "W"})
    assert answer == {
        "status": "Accepted",
        "connectorId": 0,
        "scheduleStart": "2026-03-01T12:00:00.000Z",
        "chargingSchedule": {
            "duration": 120,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 32.0, "numberPhases": 3},
                {"startPeriod": 60, "limit": 10.1},
            ],
        },
    }


@pytest.mark.parametrize("payload", [{"connectorId": 3, "duration": 60}, {"connectorId": 1, "duration": -1}])
async def test_a_composite_schedule_nobody_can_tell_is_rejected(borne, central, payload):
    assert await central.call("GetCompositeSchedule", payload) == {"status": "Rejected"}
