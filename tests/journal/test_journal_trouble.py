"""The journal when the disk is against it: damaged files, a full or read-only disk."""

import asyncio
import errno
import random
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepoint.journal import journal as module
from chargepoint.journal import mark, outbox, store, transactions
from chargepoint.journal.journal import FILE_NAME, Journal
from chargepoint.journal.stamp import Stamp


def filled(path: Path, transactions_: int = 40) -> None:
    async def main() -> None:
        journal = Journal.open(path / FILE_NAME, "boot-a")
        for n in range(transactions_):
            tx = await journal.write(
                lambda db, n=n: transactions.begin(db, 1, 1, f"T{n}", None, None, "b:1", Stamp(1, n), n * 10)  # type: ignore[misc]
            )
            await journal.write(
                lambda db, tx=tx, n=n: transactions.end(db, tx, Stamp(1, n + 0.5), n * 10 + 5, "Local", None)  # type: ignore[misc]
            )
        await journal.write(lambda db: store.put(db, "a", "k", "v"))
        journal.close()

    asyncio.run(main())


def reopened(path: Path) -> tuple[Journal, int]:
    async def main() -> tuple[Journal, int]:
        journal = Journal.open(path / FILE_NAME, "boot-b")
        try:
            await journal.write(lambda db: store.put(db, "a", "new", 1))
            return journal, await journal.read(outbox.count)
        finally:
            journal.close()

    return asyncio.run(main())


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 1000)
    journal, count = reopened(tmp_path)
    assert count == 0
    assert journal.loss is not None and journal.loss.set_aside is not None
    assert journal.loss.set_aside.exists()
    assert "not a database" in journal.loss.sentence()


def test_what_can_be_read_of_a_damaged_file_is_recovered(tmp_path: Path) -> None:
    filled(tmp_path, 200)
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    page = 4096
    messages = [at for at in range(0, len(content), page) if b'"meter_stop_wh"' in content[at : at + page]]
    middle = messages[len(messages) // 2]
    content[middle : middle + page] = b"\xa5" * page
    file.write_bytes(content)
    journal, count = reopened(tmp_path)
    assert journal.loss is not None
    assert 100 < count < 400
    assert journal.loss.recovered["outbox"] == count


@pytest.mark.parametrize("seed", range(12))
def test_torn_and_flipped_files_never_keep_the_borne_from_starting(tmp_path: Path, seed: int) -> None:
    filled(tmp_path, 30)
    dice = random.Random(seed)
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    if seed % 3 == 0:
        del content[dice.randrange(len(content)) :]
    else:
        for _ in range(1 << dice.randrange(8)):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)
    _, count = reopened(tmp_path)
    assert count <= 60
    again, after = reopened(tmp_path)
    assert after == count
    assert again.loss is None


def killed(path: Path, writes: int) -> bytes:
    """A journal whose process was killed after so many writes; the bytes of its log."""
    script = textwrap.dedent(
        """
        import asyncio, os, sys
        from pathlib import Path
        from chargepoint.journal import store
        from chargepoint.journal.journal import Journal
        async def main():
            journal = Journal.open(Path(sys.argv[1]), "boot-a")
            for n in range(int(sys.argv[2])):
                await journal.write(lambda db: store.put(db, "a", f"{n:03}", n))
            os._exit(9)
        asyncio.run(main())
        """
    )
    file = path / FILE_NAME
    subprocess.run([sys.executable, "-c", script, str(file), str(writes)], check=False)
    return file.with_name(FILE_NAME + "-wal").read_bytes()


def from_outside(path: Path, *statements: str) -> None:
    """Change the database without the journal's knowledge."""
    db = sqlite3.connect(path / FILE_NAME)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_a_cut_write_ahead_log_loses_only_its_end(tmp_path: Path) -> None:
    content = killed(tmp_path, 20)
    file = tmp_path / FILE_NAME
    file.with_name(FILE_NAME + "-wal").write_bytes(content[: int(len(content) * 0.6)])

    async def main() -> None:
        journal = Journal.open(file, "boot-a")
        kept = list(await journal.read(lambda db: store.items(db, "a")))
        journal.close()
        assert 0 < len(kept) < 20
        assert kept == [f"{n:03}" for n in range(len(kept))]

    asyncio.run(main())


