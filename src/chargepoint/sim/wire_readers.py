"""Simulated badge readers on pseudo-terminals, each in its own language."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from chargepoint.reader import em4100, pn532, sl032, twn4
from chargepoint.sim.wire_pty import PtyWire

_POLL_UNIT_S = 0.15
"""Unit of the polling period of InAutoPoll (UM0701-02, 7.3.13)."""
_REPEAT_S = 0.065
"""An RDM6300 repeats a held tag about so often."""
_NOISE = 0.25
GIVE_UP_S = 3.0
"""A person takes a card away after so long, read or not."""
_AFTER_READ_S = 0.3
"""A person holds a card so long after it was read."""
_UNASKED_S = 1.0
"""A reader that is not asked cannot know that it was heard: a card stays there so long."""
_NEXT_CARD_S, _SAME_AGAIN_S = 0.15, 1.0
"""Between one card and the next; the same card again has to have been away."""
_FIRMWARE = bytes.fromhex("32010607")
"""IC PN532, version 1.6, all protocols."""


def _sl032_answer(uid: bytes) -> bytes:
    status = sl032.OK if uid else sl032.NO_TAG
    content = bytes((sl032.SELECT[2], status)) + (uid + b"\x01" if uid else b"")
    frame = bytes((sl032.HEAD, len(content) + 1)) + content
    check = 0
    for byte in frame:
        check ^= byte
    return frame + bytes((check,))


def _twn4_answer(uid: bytes) -> bytes:
    raw = bytes((0, 1, 0x80, 8 * len(uid), len(uid))) + uid if uid else b"\0\0"
    return raw.hex().upper().encode() + b"\r"


_ASKED = {"sl032": (sl032.SELECT, _sl032_answer), "twn4": (twn4.SEARCH, _twn4_answer)}
"""Readers with one question, and their answer for the card that is there, or none."""
_UNASKED = ("rdm6300", "id12", "id20")
SIMULATED = ("pn532", *_UNASKED, *_ASKED)


class SimReader:
    """One reader. `present` holds a card to it for a moment."""

    def __init__(self, link_path: Path, kind: str = "pn532") -> None:
        """`kind`: one of SIMULATED; raises ValueError else."""
        if kind not in SIMULATED:
            raise ValueError(f'no simulated reader of kind "{kind}"; there are {", ".join(SIMULATED)}')
        self.kind = kind
        self.silent = False
        """Answers and sends nothing."""
        self.noise = False
        """Spoils about one frame in four."""
        self._wire = PtyWire(link_path, self._received)
        self._frames = pn532.Deframer(direction=pn532.TO_CHIP)
        self._heard = b""
        self._uid = b""
        self._queue: list[tuple[bytes, float]] = []
        self._read = False
        self._least_until = 0.0
        self._change: asyncio.TimerHandle | None = None
        self._poll: asyncio.TimerHandle | None = None
        self._repeat: asyncio.TimerHandle | None = None
        self._random = random.Random(532)

    async def start(self) -> None:
        self._wire.open()

    async def close(self) -> None:
        self._cancel()
        for timer in (self._repeat, self._change):
            if timer:
                timer.cancel()
        self._wire.close()

    def present(self, uid: bytes, seconds: float = 0.4) -> None:
        """Hold a card there, as a person does: so many seconds, and until the reader has read it, but not for ever.

        A card shown while another is there follows it.
        """
        self._queue.append((uid, seconds))
        if not self._uid and self._change is None:
            self._show()

    def _show(self) -> None:
        self._uid, seconds = self._queue.pop(0)
        self._read = False
        now = time.monotonic()
        self._least_until = now + seconds
        self._change_at(now + (max(seconds, _UNASKED_S) if self.kind in _UNASKED else GIVE_UP_S), self._take_away)
        if self.kind in _UNASKED:
            self._say_number()
        elif self._poll:
            self._cancel()
            self._answer_poll()

    def _was_read(self) -> None:
        if not self._read:
            self._read = True
            self._change_at(max(time.monotonic() + _AFTER_READ_S, self._least_until), self._take_away)

    def _take_away(self) -> None:
        gone, self._uid, self._change = self._uid, b"", None
        if self._queue:
            pause = _SAME_AGAIN_S if self._queue[0][0] == gone else _NEXT_CARD_S
            self._change_at(time.monotonic() + pause, self._show_next)

    def _show_next(self) -> None:
        self._change = None
        self._show()

    def _change_at(self, at: float, what: Callable[[], None]) -> None:
        if self._change:
            self._change.cancel()
        self._change = asyncio.get_running_loop().call_later(at - time.monotonic(), what)

    def _send(self, data: bytes) -> bool:
        """True when it left whole."""
        if self.silent:
            return False
        whole = not (self.noise and self._random.random() < _NOISE)
        if not whole:
            at = self._random.randrange(3, len(data) - 1)
            data = self._random.randbytes(5) + data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :]
        self._wire.write(data)
        return whole

    # 125 kHz readers

    def _say_number(self) -> None:
        if self._uid:
            # An EM4100 number has five bytes; of a longer UID the reader would see none, so the end of it must do.
            number = self._uid[-5:].rjust(5, b"\0")
            self._send(em4100.frame(number, b"" if self.kind == "rdm6300" else b"\r\n"))
            self._repeat = asyncio.get_running_loop().call_later(_REPEAT_S, self._say_number)

    # PN532

    def _received(self, data: bytes) -> None:
        if self.silent:
            return
        if self.kind == "pn532":
            self._heard_by_pn532(data)
        elif self.kind in _ASKED:
            question, answer = _ASKED[self.kind]
            self._heard = (self._heard + data)[-64:]
            while question in self._heard:
                self._heard = self._heard[self._heard.index(question) + len(question) :]
                if self._send(answer(self._uid)) and self._uid:
                    self._was_read()

    def _heard_by_pn532(self, data: bytes) -> None:
        for content in self._frames.feed(data):
            self._cancel()  # an acknowledgement or a new command aborts what was going on
            if content:
                self._send(pn532.ACK)
                self._command(content)

    def _command(self, content: bytes) -> None:
        code, rest = content[0], content[1:]
        if code == pn532.GET_FIRMWARE_VERSION:
            self._reply(code, _FIRMWARE)
        elif code == pn532.SAM_CONFIGURATION:
            self._reply(code, b"")
        elif code == pn532.IN_AUTO_POLL and len(rest) >= 3:
            if self._uid:
                self._answer_poll()
            else:
                wait = rest[0] * rest[1] * len(rest[2:]) * _POLL_UNIT_S
                self._poll = asyncio.get_running_loop().call_later(wait, self._answer_poll)
        else:
            self._send(b"\x00\x00\xff\x01\xff\x7f\x81\x00")  # syntax error frame (6.2.1.5)

    def _answer_poll(self) -> None:
        self._poll = None
        if not self._uid:
            self._reply(pn532.IN_AUTO_POLL, b"\x00")
            return
        target = b"\x01\x00\x04\x08" + bytes((len(self._uid),)) + self._uid
        if self._reply(pn532.IN_AUTO_POLL, bytes((1, 0x10, len(target))) + target):
            self._was_read()

    def _reply(self, code: int, data: bytes) -> bool:
        return self._send(pn532.frame(bytes((code + 1,)) + data, pn532.FROM_CHIP))

    def _cancel(self) -> None:
        if self._poll:
            self._poll.cancel()
            self._poll = None
