"""A run of crashes is noticed by the next start; a station that was well, or was stopped, is not held against it."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from chargepoint import __version__
from chargepoint.config import Config
from chargepoint.evse.messages import Lamps, Permit, ToEvse, decode_to_evse
from chargepoint.jsonrpc import RpcError
from chargepoint.processes import evse
from chargepoint.processes.crashes import NO_WORD, PAUSES_S, SETTLED_S, WINDOW_S, Crashes, SafeMode, born
from chargepoint.processes.last_words import told
from chargepoint.processes.safe_mode import SafeStation


class Runs:
    """Runs of the station one after the other, each a process of its own as far as the notes can see."""

    def __init__(self, directory: Path, most: int = 5) -> None:
        self.directory, self.most, self.now = directory, most, 1000.0

    def crash(self, lived_s: float = 1.0, error: Exception | None = None) -> SafeMode | None:
        crashes = Crashes(self.directory, self.most)
        safe = crashes.begin(self.now)
        self.now += lived_s
        if safe is None:
            crashes.ended(self.now, error or ValueError("no such thing"))
        return safe

    def killed(self, lived_s: float = 1.0) -> SafeMode | None:
        safe = Crashes(self.directory, self.most).begin(self.now)
        self.now += lived_s
        return safe


def test_the_fifth_crash_in_a_row_leads_to_safe_mode_with_its_reason(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert [runs.crash() for _ in range(5)] == [None] * 5
    safe = runs.crash()
    assert safe is not None
    assert (safe.reason, safe.ends, safe.pause_s) == ("ValueError: no such thing", 5, PAUSES_S[0])


def test_being_killed_counts_as_well(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert [runs.killed() for _ in range(5)] == [None] * 5
    safe = runs.killed()
    assert safe is not None and safe.reason == NO_WORD


def test_ends_far_apart_are_no_loop(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(20):
        assert runs.crash() is None
        runs.now += WINDOW_S / 4


def test_the_whole_station_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    pauses = []
    for _ in range(40):
        safe = runs.crash()
        if safe is not None:
            pauses.append(safe.pause_s)
            runs.now += safe.pause_s
    assert pauses[:6] == [*PAUSES_S, PAUSES_S[-1]]


def test_what_one_version_died_of_is_not_held_against_the_one_that_is_taken_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version on trial falls again and again, and the update is taken back: the one before is no worse for it."""
    runs = Runs(tmp_path)
    monkeypatch.setattr("chargepoint.processes.crashes.__version__", "1.1.0")
    assert [runs.crash() for _ in range(5)] == [None] * 5
    monkeypatch.setattr("chargepoint.processes.crashes.__version__", "1.0.0")
    assert [runs.crash() for _ in range(5)] == [None] * 5
    assert runs.crash() is not None


def test_a_run_that_was_well_begins_anew(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    while (safe := runs.crash()) is None:
        pass
    runs.now += safe.pause_s
    assert runs.crash(lived_s=SETTLED_S + 1) is None
    assert [runs.crash() for _ in range(5)] == [None] * 5
    again = runs.crash()
    assert again is not None and again.pause_s == PAUSES_S[0]


def test_a_stop_in_good_order_is_no_crash(tmp_path: Path) -> None:
    for _ in range(9):
        crashes = Crashes(tmp_path, 5)
        assert crashes.begin(1000.0) is None
        crashes.ended(1000.5)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"runs": 3}', b"\xff"])
def test_notes_that_nobody_can_read_keep_nothing_from_starting(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "station-ends.json").write_bytes(damage)
    assert Crashes(tmp_path, 5).begin(1000.0) is None


def test_a_directory_that_takes_no_file_keeps_nothing_from_starting(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the directory should be")
    assert Crashes(tmp_path / "run", 5).begin(1000.0) is None


def test_notes_of_another_boot_are_forgotten(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(5):
        runs.crash()
    runs.now = 10.0
    assert runs.crash() is None


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    runs = Runs(tmp_path, most=0)
    assert [runs.crash() for _ in range(30)] == [None] * 30


def test_a_second_station_does_not_count_the_first_as_dead(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "30"])
    try:
        notes = {"runs": [{"at": 999.0, "pid": other.pid, "born": born(other.pid)}] * 9, "version": __version__}
        (tmp_path / "station-ends.json").write_bytes(msgspec.json.encode(notes))
        before = (tmp_path / "station-ends.json").read_bytes()
        assert Crashes(tmp_path, 5).begin(1000.0) is None
        assert (tmp_path / "station-ends.json").read_bytes() == before
    finally:
        os.kill(other.pid, 9)
        other.wait()


def test_a_run_whose_process_id_is_another_program_s_now_has_ended(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "30"])
    try:
        notes = {"runs": [{"at": 999.0, "pid": other.pid, "born": born(other.pid) - 1}] * 5, "version": __version__}
        (tmp_path / "station-ends.json").write_bytes(msgspec.json.encode(notes))
        safe = Crashes(tmp_path, 5).begin(1000.0)
        assert safe is not None and safe.reason == NO_WORD
    finally:
        os.kill(other.pid, 9)
        other.wait()


