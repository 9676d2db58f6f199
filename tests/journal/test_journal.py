"""The journal: real files, real threads, real kills."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from chargepoint.journal import history, outbox, store, transactions
from chargepoint.journal.journal import Journal, JournalBusy, JournalTooNew
from chargepoint.journal.stamp import Stamp, resolve, set_offset, touch
from chargepoint.journal.tidy import ENDED_KEPT


def with_journal(path: Path, body: Callable[[Journal], Coroutine[Any, Any, Any]], boot_id: str = "boot-a") -> Any:
    async def main() -> Any:
        journal = Journal.open(path / "chargepoint.db", boot_id)
        try:
            return await body(journal)
        finally:
            journal.close()

    return asyncio.run(main())


def begin(db: sqlite3.Connection, at: float = 1.0, wh: int = 1000) -> int:
    return transactions.begin(db, 1, 1, "TAG", None, None, "b:1", Stamp(1, at, None), wh)


def test_a_write_that_returned_is_there_after_reopening(tmp_path: Path) -> None:
    async def first(journal: Journal) -> None:
        await journal.write(lambda db: store.put(db, "area", "key", {"a": [1, 2]}))

    async def second(journal: Journal) -> Any:
        return await journal.read(lambda db: store.get(db, "area", "key"))

    with_journal(tmp_path, first)
    assert with_journal(tmp_path, second) == {"a": [1, 2]}


def test_a_second_opener_is_refused_and_told_why(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "chargepoint.db", "boot-a")
    try:
        with pytest.raises(JournalBusy, match=str(tmp_path)):
            Journal.open(tmp_path / "chargepoint.db", "boot-a")
    finally:
        journal.close()
    Journal.open(tmp_path / "chargepoint.db", "boot-a").close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Journal.open(tmp_path / "chargepoint.db", "boot-a").close()
    db = sqlite3.connect(tmp_path / "chargepoint.db")
    db.execute("PRAGMA user_version = 9999")
    db.execute("PRAGMA application_id = 9998")
    db.close()
    with pytest.raises(JournalTooNew, match="9999"):
        Journal.open(tmp_path / "chargepoint.db", "boot-a")


def test_a_journal_that_a_newer_program_only_added_to_is_worked_on_with_everything_in_it(tmp_path: Path) -> None:
    async def keep(journal: Journal) -> None:
        await journal.write(lambda db: store.put(db, "a", "kept", 1))

    async def read(journal: Journal) -> Any:
        return await journal.read(lambda db: store.get(db, "a", "kept"))

    with_journal(tmp_path, keep)
    db = sqlite3.connect(tmp_path / "chargepoint.db")
    db.execute("CREATE TABLE newer (x)")
    db.execute("PRAGMA user_version = 9999")
    db.close()
    assert with_journal(tmp_path, read) == 1
    db = sqlite3.connect(tmp_path / "chargepoint.db")
    # The newer program finds its own schema again.
    assert db.execute("PRAGMA user_version").fetchone()[0] == 9999
    db.close()


def test_a_failing_work_is_undone_alone(tmp_path: Path) -> None:
    def good(db: sqlite3.Connection) -> None:
        store.put(db, "a", "good", 1)

    def bad(db: sqlite3.Connection) -> None:
        store.put(db, "a", "bad", 1)
        raise ValueError("no")

    async def body(journal: Journal) -> None:
        results = await asyncio.gather(
            journal.write(good), journal.write(bad), journal.write(good), return_exceptions=True
        )
        assert isinstance(results[1], ValueError)
        assert await journal.read(lambda db: store.items(db, "a")) == {"good": 1}

    with_journal(tmp_path, body)


def test_a_read_cannot_write(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        with pytest.raises(sqlite3.OperationalError):
            await journal.read(lambda db: store.put(db, "a", "k", 1))

    with_journal(tmp_path, body)


def test_a_slow_write_blocks_neither_the_loop_nor_a_read(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        disk_is_back = threading.Event()
        slow = asyncio.create_task(journal.write(lambda db: disk_is_back.wait(10)))
        await asyncio.sleep(0.01)
        await journal.read(outbox.count)
        assert not slow.done()
        disk_is_back.set()
        assert await slow

    with_journal(tmp_path, body)


def test_what_piles_up_behind_a_slow_write_shares_one_transaction(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        slow = asyncio.create_task(journal.write(lambda db: time.sleep(0.1)))
        await asyncio.sleep(0.01)
        changes = await asyncio.gather(
            *(journal.write(lambda db, n=n: store.put(db, "a", str(n), n)) for n in range(20)),  # type: ignore[misc]
        )
        await slow
        assert len(changes) == 20
        assert len(await journal.read(lambda db: store.items(db, "a"))) == 20

    with_journal(tmp_path, body)


def test_begin_queues_the_start_and_end_queues_the_end_once(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        tx = await journal.write(begin)
        entry = await journal.read(outbox.head)
        assert entry is not None and (entry.kind, entry.tx) == ("started", tx)
        assert entry.payload == {
            "evse": 1,
            "connector": 1,
            "token": "TAG",
            "meter_start_wh": 1000,
            "reservation": None,
        }
        assert [t.tx for t in await journal.read(transactions.open_transactions)] == [tx]
        stop = Stamp(1, 9.0, None)
        assert await journal.write(lambda db: transactions.end(db, tx, stop, 1500, "Local", "TAG"))
        assert not await journal.write(lambda db: transactions.end(db, tx, stop, 1600, "Local", "TAG"))
        entries = await journal.read(lambda db: outbox.upcoming(db, 0, 10))
        assert [e.kind for e in entries] == ["started", "ended"]
        assert entries[1].payload["meter_stop_wh"] == 1500
        assert await journal.read(transactions.open_transactions) == []

    with_journal(tmp_path, body)


def test_the_register_told_at_the_end_never_runs_backwards(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        tx = await journal.write(begin)
        await journal.write(lambda db: transactions.keep_register(db, tx, Stamp(1, 5.0), 1400))
        await journal.write(lambda db: transactions.end(db, tx, Stamp(1, 6.0), 3, "Local", None))
        last = (await journal.read(lambda db: outbox.upcoming(db, 0, 10)))[-1]
        assert last.payload["meter_stop_wh"] == 1400

    with_journal(tmp_path, body)


def test_kept_samples_go_into_the_end_and_are_then_forgotten(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        tx = await journal.write(begin)
        values = [{"measurand": "Voltage", "value": 230.0}]
        await journal.write(lambda db: transactions.keep_sample(db, tx, Stamp(1, 2.0, 1e9), values))
        await journal.write(lambda db: transactions.end(db, tx, Stamp(1, 6.0), 1001, "Local", None))
        last = (await journal.read(lambda db: outbox.upcoming(db, 0, 10)))[-1]
        assert last.payload["data"] == [{"utc": 1e9, "boot": 1, "mono": 2.0, "values": values}]
        assert await journal.read(lambda db: db.execute("SELECT count(*) FROM sample").fetchone()) == (0,)

    with_journal(tmp_path, body)


def test_a_backend_id_of_zero_is_an_id(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        tx = await journal.write(begin)
        assert await journal.read(lambda db: outbox.backend_id(db, tx)) is None
        await journal.write(lambda db: outbox.set_backend_id(db, tx, "0"))
        assert await journal.read(lambda db: outbox.backend_id(db, tx)) == "0"
        assert await journal.read(lambda db: transactions.by_backend_id(db, "0")) == tx

    with_journal(tmp_path, body)


def test_the_outbox_is_first_in_first_out_and_counts_attempts(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        for n in range(3):
            await journal.write(
                lambda db, n=n: outbox.add(db, "security", None, Stamp(1, n), {"kind": "x", "info": ""})
            )  # type: ignore[misc]
        head = await journal.read(outbox.head)
        assert head is not None
        await journal.write(lambda db: outbox.attempted(db, head.seq))
        again = await journal.read(outbox.head)
        assert again is not None and (again.seq, again.attempts) == (head.seq, 1)
        await journal.write(lambda db: outbox.remove(db, head.seq))
        assert await journal.read(outbox.count) == 2

    with_journal(tmp_path, body)


def test_an_unknown_kind_of_message_is_refused(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        with pytest.raises(ValueError, match="kind 'nonsense'"):
            await journal.write(lambda db: outbox.add(db, "nonsense", None, Stamp(1, 0), {}))

    with_journal(tmp_path, body)


def test_the_boot_number_is_the_same_within_one_boot_and_new_after_the_next(tmp_path: Path) -> None:
    async def body(journal: Journal) -> int:
        return journal.boot

    first = with_journal(tmp_path, body, "boot-a")
    assert with_journal(tmp_path, body, "boot-a") == first
    assert with_journal(tmp_path, body, "boot-b") == first + 1


def test_a_stamp_of_before_the_time_was_known_is_put_right(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        early = Stamp(journal.boot, 10.0)
        assert await journal.read(lambda db: resolve(db, early)) is None
        await journal.write(lambda db: set_offset(db, journal.boot, 1000.0))
        assert await journal.read(lambda db: resolve(db, early)) == 1010.0

    with_journal(tmp_path, body)


def test_a_boot_that_never_knew_the_time_is_placed_before_the_next_that_did(tmp_path: Path) -> None:
    async def first(journal: Journal) -> None:
        await journal.write(lambda db: db.execute("UPDATE boots SET first_mono = 5, last_mono = 5"))
        await journal.write(lambda db: touch(db, 1, 100.0))

    async def second(journal: Journal) -> float | None:
        def know(db: sqlite3.Connection) -> None:
            db.execute("UPDATE boots SET first_mono = 7 WHERE boot = 2")
            set_offset(db, 2, 5000.0)

        await journal.write(know)
        return await journal.read(lambda db: resolve(db, Stamp(1, 60.0)))

    with_journal(tmp_path, first, "boot-a")
    assert with_journal(tmp_path, second, "boot-b") == 5007.0 - 40.0


KILLED = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from chargepoint.journal import transactions
    from chargepoint.journal.journal import Journal
    from chargepoint.journal.stamp import Stamp

    async def main():
        journal = Journal.open(Path(sys.argv[1]) / "chargepoint.db", "boot-a")
        n = 0
        while True:
            n += 1
            tx = await journal.write(lambda db: transactions.begin(
                db, 1, 1, f"T{n}", None, None, "b:1", Stamp(1, float(n)), n * 100))
            print("started", tx, flush=True)
            await journal.write(lambda db: transactions.end(db, tx, Stamp(1, n + 0.5), n * 100 + 50, "Local", None))
            print("ended", tx, flush=True)

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("lines", [1, 2, 7, 40])
def test_what_was_acknowledged_survives_sigkill_and_nothing_is_half_done(tmp_path: Path, lines: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline().split() for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    said += [line.split() for line in child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()

    async def body(journal: Journal) -> list[outbox.Entry]:
        entries: list[outbox.Entry] = await journal.read(lambda db: outbox.upcoming(db, 0, 10**6))
        still = await journal.read(transactions.open_transactions)
        assert len(still) <= 1
        return entries

    kept = [[e.kind, str(e.tx)] for e in with_journal(tmp_path, body)]
    assert kept[: len(said)] == said
    started = [tx for kind, tx in kept if kind == "started"]
    assert len(started) == len(set(started))
    assert all(["started", tx] in kept for kind, tx in kept if kind == "ended")


def test_ended_transactions_go_once_their_messages_have_left(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        def many(db: sqlite3.Connection) -> None:
            for n in range(ENDED_KEPT + 50):
                tx = begin(db, float(n))
                transactions.end(db, tx, Stamp(1, n + 0.9), 2000, "Local", None)
            db.execute("DELETE FROM outbox WHERE tx > 10")

        await journal.write(many)
        await journal.tidy()
        left = [row[0] for row in await journal.read(lambda db: db.execute("SELECT tx FROM tx ORDER BY tx").fetchall())]
        assert left[:10] == list(range(1, 11))
        assert left[10] == 51

    with_journal(tmp_path, body)


def test_the_file_gives_back_what_it_no_longer_needs(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        await journal.write(lambda db: [store.put(db, "a", str(n), "x" * 1000) for n in range(2000)])
        await journal.write(lambda db: db.execute("DELETE FROM store"))
        pages = await journal.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        for _ in range(10):
            await journal.tidy()
            await journal.write(lambda db: None)
        assert await journal.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0]) < pages / 2

    with_journal(tmp_path, body)


def test_the_history_of_faults_is_told_newest_first(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        for n, kind in enumerate(("raised", "cleared")):
            event = history.Event(Stamp(journal.boot, float(n), 1000.0 + n), 1, "diode", kind, "x")  # type: ignore[arg-type]
            await journal.write(lambda db, event=event: history.add(db, event))  # type: ignore[misc]
        told = await journal.read(lambda db: history.newest(db, 5))
        assert [(utc, e.event) for utc, e in told] == [(1001.0, "cleared"), (1000.0, "raised")]

    with_journal(tmp_path, body)