@pytest.mark.parametrize("pages", [1, 4])
@pytest.mark.parametrize("kind", ["cut", "bit"])
def test_synced_writes_that_a_damaged_log_hides_are_told_once(tmp_path: Path, kind: str, pages: int) -> None:
    log = bytearray(killed(tmp_path, 12))
    at = len(log) - pages * (24 + 4096)
    if kind == "cut":
        del log[at + 100 :]
    else:
        log[at + 100] ^= 1
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(log)
    journal, _ = reopened(tmp_path)
    assert journal.loss is not None and journal.loss.cut_off >= 1
    assert "lost their end" in journal.loss.sentence()
    again, _ = reopened(tmp_path)
    assert again.loss is None


def test_a_log_that_is_gone_altogether_is_told(tmp_path: Path) -> None:
    killed(tmp_path, 12)
    (tmp_path / f"{FILE_NAME}-wal").unlink()
    journal, _ = reopened(tmp_path)
    assert journal.loss is not None and journal.loss.cut_off == 12


@pytest.mark.parametrize("damaged", ["DELETE FROM commits", "UPDATE commits SET count = '5\ufffd'"])
def test_a_damaged_count_is_told_once_and_goes_on(tmp_path: Path, damaged: str) -> None:
    killed(tmp_path, 12)
    from_outside(tmp_path, damaged)
    journal, _ = reopened(tmp_path)
    assert journal.loss is not None
    again, _ = reopened(tmp_path)
    assert again.loss is None


def test_a_write_that_the_power_cut_short_before_its_mark_is_no_loss(tmp_path: Path) -> None:
    killed(tmp_path, 12)
    mark.Mark(tmp_path / FILE_NAME).put(11)
    journal, _ = reopened(tmp_path)
    assert journal.loss is None


@pytest.mark.parametrize("content", [b"", b"\0" * 30, b"00000000000000009999 00000000\n"])
def test_a_mark_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    killed(tmp_path, 12)
    (tmp_path / f"{FILE_NAME}{mark.SUFFIX}").write_bytes(content)
    journal, _ = reopened(tmp_path)
    assert journal.loss is None


def test_a_journal_of_a_program_without_the_mark_goes_on(tmp_path: Path) -> None:
    """An update was taken back, and the older program has written without counting."""
    killed(tmp_path, 5)
    from_outside(tmp_path, "INSERT INTO store VALUES ('a', 'by the older', '1')")
    journal, _ = reopened(tmp_path)
    assert journal.loss is None


def test_what_is_committed_is_not_done_again_when_its_count_cannot_be_read_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module._commits

    def unreadable(db: sqlite3.Connection) -> int:
        if not db.in_transaction:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return read(db)

    async def main() -> None:
        journal = Journal.open(tmp_path / FILE_NAME, "boot-a")
        monkeypatch.setattr(module, "_commits", unreadable)
        begin = lambda db: transactions.begin(db, 1, 1, "T", None, None, "b:1", Stamp(1, 1), 0)  # noqa: E731
        await journal.write(begin)
        assert await journal.read(lambda db: db.execute("SELECT count(*) FROM tx").fetchone()[0]) == 1
        journal.close()

    asyncio.run(main())


def test_a_mark_that_the_disk_does_not_take_is_a_trouble_and_put_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    put, refuses = mark.Mark.put, True

    def refusing(self: mark.Mark, number: int) -> None:
        if refuses:
            raise OSError(errno.EROFS, "Read-only file system")
        put(self, number)

    monkeypatch.setattr(mark.Mark, "put", refusing)

    async def main() -> None:
        nonlocal refuses
        journal = Journal.open(tmp_path / FILE_NAME, "boot-a")
        await journal.write(lambda db: store.put(db, "a", "k", 1))
        assert "Read-only" in journal.trouble
        refuses = False
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not journal.trouble:
                break
        assert journal.trouble == ""
        assert await journal.read(lambda db: store.items(db, "a")) == {"k": 1}
        journal.close()

    asyncio.run(main())
    assert mark.read(tmp_path / FILE_NAME) == 1


