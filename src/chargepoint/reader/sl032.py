"""StrongLink SL032 and SL025, 13.56 MHz: the host asks again and again whether a card is there. 115200 Bd, 8N1.

Host: BA, length, command, data, exclusive or of all before. Reader: BD, length, command, status, data, exclusive or.
The length counts from the command to the check byte. (EmbeddedFab RFID_Tiva; the speed is a jumper of the module.)
"""

from chargepoint.reader.asked import Asked

SELECT = bytes.fromhex("BA0201B9")
"""Command 01: select a card and tell its UID."""
HEAD = 0xBD
OK, NO_TAG = 0x00, 0x01


class Sl032(Asked):
    """The protocol of one such reader."""

    baudrate = 115200
    question = SELECT
    answer_s = 0.5

    def receive(self, data: bytes, now: float) -> list[bytes]:
        self._buffer += data
        uids: list[bytes] = []
        while (content := self._take()) is not None:
            if not content:
                continue
            self._answered(now)
            uids += self._uid(content)
        return uids

    def _uid(self, content: bytes) -> list[bytes]:
        """Command, status, then UID and one byte of card type."""
        status, uid = content[1], content[2:-1]
        if content[0] != SELECT[2]:
            return []
        if status == NO_TAG:
            return self._none()
        if status != OK or len(uid) not in (4, 7, 10):
            self.malformed += 1
            return []
        return self._one(uid)

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
