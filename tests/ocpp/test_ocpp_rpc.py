"""Each correction of the `ocpp` package's receive path, one test each."""

import asyncio
import json
from typing import Any

import pytest
import pytest_asyncio
from ocpp.v16 import call, call_result
from websockets.exceptions import ConnectionClosedError

from chargepoint.ocpp.rpc import (
    MAX_SERVED,
    AnswerTimeout,
    AnswerUnusable,
    CallFailed,
    LinkLost,
    NotSendable,
    Refusal,
    Reply,
    Rpc,
    on,
)
from chargepoint.ocpp.v16.dialect import DIALECT

pytestmark = pytest.mark.asyncio


class Wire:
    """The central system's end is two queues."""

    def __init__(self) -> None:
        self.inbound: asyncio.Queue[Any] = asyncio.Queue()
        self.outbound: asyncio.Queue[str] = asyncio.Queue()
        self.closed = False

    async def recv(self) -> Any:
        item = await self.inbound.get()
        if item is None:
            self.closed = True
            raise ConnectionClosedError(None, None)
        return item

    async def send(self, message: str) -> None:
        if self.closed:
            raise ConnectionClosedError(None, None)
        self.outbound.put_nowait(message)

    def say(self, frame: Any) -> None:
        self.inbound.put_nowait(frame if isinstance(frame, str | bytes) or frame is None else json.dumps(frame))

    async def heard(self) -> Any:
        async with asyncio.timeout(2):
            return json.loads(await self.outbound.get())


class Handlers:
    def __init__(self) -> None:
        self.rpc: Rpc | None = None
        self.release = asyncio.Event()
        self.followed = asyncio.Event()
        self.seen: list[dict[str, Any]] = []

    @on("ClearCache")
    async def clear_cache(self):
        await self.rpc.call(call.Heartbeat())
        return call_result.ClearCache("Accepted")

    @on("Reset")
    async def reset(self, type):
        await self.release.wait()
        self.seen.append({"type": type})
        return call_result.Reset("Accepted")

    @on("UnlockConnector")
    def unlock(self, connector_id):
        if connector_id == 7:
            raise ZeroDivisionError("a mistake")
        if connector_id == 8:
            raise Refusal("SecurityError", "not you")
        return call_result.UnlockConnector("Sideways" if connector_id == 9 else "Unlocked")

    @on("ChangeAvailability")
    async def change_availability(self, **fields):
        self.seen.append(fields)
        return Reply(call_result.ChangeAvailability("Accepted"), self.follow)

    async def follow(self):
        self.followed.set()
        raise ZeroDivisionError("a mistake after the answer")

    @on("SetChargingProfile")
    def set_profile(self, **fields):
        self.seen.append(fields)
        return call_result.SetChargingProfile("Accepted")


@pytest_asyncio.fixture
async def wire():
    return Wire()


@pytest_asyncio.fixture
async def handlers():
    return Handlers()


@pytest_asyncio.fixture
async def rpc(wire, handlers):
    rpc = Rpc(wire, DIALECT, [handlers], answer_timeout=lambda: 0.2)
    handlers.rpc = rpc
    task = asyncio.create_task(rpc.run())
    yield rpc
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_incoming_call_is_answered_while_one_of_ours_waits(rpc, wire):
    ours = asyncio.create_task(rpc.call(call.Heartbeat()))
    sent = await wire.heard()
    wire.say([2, "theirs", "UnlockConnector", {"connectorId": 1}])
    assert await wire.heard() == [3, "theirs", {"status": "Unlocked"}]
    wire.say([3, sent[1], {"currentTime": "2026-01-01T00:00:00Z"}])
    assert (await ours)["currentTime"] == "2026-01-01T00:00:00Z"


async def test_a_handler_that_calls_itself_does_not_deadlock(rpc, wire):
    wire.say([2, "theirs", "ClearCache", {}])
    ours = await wire.heard()
    assert ours[2] == "Heartbeat"
    wire.say([3, ours[1], {"currentTime": "2026-01-01T00:00:00Z"}])
    assert await wire.heard() == [3, "theirs", {"status": "Accepted"}]


