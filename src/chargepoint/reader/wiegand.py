"""Wiegand: two lines, D0 and D1, each low for about 50 us per bit. Pure: edges with the kernel's time stamps in.

A frame ends by silence. It has a parity bit at each end: even over the first half of the bits between, odd over the
second. 26 bits carry three bytes, 34 four, 58 seven. Twenty-six bits cannot carry a whole UID: the token is then the
three bytes the reader sends, and another reader may give the same card another token.
"""

from collections.abc import Callable
from typing import Protocol

FRAME_END_S = 0.025
"""Silence that ends a frame; bits come every 1 to 2 ms."""
GLITCH_S = 0.0002
"""Edges of one line closer than this are one pulse that bounced."""
LENGTHS = (26, 34, 58)


class EdgeSource(Protocol):
    """Whoever owns the pins: calls back in the event loop with the line (0 or 1) and the falling edge's time."""

    def on_edge(self, callback: Callable[[int, float], None]) -> None: ...


class WiegandDecoder:
    """Feed `edge`, call `flush` when `due` has come."""

    def __init__(self) -> None:
        self.malformed = 0
        """Frames with a wrong parity or length."""
        self._bits: list[int] = []
        self._last: tuple[int, float] | None = None

    def edge(self, line: int, at: float) -> list[bytes]:
        """A falling edge. Gives the UID of the frame that this edge shows to be over, if there was one."""
        found = self.flush(at)
        if self._last is None or self._last[0] != line or at - self._last[1] >= GLITCH_S:
            self._bits.append(line)
            self._last = (line, at)
        return found

    def due(self) -> float | None:
        """When the frame under way is over unless another edge comes; None: there is none."""
        return None if self._last is None or not self._bits else self._last[1] + FRAME_END_S

    def flush(self, now: float) -> list[bytes]:
        """The UID of a frame that has ended by now."""
        due = self.due()
        if due is None or now < due:
            return []
        bits, self._bits, self._last = self._bits, [], None
        if len(bits) not in LENGTHS or not _parity_holds(bits):
            self.malformed += 1
            return []
        number = int("".join(map(str, bits[1:-1])), 2)
        return [number.to_bytes((len(bits) - 2) // 8, "big")]


def _parity_holds(bits: list[int]) -> bool:
    half = len(bits) // 2
    return sum(bits[:half]) % 2 == 0 and sum(bits[half:]) % 2 == 1


def bits(uid: bytes) -> list[int]:
    """The frame a reader sends for these bytes."""
    data = [(byte >> n) & 1 for byte in uid for n in range(7, -1, -1)]
    half = len(data) // 2
    return [sum(data[:half]) % 2, *data, 1 - sum(data[half:]) % 2]
