"""What is kept: the recorder's ring, the memory file, and both over damage."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from evse_rig import Rig

from chargepoint.config import BoardSection, Config, EvseSection, StationSection, SupplySection
from chargepoint.evse import memory
from chargepoint.evse.borne import Borne
from chargepoint.evse.memory import PointMemory, Remembered, Writer, backup, dump, load, prune, write
from chargepoint.evse.recorder import Recorder, contents, records
from chargepoint.faults import FAULTS


def recorded(rig: Rig, recorder: Recorder, passes: int) -> None:
    for _ in range(passes):
        i, b, now = rig.inputs(), rig.world.borne, rig.now
        out = rig.step()
        recorder.note(rig.point, i, b, out, now)


def test_the_ring_keeps_the_last_passes_with_every_decision(tmp_path: Path) -> None:
    rig = Rig().charging()
    recorder = Recorder(passes=100)
    recorded(rig, recorder, 130)
    rig.world.rdc = True
    recorded(rig, recorder, 20)
    file = tmp_path / "one.rec"
    file.write_bytes(contents(recorder.snapshot(), 1, "b00t", "residual-current-dc", rig.now))
    rows = list(records(file))
    assert len(rows) == 100
    times = [float(str(row["t"])) for row in rows]
    assert times == sorted(times)
    assert rows[0]["state"] == "C2" and rows[0]["contactor"] is True and rows[0]["duty"] == pytest.approx(53.33)
    assert rows[-1]["contactor"] is False and rows[-1]["faults"] == ["residual-current-dc"]
    first_bad = next(n for n, row in enumerate(rows) if row["rdc_tripped"])
    assert rows[first_bad]["contactor"] is True and rows[first_bad + 1]["contactor"] is False


def test_two_minutes_are_small_on_the_card() -> None:
    rig = Rig().charging()
    recorder = Recorder()
    recorded(rig, recorder, 12_000)
    assert len(contents(recorder.snapshot(), 1, "b00t", "request", rig.now)) < 200_000


def test_another_file_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "x.rec"
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"x\.rec"):
        list(records(file))


def test_only_the_newest_files_stay(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.rec").write_bytes(b"")
        os.utime(tmp_path / f"{number}.rec", (number, number))
    prune(tmp_path / "4.rec", 2)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["3.rec", "4.rec"]


def test_a_recording_stays_although_the_clock_has_been_set_back(tmp_path: Path) -> None:
    writer = Writer()
    for number in range(3):
        (tmp_path / f"{number}.rec").write_bytes(b"")
        os.utime(tmp_path / f"{number}.rec", (4e9 + number, 4e9 + number))
    writer.submit(tmp_path / "now.rec", lambda: b"x", keep=3)
    writer.close()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["1.rec", "2.rec", "now.rec"]


def test_recordings_that_a_full_disk_or_a_power_cut_ended_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("chargepoint.evse.memory.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "full.rec", b"x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cut.new").write_bytes(b"half of it")
    writer = Writer()
    writer.submit(tmp_path / "next.rec", lambda: b"x", keep=3)
    writer.close()
    assert [f.name for f in tmp_path.iterdir()] == ["next.rec"]


def test_memory_comes_back_as_it_was_written(tmp_path: Path) -> None:
    points = {1: PointMemory({"contactor-welded": "why"}, {"trips": 3}), 2: PointMemory()}
    write(tmp_path / "evse.json", dump(points))
    assert load(tmp_path / "evse.json").points == points


def test_a_missing_memory_is_a_new_borne(tmp_path: Path) -> None:
    assert load(tmp_path / "evse.json").points == {}


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b'{"points": {"x": {}}}', b"\xff\xfe", b"[" * 100_000,
        b'{"points": {"1": {"latched": {}, "counters": {"trips": 1e999}}}}',
    ],
)  # fmt: skip
def test_a_damaged_memory_is_set_aside_and_said(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "evse.json"
    file.write_bytes(damage)
    found = load(file)
    assert found.damaged and found.lost and found.points == {}
    assert (tmp_path / "evse.damaged").read_bytes() == damage
    assert load(file).lost, "nothing has been written since"
    write(file, dump({}))
    assert not load(file).damaged and (tmp_path / "evse.damaged").read_bytes() == damage


WELDED = {1: PointMemory({"contactor-welded": "why"}, {"trips": 3})}


@pytest.mark.parametrize("newest", [b"{", None])
def test_a_memory_that_is_damaged_or_gone_is_read_from_its_copy_and_said(tmp_path: Path, newest: bytes | None) -> None:
    file = tmp_path / "evse.json"
    write(backup(file), dump(WELDED))
    if newest is not None:
        file.write_bytes(newest)
    found = load(file)
    assert found.points == WELDED and not found.lost
    assert "evse.json" in found.damaged and "evse.bak" in found.damaged


@pytest.mark.parametrize("newest", [b"{", None])
def test_a_memory_whose_copy_is_damaged_too_is_lost(tmp_path: Path, newest: bytes | None) -> None:
    file = tmp_path / "evse.json"
    backup(file).write_bytes(b"\xff")
    if newest is not None:
        file.write_bytes(newest)
    assert load(file).lost and load(file).points == {}


def test_a_damaged_copy_of_a_sound_memory_is_no_matter(tmp_path: Path) -> None:
    file = tmp_path / "evse.json"
    write(file, dump(WELDED))
    backup(file).write_bytes(b"")
    assert load(file) == Remembered(WELDED)


def test_the_writer_writes_the_newest_and_says_what_failed(tmp_path: Path) -> None:
    writer = Writer()
    writer.submit(tmp_path / "a" / "evse.json", lambda: b"old")
    writer.submit(tmp_path / "a" / "evse.json", lambda: b"new")
    (tmp_path / "file").write_bytes(b"")
    writer.submit(tmp_path / "file" / "evse.json", lambda: b"x")
    writer.close()
    assert (tmp_path / "a" / "evse.json").read_bytes() == b"new"
    assert "file" in writer.error


def test_a_latch_that_could_not_be_written_is_written_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "RETRY_S", 0.02)
    writer = Writer()
    (tmp_path / "state").write_bytes(b"in the way")
    writer.submit(tmp_path / "state" / "evse.json", lambda: b"latched")
    until(lambda: bool(writer.error))
    (tmp_path / "state").unlink()
    until((tmp_path / "state" / "evse.json").exists)
    until(lambda: not writer.error)
    writer.close()
    assert (tmp_path / "state" / "evse.json").read_bytes() == b"latched"


def test_a_latch_that_could_not_be_written_is_tried_once_more_at_the_end(tmp_path: Path) -> None:
    writer = Writer()
    (tmp_path / "state").write_bytes(b"in the way")
    writer.submit(tmp_path / "state" / "evse.json", lambda: b"latched")
    until(lambda: bool(writer.error))
    (tmp_path / "state").unlink()
    writer.close()
    assert (tmp_path / "state" / "evse.json").read_bytes() == b"latched" and not writer.error


def test_a_disk_that_stays_full_does_not_hold_up_the_end(tmp_path: Path) -> None:
    tries: list[int] = []

    def latched() -> bytes:
        tries.append(1)
        raise OSError(28, "No space left on device")

    writer = Writer()
    writer.submit(tmp_path / "evse.json", latched)
    until(lambda: bool(writer.error))
    writer.close()
    assert len(tries) == 2 and not writer._thread.is_alive() and "No space" in writer.error


def test_contents_that_cannot_be_made_are_told_and_tried_again_and_the_thread_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "RETRY_S", 0.02)
    broken = [1, 1]

    def latched() -> bytes:
        if broken:
            raise TypeError(f"cannot be encoded {broken.pop()}")
        return b"latched"

    writer = Writer()
    writer.submit(tmp_path / "evse.json", latched)
    until(lambda: "evse.json: TypeError: cannot be encoded" in writer.trouble)
    writer.submit(tmp_path / "other", lambda: b"x")
    until((tmp_path / "other").exists)
    until(lambda: not writer.trouble)
    writer.close()
    assert (tmp_path / "evse.json").read_bytes() == b"latched"


def test_a_writer_whose_thread_has_ended_says_so_and_why() -> None:
    def start() -> None:
        raise RuntimeError("no such scheduler")

    writer = Writer(start)
    until(lambda: not writer._thread.is_alive())
    assert writer.trouble == "the thread that writes files has ended: RuntimeError: no such scheduler"
    sound = Writer()
    sound.close()
    assert sound.trouble == ""


def test_a_recording_that_could_not_be_written_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RETRY_S", 0.01)
    writer = Writer()
    (tmp_path / "state").write_bytes(b"in the way")
    writer.submit(tmp_path / "state" / "1.rec", lambda: b"x", keep=3)
    until(lambda: bool(writer.error))
    assert not writer._failed
    writer.close()


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_every_fault_has_a_bit_in_the_recorders_record() -> None:
    assert len(FAULTS) <= 64


def borne_with(latched: dict[str, str], *elsewhere: int) -> Borne:
    remembered = Remembered({evse: PointMemory(dict(latched), {"trips": 7}) for evse in (1, *elsewhere)})
    config = Config(
        station=StationSection(id="T"), supply=SupplySection(max_current=32), board=BoardSection(kind="simulated"),
        evse=(EvseSection(id=1, max_current=32),),
    )  # fmt: skip
    return Borne(config, remembered, 1000.0)


def test_a_latch_of_another_version_keeps_the_point_out_of_service_and_its_name() -> None:
    borne = borne_with({"melted-busbar": "phase 2"})
    rig = Rig()
    for number in range(200):
        rig.out = borne.step(1, rig.inputs(), rig.world.borne, 1000.0 + number / 100)
    point = borne.points[1]
    assert point.faults.opens and point.out_of_service
    told = borne.report(1, 1002.0).faults
    assert [(fault.name, fault.detail) for fault in told] == [("melted-busbar", "phase 2")]
    assert borne.memory()[1].latched == {"melted-busbar": "phase 2"}
    assert point.acknowledge("melted-busbar", 1002.0) == ""
    assert borne.memory()[1].latched == {} and not point.faults.stops


def test_a_lost_memory_keeps_every_point_out_of_service_until_a_technician_has_looked() -> None:
    config = Config(
        station=StationSection(id="T"), supply=SupplySection(max_current=32), board=BoardSection(kind="simulated"),
        evse=(EvseSection(id=1, max_current=32),),
    )  # fmt: skip
    borne = Borne(config, Remembered(damaged="both are unreadable", lost=True), 1000.0)
    rig = Rig()
    for number in range(200):
        rig.out = borne.step(1, rig.inputs(), rig.world.borne, 1000.0 + number / 100)
    point = borne.points[1]
    assert point.faults.opens and point.out_of_service
    assert {f.name: f.detail for f in borne.report(1, 1002.0).faults}["unknown-latch"] == "both are unreadable"
    assert [f.name for f in borne.borne_report(1002.0, 0, 0.0).faults] == ["memory-damaged"]
    assert borne.memory()[1].latched == {"unknown-latch": "both are unreadable"}
    assert point.acknowledge("unknown-latch", 1002.0) == ""
    assert borne.memory()[1].latched == {} and not point.faults.stops


def test_what_is_remembered_of_a_point_that_is_not_configured_now_is_kept() -> None:
    borne = borne_with({"contactor-welded": "why"}, 9)
    assert 9 not in borne.points
    assert borne.memory()[9] == PointMemory({"contactor-welded": "why"}, {"trips": 7})
