"""Delivery of the outbox: order, retries, identity, restarts."""

import asyncio
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from chargepoint.journal import outbox, transactions
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import Stamp, set_offset
from chargepoint.ocpp.queue import BATCH, SLICE_S, OutboxSender, RetryPolicy, Taken
from chargepoint.ocpp.rpc import AnswerTimeout, CallFailed, LinkLost, NotSendable
from chargepoint.station.api import Authorization, AuthStatus

pytestmark = pytest.mark.asyncio
T0 = 1_772_000_000.0


class Courier:
    """Takes everything, or fails as `script` says (one item per delivery)."""

    def __init__(self):
        self.carried = []
        self.script = []
        self.taken = []
        self.lost = asyncio.Event()
        self.next_id = 0
        self.useless = False
        self.mute = False
        self.asked = 0

    async def deliver(self, message):
        self.carried.append(message)
        failure = self.script.pop(0) if self.script else None
        if isinstance(failure, LinkLost):
            self.lost.set()
        if failure is not None:
            raise failure
        if message.entry.kind != "started":
            return Taken()
        self.next_id += 1
        return Taken(str(self.next_id - 1), Authorization(AuthStatus.ACCEPTED))

    async def delivered(self, message, taken):
        self.taken.append((message, taken))

    async def alive(self):
        self.asked += 1
        return not self.mute

    def pointless(self, message, failure):
        return self.useless


class Bench:
    def __init__(self, path, boot="boot-1", script=(), most=1000):
        self.journal = Journal.open(path / "chargepoint.db", boot)
        self.courier = Courier()
        self.courier.script = list(script)
        self.waits = []
        self.policy = RetryPolicy(attempts=3, interval_s=60)
        self.sender = OutboxSender(self.journal, self.courier, self.policy, lambda: T0 + 9999, self._sleep, most)
        self.task = asyncio.gather(self.sender.run(), self.sender.keep_bound())

    async def _sleep(self, seconds):
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def write(self, work):
        result = await self.journal.write(work)
        self.sender.wake()
        return result

    async def begin(self, evse=1, at=T0):
        stamp = Stamp(self.journal.boot, at - T0, at)
        return await self.write(lambda db: transactions.begin(db, evse, 1, f"TAG{evse}", None, None, "car", stamp, 100))

    async def sample(self, tx, at):
        values = [{"measurand": "Voltage", "value": 230.0, "unit": "V", "phase": None, "location": "Outlet"}]
        stamp = Stamp(self.journal.boot, at - T0, at)
        await self.write(lambda db: transactions.sampled(db, tx, stamp, 1, values))

    async def end(self, tx, at):
        stamp = Stamp(self.journal.boot, at - T0, at)
        await self.write(lambda db: transactions.end(db, tx, stamp, 200, "Local", None))

    async def drained(self):
        assert await self.sender.drained(5)

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()


@pytest_asyncio.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


async def until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to it")


def story(courier):
    return [(m.entry.kind, m.entry.tx, m.backend_id) for m in courier.carried]


async def test_offline_messages_are_replayed_in_order_with_the_given_transaction_ids(bench):
    first = await bench.begin(1)
    second = await bench.begin(2)
    await bench.sample(first, T0 + 1)
    await bench.sample(second, T0 + 2)
    await bench.end(first, T0 + 3)
    await bench.end(second, T0 + 4)
    assert story(bench.courier) == []
    bench.sender.ready(True)
    await bench.drained()
    assert story(bench.courier) == [
        ("started", first, None),
        ("started", second, None),
        ("sampled", first, "0"),
        ("sampled", second, "1"),
        ("ended", first, "0"),
        ("ended", second, "1"),
    ]
    assert [m.at.timestamp() for m in bench.courier.carried] == [T0, T0, T0 + 1, T0 + 2, T0 + 3, T0 + 4]
    assert await bench.journal.read(outbox.count) == 0


async def test_an_interval_made_shorter_ends_the_wait_for_the_next_attempt(bench):
    bench.policy.interval_s = 86_400
    bench.courier.script = [CallFailed("InternalError", "", {})]
    sleep = bench.sender._sleep

    async def operator_corrects(seconds):
        bench.policy.interval_s = 60
        await sleep(seconds)

    bench.sender._sleep = operator_corrects
    await bench.begin()
    bench.sender.ready(True)
    await bench.drained()
    assert bench.waits == [SLICE_S]
    assert len(bench.courier.carried) == 2


