"""What the console can learn of a borne, whatever of it is still alive: station, safety process, journal, logs."""

import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from chargepoint.config import Config
from chargepoint.console.rpc import Silent, Station
from chargepoint.evse.messages import (
    SOCKET_NAME,
    BorneReport,
    FromEvse,
    PointReport,
    Sample,
    Trace,
    decode_from_evse,
    encode,
)
from chargepoint.journal import history, stamp, tracks
from chargepoint.journal.journal import FILE_NAME
from chargepoint.journal.stamp import Stamp
from chargepoint.logs import last_lines

MAX_PACKET = 65536


class SafetySilent(Silent):
    """The safety process does not answer on its socket."""


class JournalUnreadable(Exception):
    """The journal cannot be read; the text says why."""


class Borne:
    """One borne, asked from outside its processes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.station = Station(config)

    @contextlib.contextmanager
    def _safety(self, timeout_s: float) -> Iterator[socket.socket]:
        path = self.config.station.run_dir / SOCKET_NAME
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(timeout_s)
            try:
                connection.connect(str(path))
                yield connection
            except TimeoutError:
                raise SafetySilent(
                    "{path}: no answer within {seconds} s", path=path, seconds=f"{timeout_s:g}"
                ) from None
            except OSError as error:
                raise SafetySilent("{path}: {reason}", path=path, reason=error.strerror or error) from error

    def reports(self, timeout_s: float = 2.0) -> tuple[dict[int, PointReport], BorneReport | None]:
        """What the safety process says of every point now. Raises SafetySilent."""
        points: dict[int, PointReport] = {}
        borne: BorneReport | None = None
        wanted = {evse.id for evse in self.config.evse}
        with self._safety(timeout_s) as connection:
            end = time.monotonic() + timeout_s
            while (wanted - set(points) or borne is None) and time.monotonic() < end:
                match self._receive(connection):
                    case PointReport() as report:
                        points[report.evse] = report
                    case BorneReport() as report:
                        borne = report
        return points, borne

    def trace(self, evse: int, seconds: float, interval_s: float) -> Iterator[Sample]:
        """Samples of a point as they come. Raises SafetySilent."""
        with self._safety(3.0) as connection:
            connection.send(encode(Trace(evse, seconds, interval_s)))
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                message = self._receive(connection)
                if isinstance(message, Sample) and message.evse == evse:
                    yield message

    @staticmethod
    def _receive(connection: socket.socket) -> FromEvse:
        packet = connection.recv(MAX_PACKET)
        if not packet:
            raise SafetySilent("it closed the connection")
        try:
            message: FromEvse = decode_from_evse(packet)
        except msgspec.DecodeError as error:
            raise SafetySilent("it speaks another version: {reason}", reason=error) from error
        return message

    @contextlib.contextmanager
    def journal(self) -> Iterator[sqlite3.Connection]:
        """The journal, to read alone; the station may be writing it, or be dead. Raises JournalUnreadable."""
        path = self.config.station.state_dir / FILE_NAME
        # After a clean stop there is no log beside it, this account may not make one, and nobody writes.
        alone = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
        try:
            db = sqlite3.connect(f"file:{path}?mode=ro{alone}", uri=True, timeout=2.0)
        except sqlite3.Error as error:
            raise JournalUnreadable(f"{path}: {error}") from error
        try:
            yield db
        except sqlite3.Error as error:
            raise JournalUnreadable(f"{path}: {error}") from error
        finally:
            db.close()

    def sessions(self, count: int) -> list[dict[str, Any]]:
        """The newest transactions, newest first. Raises JournalUnreadable."""
        with self.journal() as db:
            rows = db.execute(
                "SELECT tx, evse, connector, token, start_boot, start_mono, start_utc, last_boot, last_mono, last_utc,"
                " meter_start_wh, last_wh, ended, reason, backend_id FROM tx ORDER BY tx DESC LIMIT ?",
                (count,),
            ).fetchall()
            return [_session(db, row) for row in rows]

    def samples(self, tx: int) -> list[tuple[float, list[dict[str, Any]]]]:
        """The samples of a transaction: seconds (UTC where known, else monotonic) and values."""
        with self.journal() as db:
            rows = db.execute("SELECT boot, mono, utc, content FROM sample WHERE tx = ? ORDER BY id", (tx,)).fetchall()
            found = []
            for boot, mono, utc, content in rows:
                at = stamp.resolve(db, Stamp(boot, mono, utc))
                found.append((mono if at is None else at, json.loads(content)))
            return found

    def track(self, tx: int) -> list[tuple[float, tracks.Sample]]:
        """What its point did during a transaction: UTC seconds and samples. Raises JournalUnreadable."""
        with self.journal() as db:
            return list(tracks.of_transaction(db, tx))

    def tracks(self, evse: int, begin: float, end: float) -> list[tuple[float, tracks.Sample]]:
        """What a point (0: the supply) did between two UTC times. Raises JournalUnreadable."""
        with self.journal() as db:
            return tracks.between(db, evse, begin, end)

    def history(self, count: int) -> list[tuple[float | None, history.Event]]:
        """Faults as they came and went, and what technicians did; newest first. Raises JournalUnreadable."""
        with self.journal() as db:
            return history.newest(db, count)

    def stored(self, area: str) -> dict[str, Any]:
        """What the journal keeps of an area of small things (`settings`, ...). Raises JournalUnreadable."""
        with self.journal() as db:
            rows = db.execute("SELECT key, value FROM store WHERE area = ? ORDER BY key", (area,)).fetchall()
            return {key: json.loads(value) for key, value in rows}

    def log_lines(self, count: int) -> list[dict[str, Any]]:
        """The newest events of both processes in order of time."""
        events = []
        for process in ("station", "evse"):
            for line in last_lines(self.config.station.run_dir, process, count):
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"event": line}
                if isinstance(event, dict):
                    events.append({"process": process, **event})
        events.sort(key=lambda event: str(event.get("timestamp", "")))
        return events[-count:]


def _session(db: sqlite3.Connection, row: tuple[Any, ...]) -> dict[str, Any]:
    tx, evse, connector, token, *at, start_wh, last_wh, ended, reason, backend = row
    boot, mono, utc, last_boot, last_mono, last_utc = at
    began = stamp.resolve(db, Stamp(boot, mono, utc))
    ended_at = stamp.resolve(db, Stamp(last_boot, last_mono, last_utc))
    return {
        "tx": tx,
        "evse": evse,
        "connector": connector,
        "token": token,
        "began": when(began),
        "seconds": max(0.0, ended_at - began) if began is not None and ended_at is not None else None,
        "start_wh": start_wh,
        "last_wh": last_wh,
        "wh": last_wh - start_wh,
        "open": not ended,
        "reason": reason or "",
        "backend_id": backend or "",
    }


def when(utc: float | None) -> str:
    """UTC as people read it; `?` while nobody knows."""
    return "?" if utc is None else datetime.fromtimestamp(utc, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
