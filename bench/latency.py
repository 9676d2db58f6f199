"""From an event at an input to the contactor's command at its pin.

    ./dev run python bench/latency.py [--events 2000] [--kinds C->B,C->A,...] [--loads idle,busy,storm,console]
    ./dev run python bench/latency.py --events 10000 --loads storm --bornes 3 --minutes 10 --into FILE    (repeat)

The bench is the borne's electrics: it writes ADC counts and levels on the simulated wires at a random moment of the
loop's period and reads the time stamp that the board puts on the contactor line. The safety process is the product's
(see `latency_evse.py` for the pauses that are shortened). Both points are exercised at once, and so are several bornes
with `--bornes`: their safety processes share the machine, which only makes it harder for each.

With `--into` every latency is kept in a file of one JSON line per chunk; a run goes on where the last one ended, and
the table is made of all of them.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import percentiles, save, table

from chargepoint.board import frontend
from chargepoint.board.pins import PinMap, load_pins
from chargepoint.board.simulated import PWM_NAME, make_pwm_tree
from chargepoint.board.wires import ADC_CHANNELS, Wires, line_index
from chargepoint.config_check import load
from chargepoint.evse.messages import SOCKET_NAME, Permit, Trace, encode

KINDS = ("C->B", "C->A", "C->E", "RCD", "emergency-stop")
LOADS = ("idle", "busy", "storm", "console")
VOLTS = {"A": 12.0, "B": 9.0, "C": 6.0, "E": 0.3}
POLL_S = 0.001
PERMIT_EVERY_S = 2.0
GIVE_UP_S = 8.0
CHUNK = 1000
"""Events between two fresh safety processes."""
LOAD_NICE = 10
"""Of the processes beside it: they take what is left of both cores, always."""

CONFIG = """
[station]
id = "BENCH"
state_dir = "{root}/state"
run_dir = "{root}/run"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
socket = false
[[evse]]
id = 2
max_current = 32
socket = false
[ocpp]
security_profile = 0
[console]
pin_file = "{root}/pin"
"""


class Front:
    """The electrics of one point, as far as an opening needs them."""

    def __init__(self, wires: Wires, pins: PinMap, evse: int, pwm: Path) -> None:
        self.wires = wires
        self.contactor = self._line(pins, "contactor", evse)
        self._rcd_test = self._line(pins, "rcd_test", evse)
        self._rcd = self._line(pins, "rcd", evse)
        self._rdc = self._line(pins, "rdc", evse)
        self._mirror = self._line(pins, "mirror", evse)
        self._load = self._line(pins, "load_live", evse)
        self._adc = int(pins.text("adc", evse)[-1]) * ADC_CHANNELS
        self._duty_file = pwm
        # Steady +12 V before the process is there, as the hardware rests: nobody may follow for a moment.
        self._duty_file.write_text("1000000\n", encoding="ascii")
        self.duty = 100.0
        self.car = "A"
        self.tripped = False
        wires.levels[self._line(pins, "pe", evse)] = 1
        for channel, count in (
            (2, frontend.pp_count(float("inf"))),
            (3, frontend.temperature_count(20.0)),
            (4, frontend.volt_count(frontend.REFERENCE_V)),
        ):
            wires.counts[self._adc + channel] = count
        self.follow()

    @staticmethod
    def _line(pins: PinMap, name: str, evse: int) -> int:
        return line_index(pins.line(name, evse))

    @property
    def closed(self) -> bool:
        return bool(self.wires.levels[self.contactor])

    def follow(self) -> None:
        """Contactor, generator and residual current device do what they are told."""
        levels = self.wires.levels
        commanded = levels[self.contactor]
        levels[self._mirror] = 1 - commanded
        levels[self._load] = commanded
        tripped = self.tripped or bool(levels[self._rcd_test])
        levels[self._rcd] = 0 if tripped else 1
        levels[self._rdc] = 0 if levels[self._rcd_test] else 1
        text = self._duty_file.read_bytes().partition(b"\n")[0]
        self.duty = int(text) / 10_000 if text else self.duty
        self.put()

    def put(self) -> None:
        """The pilot's peaks and the generator's mean for the present car and duty."""
        high = VOLTS[self.car] if self.duty > 0 else -12.0
        low = high if self.duty >= 100 else -12.0
        if self.car == "E" and self.duty < 100:
            low = -0.3
        counts, at = self.wires.counts, self._adc
        counts[at] = frontend.pilot_count(high)
        counts[at + 1] = frontend.pilot_count(low)
        counts[at + 5] = frontend.duty_count(self.duty)


class Bench:
    """One safety process on wires of its own."""

    def __init__(self, others: "list[Bench]") -> None:
        """`others`: those that run already; their electrics go on while this one starts."""
        self._others = others
        self._root = tempfile.TemporaryDirectory(prefix="latency-")
        self.path = path = Path(self._root.name) / "bench.toml"
        path.write_text(CONFIG.format(root=self._root.name))
        self.config = load(path)
        run_dir = self.config.station.run_dir
        pins = load_pins(self.config)
        self.wires = Wires(run_dir / "sim-wires")
        for name in ("emergency_stop", "door"):
            self.wires.levels[line_index(pins.line(name))] = 1
        self._heartbeat, self._armed = (line_index(pins.line(name)) for name in ("heartbeat", "coil_watchdog"))
        self.stop_line = line_index(pins.line("emergency_stop"))
        chip = make_pwm_tree(run_dir / PWM_NAME)
        self.fronts = [Front(self.wires, pins, evse, chip / f"pwm{evse - 1}" / "duty_cycle") for evse in (1, 2)]
        log = (run_dir / "evse.log").open("wb")
        child = [sys.executable, str(Path(__file__).with_name("latency_evse.py")), str(path)]
        self._process = subprocess.Popen(child, stdout=log, stderr=log)
        self._link = self._connect(run_dir / SOCKET_NAME)
        self._permitted = 0.0
        self.said = b""
        """The last message of the safety process, for when the bench gives up."""

    def _connect(self, path: Path) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        until = time.monotonic() + 10
        while True:
            try:
                link.connect(str(path))
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError((path.parent / "evse.log").read_text()) from None
                for bench in (*self._others, self):
                    for front in bench.fronts:
                        front.follow()
                time.sleep(0.005)
            else:
                link.setblocking(False)
                return link

    def tick(self) -> None:
        """One millisecond of electrics and, now and then, the station's permission."""
        now = time.monotonic()
        if now - self._permitted > PERMIT_EVERY_S:
            self._permitted = now
            for evse in (1, 2):
                self._link.send(encode(Permit(evse, True, 32.0, wake_up=False)))
        self._read_all()
        self.wires.levels[self._armed] = self.wires.stamps[self._heartbeat] > 0  # armed with the first beat
        for front in self.fronts:
            front.follow()

    def trace(self) -> None:
        """Ask for the busiest traffic the socket knows."""
        self._link.send(encode(Trace(1, 86400.0, 0.02)))

    def _read_all(self) -> None:
        while True:
            try:
                said = self._link.recv(65536)
                self.said = said if b'"point"' in said else self.said
            except BlockingIOError:
                return

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._link.close()
        self.wires.close()
        self._root.cleanup()