async def test_what_waits_survives_a_restart(tmp_path):
    bench = Bench(tmp_path)
    tx = await bench.begin()
    bench.sender.ready(True)
    await bench.drained()
    bench.sender.ready(False)
    await bench.end(tx, T0 + 5)
    await bench.close()
    again = Bench(tmp_path)
    again.sender.ready(True)
    await again.drained()
    assert story(again.courier) == [("ended", tx, "0")]
    await again.close()


async def test_retries_wait_the_interval_times_the_preceding_transmissions(bench):
    bench.courier.script = [CallFailed("InternalError", "", {}), AnswerTimeout(), CallFailed("GenericError", "", {})]
    await bench.begin()
    bench.sender.ready(True)
    await bench.drained()
    assert bench.waits == [60, 120]
    assert len(bench.courier.carried) == 3
    assert bench.courier.taken == []


async def test_a_start_never_delivered_leaves_its_transaction_with_the_id_minus_one(bench):
    bench.courier.script = [CallFailed("InternalError", "", {})] * 3
    tx = await bench.begin()
    await bench.sample(tx, T0 + 1)
    await bench.end(tx, T0 + 2)
    bench.sender.ready(True)
    await bench.drained()
    assert story(bench.courier)[3:] == [("sampled", tx, "-1"), ("ended", tx, "-1")]


async def test_a_lost_link_costs_no_attempt(bench):
    bench.courier.script = [LinkLost()]
    await bench.begin()
    for _ in range(5):
        bench.courier.script = [LinkLost()]
        bench.sender.ready(True)
        await asyncio.sleep(0.02)
    assert bench.waits == []
    assert (await bench.journal.read(outbox.head)).attempts == 0
    bench.sender.ready(True)
    await bench.drained()
    assert [taken.backend_id for _, taken in bench.courier.taken] == ["0"]


async def test_silence_to_everything_costs_no_attempt_however_long_it_lasts(bench):
    bench.courier.mute = True
    await bench.begin()
    async with asyncio.timeout(10):
        for times in range(1, 11):
            bench.courier.script = [AnswerTimeout()]
            bench.sender.ready(True)
            while bench.courier.asked < times:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.01)
    assert bench.courier.asked == 10
    assert (await bench.journal.read(outbox.head)).attempts == 0
    bench.courier.mute = False
    bench.sender.ready(True)
    await bench.drained()
    assert [taken.backend_id for _, taken in bench.courier.taken] == ["0"]


async def test_attempts_are_counted_across_a_restart(tmp_path):
    bench = Bench(tmp_path, script=[AnswerTimeout(), AnswerTimeout(), LinkLost()])
    await bench.begin()
    bench.sender.ready(True)
    await asyncio.wait_for(bench.courier.lost.wait(), 5)
    await bench.close()
    again = Bench(tmp_path, script=[AnswerTimeout()])
    again.sender.ready(True)
    await again.drained()
    assert len(again.courier.carried) == 1
    assert again.waits == []
    await again.close()


async def test_a_record_that_cannot_be_sent_does_not_block_those_behind_it(bench):
    bench.courier.script = [NotSendable("a mistake of ours")]
    await bench.begin(1)
    second = await bench.begin(2)
    bench.sender.ready(True)
    await bench.drained()
    assert story(bench.courier)[-1] == ("started", second, None)
    assert bench.waits == []


async def test_a_security_event_that_is_not_taken_keeps_no_transaction_waiting(bench):
    failure = CallFailed("InternalError", "", {})
    bench.courier.script = [failure, failure]
    bench.sender.ready(True)
    event = {"kind": "StartupOfTheDevice", "info": ""}
    await bench.write(lambda db: outbox.add(db, "security", None, Stamp(1, 0, T0), event))
    await until(lambda: bench.courier.carried)
    await bench.begin()
    await until(lambda: bench.courier.taken)
    assert [kind for kind, _, _ in story(bench.courier)] == ["security", "security", "started"]
    assert bench.waits == []
    left = await bench.journal.read(outbox.head)
    assert (left.kind, left.attempts, left.stamp) == ("security", 2, Stamp(1, 0, T0))
    bench.sender.wake()
    await bench.drained()


async def test_a_security_event_nobody_understands_is_given_up_at_once(bench):
    bench.courier.useless = True
    bench.courier.script = [CallFailed("NotImplemented", "", {})]
    await bench.write(
        lambda db: outbox.add(db, "security", None, Stamp(1, 0, T0), {"kind": "StartupOfTheDevice", "info": ""})
    )
    bench.sender.ready(True)
    await bench.drained()
    assert bench.waits == []


