"""What the console, which is not root, has done for it: by an empty file in the station's update folder.

A path unit starts `chargepoint update errands` as root for each. Nothing in the file is read: the name is the order.
What became of it stands in a file beside it.
"""

from collections.abc import Callable, Mapping
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
"""Copy what lies in `outgoing` to a USB stick."""
FOLDER: Final = "update"
_SUFFIX: Final = ".errand"
_SAID: Final = ".said"


class Outcome(msgspec.Struct, frozen=True):
    """What became of an errand."""

    done: bool
    text: str
    """What was done, as a word (a device); or why it was not, as a sentence."""


class Errands:
    """Both ends."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER
        self.outgoing = self._folder / "outgoing"
        """What shall be carried away."""

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

    def withdraw(self, name: str) -> None:
        """Take back what nobody took: it shall not be done tomorrow."""
        (self._folder / (name + _SUFFIX)).unlink(missing_ok=True)

    def serve(self, work: Mapping[str, Callable[[], str | None]]) -> list[str]:
        """The unit's end: do what was ordered, each once. What went wrong, as sentences.

        What a newer version's console left behind is taken away: its unit would be started for it again and again.
        """
        wrong = []
        for name, do in work.items():
            if not self.waits(name):
                continue
            self.withdraw(name)  # before it is done: a crash shall not do it for ever
            try:
                outcome = Outcome(True, do() or "")
            except BundleError as error:
                outcome = Outcome(False, str(error))
                wrong.append(outcome.text)
            put(self._folder / (name + _SAID), msgspec.structs.asdict(outcome))
        for left in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if left.stem not in work:
                left.unlink(missing_ok=True)
                wrong.append(f"the console asked for {left.stem!r}, which version {__version__} does not know")
        return wrong