def events(bench: Bench, front: Front, kind: str, count: int, found: list[float]) -> Iterator[None]:
    """Close, wait, let it happen, measure; again. One step of the iterator is one tick."""
    while len(found) < count:
        yield from hold(0.02)
        front.car = "C"
        yield from until(bench, front, True)
        yield from hold(random.uniform(0.04, 0.07))
        time.sleep(random.uniform(0.0, POLL_S))
        before = front.wires.stamps[front.contactor]
        at = happen(bench, front, kind)
        yield from until(bench, front, False)
        after = front.wires.stamps[front.contactor]
        if after == before or after < at:
            raise RuntimeError(f"{kind}: the contactor opened before the event")
        found.append((after - at) / 1e6)
        yield from hold(0.05 if kind in ("C->E", "RCD") else 0.0)
        calm(bench, front)


def happen(bench: Bench, front: Front, kind: str) -> int:
    """Make the event; CLOCK_MONOTONIC in ns just before."""
    at = time.monotonic_ns()
    if kind == "RCD":
        front.tripped = True
        front.follow()
    elif kind == "emergency-stop":
        bench.wires.levels[bench.stop_line] = 0
    else:
        front.car = kind[-1]
        front.put()
    return at


def calm(bench: Bench, front: Front) -> None:
    """Take the event back; a car that was not unplugged is in B."""
    front.tripped = False
    bench.wires.levels[bench.stop_line] = 1
    front.car = "A" if front.car == "A" else "B"