def test_a_run_that_was_killed_and_whose_number_is_taken_again_counts(tmp_path: Path) -> None:
    assert Crashes(tmp_path, 1).begin(1000.0) is None
    file = tmp_path / "station-ends.json"
    notes = msgspec.json.decode(file.read_bytes())
    assert notes["runs"][0]["born"] == born(os.getpid())
    other = subprocess.Popen(["sleep", "30"])
    try:
        notes["runs"][0]["pid"] = other.pid
        file.write_bytes(msgspec.json.encode(notes))
        assert Crashes(tmp_path, 1).begin(1000.5) is not None
    finally:
        os.kill(other.pid, 9)
        other.wait()


def test_an_error_is_told_in_a_line_with_its_place_also_from_within_a_group() -> None:
    try:
        try:
            raise KeyError("lock")
        except KeyError as error:
            raise ExceptionGroup("tasks", [error]) from None
    except ExceptionGroup as group:
        reason, where = told(group)
    assert reason == "KeyError: 'lock'"
    assert where.startswith("test_crashes.py:")


def test_the_safety_process_leaves_what_it_died_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(config: object, board: object, claim: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(evse.loop, "run", dies)
    monkeypatch.setattr(evse, "make_board", lambda config: None)
    tree = {
        "station": {"id": "CP", "state_dir": tmp_path, "run_dir": tmp_path},
        "supply": {"max_current": 32},
        "board": {"kind": "simulated"},
        "evse": [{"id": 1, "max_current": 32}],
    }
    with pytest.raises(ZeroDivisionError):
        evse.main(msgspec.convert(tree, Config))
    words = (tmp_path / "evse-last-words").read_text()
    assert words.startswith("ZeroDivisionError: division by zero (test_crashes.py:")


def test_the_safe_mode_shows_every_point_out_of_service_in_place_of_what_it_showed_last(tmp_path: Path) -> None:
    tree = {
        "station": {"id": "CP", "state_dir": tmp_path, "run_dir": tmp_path},
        "supply": {"max_current": 32},
        "board": {"kind": "simulated"},
        "lamps": {"unavailable": "red 100 900"},
        "evse": [{"id": 1, "max_current": 16}, {"id": 2, "max_current": 16}],
    }
    got: list[ToEvse] = []

    async def play() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(str(tmp_path / "evse.sock"))
            listening.listen()
            listening.setblocking(False)
            station = SafeStation(msgspec.convert(tree, Config), SafeMode("x", "", 5, 60.0))
            running = asyncio.create_task(station.run())
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(5.0):
                connection, _ = await loop.sock_accept(listening)
                with connection:
                    for _ in range(4):
                        got.append(decode_to_evse(await loop.sock_recv(connection, 65536)))
                    station.over.set()
                    await running

    asyncio.run(play())
    out_of_service = ((True, False, False, 100), (False, False, False, 900))
    assert [m for m in got if isinstance(m, Lamps)] == [Lamps(1, out_of_service), Lamps(2, out_of_service)]
    assert not any(m.allowed for m in got if isinstance(m, Permit))


def test_in_safe_mode_a_technician_is_entered_in_the_log_and_asks_about_a_connector(tmp_path: Path) -> None:
    async def play() -> None:
        tree = {
            "station": {"id": "X", "state_dir": tmp_path, "run_dir": tmp_path},
            "supply": {"max_current": 32},
            "board": {"kind": "simulated"},
            "evse": [{"id": 1, "max_current": 32, "domestic": {"max_current": 10}}],
        }
        station = SafeStation(msgspec.convert(tree, Config), SafeMode("ValueError: x", "", 5, 60.0))
        assert station.audit(who="Jeanne", action="unlock", evse=1) == {"ok": True}
        assert "ValueError: x" in station.why(1, "en", 2)
        with pytest.raises(RpcError, match="nothing holds a plug in the domestic socket"):
            await station.unlock(1, 2)

    asyncio.run(play())
