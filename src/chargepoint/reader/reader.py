"""A badge reader on a serial device: opens it, opens it again when it vanished, and says when it is lost or back."""

import time
from collections.abc import Callable, Mapping

import structlog

from chargepoint.config import ReaderSection
from chargepoint.reader.badge import Badge, HoldFilter, is_random, masked, token
from chargepoint.reader.em4100 import Em4100
from chargepoint.reader.gpio_edges import GpioEdges
from chargepoint.reader.hid import HidKeyboard, InputDevice
from chargepoint.reader.pn532 import Pn532
from chargepoint.reader.protocol import ProtocolFactory, ReaderProtocol
from chargepoint.reader.sl032 import Sl032
from chargepoint.reader.twn4 import Twn4
from chargepoint.reader.wiegand import Wiegand
from chargepoint.serial_line import ByteLine, LineLost, SerialLine

log = structlog.get_logger()

KINDS: Mapping[str, ProtocolFactory] = {
    "pn532": Pn532,
    "rdm6300": Em4100,
    "id12": Em4100,
    "id20": Em4100,
    "sl032": Sl032,
    "twn4": Twn4,
    "hid": HidKeyboard,
    "hid-decimal": lambda: HidKeyboard(decimal=True),
}
"""Readers that need nothing but their port. With `wiegand`, what `kind` of a reader may say in the configuration."""

LOOK_S = 5.0
BURST_S = 10.0
"""Disturbances closer together than this are one line in the log."""


class UnknownReader(ValueError):
    """There is no protocol of that name. The text lists the names there are."""


class BadgeReader:
    """One reader. Raises UnknownReader for a kind that does not exist."""

    def __init__(
        self,
        section: ReaderSection,
        port: str,
        on_badge: Callable[[Badge], None],
        on_state: Callable[[int, bool, str], None],
    ) -> None:
        """`on_state` gets the reader's id, whether it works, and why not; called at every change and at the start."""
        if section.kind not in (*KINDS, "wiegand"):
            known = ", ".join(sorted((*KINDS, "wiegand")))
            raise UnknownReader(f'no reader kind "{section.kind}"; known kinds: {known}')
        self._section = section
        self._port = port
        self._on_badge, self._on_state = on_badge, on_state
        self._hold = HoldFilter(section.hold_s)
        self._told: str | None = None
        self._burst_at = -BURST_S
        self.number = section.id
        self.malformed = 0
        """Frames that made no sense, since the start."""
        self.turns = 0
        """Goes up at least every `LOOK_S` while the loop lives, also while nobody shows a badge."""

    async def run(self) -> None:
        """Listen for ever; ends by cancellation alone."""
        line, make = self._device()
        while True:
            try:
                line.open()
                await self._serve(line, make())
            except LineLost as e:
                self._tell(str(e))
            finally:
                line.close()
            self.turns += 1
            await line.pause()

    def _device(self) -> tuple[ByteLine, ProtocolFactory]:
        """What the reader hangs on, and what it speaks: most hang on a serial port."""
        kind = self._section.kind
        if kind == "wiegand":
            edges = GpioEdges(self._port)
            return edges, lambda: Wiegand(edges.offsets[0])
        make = KINDS[kind]
        return (InputDevice(self._port) if kind.startswith("hid") else SerialLine(self._port, make().baudrate)), make

    async def _serve(self, line: ByteLine, protocol: ReaderProtocol) -> None:
        """Talk until the line is lost; raises LineLost."""
        line.write(protocol.start(time.monotonic()))
        while True:
            self._judge(protocol)
            due, look = protocol.due(), time.monotonic() + LOOK_S
            data = await line.read(look if due is None else min(due, look))
            now = time.monotonic()
            self.turns += 1
            uids = protocol.receive(data, now)
            self._judge(protocol)  # first: a disturbance makes a gap before this card the reader's own
            for uid in uids:
                self._seen(uid, now, protocol.away)
            due = protocol.due()
            if due is not None and due <= now:
                line.write(protocol.tick(now))

    def _seen(self, uid: bytes, now: float, away: bool | None) -> None:
        if not self._hold.admit(uid, now, away):
            return
        reader = self._section.id
        log.info("badge_seen", reader=reader, uid=masked(uid))
        if is_random(uid):
            log.warning("badge_uid_is_random", reader=reader, uid=masked(uid))
        self._on_badge(Badge(uid, token(uid, self._section.byte_order), reader, now))

    def _judge(self, protocol: ReaderProtocol) -> None:
        """Tell about the protocol's state and count what it could not read."""
        if protocol.trouble is not None:
            self._tell(protocol.trouble)
        if protocol.malformed:
            self._hold.disturbed()
            self.malformed += protocol.malformed
            protocol.malformed = 0
            now = time.monotonic()
            if now - self._burst_at >= BURST_S:
                log.warning("reader_disturbed", reader=self._section.id, malformed=self.malformed)
            self._burst_at = now

    def _tell(self, trouble: str) -> None:
        if trouble == self._told:
            return
        first, self._told = self._told is None, trouble
        if trouble:
            log.error("reader_lost", reader=self._section.id, why=trouble)
        elif not first:
            log.info("reader_found", reader=self._section.id)
        self._on_state(self._section.id, not trouble, trouble)
