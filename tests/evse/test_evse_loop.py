"""The loop over a board, with real sockets and files; only the clock and the board are the test's."""

import ast
import gc
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from evse_rig import Rig

import chargepoint
from chargepoint.board.types import BorneInputs, PointInputs, PointOutputs
from chargepoint.config import BoardSection, Config, EvseSection, StationSection, SupplySection
from chargepoint.evse.lateness import PERIOD_S
from chargepoint.evse.log import Log
from chargepoint.evse.loop import Loop
from chargepoint.evse.messages import (
    Acknowledge,
    Buzz,
    Done,
    Dump,
    Lamps,
    Permit,
    SelfTest,
    ToEvse,
    Trace,
    Unlock,
    decode_from_evse,
    encode,
)
from chargepoint.evse.recorder import records
from chargepoint.evse.single import AlreadyRunning, Claim


class TwoPoints:
    """A board whose inputs two rigs' worlds give."""

    def __init__(self) -> None:
        self.rigs = {1: Rig(id=1), 2: Rig(id=2)}
        self.outputs = {1: PointOutputs(), 2: PointOutputs()}
        self.lamps: dict[int, tuple[bool, bool, bool]] = {}
        self.buzzer: list[bool] = []
        self.beats = 0
        self.armed_before: Callable[[], bool] = bool
        """The coil watchdog is armed although this process has given no beat."""
        self.order: list[str] = []

    def read_point(self, evse_id: int) -> PointInputs:
        self.order.append("read")
        return self.rigs[evse_id].inputs()

    def read_borne(self) -> BorneInputs:
        borne = self.rigs[1].world.borne
        armed = borne.coil_watchdog_armed and (self.beats > 0 or self.armed_before())
        return replace(borne, coil_watchdog_armed=armed)

    def write_point(self, evse_id: int, outputs: PointOutputs) -> None:
        rig = self.rigs[evse_id]
        rig.out = self.outputs[evse_id] = outputs
        if outputs.lock:
            rig.world.lock_at = max(0.0, min(1.0, rig.world.lock_at + outputs.lock * PERIOD_S / 0.3))

    def write_lamps(self, evse_id: int, red: bool, green: bool, blue: bool) -> None:
        self.lamps[evse_id] = (red, green, blue)

    def write_buzzer(self, on: bool) -> None:
        self.buzzer.append(on)

    def heartbeat(self) -> None:
        self.beats += 1

    def make_safe(self) -> None:
        self.order.append("safe")
        self.outputs = {1: PointOutputs(), 2: PointOutputs()}

    def close(self) -> None:
        self.make_safe()


class Bench:
    """A loop with its board, turned by hand."""

    def __init__(self, path: Path) -> None:
        self.config = Config(
            station=StationSection(id="T", state_dir=path / "state", run_dir=path),
            supply=SupplySection(max_current=52),
            board=BoardSection(kind="simulated"),
            evse=(EvseSection(id=1, max_current=32), EvseSection(id=2, max_current=32)),
        )
        self.board = TwoPoints()
        self.now = 5000.0
        with (path / "log").open("a") as stream:
            self.loop = Loop(self.config, self.board, Log("error", stream), clock=lambda: self.now)
        self.client: socket.socket | None = None

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(str(self.config.station.run_dir / "evse.sock"))
        client.setblocking(False)
        self.client = client
        return client

    def run(self, seconds: float, *messages: ToEvse) -> list[object]:
        """Passes for so long; `messages` are sent every two seconds. Answers what arrived."""
        arrived: list[object] = []
        for number in range(round(seconds / PERIOD_S)):
            if self.client is not None and number % 200 == 0:
                for message in messages:
                    self.client.send(encode(message))
            self.loop.pass_once(self.now, 0.0)
            self.now += PERIOD_S
            arrived += self.received()
        return arrived

    def received(self) -> list[object]:
        arrived = []
        while self.client is not None:
            try:
                arrived.append(decode_from_evse(self.client.recv(65536)))
            except BlockingIOError:
                break
        return arrived


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    if made.client is not None:
        made.client.close()
    made.loop.close()


