"""Load for the latency bench: a technician's three consoles on one borne, until it is terminated.

    python bench/console_load.py CONFIG

Each on a terminal of its own: `trace 1` ten times a second, `log -f` on full log files, and `bundle` again and again.
What they say is read at once, as by a terminal that keeps up: none of them ever waits for its reader.
"""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from select import select

from chargepoint.config_check import load
from chargepoint.console.access import Access
from chargepoint.logs import RING_BYTES

PIN = "481592"


class Console:
    """One console; types `again` whenever it shows that it waits for a command."""

    def __init__(self, config: Path, again: str, before: str = "") -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-m", "chargepoint.console.cli", "console", "-c", str(config)]
        environment = {**os.environ, "TERM": "vt100"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self._again = again.encode() + b"\r"
        self._steps = [line.encode() + b"\r" for line in before.splitlines()]
        self._tail = b""
        self.rounds = 0

    def read(self) -> None:
        self._tail = (self._tail + os.read(self.master, 65536))[-8:]
        if self._tail.endswith((b"> ", b"# ", b"PIN: ")):
            self._tail = b""
            self.rounds += not self._steps
            os.write(self.master, self._steps.pop(0) if self._steps else self._again)


def fill_logs(run_dir: Path) -> None:
    """As long as they become: reading them is then the most it can be."""
    line = json.dumps({"timestamp": "2026-01-01T00:00:00.000Z", "level": "info", "event": "noise", "text": "x" * 150})
    for name in ("station.log.1", "station.log"):
        (run_dir / name).write_text((line + "\n") * (RING_BYTES // (len(line) + 1)))


def main() -> None:
    config_file = Path(sys.argv[1])
    config = load(config_file)
    fill_logs(config.station.run_dir)
    Access(config.console.pin_file, config.station.run_dir).set_pin(PIN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="consoles-") as stick, contextlib.ExitStack() as stack:
        consoles = {}
        for again, before in (
            ("trace 1 3600", ""),
            ("log -f", ""),
            (f"bundle {stick}", f"login bench\n{PIN}"),
        ):
            console = Console(config_file, again, before)
            stack.callback(console.process.wait)
            stack.callback(console.process.terminate)
            consoles[console.master] = console
        while True:
            for master in select(list(consoles), [], [])[0]:
                consoles[master].read()


if __name__ == "__main__":
    main()
