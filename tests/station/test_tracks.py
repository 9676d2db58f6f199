"""What the points did, kept frugally: few writes, every change, the oldest forgotten."""

import asyncio
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chargepoint.journal import tracks as table
from chargepoint.journal.journal import FILE_NAME, Journal, migrate
from chargepoint.journal.stamp import Stamp
from chargepoint.journal.tracks import Row, Sample
from chargepoint.station.tracks import EVERY_S, KEEP_S, Tracks


class Clock:
    def stamp(self, mono: float) -> Stamp:
        return Stamp(1, mono, 1_000_000.0 + mono)


def point(tx: int | None = None, state: str = "C2", status: str = "Charging", amps: float = 16.0) -> Any:
    report = SimpleNamespace(state=state, duty=26.7, temperature_c=30.0)
    reading = SimpleNamespace(current_a=(amps, None, None), power_w=3680.0, energy_wh=1000)
    session = SimpleNamespace(tx=tx, plugged=tx is not None)
    return SimpleNamespace(
        id=1, report=report, reading=reading, session=session, permitted=True, offered_a=16.0, reason="full",
        status=SimpleNamespace(value=status),
    )  # fmt: skip


def drive(seconds: int, of: Any, tracks: Tracks, begin: int = 0) -> list[Row]:
    return [row for t in range(begin, begin + seconds) for row in tracks.look({1: of(t)}, 52.0, float(t))]


def test_a_day_of_charging_is_few_writes_and_a_sample_a_minute() -> None:
    tracks = Tracks(Clock())  # type: ignore[arg-type]
    rows = [row for row in drive(24 * 3600, lambda t: point(7, amps=t % 32), tracks) if row.evse == 1]
    assert len(rows) <= 24 * 3600 / KEEP_S
    samples = sum(len(row.samples) for row in rows)
    assert samples <= 24 * 3600 / EVERY_S + 30
    db = sqlite3.connect(":memory:")
    migrate(db)
    for row in rows:
        table.add(db, row)
    size = db.execute("SELECT sum(length(content)) FROM track").fetchone()[0]
    assert size < 150_000, "a day's samples of a point that charges all day"


def test_what_a_person_would_see_change_is_kept_at_once() -> None:
    tracks = Tracks(Clock())  # type: ignore[arg-type]
    drive(400, lambda t: point(7), tracks)
    rows = drive(20, lambda t: point(7, state="B2" if t < 405 else "C2", status="SuspendedEV"), tracks, 400)
    assert rows == []
    states = [sample.state for sample in tracks.waiting()[1].samples]
    assert states[-2:] == ["B2", "C2"]


def test_a_row_ends_with_its_transaction() -> None:
    tracks = Tracks(Clock())  # type: ignore[arg-type]
    drive(30, lambda t: point(7), tracks)
    rows = [row for row in drive(30, lambda t: point(8), tracks, 30) if row.evse == 1]
    assert [row.tx for row in rows] == [7]
    assert [row.tx for row in tracks.take_all() if row.evse == 1] == [8]
    assert tracks.waiting() == []


def test_they_are_found_again_by_transaction_and_by_time_and_the_oldest_go(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table, "KEPT", 2)

    async def main() -> None:
        journal = Journal.open(tmp_path / FILE_NAME, "boot")
        rows = [Row(Stamp(1, 0, 1000.0 * n), 1, n, (Sample(0.0, "B2"), Sample(5.0, "C2"))) for n in (1, 2, 3)]

        def work(db: sqlite3.Connection) -> None:
            for row in rows:
                table.add(db, row)
            db.execute("UPDATE track SET content = '[[' WHERE tx = 3")

        await journal.write(work)
        await journal.tidy()
        assert await journal.read(lambda db: list(table.of_transaction(db, 1))) == []
        assert await journal.read(lambda db: list(table.of_transaction(db, 3))) == []  # damaged: a gap
        found = await journal.read(lambda db: table.between(db, 1, 2003.0, 9999.0))
        assert [(at, sample.state) for at, sample in found] == [(2005.0, "C2")]
        journal.close()

    asyncio.run(main())
