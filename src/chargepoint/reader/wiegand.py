"""Wiegand: two lines, D0 and D1, each low for about 50 us per bit. Pure: edges with the kernel's time stamps in.

A frame ends by silence. It has a parity bit at each end: even over the first half of the bits between, odd over the
second. 26 bits carry three bytes, 34 four, 58 seven. Twenty-six bits cannot carry a whole UID: the token is then the
three bytes the reader sends, and another reader may give the same card another token.

Which process: the station, as for every other reader. The lines are no part of what keeps a car safe, and their pulses
are far too short for the safety process's pass of 10 ms; the kernel stamps every edge (`gpio_edges.py`).
"""

from chargepoint.reader.gpio_edges import EVENT, GAP

FRAME_END_S = 0.025
"""Silence that ends a frame; bits come every 1 to 2 ms."""
GLITCH_S = 0.0002
"""Edges of one line closer than this are one pulse that bounced."""
LENGTHS = (26, 34, 58)


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

    def drop(self) -> None:
        """Edges were lost: what is under way is no whole frame."""
        if self._bits:
            self.malformed += 1
        self._bits, self._last = [], None

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


class Wiegand:
    """The reader protocol over the kernel's edge events. A reader that cannot be asked looks the same dead or idle."""

    baudrate = 0

    def __init__(self, zero: int) -> None:
        """`zero`: offset of the line whose pulses are zeros; any other line's are ones."""
        self.trouble: str | None = ""
        self.away: bool | None = None
        self._zero = zero
        self._decoder = WiegandDecoder()
        self._rest = b""
        self._count = 0

    @property
    def malformed(self) -> int:
        return self._decoder.malformed

    @malformed.setter
    def malformed(self, count: int) -> None:
        self._decoder.malformed = count

    def start(self, now: float) -> bytes:
        self._rest, self._count = b"", 0
        return b""

    def receive(self, data: bytes, now: float) -> list[bytes]:
        self._rest += data
        whole = len(self._rest) - len(self._rest) % EVENT.size
        events, self._rest = self._rest[:whole], self._rest[whole:]
        uids: list[bytes] = []
        for stamp_ns, _, offset, count, *_ in EVENT.iter_unpack(events):
            if (count - self._count) % GAP != 1:
                self._decoder.drop()
            self._count = count
            uids += self._decoder.edge(int(offset != self._zero), stamp_ns / 1e9)
        # Nothing else would ask again before the next pulse: a frame that is over by now is over.
        return uids + self._decoder.flush(now)

    def due(self) -> float | None:
        return self._decoder.due()

    def tick(self, now: float) -> bytes:
        return b""


def _parity_holds(bits: list[int]) -> bool:
    half = len(bits) // 2
    return sum(bits[:half]) % 2 == 0 and sum(bits[half:]) % 2 == 1


def bits(uid: bytes) -> list[int]:
    """The frame a reader sends for these bytes."""
    data = [(byte >> n) & 1 for byte in uid for n in range(7, -1, -1)]
    half = len(data) // 2
    return [sum(data[:half]) % 2, *data, 1 - sum(data[half:]) % 2]