async def test_one_call_of_ours_is_in_flight_at_a_time(rpc, wire):
    calls = [asyncio.create_task(rpc.call(call.Heartbeat())) for _ in range(3)]
    for expected in calls:
        sent = await wire.heard()
        await asyncio.sleep(0)
        assert wire.outbound.empty()
        wire.say([3, sent[1], {"currentTime": "2026-01-01T00:00:00Z"}])
        await expected


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "",
        "[]",
        "{}",
        "null",
        "12",
        '"text"',
        "[2]",
        "[9, 1]",
        "[true, 1, 2]",
        '[2, {"a": 1}, "Reset", {}]',
        "[3]",
        "[3, null, {}]",
        "[4]",
        "[" * 5000,
        b"\xff\xfe",
        '[3, "unknown", {}]',
        '[4, "unknown"]',
        "9" * 5000,
    ],
)
async def test_a_frame_that_cannot_be_answered_is_counted_and_survived(rpc, wire, frame):
    wire.say(frame)
    wire.say([2, "after", "UnlockConnector", {"connectorId": 1}])
    assert (await wire.heard())[1] == "after"
    assert rpc.counters["malformed"] + rpc.counters["stray-answers"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        '[2, "x", "Reset", {"type": ',
        '[2, "x", "Reset", {"type": NaN}]',
        '[2, "x", ["a"], {}]',
        '[2, "x", "Reset"]',
        '[2, "x", "Reset", []]',
        '[2, "x", "Reset", {"type": "Soft"}, 1]',
    ],
)
async def test_a_malformed_call_with_a_readable_id_is_a_formation_violation(rpc, wire, frame):
    wire.say(frame)
    answer = await wire.heard()
    assert answer[:3] == [4, "x", "FormationViolation"]
    assert len(answer) == 5


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("NoSuchThing", {}, "NotImplemented"),
        ("../../etc/passwd", {}, "NotImplemented"),
        ("GetLog", {}, "NotSupported"),
        ("Heartbeat", {}, "NotSupported"),
        ("UnlockConnector", {}, "ProtocolError"),
        ("UnlockConnector", {"connectorId": "one"}, "TypeConstraintViolation"),
        ("Reset", {"type": "Gentle"}, "PropertyConstraintViolation"),
        ("UnlockConnector", {"connectorId": 7}, "InternalError"),
        ("UnlockConnector", {"connectorId": 8}, "SecurityError"),
        ("UnlockConnector", {"connectorId": 9}, "InternalError"),
    ],
)
async def test_errors_carry_the_codes_of_1_6j(rpc, wire, action, payload, code):
    wire.say([2, "x", action, payload])
    assert (await wire.heard())[:3] == [4, "x", code]


async def test_a_bad_date_time_is_a_type_constraint_violation(rpc, wire):
    profile = _profile(validFrom="yesterday")
    wire.say([2, "x", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}])
    assert (await wire.heard())[:3] == [4, "x", "TypeConstraintViolation"]


