"""Elatec TWN4 in its simple protocol: hexadecimal text, each message ended by CR. 9600 Bd, 8N1 (any on USB).

SearchTag is `0500` with the room for the UID; the answer is an error byte (00), whether a tag was found, and then its
type, length in bits, length in bytes and UID. (From descriptions of the protocol alone; untried on a reader.)
"""

SEARCH = b"050010\r"
"""SearchTag, room for 16 bytes."""
END = b"\r"
POLL_S = 0.2
ANSWER_S = 1.0
SILENT_AFTER = 3
"""Missing answers before the reader is called silent."""
MAX_LINE = 80


class Twn4:
    """Asks for a tag; every answer, also that there is none, shows that the reader lives."""

    baudrate = 9600

    def __init__(self) -> None:
        self.malformed = 0
        self.trouble: str | None = None
        self.away: bool | None = False
        self._empty = False
        self._buffer = b""
        self._due = 0.0
        self._asked = False
        self._missing = 0

    def start(self, now: float) -> bytes:
        self._buffer, self._asked, self._due = b"", True, now + ANSWER_S
        return SEARCH

    def due(self) -> float | None:
        return self._due

    def tick(self, now: float) -> bytes:
        if self._asked:
            self._missing += 1
            if self._missing >= SILENT_AFTER:
                self.trouble = "the reader does not answer"
        return self.start(now)

    def receive(self, data: bytes, now: float) -> list[bytes]:
        *lines, self._buffer = (self._buffer + data).split(END)
        if len(self._buffer) > MAX_LINE:
            self.malformed += 1
            self._buffer = b""
        uids: list[bytes] = []
        for line in lines:
            answer = self._parse(line.strip(b"\n"))
            if answer is not None:
                self.trouble, self._missing = "", 0
                self._asked, self._due = False, now + POLL_S
                uids += answer
        return uids

    def _parse(self, line: bytes) -> list[bytes] | None:
        """UIDs in an answer; None when it is none."""
        try:
            raw = bytes.fromhex(line.decode("ascii"))
        except ValueError:
            raw = b""
        if raw == b"\x00\x00":
            self._empty = True
            return []
        if len(raw) < 6 or raw[:2] != b"\x00\x01" or len(raw) != 5 + raw[4]:
            self.malformed += 1
            return None
        self.away, self._empty = self._empty, False
        return [raw[5:]]
