"""StrongLink SL032 and SL025, 13.56 MHz: the host asks again and again whether a card is there. 115200 Bd, 8N1.

Host: BA, length, command, data, exclusive or of all before. Reader: BD, length, command, status, data, exclusive or.
The length counts from the command to the check byte. (EmbeddedFab RFID_Tiva; the speed is a jumper of the module.)
"""

SELECT = bytes.fromhex("BA0201B9")
"""Command 01: select a card and tell its UID."""
HEAD = 0xBD
OK, NO_TAG = 0x00, 0x01
POLL_S = 0.2
ANSWER_S = 0.5
SILENT_AFTER = 3
"""Missing answers before the reader is called silent."""


class Sl032:
    """Polls; every answer, also that there is no card, shows that the reader lives."""

    baudrate = 115200

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
        return SELECT

    def due(self) -> float | None:
        return self._due

    def tick(self, now: float) -> bytes:
        if self._asked:
            self._missing += 1
            if self._missing >= SILENT_AFTER:
                self.trouble = "the reader does not answer"
        return self.start(now)

    def receive(self, data: bytes, now: float) -> list[bytes]:
        self._buffer += data
        uids: list[bytes] = []
        while (content := self._take()) is not None:
            if not content:
                continue
            self.trouble, self._missing = "", 0
            self._asked, self._due = False, now + POLL_S
            uids += self._uid(content)
        return uids

    def _uid(self, content: bytes) -> list[bytes]:
        """Command, status, then UID and one byte of card type."""
        status, uid = content[1], content[2:-1]
        if content[0] != SELECT[2]:
            return []
        if status == NO_TAG:
            self._empty = True
            return []
        if status != OK or len(uid) not in (4, 7, 10):
            self.malformed += 1
            return []
        self.away, self._empty = self._empty, False
        return [uid]

    def _take(self) -> bytes | None:
        """Content of the next frame; empty when bytes were skipped; None when more are needed."""
        begin = self._buffer.find(bytes((HEAD,)))
        if begin != 0:
            junk, self._buffer = (self._buffer, b"") if begin < 0 else (self._buffer[:begin], self._buffer[begin:])
            self.malformed += bool(junk)
            return None if begin < 0 else b""
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return None
        end = 2 + self._buffer[1]
        frame, check = self._buffer[:end], 0
        for byte in frame:
            check ^= byte
        if check or end < 5:
            self.malformed += 1
            self._buffer = self._buffer[1:]
            return b""
        self._buffer = self._buffer[end:]
        return frame[2:-1]