async def test_decimal_limits_are_multiples_of_a_tenth_in_spite_of_binary_fractions(rpc, wire):
    for number, limit in enumerate((21.4, 0.3, 1000000.7)):
        payload = {"connectorId": 1, "csChargingProfiles": _profile(limit=limit)}
        wire.say([2, str(number), "SetChargingProfile", payload])
        assert (await wire.heard())[2] == {"status": "Accepted"}
    wire.say([2, "x", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": _profile(limit=21.44)}])
    assert (await wire.heard())[:3] == [4, "x", "PropertyConstraintViolation"]


async def test_unknown_fields_nulls_and_integral_floats_of_a_call_are_tolerated(rpc, wire, handlers):
    wire.say([2, "x", "ChangeAvailability", {"connectorId": 1.0, "type": "Operative", "vendor": {"a": 1}}])
    assert (await wire.heard())[2] == {"status": "Accepted"}
    assert handlers.seen == [{"connector_id": 1, "type": "Operative"}]


async def test_work_that_follows_an_answer_may_fail_without_a_second_answer(rpc, wire, handlers):
    wire.say([2, "x", "ChangeAvailability", {"connectorId": 1, "type": "Operative"}])
    assert (await wire.heard())[:2] == [3, "x"]
    await handlers.followed.wait()
    await asyncio.sleep(0.01)
    assert wire.outbound.empty()
    assert rpc.counters["handler-failures"] == 1


async def test_an_integer_message_id_is_answered(rpc, wire):
    wire.say([2, 17, "UnlockConnector", {"connectorId": 1}])
    assert await wire.heard() == [3, "17", {"status": "Unlocked"}]


async def test_a_flood_of_calls_is_refused_and_not_queued_without_bound(rpc, wire, handlers):
    for number in range(MAX_SERVED * 4):
        wire.say([2, str(number), "Reset", {"type": "Soft"}])
    refused = [await wire.heard() for _ in range(MAX_SERVED)]
    assert {frame[2] for frame in refused} == {"GenericError"}
    assert rpc.counters["dropped"] > 0
    handlers.release.set()
    served = [await wire.heard() for _ in range(MAX_SERVED)]
    assert {frame[0] for frame in served} == {3}


async def test_extra_fields_and_unknown_values_in_an_answer_are_tolerated(rpc, wire):
    ours = asyncio.create_task(rpc.call(call.Authorize("TAG")))
    sent = await wire.heard()
    info = {"status": "Dubious", "expiryDate": "", "vendor": 1, "parentIdTag": None}
    wire.say([3, sent[1], {"idTagInfo": info, "more": [1]}])
    assert await ours == {"idTagInfo": {"status": "Dubious", "expiryDate": ""}}


@pytest.mark.parametrize("payload", [[], "text", {}, {"transactionId": "7", "idTagInfo": {"status": "Accepted"}}])
async def test_an_answer_without_what_it_must_have_is_an_error(rpc, wire, payload):
    request = call.StartTransaction(1, "TAG", 0, "2026-01-01T00:00:00Z")
    ours = asyncio.create_task(rpc.call(request))
    wire.say([3, (await wire.heard())[1], payload])
    with pytest.raises(AnswerUnusable):
        await ours


async def test_a_late_answer_is_ignored_and_not_taken_for_the_next(rpc, wire):
    with pytest.raises(AnswerTimeout):
        await rpc.call(call.Heartbeat())
    late = (await wire.heard())[1]
    ours = asyncio.create_task(rpc.call(call.Heartbeat()))
    sent = await wire.heard()
    wire.say([3, late, {"currentTime": "1999-01-01T00:00:00Z"}])
    wire.say([3, sent[1], {"currentTime": "2026-01-01T00:00:00Z"}])
    assert (await ours)["currentTime"].startswith("2026")
    assert rpc.counters["late-answers"] == 1


@pytest.mark.parametrize(
    ("code", "neutral"),
    [
        ("FormatViolation", "FormationViolation"),
        ("OccurrenceConstraintViolation", "OccurenceConstraintViolation"),
        ("InternalError", "InternalError"),
        ("VendorSpecific", "VendorSpecific"),
    ],
)
async def test_a_callerror_is_an_exception_whatever_its_code_and_spelling(rpc, wire, code, neutral):
    ours = asyncio.create_task(rpc.call(call.Heartbeat()))
    wire.say([4, (await wire.heard())[1], code, "", {}])
    with pytest.raises(CallFailed) as failure:
        await ours
    assert failure.value.code == neutral


async def test_a_short_callerror_is_one_too(rpc, wire):
    ours = asyncio.create_task(rpc.call(call.Heartbeat()))
    wire.say([4, (await wire.heard())[1]])
    with pytest.raises(CallFailed):
        await ours


async def test_what_we_send_is_checked_strictly_before_it_leaves(rpc, wire):
    with pytest.raises(NotSendable):
        await rpc.call(call.Authorize("a tag of more than twenty characters"))
    with pytest.raises(NotSendable):
        await rpc.call(call.StartTransaction(1, "TAG", 0, "no date"))
    assert wire.outbound.empty()


async def test_a_lost_link_ends_the_wait_at_once(rpc, wire):
    ours = asyncio.create_task(rpc.call(call.Heartbeat()))
    await wire.heard()
    wire.say(None)
    with pytest.raises(LinkLost):
        await ours
    with pytest.raises(LinkLost):
        await rpc.call(call.Heartbeat())


@pytest.mark.parametrize("lost", [True, False])
async def test_what_was_asked_for_is_done_to_its_end_when_the_link_is_lost_but_not_when_the_program_ends(
    wire, handlers, lost
):
    rpc = Rpc(wire, DIALECT, [handlers])
    task = asyncio.create_task(rpc.run())
    wire.say([2, "x", "Reset", {"type": "Soft"}])
    await asyncio.sleep(0.01)
    if lost:
        wire.say(None)
        await task
    else:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    handlers.release.set()
    await asyncio.sleep(0.01)
    assert handlers.seen == ([{"type": "Soft"}] if lost else [])
    assert wire.outbound.empty()
    assert not rpc.counters


async def test_a_muted_charge_point_answers_nothing(wire, handlers):
    rpc = Rpc(wire, DIALECT, [handlers], mute=lambda: True)
    task = asyncio.create_task(rpc.run())
    wire.say([2, "x", "UnlockConnector", {"connectorId": 1}])
    await asyncio.sleep(0.01)
    assert wire.outbound.empty()
    task.cancel()


def _profile(limit: float = 16.0, **fields: Any) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **fields,
    }
