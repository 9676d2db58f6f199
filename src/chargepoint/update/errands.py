"""What the console, which is not root, has done for it: by an empty file in the station's update folder.

A path unit starts `chargepoint update errands` as root for each. Nothing in the file is read: the name is the order.
What became of it stands in a file beside it.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chargepoint import __version__
from chargepoint.update.bundle import BundleError
from chargepoint.update.request import put

RESTART: Final = "restart"
"""Start both processes again, whatever state they are in."""
BY_HAND: Final = "systemctl restart chargepoint.target chargepoint-evse.service chargepoint-station.service"
"""What a person types for the same."""
MOUNT: Final = "mount"
"""Mount a USB stick read-only."""
SAVE: Final = "save"
"""Copy what the console has laid into the run directory to a USB stick."""
FOLDER: Final = "update"
_SUFFIX: Final = ".errand"
_SAID: Final = ".said"
POLL_S: Final = 0.1


class Outcome(msgspec.Struct, frozen=True):
    """What became of an errand."""

    words: tuple[str, ...] = ()
    """What was done: devices, names of files."""
    why: str = ""
    """Why it was not, as a sentence; empty: it was."""


class Errands:
    """Both ends."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def ask(self, name: str) -> None:
        """The console's end. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / (name + _SAID)).unlink(missing_ok=True)
        (self._folder / (name + _SUFFIX)).touch()

    def outcome(self, name: str) -> Outcome | None:
        """The console's end: what became of it; None as long as nobody has said."""
        try:
            return msgspec.json.decode((self._folder / (name + _SAID)).read_bytes(), type=Outcome)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def waits(self, name: str) -> bool:
        """Nobody has taken the order yet."""
        return (self._folder / (name + _SUFFIX)).exists()

    def withdraw(self, name: str) -> bool:
        """Take back what nobody took: it shall not be done tomorrow. False: somebody has taken it."""
        try:
            (self._folder / (name + _SUFFIX)).unlink()
        except FileNotFoundError:
            return False
        return True

    def taken(self, name: str, within_s: float) -> bool:
        """The console's end: whether the unit takes the order within a time; else it is withdrawn."""
        end = time.monotonic() + within_s
        while self.waits(name):
            if time.monotonic() >= end:
                return not self.withdraw(name)
            time.sleep(POLL_S)
        return True

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Of several consoles one at a time: whether this is it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)

    def serve(self, work: Mapping[str, Callable[[], Sequence[str] | None]]) -> list[str]:
        """The unit's end: do what was ordered, each once. What went wrong, as sentences.

        What a newer version's console left behind is taken away: its unit would be started for it again and again.
        """
        wrong = []
        for name, do in work.items():
            if not self.waits(name):
                continue
            self.withdraw(name)  # before it is done: a crash shall not do it for ever
            try:
                outcome = Outcome(words=tuple(do() or ()))
            except BundleError as error:
                outcome = Outcome(why=str(error))
                wrong.append(outcome.why)
            try:
                put(self._folder / (name + _SAID), msgspec.structs.asdict(outcome))
            except OSError as error:  # what was done is done, and the next one waits
                wrong.append(f"nobody can be told what became of {name!r}: {error}")
        for left in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if left.stem not in work:
                left.unlink(missing_ok=True)
                wrong.append(f"the console asked for {left.stem!r}, which version {__version__} does not know")
        return wrong