async def test_stamps_of_before_the_time_was_known_are_put_right(bench):
    boot = bench.journal.boot
    await bench.write(lambda db: transactions.begin(db, 1, 1, "TAG", None, None, "car", Stamp(boot, 50.0, None), 100))
    await bench.journal.write(lambda db: set_offset(db, boot, T0))
    bench.sender.ready(True)
    await bench.drained()
    assert bench.courier.carried[0].at == datetime.fromtimestamp(T0 + 50, UTC)


async def test_new_messages_wait_behind_the_queue(bench):
    gate = asyncio.Event()
    usual = bench.courier.deliver

    async def slow(message):
        await gate.wait()
        return await usual(message)

    bench.courier.deliver = slow
    tx = await bench.begin()
    bench.sender.ready(True)
    await asyncio.sleep(0.01)
    await bench.sample(tx, T0 + 1)
    await bench.end(tx, T0 + 2)
    assert not await bench.sender.drained(0.01)
    gate.set()
    await bench.drained()
    assert [kind for kind, _, _ in story(bench.courier)] == ["started", "sampled", "ended"]


async def test_a_full_outbox_loses_every_second_meter_value_and_never_a_start_or_stop(tmp_path):
    bench = Bench(tmp_path, most=20)
    transactions_begun = []
    for number in range(5):
        tx = await bench.begin(at=T0 + number * 100)
        for second in range(1, 9):
            await bench.sample(tx, T0 + number * 100 + second)
        await bench.end(tx, T0 + number * 100 + 50)
        transactions_begun.append(tx)
    await asyncio.sleep(0.1)
    assert await bench.journal.read(outbox.count) <= 20
    bench.sender.ready(True)
    await bench.drained()
    told = story(bench.courier)
    assert [tx for kind, tx, _ in told if kind == "started"] == transactions_begun
    assert [tx for kind, tx, _ in told if kind == "ended"] == transactions_begun
    assert 0 < sum(kind == "sampled" for kind, _, _ in told) < 40
    await bench.close()


async def test_what_has_not_been_answered_is_in_the_journal_and_an_answered_start_is_not(bench):
    deliver, kept = bench.courier.deliver, []

    async def looking(message):
        """At each transmission: what a power cut now would leave of what was sent before, and the known id."""
        waiting = {entry.seq for entry in await bench.journal.read(lambda db: outbox.upcoming(db, 0, 1000))}
        assert message.entry.seq in waiting
        kept.append([sent.entry.kind for sent in bench.courier.carried if sent.entry.seq in waiting])
        if message.entry.kind != "started":
            assert await bench.journal.read(lambda db: outbox.backend_id(db, message.entry.tx)) == message.backend_id
        return await deliver(message)

    bench.courier.deliver = looking
    for number in range(2):
        tx = await bench.begin(at=T0 + 1000 * number)
        for second in range(50):
            await bench.sample(tx, T0 + 1000 * number + second)
        await bench.end(tx, T0 + 1000 * number + 60)
    bench.sender.ready(True)
    await bench.drained()
    assert len(kept) == 104
    assert all(set(kinds) <= {"sampled"} for kinds in kept)
    assert 0 < max(len(kinds) for kinds in kept) < BATCH


async def test_a_message_of_a_kind_that_only_a_newer_version_knows_stops_nothing_and_stays_for_it(bench):
    def newer(db):
        db.execute(
            "INSERT INTO outbox (kind, tx, boot, mono, utc, payload) VALUES ('metered', 1, ?, 0, 0, ?)",
            (bench.journal.boot, '{"data": [{"form": 2}]}'),
        )

    first = await bench.begin(1)
    await bench.write(newer)
    await bench.end(first, T0 + 3)
    bench.sender.ready(True)
    await bench.drained()
    assert story(bench.courier) == [("started", first, None), ("ended", first, "0")]
    assert await bench.journal.read(outbox.head) is None
    assert await bench.journal.read(outbox.left_to_another) == {"metered": 1}


async def test_what_waits_for_a_newer_version_is_told(bench):
    await bench.write(
        lambda db: db.execute(
            "INSERT INTO outbox (kind, boot, mono, payload) VALUES ('metered', ?, 0, '{}')", (bench.journal.boot,)
        )
    )
    with capture_logs() as said:
        sender = OutboxSender(bench.journal, bench.courier, bench.policy, lambda: T0)
        task = asyncio.create_task(sender.run())
        await until(lambda: said)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert said[0]["kinds"] == {"metered": 1}
