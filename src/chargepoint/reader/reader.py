"""A badge reader on a serial device: opens it, opens it again when it vanished, and says when it is lost or back."""

import asyncio
import time
from collections.abc import Callable, Mapping

import serial
import structlog

from chargepoint.config import ReaderSection
from chargepoint.reader.badge import Badge, HoldFilter, is_random, masked, token
from chargepoint.reader.em4100 import Em4100
from chargepoint.reader.pn532 import Pn532
from chargepoint.reader.protocol import ProtocolFactory, ReaderProtocol

log = structlog.get_logger()

KINDS: Mapping[str, ProtocolFactory] = {"pn532": Pn532, "rdm6300": Em4100, "id12": Em4100, "id20": Em4100}
"""What `kind` of a reader may say in the configuration."""

REOPEN_MIN_S, REOPEN_MAX_S = 0.2, 5.0
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
        if section.kind not in KINDS:
            raise UnknownReader(f'no reader kind "{section.kind}"; known kinds: {", ".join(sorted(KINDS))}')
        self._section = section
        self._port = port
        self._on_badge, self._on_state = on_badge, on_state
        self._hold = HoldFilter(section.hold_s)
        self._told: str | None = None
        self._burst_at = -BURST_S
        self.malformed = 0
        """Frames that made no sense, since the start."""

    async def run(self) -> None:
        """Listen for ever; ends by cancellation alone."""
        wait = REOPEN_MIN_S
        while True:
            protocol = KINDS[self._section.kind]()
            try:
                device = serial.Serial(self._port, protocol.baudrate, timeout=0, write_timeout=0, exclusive=True)
            except (serial.SerialException, OSError) as e:
                self._tell(f"{self._port} cannot be opened: {e}")
                await asyncio.sleep(wait)
                wait = min(2 * wait, REOPEN_MAX_S)
                continue
            wait = REOPEN_MIN_S
            try:
                await self._serve(device, protocol)
            except (serial.SerialException, OSError) as e:
                self._tell(f"{self._port} went away: {e}")
            finally:
                device.close()
            await asyncio.sleep(wait)

    async def _serve(self, device: "serial.Serial", protocol: ReaderProtocol) -> None:
        """Until the device fails: raises what it raised."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=256)

        def readable() -> None:
            try:
                data: bytes | OSError = device.read(1024)
            except (serial.SerialException, OSError) as e:
                loop.remove_reader(fd)
                data = e
            if not arrived.full():
                arrived.put_nowait(data)

        fd = device.fileno()
        loop.add_reader(fd, readable)
        try:
            device.write(protocol.start(time.monotonic()))
            while True:
                self._judge(protocol)
                data = await self._next(arrived, protocol.due())
                if isinstance(data, OSError):
                    raise data
                now = time.monotonic()
                for uid in protocol.receive(data, now):
                    self._seen(uid, now)
                due = protocol.due()
                if due is not None and due <= now and (out := protocol.tick(now)):
                    device.write(out)
        finally:
            loop.remove_reader(fd)

    @staticmethod
    async def _next(arrived: "asyncio.Queue[bytes | OSError]", due: float | None) -> bytes | OSError:
        """What came, or nothing when the protocol's time has come first."""
        try:
            return await asyncio.wait_for(arrived.get(), None if due is None else max(0.0, due - time.monotonic()))
        except TimeoutError:
            return b""

    def _seen(self, uid: bytes, now: float) -> None:
        if not self._hold.admit(uid, now):
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