def hold(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def until(bench: Bench, front: Front, closed: bool) -> Iterator[None]:
    limit = time.monotonic() + GIVE_UP_S
    while front.closed is not closed:
        if time.monotonic() > limit:
            raise RuntimeError(f"the contactor did not {'close' if closed else 'open'}; {bench.said.decode()}")
        yield


def measure(benches: list[Bench], kind: str, count: int) -> list[float]:
    """Latencies in ms of `count` events of a kind."""
    found: list[float] = []
    runs = []
    for bench in benches:
        fronts = bench.fronts[:1] if kind == "emergency-stop" else bench.fronts
        runs += [events(bench, front, kind, count, found) for front in fronts]
    while len(found) < count:
        for run in runs:
            next(run, None)
        for bench in benches:
            bench.tick()
        time.sleep(POLL_S)
    return found[:count]


def start_load(load_name: str) -> list[subprocess.Popen[bytes]]:
    """Processes beside the safety process: two that never sleep, or those and a station in an OCPP storm."""
    hog = [sys.executable, "-c", "while True: pass"]
    loads = [hog, hog] if load_name in ("busy", "storm") else []
    if load_name == "storm":
        loads.append([sys.executable, str(Path(__file__).with_name("storm.py"))])
    return [subprocess.Popen(["nice", "-n", str(LOAD_NICE), *command], stderr=subprocess.DEVNULL) for command in loads]


def start_consoles(config: Path) -> subprocess.Popen[bytes]:
    """A technician's `trace`, `log -f` and `bundle` on a borne, as wanted as anybody: no lower priority."""
    command = [sys.executable, str(Path(__file__).with_name("console_load.py")), str(config)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def chunk(kind: str, load_name: str, count: int, bornes: int) -> list[float]:
    """`count` events of a kind under a load, on fresh safety processes."""
    beside = start_load(load_name)
    benches: list[Bench] = []
    try:
        while len(benches) < bornes:
            benches.append(Bench(benches.copy()))
        if load_name == "storm":
            for bench in benches:
                bench.trace()
        if load_name == "console":
            beside += [start_consoles(bench.path) for bench in benches]
        found = measure(benches, kind, count)
        if any(process.poll() is not None for process in beside):
            raise RuntimeError("a load beside the bench ended before it")
        return found
    finally:
        for process in beside:
            process.terminate()
            process.wait(10)
        for bench in benches:
            bench.close()


class Kept:
    """All latencies so far: in memory, and in a file when there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.values: dict[tuple[str, str], list[float]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                said = json.loads(line)
                self.values.setdefault((said["load"], said["event"]), []).extend(said["ms"])

    def count(self, load_name: str, kind: str) -> int:
        return len(self.values.get((load_name, kind), ()))

    def add(self, load_name: str, kind: str, found: list[float]) -> None:
        self.values.setdefault((load_name, kind), []).extend(found)
        if self._path is not None:
            said = {"load": load_name, "event": kind, "load_average": os.getloadavg()[0], "ms": found}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(said) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        return [{"load": load, "event": kind, **percentiles(ms)} for (load, kind), ms in self.values.items()]


def run(kept: Kept, options: argparse.Namespace) -> None:
    """Chunk after chunk, always of what has the fewest, until there are enough or the time is over."""
    end = time.monotonic() + options.minutes * 60
    pairs = [(load, kind) for load in options.loads.split(",") for kind in options.kinds.split(",")]
    while time.monotonic() < end:
        pair = min(pairs, key=lambda each: kept.count(*each))
        missing = options.events - kept.count(*pair)
        if missing <= 0:
            return
        load_name, kind = pair
        kept.add(load_name, kind, chunk(kind, load_name, min(CHUNK, missing), options.bornes))


def claim_priority() -> None:
    """Under the safety process, over the load: else the bench itself would be late between its clock and its write."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(40))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=200, help="of each kind under each load")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--loads", default="idle,busy")
    parser.add_argument("--bornes", type=int, default=1, help="so many safety processes at once")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no chunk after so long")
    parser.add_argument("--into", type=Path, help="keep every latency here, and go on from what is there")
    options = parser.parse_args()
    claim_priority()
    kept = Kept(options.into)
    run(kept, options)
    rows = kept.rows()
    table("Event to contactor command at the pin, ms (simulated wires; front end's own filter not included)", rows)
    save("latency", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
