"""NXP PN532 over its high-speed UART: 115200 Bd, 8N1 (user manual UM0701-02).

The chip is asked to poll by itself (InAutoPoll) and answers when it sees a card, or after about 0.3 s without one.
The empty answers show that the chip is alive, and that a card has gone.
"""

from dataclasses import dataclass

WAKE = bytes.fromhex("5555000000000000000000000000")
"""Long preamble that wakes the chip from power-down (UM0701-02, 7.2.11)."""
ACK = bytes.fromhex("0000FF00FF00")
START = b"\x00\xff"
TO_CHIP, FROM_CHIP = 0xD4, 0xD5

GET_FIRMWARE_VERSION = 0x02
SAM_CONFIGURATION = 0x14
IN_AUTO_POLL = 0x60

SAM_NORMAL = bytes((SAM_CONFIGURATION, 0x01, 0x14, 0x01))
"""Normal mode, time-out of 20 x 50 ms, interrupt line in use."""
POLL = bytes((IN_AUTO_POLL, 0x01, 0x01, 0x10, 0x20))
"""One round, 150 ms for each of MIFARE (0x10) and ISO/IEC 14443-4A (0x20) cards: an answer without a card comes soon
enough to tell two taps from one long one."""

ANSWER_S = {GET_FIRMWARE_VERSION: 0.5, SAM_CONFIGURATION: 0.5, IN_AUTO_POLL: 1.5}
"""Longest waits for an answer before the chip is woken again."""
HELD_PAUSE_S = 0.25
"""Between two polls while a card lies on the reader."""
AFTER_DAMAGE_S = 0.5
"""A damaged frame was most likely the answer: do not wait for it much longer."""
SILENT_AFTER = 3
"""Failed attempts before the reader is called silent: one garbled answer is not an outage."""
MAX_BUFFER = 1024
MIN_UID, MAX_UID = 4, 10
"""Bytes; ISO/IEC 14443-3 knows 4, 7 and 10, cards of other makes have others between."""


def frame(data: bytes, direction: int = TO_CHIP) -> bytes:
    """A normal information frame (UM0701-02, 6.2.1.1)."""
    body = bytes((direction,)) + data
    return b"\x00\x00\xff" + bytes((len(body), -len(body) & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0x00))


@dataclass(slots=True)
class Deframer:
    """Cuts frames out of a byte stream; what is no frame is counted and skipped."""

    direction: int = FROM_CHIP
    malformed: int = 0
    buffer: bytes = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Contents of the whole frames in it, without the direction byte; an acknowledgement is an empty one."""
        self.buffer += data
        found: list[bytes] = []
        while (taken := self._take()) is not None:
            found += taken
        if len(self.buffer) > MAX_BUFFER:
            self.malformed += 1
            self.buffer = b""
        return found

    def _take(self) -> list[bytes] | None:
        """The next frame; an empty list when something was skipped; None when more bytes are needed."""
        begin = self.buffer.find(START)
        if begin < 0:
            if len(self.buffer.strip(b"\x00\x55")) > 1:
                self.malformed += 1
            self.buffer = self.buffer[-1:]
            return None
        if self.buffer[:begin].strip(b"\x00\x55"):
            self.malformed += 1
        self.buffer = self.buffer[begin:]
        if len(self.buffer) < 4:
            return None
        length, check = self.buffer[2], self.buffer[3]
        if (length, check) in ((0x00, 0xFF), (0xFF, 0x00)):
            self.buffer = self.buffer[4:]
            return [b""] if length == 0 else []
        if (length + check) & 0xFF or not length:
            return self._skip()
        if len(self.buffer) < 5 + length:
            return None
        body = self.buffer[4 : 4 + length]
        if (sum(body) + self.buffer[4 + length]) & 0xFF or body[0] != self.direction:
            return self._skip()
        self.buffer = self.buffer[5 + length :]
        return [body[1:]]

    def _skip(self) -> list[bytes]:
        self.malformed += 1
        self.buffer = self.buffer[2:]
        return []


class Pn532:
    """Wake, configure, poll for ever; wake again whenever an answer is missing."""

    baudrate = 115200

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.away: bool | None = False
        self._frames = Deframer()
        self._empty = False
        self._awaited = GET_FIRMWARE_VERSION
        self._next = SAM_NORMAL
        self._deadline = 0.0
        self._resting = False
        self._failures = 0

    @property
    def malformed(self) -> int:
        return self._frames.malformed

    @malformed.setter
    def malformed(self, count: int) -> None:
        self._frames.malformed = count

    def start(self, now: float) -> bytes:
        self._frames.buffer = b""
        return WAKE + self._ask(bytes((GET_FIRMWARE_VERSION,)), now)

    def due(self) -> float | None:
        return self._deadline

    def tick(self, now: float) -> bytes:
        if now < self._deadline:
            return b""
        if self._resting:
            return self._ask(self._next, now)
        self._failures += 1
        self._frames.malformed += 1  # an answer that is missing was lost on the way, or never given
        if self._failures >= SILENT_AFTER:
            self.trouble = "the reader does not answer"
        # An acknowledgement from the host aborts whatever the chip may still be doing (UM0701-02, 6.2.1.3).
        return ACK + self.start(now)

    def receive(self, data: bytes, now: float) -> list[bytes]:
        uids: list[bytes] = []
        damaged = self._frames.malformed
        contents = self._frames.feed(data)
        if self._frames.malformed > damaged and not self._resting:
            self._deadline = min(self._deadline, now + AFTER_DAMAGE_S)
        for content in contents:
            if content and content[0] == self._awaited + 1:
                uids += self._answered(content[1:], now)
        return uids

    def _answered(self, data: bytes, now: float) -> list[bytes]:
        uids: list[bytes] = []
        pause = 0.0
        self._next = SAM_NORMAL if self._awaited == GET_FIRMWARE_VERSION else POLL
        if self._awaited == SAM_CONFIGURATION and self._failures < SILENT_AFTER:
            self.trouble = ""
        if self._awaited == IN_AUTO_POLL:
            self.trouble = ""
            self._failures = 0
            uids = self._targets(data)
            pause = HELD_PAUSE_S if uids else 0.0
            if uids:
                self.away, self._empty = self._empty, False
            else:
                self._empty = True
        self._resting = True
        self._deadline = now + pause
        return uids

    def _targets(self, data: bytes) -> list[bytes]:
        """UIDs in an answer to InAutoPoll (7.3.13): count, then type, length and ISO 14443A target data of each."""
        uids: list[bytes] = []
        rest = data[1:]
        for _ in range(data[0] if data else 0):
            if len(rest) < 2 or len(rest) < 2 + rest[1]:
                self._frames.malformed += 1
                break
            target, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
            size = target[4] if len(target) > 4 else 0
            if MIN_UID <= size <= MAX_UID and len(target) >= 5 + size:
                uids.append(target[5 : 5 + size])
            else:
                self._frames.malformed += 1
        return uids

    def _ask(self, command: bytes, now: float) -> bytes:
        self._awaited = command[0]
        self._resting = False
        self._deadline = now + ANSWER_S[command[0]]
        return frame(command)