def done(messages: list[object], request: int) -> Done:
    return next(m for m in messages if isinstance(m, Done) and m.id == request)


def charging(bench: Bench) -> Permit:
    bench.run(1.5)
    bench.connect()
    permit = Permit(1, True, 16.0)
    bench.board.rigs[1].plug(pilot="C")
    bench.run(3.0, permit)
    assert bench.board.outputs[1].contactor
    return permit


def test_a_permit_over_the_socket_charges_that_point_alone(bench: Bench) -> None:
    charging(bench)
    assert not bench.board.outputs[2].contactor
    assert bench.board.outputs[2].duty == 100.0


def test_the_heart_beats_once_a_pass(bench: Bench) -> None:
    bench.run(0.5)
    assert bench.board.beats == bench.loop.ticks == 50


def test_after_a_restart_no_beat_is_given_before_the_coil_watchdog_has_dropped(bench: Bench) -> None:
    """The process before may have given one just before it ended: up to 487 ms, then the line must fall."""
    begun = bench.now
    bench.board.armed_before = lambda: bench.now < begun + 0.487
    bench.run(0.48)
    assert bench.board.beats == 0
    assert not bench.loop.borne.borne_inputs.coil_watchdog_armed, "what did not prove itself is no ground to close"
    bench.run(0.02)
    assert bench.board.beats == 1
    bench.run(0.5)
    assert bench.board.beats == 51
    charging(bench)
    assert bench.loop.borne.points[1].faults.trips == 0


def test_a_coil_watchdog_that_never_drops_is_a_fault_and_gets_no_beat(bench: Bench) -> None:
    stuck = [True]
    bench.board.armed_before = lambda: bool(stuck)
    bench.run(0.99)
    assert bench.loop.borne.points[1].faults.active == {}
    bench.run(5.0)
    for point in bench.loop.borne.points.values():
        assert set(point.faults.active) == {"coil-watchdog"} and point.faults.opens
    (told,) = bench.loop.borne.borne_report(bench.now, 0, 0.0).faults
    assert told.detail == "still armed 1 s after the start, without a heartbeat: it does not drop"
    assert bench.board.beats == 0
    stuck.clear()
    bench.run(5.2)
    assert bench.board.beats > 500 and bench.loop.borne.points[1].faults.active == {}


