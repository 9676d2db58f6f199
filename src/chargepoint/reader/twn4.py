"""Elatec TWN4 in its simple protocol: hexadecimal text, each message ended by CR. 9600 Bd, 8N1 (any on USB).

SearchTag is `0500` with the room for the UID; the answer is an error byte (00), whether a tag was found, and then its
type, length in bits, length in bytes and UID. (From descriptions of the protocol alone; untried on a reader.)
"""

from chargepoint.reader.asked import Asked

SEARCH = b"050010\r"
"""SearchTag, room for 16 bytes."""
END = b"\r"
MAX_LINE = 80


class Twn4(Asked):
    """The protocol of one such reader."""

    baudrate = 9600
    question = SEARCH
    answer_s = 1.0

    def receive(self, data: bytes, now: float) -> list[bytes]:
        *lines, self._buffer = (self._buffer + data).split(END)
        if len(self._buffer) > MAX_LINE:
            self.malformed += 1
            self._buffer = b""
        uids: list[bytes] = []
        for line in lines:
            answer = self._parse(line.strip(b"\n"))
            if answer is not None:
                self._answered(now)
                uids += answer
        return uids

    def _parse(self, line: bytes) -> list[bytes] | None:
        """UIDs in an answer; None when it is none."""
        try:
            raw = bytes.fromhex(line.decode("ascii"))
        except ValueError:
            raw = b""
        if raw == b"\x00\x00":
            return self._none()
        if len(raw) < 6 or raw[:2] != b"\x00\x01" or len(raw) != 5 + raw[4]:
            self.malformed += 1
            return None
        return self._one(raw[5:])
