"""`chargepoint run`: the processes of a borne as children of one, for a terminal, a bench or a container.

On an installed borne systemd does this work. Here a child that ends is started again, at once when it had been
running well or asks for it (an OCPP Reset), with growing pauses when it does not stay up. Whatever happens to this
process, no child outlives it: the kernel sends each one SIGTERM when its parent dies.
"""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from chargepoint.config import Config
from chargepoint.processes.exits import WRONG_CONFIGURATION

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""

SETTLED_S = 10.0
"""A child that has run for so long was well: its next end is answered at once."""
PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before the next start of a child that keeps ending: by how often it has ended since it was last well."""
SIM_READY_S = 10.0
STOP_ORDER = {"station": 8.0, "evse": 4.0, "sim": 2.0}
"""In order, with the seconds each may take. The station first: it closes its sessions while evse still answers."""
WATCHDOG_S = {"station": 30.0, "evse": 5.0}
"""A child that has not shown progress for so long is killed, and started again, as by `WatchdogSec` of its unit. The
safety process gets longer here than there: on a bench it has no real-time priority."""
LOOK_S = 1.0
PID_NAME = "supervisor.pid"
"""In the run directory: who takes SIGUSR1, which starts station and evse again."""


class AlreadyRunning(Exception):
    """Another `run` holds the directory."""


@dataclass(slots=True)
class Child:
    """One process of the borne, started as often as needed."""

    name: str
    words: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    ended: int = 0
    """How often it has ended since it was last well."""
    due_at: float = 0.0
    """When to start it again."""
    feed: socket.socket | None = None
    """Where it shows its progress, as to systemd (sd_notify)."""
    fed_at: float | None = None
    """When it did so last; None until it is ready."""

    @property
    def running(self) -> bool:
        return self.process is not None


class Supervisor:
    """Starts the children, watches them, stops them. `main` is its only user outside tests."""

    def __init__(self, children: list[Child], sim_socket: Path) -> None:
        """`sim_socket` answers when the child `sim`, where there is one, is ready for the others."""
        self._children = children
        self._sim_socket = str(sim_socket)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._parent = os.getpid()

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a child says that the configuration is wrong. Answers the exit status."""
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1}
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)  # taken one by one by sigtimedwait below
        status = 0
        try:
            while status == 0:
                self._start_due()
                received = signal.sigtimedwait(watched, min(self._pause(), LOOK_S))
                if received is not None and received.si_signo == signal.SIGUSR1:
                    _say("asked to start again")
                    self._begin_anew()
                elif received is not None and received.si_signo != signal.SIGCHLD:
                    break
                self._watch()
                status = self._reap()
        finally:
            self._stop_all()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        return status

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.running or child.due_at > now:
                continue
            self._start(child)
            if child.name == "sim":
                self._await_sim(child)

    def _start(self, child: Child) -> None:
        child.fed_at = None
        child.process = subprocess.Popen(
            child.words,
            env=os.environ | self._watched(child),
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C goes to this process alone, which stops the children in their order
            preexec_fn=self._in_child,
        )
        child.started_at = time.monotonic()

    def _watched(self, child: Child) -> dict[str, str]:
        """The variables by which a child shows its progress to a service manager."""
        if child.name not in WATCHDOG_S:
            return {}
        name = f"chargepoint-{self._parent}-{child.name}"
        if child.feed is None:
            child.feed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            child.feed.bind(f"\0{name}")
        return {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": str(int(WATCHDOG_S[child.name] * 1e6))}

    def _watch(self) -> None:
        """Take note of the progress, and end a child that has shown none for too long."""
        now = time.monotonic()
        for child in self._children:
            while child.feed is not None and _received(child.feed):
                child.fed_at = now
            if child.process is None or child.fed_at is None or child.process.poll() is not None:
                continue
            if now - child.fed_at > WATCHDOG_S[child.name]:
                _say(f"{child.name} has shown no progress for {WATCHDOG_S[child.name]:g} s; killing it")
                child.fed_at = None
                child.process.kill()

    def _in_child(self) -> None:
        """Between fork and exec: die with the parent, and receive signals as usual."""
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self._parent:  # it died before the line above
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _await_sim(self, child: Child) -> None:
        """The controller's wires exist once the simulated borne answers: the others start after that."""
        end = time.monotonic() + SIM_READY_S
        while time.monotonic() < end and child.process is not None and child.process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(self._sim_socket)
                except OSError:
                    time.sleep(0.02)
                else:
                    return

    def _pause(self) -> float:
        now = time.monotonic()
        return max(0.0, min((child.due_at - now for child in self._children if not child.running), default=60.0))

    def _reap(self) -> int:
        """Note which children have ended, and when each is due again."""
        now = time.monotonic()
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            code = child.process.returncode
            child.process = None
            if code == WRONG_CONFIGURATION:
                _say(f"{child.name} cannot run with this configuration; stopping")
                return WRONG_CONFIGURATION
            child.ended = 1 if now - child.started_at >= SETTLED_S else child.ended + 1
            pause = PAUSES_S[min(child.ended, len(PAUSES_S)) - 1]
            child.due_at = now + pause
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
            _say(f"{child.name} {how}; starting it again" + (f" in {pause:g} s" if pause else ""))
        return 0

    def _begin_anew(self) -> None:
        """The borne's processes, at once whatever they ended like before; the simulated borne is the hardware."""
        self._stop_all(("sim",))
        for child in self._children:
            if child.name != "sim":
                child.ended, child.due_at = 0, 0.0

    def _stop_all(self, but: tuple[str, ...] = ()) -> None:
        by_name = {child.name: child for child in self._children}
        for name, patience in STOP_ORDER.items():
            child = by_name.get(name)
            if child is None or child.process is None or name in but:
                continue
            child.process.terminate()
            try:
                child.process.wait(patience)
            except subprocess.TimeoutExpired:
                _say(f"{name} has not stopped after {patience:g} s; killing it")
                child.process.kill()
                child.process.wait()
            child.process = None


def main(config: Config, file: Path) -> int:
    """Run the borne. Exit status: 0 after a clean stop, 1 when it runs already, 2 when its configuration is wrong."""
    try:
        os.close(_lock(config.station.state_dir))  # only asked: the station itself holds it while it lives
        lock = _lock(config.station.run_dir)
    except (AlreadyRunning, OSError) as error:
        _say(str(error))
        return 1
    pid_file = config.station.run_dir / PID_NAME
    try:
        pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
        return Supervisor(_children(config, file.resolve()), config.station.run_dir / "sim.sock").run()
    finally:
        pid_file.unlink(missing_ok=True)
        os.close(lock)


def _children(config: Config, file: Path) -> list[Child]:
    """In the order in which they start."""
    names = {"sim": ["sim", "serve"]} if config.simulated else {}
    names |= {"evse": ["evse"], "station": ["station"]}
    program = [sys.executable, "-m", "chargepoint.console.cli"]
    return [Child(name, [*program, *words, "-c", str(file)]) for name, words in names.items()]


def _lock(directory: Path) -> int:
    """Hold the directory against a second instance, as long as this process lives."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"{directory} is in use by another running instance: stop it first") from None
    return descriptor


def _received(feed: socket.socket) -> bool:
    try:
        return bool(feed.recv(64))
    except BlockingIOError:
        return False


def _say(text: str) -> None:
    print(f"chargepoint: {text}", file=sys.stderr, flush=True)