def test_a_new_client_is_told_everything_and_then_each_change(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    first = [type(m).__name__ for m in bench.run(0.02)]
    assert first.count("PointReport") >= 2 and "BorneReport" in first
    bench.run(1.0)
    bench.board.rigs[2].plug()
    states = [m.state for m in bench.run(0.1) if type(m).__name__ == "PointReport" and m.evse == 2]  # type: ignore[attr-defined]
    assert "B1" in states


def test_leases_end_when_the_station_goes_away(bench: Bench) -> None:
    charging(bench)
    assert bench.client is not None
    bench.client.close()
    bench.client = None
    bench.run(10.1)
    assert bench.board.outputs[1].duty == 100.0


def test_release_is_answered_when_the_plug_is_free(bench: Bench) -> None:
    charging(bench)
    bench.client.send(encode(Unlock(1, 7)))  # type: ignore[union-attr]
    bench.run(0.5)
    bench.board.rigs[1].world.pilot = "B"
    assert done(bench.run(1.5), 7).ok
    assert bench.board.rigs[1].world.lock_at == 0.0


def test_a_release_that_cannot_be_done_is_answered_with_the_reason(bench: Bench) -> None:
    charging(bench)
    bench.board.rigs[1].world.welded = True
    bench.client.send(encode(Unlock(1, 8)))  # type: ignore[union-attr]
    answer = done(bench.run(21.0), 8)
    assert not answer.ok and "contactor" in answer.detail


def test_requests_for_no_point_are_refused_with_its_number(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    answers = bench.run(0.05, Unlock(9, 1), SelfTest(9, 2), Acknowledge(9, 3, "x"), Dump(9, 4), Permit(9, True, 16.0))
    for request in (1, 2, 3):
        assert "9" in done(answers, request).detail
    assert not done(answers, 4).ok


def test_self_test_and_acknowledge_are_answered(bench: Bench) -> None:
    bench.run(2.0)
    bench.connect()
    answers = bench.run(3.0, SelfTest(1, 1, "rcd"))
    assert done(answers, 1).ok
    assert "no active fault" in done(bench.run(0.05, Acknowledge(1, 5, "diode")), 5).detail


def test_nonsense_on_the_socket_is_counted_and_survived(bench: Bench) -> None:
    bench.run(0.1)
    client = bench.connect()
    for packet in (b"{", b"\xff\xfe", b'{"type":"permit"}', b'{"type":"nothing","evse":1}', b"x" * 30000):
        client.send(packet)
    bench.run(0.1)
    assert bench.loop._server.malformed == 5
    assert bench.run(1.2)


def test_a_client_that_does_not_read_is_dropped_and_the_loop_goes_on(bench: Bench) -> None:
    bench.run(0.1)
    deaf = bench.connect()
    bench.client = None
    for _ in range(60):
        bench.board.rigs[1].world.pilot = "B" if bench.board.rigs[1].world.pilot == "A" else "A"
        bench.run(0.5)
    assert bench.loop._server.clients == {}
    deaf.close()


def test_latched_faults_and_counters_survive_a_restart(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    charging(first)
    first.board.rigs[1].world.rdc = True
    first.run(0.5)
    first.client.close()  # type: ignore[union-attr]
    first.client = None
    first.loop.close()
    kept = json.loads((tmp_path / "state" / "evse.json").read_text())
    assert "residual-current-dc" in kept["points"]["1"]["latched"]
    second = Bench(tmp_path)
    second.run(0.5)
    assert set(second.loop.borne.points[1].faults.active) == {"residual-current-dc"}
    assert second.loop.borne.report(1, second.now).counters["contactor_closings"] == 1
    second.loop.close()


def test_latched_faults_survive_a_damaged_memory_file(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.run(1.0)
    first.board.rigs[1].world.rdc = True
    first.run(0.5)
    first.loop.close()
    (tmp_path / "state" / "evse.json").write_bytes(b"\0" * 4096)
    second = Bench(tmp_path)
    second.run(0.5)
    assert "residual-current-dc" in second.loop.borne.points[1].faults.active
    assert "memory-damaged" in {f.name for f in second.loop.borne.borne_report(second.now, 0, 0.0).faults}
    second.loop.close()
    third = Bench(tmp_path)
    third.run(0.5)
    assert set(third.loop.borne.points[1].faults.active) == {"residual-current-dc"}, "it was written anew"
    third.loop.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writing_thread_that_has_ended_is_told(bench: Bench, tmp_path: Path) -> None:
    def end(_: object, __: object) -> bytes:
        raise SystemExit

    bench.loop._writer.submit(tmp_path / "x", lambda: end(0, 0))
    bench.loop._writer._thread.join(5.0)
    with (tmp_path / "log").open("a") as stream:
        bench.loop._log = Log("error", stream)
        bench.run(1.1)
    assert "the thread that writes files has ended" in (tmp_path / "log").read_text()


def test_a_fault_leaves_a_recording(bench: Bench, tmp_path: Path) -> None:
    charging(bench)
    bench.board.rigs[1].world.rcd = True
    bench.run(3.0)
    bench.loop._writer.close()
    (file,) = (tmp_path / "state" / "recorder").glob("*.rec")
    rows = list(records(file))
    assert "residual-current" in file.name
    assert rows[-1]["faults"] == ["residual-current"] and any(row["contactor"] for row in rows)


def recordings(bench: Bench) -> list[str]:
    """The faults of which there is a recording, by point, in order of name; the loop's writer ends."""
    bench.loop._writer.close()
    return sorted(f"{f.name[:5]} {f.stem.partition('Z-')[2]}" for f in bench.loop._recorder_path.glob("*.rec"))


def submitted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings that are handed to the writer from now on."""
    found: list[str] = []

    def note(path: Path, _: object, keep: int = 0) -> None:
        if keep:
            found.append(path.stem.partition("Z-")[2])

    monkeypatch.setattr(bench.loop._writer, "submit", note)
    return found


def test_a_fault_that_comes_and_goes_is_recorded_once_in_ten_minutes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = submitted(bench, monkeypatch)
    world = bench.board.rigs[1].world
    bench.run(1.5)
    for _ in range(15):
        world.pilot = "E"
        bench.run(1.0)
        world.pilot = "A"
        bench.run(11.0)
    assert found == ["pilot-short"]
    bench.now += 420.0
    world.pilot = "E"
    bench.run(3.0)
    assert found == ["pilot-short", "pilot-short"]
    world.rcd = True
    bench.run(12.0)
    assert found[2:] == ["residual-current"]


def test_a_stop_is_recorded_too_and_what_only_lowers_the_current_is_not(bench: Bench) -> None:
    charging(bench)
    bench.board.rigs[1].world.temperature_c = 66.0
    bench.run(3.0, Permit(1, True, 16.0))
    assert "temperature-derating" in bench.loop.borne.points[1].faults.active
    assert bench.client is not None
    bench.client.close()
    bench.client = None
    bench.run(13.0)
    assert recordings(bench) == ["evse1 lease-ended"]


def test_the_station_has_the_ring_written_for_a_fault_of_its_own_and_names_it(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    answers = bench.run(0.05, Dump(1, 3, "over-current"), Dump(1, 4, "../../etc/passwd"), Dump(2, 5, "over-current"))
    assert done(answers, 3).ok and done(answers, 5).ok
    assert done(answers, 4).detail.endswith("Z-request.rec")
    bench.run(2.1)
    again = done(bench.run(0.05, Dump(1, 6, "over-current")), 6)
    assert not again.ok and "10 min" in again.detail
    bench.run(12.0)
    assert recordings(bench) == ["evse1 over-current", "evse1 request", "evse2 over-current"]


def test_a_dump_on_request_names_its_file(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    assert done(bench.run(0.05, Dump(2, 3)), 3).detail.startswith("evse2-")


def test_a_trace_sends_samples_for_its_time(bench: Bench) -> None:
    bench.run(0.1)
    client = bench.connect()
    bench.run(0.1)
    client.send(encode(Trace(1, seconds=1.0, interval_s=0.1)))
    samples = [m for m in bench.run(2.0) if type(m).__name__ == "Sample"]
    assert 9 <= len(samples) <= 12


def test_lamps_are_played_and_written_on_change_only(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    bench.run(0.05, Lamps(1, ((False, True, False, 1000),)))
    assert bench.board.lamps[1] == (False, True, False)


def test_the_buzzer_sounds_its_tones_once_and_is_silent_after(bench: Bench) -> None:
    bench.run(0.1)
    bench.connect()
    bench.run(0.05, Buzz(1, (100, 100, 300)))
    assert bench.board.buzzer == [True]
    bench.run(0.1)
    assert bench.board.buzzer == [True, False]
    bench.run(0.1)
    assert bench.board.buzzer == [True, False, True]
    bench.run(2.0)
    assert bench.board.buzzer == [True, False, True, False]


def test_a_late_pass_is_a_fault_and_opens(bench: Bench) -> None:
    permit = charging(bench)
    bench.loop.pass_once(bench.now, 0.3)
    assert not bench.board.outputs[1].contactor
    assert "loop-overrun" in bench.loop.borne.points[2].faults.active
    assert bench.loop.borne.borne_report(bench.now, 0, 0.0).faults[0].name == "loop-overrun"
    bench.run(61.0, permit)
    assert bench.loop.borne.points[1].faults.active == {}


@pytest.mark.parametrize("stalls_in", ["read_borne", "heartbeat", "sleep"])
def test_a_stall_anywhere_in_a_pass_or_between_two_opens_before_the_next_heartbeat(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stalls_in: str
) -> None:
    """The coil watchdog has dropped the contactors by then: the next beat must not close them again."""
    charging(bench)
    closed_at_beat: list[bool] = []
    stalls = [0.3]

    def stall() -> None:
        if len(closed_at_beat) == 3 and stalls:
            bench.now += stalls.pop()

    def read() -> BorneInputs:
        stall() if stalls_in == "read_borne" else None
        return TwoPoints.read_borne(bench.board)

    def beat() -> None:
        closed_at_beat.append(bench.board.outputs[1].contactor)
        stall() if stalls_in == "heartbeat" else None
        bench.loop.stopping = len(closed_at_beat) == 8

    def sleep(seconds: float) -> None:
        bench.now += seconds
        stall() if stalls_in == "sleep" else None

    monkeypatch.setattr(bench.board, "read_borne", read)
    monkeypatch.setattr(bench.board, "heartbeat", beat)
    monkeypatch.setattr("chargepoint.evse.loop.time.sleep", sleep)
    bench.loop.run()
    assert closed_at_beat == [True] * 3 + [False] * 5
    assert "loop-overrun" in bench.loop.borne.points[1].faults.active


def test_a_loop_that_is_late_again_and_again_is_a_fault_though_no_pass_is_late_enough_alone(bench: Bench) -> None:
    """At 240 ms a pass an opened S2 would open the contactor after 480 ms; the standard's bound is 100."""
    permit = charging(bench)
    for _ in range(4):
        bench.loop.pass_once(bench.now, 0.23)
        bench.now += 0.24
    assert bench.board.outputs[1].contactor
    bench.loop.pass_once(bench.now, 0.23)
    assert not bench.board.outputs[1].contactor
    assert bench.loop.borne.points[1].faults.active["loop-overrun"].detail == "230 ms late"
    bench.run(59.0, permit)
    assert "loop-overrun" in bench.loop.borne.points[1].faults.active
    bench.run(2.0, permit)
    assert bench.loop.borne.points[1].faults.active == {}


def test_a_busy_machine_whose_passes_are_late_now_and_then_goes_on(bench: Bench) -> None:
    permit = charging(bench)
    for _ in range(50):
        for _ in range(4):
            bench.loop.pass_once(bench.now, 0.2)
            bench.now += 0.21
        bench.run(0.08, permit)
    assert bench.board.outputs[1].contactor
    for _ in range(100):
        bench.loop.pass_once(bench.now, 0.03)
        bench.now += 0.04
    assert bench.board.outputs[1].contactor


@pytest.mark.parametrize(("late", "lasts"), [(0.0, 0.25), (0.0, 0.255), (0.2, 0.05)])
def test_a_pass_that_skips_its_heartbeat_is_a_fault_in_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, late: float, lasts: float
) -> None:
    """The coils may drop 326 ms after a beat, and the next beat would close them unseen."""
    charging(bench)
    beats = bench.board.beats

    def read() -> BorneInputs:
        bench.now += lasts
        return TwoPoints.read_borne(bench.board)

    with monkeypatch.context() as slow:
        slow.setattr(bench.board, "read_borne", read)
        bench.loop.pass_once(bench.now, late)
    assert bench.board.beats == beats and bench.board.outputs[1].contactor
    bench.loop.pass_once(bench.now, late + lasts - PERIOD_S)
    assert bench.board.beats == beats + 1 and not bench.board.outputs[1].contactor
    assert "loop-overrun" in bench.loop.borne.points[1].faults.active


def test_passes_that_were_missed_are_not_made_up_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []

    def beat() -> None:
        begun.append(bench.now)
        bench.now += 0.055 if len(begun) == 2 else 0.001
        bench.loop.stopping = len(begun) == 6

    def sleep(seconds: float) -> None:
        bench.now += seconds

    monkeypatch.setattr(bench.board, "heartbeat", beat)
    monkeypatch.setattr("chargepoint.evse.loop.time.sleep", sleep)
    first = bench.now
    bench.loop.run()
    assert [round((t - first) * 1000) for t in begun] == [0, 10, 65, 75, 85, 95]


def test_the_outputs_are_safe_after_the_end(bench: Bench) -> None:
    charging(bench)
    bench.loop.close()
    assert bench.board.outputs[1] == PointOutputs()


def test_a_latch_of_the_pass_in_which_the_pins_fail_is_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    charging(bench)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    bench.board.rigs[1].world.rcd = True
    bench.loop.pass_once(bench.now, 0.0)
    with monkeypatch.context() as pins:
        pins.setattr(bench.board, "write_point", fail)
        pins.setattr(bench.board, "make_safe", fail)
        with pytest.raises(OSError, match="Input/output"):
            bench.loop.pass_once(bench.now + 0.01, 0.0)
        with pytest.raises(OSError, match="Input/output"):
            bench.loop.close()
    state = json.loads((bench.config.station.state_dir / "evse.json").read_text())
    assert list(state["points"]["1"]["latched"]) == ["residual-current"]


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    with Claim(tmp_path), pytest.raises(AlreadyRunning, match="another safety process"):
        Claim(tmp_path)
    Claim(tmp_path).close()


def test_the_log_file_is_short(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        log = Log("info", stream, tmp_path / "evse.log")
        for _ in range(4000):
            log.info("something", text="x" * 200)
    sizes = [(tmp_path / name).stat().st_size for name in ("evse.log", "evse.log.1")]
    assert max(sizes) < 300 * 1024
    log.info("after the stream was closed")
    assert log.lost == 1


def test_a_standard_error_that_nobody_reads_does_not_stop_the_loop(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        log = Log("info", stream, tmp_path / "evse.log")
        writer = threading.Thread(target=lambda: [log.info("something", n=n) for n in range(3000)], daemon=True)
        writer.start()
        writer.join(5.0)
        stuck = writer.is_alive()
        os.set_blocking(reading, False)
        while stuck and writer.is_alive():  # let it go, so that the stream can be closed
            os.read(reading, 65536)
        assert not stuck
        assert 0 < log.lost < 3000
    os.close(reading)
    assert (tmp_path / "evse.log").read_text().splitlines()[-1].endswith('"n":2999}')


def test_passes_leave_no_garbage_behind(bench: Bench) -> None:
    permit = charging(bench)
    bench.run(5.0, permit)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for pilot in "BCABCABC":
            bench.board.rigs[1].world.pilot = pilot
            bench.run(6.0, permit)
        grown = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert grown < 100, f"{grown} objects more after {4800} passes without the collector"


def test_nothing_but_the_loop_feeds_the_coil_watchdog() -> None:
    sources = Path(chargepoint.__file__).parent
    callers = {
        str(path.relative_to(sources))
        for room in ("evse", "board", "processes")
        for path in (sources / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "heartbeat"
    }
    assert callers == {"evse/loop.py"}


def test_the_interpreter_is_calm_once_the_loop_runs() -> None:
    script = (
        "import gc, sys; from chargepoint.evse import realtime;"
        "granted = realtime.claim(); realtime.calm_interpreter();"
        "print(sorted(granted), gc.isenabled(), gc.get_freeze_count() > 1000, sys.getswitchinterval() < 0.001)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert told.stdout.split("]")[1].split() == ["False", "True", "True"]
    assert told.stdout.startswith("['memory', 'scheduler']")


def test_a_packet_nested_without_end_is_nonsense_too(bench: Bench) -> None:
    client = bench.connect()
    client.send(b'{"type":"permit","x":' + b"[" * 60_000)
    bench.run(0.1)
    assert bench.loop._server.malformed == 1


@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is not installed (extra pi)")
def test_the_memory_that_the_unit_grants_is_enough_with_the_libraries_of_a_real_board(tmp_path: Path) -> None:
    """Without a capability, mlockall weighs the whole address space against the limit, touched or not."""
    unit = (Path(__file__).parents[2] / "systemd/chargepoint-evse.service").read_text(encoding="utf-8")
    granted = int(re.findall(r"^LimitMEMLOCK=(\d+)M$", unit, re.M)[0]) * 1024
    environment = dict(re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.M))
    program = """
from chargepoint.processes import evse
from chargepoint.board import hardware, lgpio_lines
from chargepoint.evse.memory import Writer
Writer()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **environment}, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    assert int(done.stdout) < granted / 2
