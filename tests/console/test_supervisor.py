"""`chargepoint run`: children are started again, stopped in order, and never left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DRIVER = """
import sys
from pathlib import Path
from chargepoint.processes.supervisor import WATCHDOG_S, Child, Supervisor
WATCHDOG_S["station"] = 1.5
root = Path(sys.argv[1])
names = [name for name in ("sim", "evse", "station") if (root / name).exists()]
sys.exit(Supervisor([Child(n, [sys.executable, str(root / n), str(root)]) for n in names], root / "sim.sock").run())
"""

STEADY = """
import os, signal, sys, time
from pathlib import Path
name, log = Path(__file__).name, Path(sys.argv[1]) / "log"
def note(what):
    with log.open("a") as out:
        print(name, what, os.getpid(), file=out)
def stop(*_):
    note("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("started")
time.sleep(60)
"""

LISTENS = """
import socket
with socket.socket(socket.AF_UNIX) as door:
    door.bind(str(Path(sys.argv[1]) / "sim.sock"))
    door.listen()
    time.sleep(60)
"""

ENDS_WITH = """
import os, sys
from pathlib import Path
with (Path(sys.argv[1]) / "log").open("a") as out:
    print(Path(__file__).name, "started", os.getpid(), file=out)
sys.exit({})
"""


class Bench:
    """A supervisor over small scripts that note what happens to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **scripts: str) -> subprocess.Popen[bytes]:
        for name, text in scripts.items():
            (self.root / name).write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.root)],
            stderr=(self.root / "stderr").open("wb"),
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM),
        )
        return self.process

    def notes(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def pids(self, name: str) -> list[int]:
        return [int(note[2]) for note in self.notes() if note[:2] == [name, "started"]]

    def until(self, condition: Callable[[], bool], seconds: float = 8) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.notes()
            time.sleep(0.01)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_station_before_the_safety_process(bench: Bench, sign: signal.Signals) -> None:
    process = bench.start(evse=STEADY, station=STEADY)
    bench.until(lambda: len(bench.notes()) == 2)
    process.send_signal(sign)
    assert process.wait(10) == 0
    assert [note[0] for note in bench.notes() if note[1] == "stopped"] == ["station", "evse"]


def test_a_child_that_is_killed_is_started_again(bench: Bench) -> None:
    process = bench.start(evse=STEADY, station=STEADY)
    bench.until(lambda: len(bench.notes()) == 2)
    os.kill(bench.pids("station")[0], signal.SIGKILL)
    bench.until(lambda: len(bench.pids("station")) == 2)
    assert len(bench.pids("evse")) == 1
    process.terminate()
    assert process.wait(10) == 0


def test_when_asked_to_it_starts_the_processes_again_in_order_and_leaves_the_simulated_borne(bench: Bench) -> None:
    process = bench.start(sim=STEADY.replace("time.sleep(60)", LISTENS), evse=STEADY, station=STEADY)
    bench.until(lambda: len(bench.notes()) == 3)
    process.send_signal(signal.SIGUSR1)
    bench.until(lambda: len(bench.pids("station")) == len(bench.pids("evse")) == 2)
    assert [note[0] for note in bench.notes() if note[1] == "stopped"] == ["station", "evse"]
    assert len(bench.pids("sim")) == 1
    process.terminate()
    assert process.wait(10) == 0


def test_a_child_that_keeps_ending_is_given_growing_pauses(bench: Bench) -> None:
    bench.start(evse=STEADY, station=ENDS_WITH.format(1))
    bench.until(lambda: len(bench.pids("station")) == 4)
    text = (bench.root / "stderr").read_text()
    assert "starting it again in 0.2 s" in text
    assert "starting it again in 0.5 s" in text


def test_a_wrong_configuration_ends_everything_with_its_status(bench: Bench) -> None:
    process = bench.start(evse=STEADY, station=ENDS_WITH.format(2))
    assert process.wait(10) == 2
    assert not any(alive(pid) for pid in bench.pids("evse"))


def test_no_child_outlives_a_killed_supervisor(bench: Bench) -> None:
    process = bench.start(evse=STEADY, station=STEADY)
    bench.until(lambda: len(bench.notes()) == 2)
    process.kill()
    process.wait()
    children = bench.pids("evse") + bench.pids("station")
    bench.until(lambda: not any(alive(pid) for pid in children))


def test_a_second_instance_on_the_same_directories_is_refused(tmp_path: Path) -> None:
    from chargepoint.processes.supervisor import AlreadyRunning, _lock

    held = _lock(tmp_path)
    with pytest.raises(AlreadyRunning, match="stop it first"):
        _lock(tmp_path)
    os.close(held)
    os.close(_lock(tmp_path))


FEEDS_THEN_HANGS = """
import os, socket, sys, time
from pathlib import Path
with (Path(sys.argv[1]) / "log").open("a") as out:
    print(Path(__file__).name, "started", os.getpid(), file=out)
feed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
feed.connect(chr(0) + os.environ["NOTIFY_SOCKET"][1:])
assert int(os.environ["WATCHDOG_USEC"]) == 1_500_000
for _ in range(3):
    feed.send(b"WATCHDOG=1")
    time.sleep(0.1)
time.sleep(60)
"""


def test_a_child_that_shows_no_progress_is_killed_and_started_again(bench: Bench) -> None:
    bench.start(station=FEEDS_THEN_HANGS)
    bench.until(lambda: len(bench.pids("station")) >= 2)
    assert "has shown no progress for 1.5 s" in (bench.root / "stderr").read_text()
