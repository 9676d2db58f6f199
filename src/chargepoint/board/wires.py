"""The simulated borne's wires: digital levels and ADC counts in one memory-mapped file.

The safety process and the simulated borne map the same file. Each byte or aligned word has one writer, so no
lock is needed: the controller writes its output lines, the simulator its input lines and the ADC counts.
Every write of an output carries CLOCK_MONOTONIC in nanoseconds, for measuring reaction times at the pin.
"""

import mmap
import os
import tempfile
import time
from pathlib import Path

from chargepoint.board.pins import EXPANDER_LINES, Line

FILE_NAME = "sim-wires"
SIZE = 4096
SHARED = 0o660
"""Of all users of the group, whatever the umask of the first."""
LINES = 64
"""0..27 header, 32..47 first expander, 48..63 second."""
ADC_CHANNELS = 8
ADC_DEVICES = 16

_LEVELS_AT = 0
_ABSENT_AT = 128
_STAMPS_AT = 256
_COUNTS_AT = 1024


def line_index(line: Line) -> int:
    """Position of a line in the file."""
    return line.offset if line.on_header else 32 + (line.chip - 1) * EXPANDER_LINES + line.offset


class Wires:
    """The mapped file. Levels are 0 or 1, counts 0..4095, stamps nanoseconds of CLOCK_MONOTONIC (0: never)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fresh = _laid(path)
        """Nobody has mapped the file before."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._whole = memoryview(self._map)
        self.levels = self._whole[_LEVELS_AT : _LEVELS_AT + LINES]
        self.absent = self._whole[_ABSENT_AT : _ABSENT_AT + LINES]
        """1: the line does not answer, as behind an expander that is gone."""
        self.stamps = self._whole[_STAMPS_AT : _STAMPS_AT + LINES * 8].cast("Q")
        self.counts = self._whole[_COUNTS_AT : _COUNTS_AT + ADC_DEVICES * ADC_CHANNELS * 2].cast("H")
        """Counts of ADC device d, channel c at `d * ADC_CHANNELS + c`."""

    def drive(self, index: int, level: int) -> None:
        """Set an output line. The stamp comes first: who sees the new level finds its time."""
        if self.levels[index] != level:
            self.stamps[index] = time.monotonic_ns()
            self.levels[index] = level

    def close(self) -> None:
        for view in (self.levels, self.absent, self.stamps, self.counts, self._whole):
            view.release()
        self._map.close()


def _laid(path: Path) -> bool:
    """Make the file, unless it is there: whoever can see it finds it whole, and may write to it."""
    if path.exists():
        return False
    with tempfile.NamedTemporaryFile(prefix=path.name, dir=path.parent) as made:
        os.fchmod(made.fileno(), SHARED)
        os.ftruncate(made.fileno(), SIZE)
        try:
            os.link(made.name, path)
        except FileExistsError:
            return False
    return True
