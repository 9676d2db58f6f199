"""125 kHz readers that send a tag's number unasked, in ASCII: RDM6300 and RDM630, ID-12 and ID-20.

Frame: STX, ten hexadecimal digits (one byte of version or customer, four of number), two digits that are the exclusive
or of those five bytes, ETX; the ID readers put CR LF before the ETX. 9600 Bd, 8N1. They cannot be asked anything, so
that a silent one cannot be told from one without a card.
"""

STX, ETX = 0x02, 0x03
DIGITS = 12
MAX_FRAME = 16


class Em4100:
    """Frames of either family; the tag repeats about every 65 ms while it is held."""

    baudrate = 9600

    def __init__(self) -> None:
        self.malformed = 0
        self.trouble: str | None = ""
        self.away: bool | None = None
        self._frame: bytearray | None = None
        self._outside = False

    def start(self, now: float) -> bytes:
        self._frame = None
        return b""

    def due(self) -> float | None:
        return None

    def tick(self, now: float) -> bytes:
        return b""

    def receive(self, data: bytes, now: float) -> list[bytes]:
        uids: list[bytes] = []
        for byte in data:
            if byte == STX:
                if self._frame is not None:
                    self.malformed += 1  # the one before was never finished
                self._frame, self._outside = bytearray(), False
            elif self._frame is None:
                self._count_outside()
            elif byte == ETX:
                uids += self._finished(bytes(self._frame))
                self._frame = None
            elif len(self._frame) >= MAX_FRAME:
                self.malformed += 1
                self._frame = None
            else:
                self._frame.append(byte)
        return uids

    def _count_outside(self) -> None:
        """Bytes between two frames are one disturbance, however many."""
        if not self._outside:
            self.malformed += 1
        self._outside = True

    def _finished(self, text: bytes) -> list[bytes]:
        digits = text.rstrip(b"\r\n")
        try:
            raw = bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            raw = b""
        if len(digits) != DIGITS or len(raw) != DIGITS // 2 or _xor(raw):
            self.malformed += 1
            return []
        return [raw[:5]]


def _xor(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
    return found


def frame(uid: bytes, line_end: bytes = b"") -> bytes:
    """The frame a reader sends for a five-byte number; `line_end` is CR LF for the ID family."""
    return bytes((STX,)) + (uid + bytes((_xor(uid),))).hex().upper().encode() + line_end + bytes((ETX,))
