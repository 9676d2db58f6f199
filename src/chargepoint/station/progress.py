"""Proof that the station's loops go on, for the service manager's watchdog.

Each loop has a number that changes whenever it gets round. Silence is counted in ticks of the station and not in
seconds: after the whole process was suspended, nobody is blamed for the time that passed.
"""

from collections.abc import Callable
from dataclasses import dataclass

SILENT_TICKS = 20
"""So many ticks (of a second) without getting round, and a loop counts as stuck."""


class Stuck(Exception):
    """A loop of the station does not go on: the process ends, to be started again."""


@dataclass(slots=True)
class _Loop:
    turns: Callable[[], int]
    allowed: Callable[[], int]
    last: int
    silent: int = 0
    most: int = 0
    """Ticks: the largest allowance since it last got round; what began under a longer one may last so long."""


class Progress:
    """Watches named loops."""

    def __init__(self) -> None:
        self._loops: dict[str, _Loop] = {}

    def watch(self, name: str, turns: Callable[[], int], allowed: Callable[[], int] = lambda: SILENT_TICKS) -> None:
        """`turns`: a number that changes as the loop gets round; `allowed`: ticks it may take, as things stand."""
        self._loops[name] = _Loop(turns, allowed, turns())

    def tick(self) -> None:
        """One tick of the station. Raises Stuck, naming the loop that does not go on."""
        for name, loop in self._loops.items():
            turns = loop.turns()
            if turns != loop.last:
                loop.silent, loop.most, loop.last = 0, 0, turns
            else:
                loop.silent += 1
            loop.most = max(loop.most, loop.allowed())
            if loop.silent > loop.most:
                raise Stuck(f"the loop of the {name} has not got round for {loop.silent} ticks")
