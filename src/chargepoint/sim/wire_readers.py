"""Simulated badge readers on pseudo-terminals: a PN532 as its manual describes it, and an RDM6300."""

import asyncio
import random
import time
from pathlib import Path

from chargepoint.reader import em4100, pn532
from chargepoint.sim.wire_pty import PtyWire

_POLL_UNIT_S = 0.15
"""Unit of the polling period of InAutoPoll (UM0701-02, 7.3.13)."""
_REPEAT_S = 0.065
"""An RDM6300 repeats a held tag about so often."""
_NOISE = 0.25
_FIRMWARE = bytes.fromhex("32010607")
"""IC PN532, version 1.6, all protocols."""


class SimReader:
    """One reader. `present` holds a card to it for a moment."""

    def __init__(self, link_path: Path, kind: str = "pn532") -> None:
        """`kind`: pn532, rdm6300, id12 or id20."""
        if kind not in ("pn532", "rdm6300", "id12", "id20"):
            raise ValueError(f'no simulated reader of kind "{kind}"; there are pn532, rdm6300, id12 and id20')
        self.kind = kind
        self.silent = False
        """Answers and sends nothing."""
        self.noise = False
        """Spoils about one frame in four."""
        self._wire = PtyWire(link_path, self._received)
        self._frames = pn532.Deframer(direction=pn532.TO_CHIP)
        self._uid = b""
        self._gone_at = 0.0
        self._poll: asyncio.TimerHandle | None = None
        self._repeat: asyncio.TimerHandle | None = None
        self._random = random.Random(532)

    async def start(self) -> None:
        self._wire.open()

    async def close(self) -> None:
        self._cancel()
        if self._repeat:
            self._repeat.cancel()
        self._wire.close()

    def present(self, uid: bytes, seconds: float = 0.4) -> None:
        """Hold a card there; it is taken away after so many seconds."""
        self._uid, self._gone_at = uid, time.monotonic() + seconds
        if self.kind != "pn532":
            if self._repeat:
                self._repeat.cancel()
            self._say_number()
        elif self._poll:
            self._cancel()
            self._answer_poll()

    def _card(self) -> bytes:
        return self._uid if time.monotonic() < self._gone_at else b""

    def _send(self, data: bytes) -> None:
        if self.silent:
            return
        if self.noise and self._random.random() < _NOISE:
            at = self._random.randrange(3, len(data) - 1)
            data = self._random.randbytes(5) + data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :]
        self._wire.write(data)

    # 125 kHz readers

    def _say_number(self) -> None:
        uid = self._card()
        if uid:
            # An EM4100 number has five bytes; of a longer UID the reader would see none, so the end of it must do.
            number = uid[-5:].rjust(5, b"\0")
            self._send(em4100.frame(number, b"" if self.kind == "rdm6300" else b"\r\n"))
            self._repeat = asyncio.get_running_loop().call_later(_REPEAT_S, self._say_number)

    # PN532

    def _received(self, data: bytes) -> None:
        if self.kind != "pn532" or self.silent:
            return
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
            if self._card():
                self._answer_poll()
            else:
                wait = rest[0] * rest[1] * _POLL_UNIT_S
                self._poll = asyncio.get_running_loop().call_later(wait, self._answer_poll)
        else:
            self._send(b"\x00\x00\xff\x01\xff\x7f\x81\x00")  # syntax error frame (6.2.1.5)

    def _answer_poll(self) -> None:
        self._poll = None
        uid = self._card()
        if not uid:
            self._reply(pn532.IN_AUTO_POLL, b"\x00")
            return
        target = b"\x01\x00\x04\x08" + bytes((len(uid),)) + uid
        self._reply(pn532.IN_AUTO_POLL, bytes((1, 0x10, len(target))) + target)

    def _reply(self, code: int, data: bytes) -> None:
        self._send(pn532.frame(bytes((code + 1,)) + data, pn532.FROM_CHIP))

    def _cancel(self) -> None:
        if self._poll:
            self._poll.cancel()
            self._poll = None