def test_the_log_goes_into_the_database_before_it_is_long(tmp_path: Path) -> None:
    log = killed(tmp_path, 300)
    assert len(log) < 2 * module.CHECKPOINT_PAGES * 4120


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        (b"payload TEXT NOT NULL", b"paYlo`d TEXT NOT NULL"),
        (b"boot_id TEXT NOT NULL UNIQUE", b"bnot_id TEXT NOT NULL UNIQUE"),
        (b"CREATE TABLE outbox", b"CREATE TABL\xa0 outbox"),
    ],
)
def test_a_damaged_schema_is_set_aside_and_the_borne_starts(tmp_path: Path, text: bytes, damaged: bytes) -> None:
    filled(tmp_path, 3)
    file = tmp_path / FILE_NAME
    content = file.read_bytes()
    assert text in content
    file.write_bytes(content.replace(text, damaged))
    journal, _ = reopened(tmp_path)
    assert journal.loss is not None and journal.loss.set_aside is not None
    again, _ = reopened(tmp_path)
    assert again.loss is None


def test_a_schema_number_that_cannot_be_is_damage_and_no_newer_program(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute(f"PRAGMA user_version = {1 << 20}")
    db.close()
    journal, count = reopened(tmp_path)
    assert count == 6
    assert journal.loss is not None and "1048576" in journal.loss.sentence()


def test_unreadable_text_is_taken_out_and_counted(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    from_outside(
        tmp_path,
        "UPDATE outbox SET payload = '{\"evse' WHERE seq = 2",
        "UPDATE outbox SET payload = replace(payload, 'meter_start_wh', 'meter_stArt_wh') WHERE seq = 1",
        "UPDATE outbox SET payload = CAST(x'7bff7d' AS TEXT) WHERE seq = 3",
    )
    journal, count = reopened(tmp_path)
    assert count == 3
    assert journal.loss is not None and journal.loss.unreadable == 3


class Disk:
    """A disk that can refuse writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False

        def connect(where: Path | str) -> sqlite3.Connection:
            class Refusing(sqlite3.Connection):
                def execute(inner, sql: str, *rest: object) -> sqlite3.Cursor:  # type: ignore[override]
                    if self.full and sql == "COMMIT":
                        error = sqlite3.OperationalError("database or disk is full")
                        error.sqlite_errorcode = sqlite3.SQLITE_FULL
                        raise error
                    return super().execute(sql, *rest)  # type: ignore[arg-type]

            if self.full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            db = sqlite3.connect(where, isolation_level=None, check_same_thread=False, factory=Refusing)
            db.execute("PRAGMA journal_mode = WAL")
            return db

        monkeypatch.setattr(module, "_connect", connect)
        monkeypatch.setattr(module, "RETRY_S", 0.05)


def real_bytes_limit(limit: int) -> Callable[[], None]:
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_full_disk_is_survived_in_memory_and_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)

    async def main() -> None:
        journal = Journal.open(tmp_path / FILE_NAME, "boot-a")
        await journal.write(lambda db: store.put(db, "a", "before", 1))
        disk.full = True
        await journal.write(lambda db: store.put(db, "a", "during", 2))
        assert journal.trouble == "database or disk is full"
        assert await journal.read(lambda db: store.items(db, "a")) == {"before": 1, "during": 2}
        disk.full = False
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not journal.trouble:
                break
        assert journal.trouble == ""
        await journal.write(lambda db: store.put(db, "a", "after", 3))
        journal.close()
        journal = Journal.open(tmp_path / FILE_NAME, "boot-a")
        assert await journal.read(lambda db: store.items(db, "a")) == {"before": 1, "during": 2, "after": 3}
        assert journal.loss is None
        journal.close()

    asyncio.run(main())


def test_a_disk_that_refuses_at_the_start_is_survived(tmp_path: Path) -> None:
    """A real limit of the kernel's: no file of this process may grow beyond a few pages."""
    filled(tmp_path, 20)
    script = textwrap.dedent(
        """
        import asyncio, signal, sys
        from pathlib import Path
        from chargepoint.journal import mark, outbox, store
        from chargepoint.journal.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async def main():
            journal = Journal.open(Path(sys.argv[1]), "boot-b")
            await journal.write(lambda db: store.put(db, "a", "during", "x" * 100_000))
            print(await journal.read(outbox.count), bool(journal.trouble))
            journal.close()
        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / FILE_NAME)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=real_bytes_limit(8192),
        check=True,
    )
    assert done.stdout.split() == ["40", "True"]
