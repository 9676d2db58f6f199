"""Notes how the station's last runs ended, in the run directory, so that the next one sees a run of crashes.

The file lies in memory and is gone after a restart of the machine, as it should be. It is a help and no more: where it
cannot be read or written, the station starts as if nothing had been noted.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from chargepoint import __version__
from chargepoint.processes.last_words import told

log = structlog.get_logger()

FILE_NAME: Final = "station-ends.json"
WINDOW_S: Final = 120.0
"""Ends further apart than this are no crash loop."""
SETTLED_S: Final = 120.0
"""A run of so long was well: what was before it is forgotten."""
PAUSES_S: Final = (60.0, 120.0, 300.0, 600.0, 1800.0)
"""How long the safe mode lasts before the whole station is tried again: the first time, the second... and then."""
TRIES: Final = 2
"""A whole station that is tried again has so many, and is back in safe mode then."""
NO_WORD: Final = "it was killed, or ended without a word"


@dataclass(frozen=True, slots=True)
class SafeMode:
    """The station is to start in safe mode."""

    reason: str
    """What the last run died of, in a line."""
    where: str
    """The last place of its traceback; empty when it left none."""
    ends: int
    """How often it had ended."""
    pause_s: float


class _Run(msgspec.Struct):
    at: float
    pid: int
    born: int = 0
    """Of that process, as `born` tells it: the kernel gives its number to others later."""
    ended: float | None = None
    clean: bool = False
    reason: str = ""
    where: str = ""


class _Notes(msgspec.Struct):
    runs: list[_Run] = []
    safe: int = 0
    """How often the safe mode came, since the station was last well."""
    version: str = ""
    """Of the program whose runs they are."""


class Crashes:
    """The notes. Times are of the monotonic clock, s."""

    def __init__(self, run_dir: Path, most: int) -> None:
        """`most`: after so many crashes within `WINDOW_S` comes the safe mode; 0: never."""
        self._file = run_dir / FILE_NAME
        self._most = most
        self._notes = _Notes()

    def begin(self, now: float) -> SafeMode | None:
        """A run begins. Answers what the safe mode has to know, when it is to be one of that."""
        self._read(now)
        notes = self._notes
        if notes.runs and notes.runs[-1].ended is None:
            last = notes.runs[-1]
            if last.pid != os.getpid() and last.born and born(last.pid) == last.born:
                return None  # another station runs: that is for the journal's lock to say
            last.ended, last.reason = now, NO_WORD
        if notes.runs:
            last = notes.runs[-1]
            well = (last.ended or now) - last.at >= SETTLED_S
            notes.safe = 0 if well else notes.safe
            notes.runs = [] if well or last.clean else [run for run in notes.runs if now - run.at <= WINDOW_S]
        most = min(self._most, TRIES) if notes.safe else self._most
        if most and len(notes.runs) >= most:
            last = notes.runs[-1]
            safe = SafeMode(last.reason, last.where, len(notes.runs), PAUSES_S[min(notes.safe, len(PAUSES_S) - 1)])
            notes.safe += 1
            notes.runs.clear()
            self._write()
            return safe
        notes.runs.append(_Run(now, os.getpid(), born(os.getpid())))
        self._write()
        return None

    def ended(self, now: float, error: BaseException | None = None, status: int = 0) -> None:
        """The run that began ends in good order, with that error or that exit status."""
        run = self._notes.runs[-1] if self._notes.runs else None
        if run is None or run.pid != os.getpid():
            return
        run.ended, run.clean = now, error is None and status == 0
        if error is not None:
            run.reason, run.where = told(error)
        elif status:
            run.reason = f"it ended with status {status}; its log says why"
        self._write()

    def _read(self, now: float) -> None:
        try:
            self._notes = msgspec.json.decode(self._file.read_bytes(), type=_Notes)
        except (OSError, msgspec.DecodeError):
            self._notes = _Notes()  # the first start, or a file that nobody can read: nothing was noted
        if any(run.at > now for run in self._notes.runs):
            self._notes = _Notes()  # of another boot of the machine
        if self._notes.version != __version__:
            # An update, or one that was taken back: what the other version died of says nothing about this one.
            self._notes = _Notes(version=__version__)

    def _write(self) -> None:
        part = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(self._notes))
            part.replace(self._file)
        except OSError as error:
            log.warning("the end of the last run cannot be noted", file=str(self._file), error=str(error))


def born(pid: int) -> int:
    """When the process began, in clock ticks since boot (field 22 of its stat, proc(5)); 0: there is none,
    or only a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if after_name[0] in "ZX" else int(after_name[19])
    except (OSError, IndexError):
        return 0
