"""Listens to a Linky meter: finds its mode, keeps to one meter, and says when it fell silent."""

import time
from collections.abc import Callable

import structlog

from chargepoint.serial_line import LineLost, SerialLine
from chargepoint.tic.frames import Framer, Mode
from chargepoint.tic.reading import TicReading, understand

log = structlog.get_logger()

LOOK_S = {Mode.STANDARD: 4.0, Mode.HISTORICAL: 6.0}
"""Time to listen in one mode before the other is tried: two frames and the pause between them."""
SILENT_S = 10.0
"""Without a good frame for so long the meter counts as silent."""
BURST_S = 60.0
"""Disturbances closer together than this are one line in the log."""


class TicListener:
    """One TIC line. `on_reading` gets every whole frame of the right meter, at once."""

    def __init__(
        self,
        port: str,
        serial: str,
        on_reading: Callable[[TicReading], None],
        on_state: Callable[[bool, str], None],
    ) -> None:
        """`serial`: ADCO or ADSC of the meter to listen to; empty: any, and then the first one heard.

        `on_state` gets whether the meter is heard, and why not; called at every change.
        """
        self._port = port
        self._serial = serial
        self._on_reading, self._on_state = on_reading, on_state
        self._told: str | None = None
        self._burst_at = -BURST_S
        self.mode: Mode | None = None
        """What the meter speaks; None until it was heard."""
        self.last: TicReading | None = None
        self.turns = 0
        """Goes up whenever bytes came, or did not come for too long."""
        self.damaged_groups = 0
        """Groups with a wrong checksum or form, since the start."""
        self.broken_frames = 0
        self.foreign_frames = 0
        """Frames of another meter."""

    async def run(self) -> None:
        """Listen for ever; ends by cancellation alone."""
        mode = Mode.STANDARD
        while True:
            line = SerialLine(self._port, mode.baudrate, bits=7, parity="E")
            try:
                line.open()
                await self._serve(line, mode)
            except LineLost as e:
                self._tell(str(e))
                await line.pause()
            finally:
                line.close()
            self.turns += 1
            mode = Mode.HISTORICAL if mode is Mode.STANDARD else Mode.STANDARD

    async def _serve(self, line: SerialLine, mode: Mode) -> None:
        """Take frames at one speed, until there were none for too long. Raises LineLost."""
        framer = Framer()
        damaged, broken = self.damaged_groups, self.broken_frames
        deadline = time.monotonic() + LOOK_S[mode]
        while (now := time.monotonic()) < deadline:
            data = await line.read(deadline)
            now = time.monotonic()
            self.turns += 1
            for frame in framer.feed(data):
                reading = understand(frame, now)
                if self._usable(reading, frame.damaged):
                    deadline = now + SILENT_S
                    self.mode = reading.mode
                    self._take(reading)
            self._count(framer, now)
        if self.mode is not None or mode is Mode.HISTORICAL:
            self._tell(self._why_silent(self.damaged_groups - damaged, self.broken_frames - broken))
        self.mode = None

    def _usable(self, reading: TicReading, damaged: int) -> bool:
        """Whole, and of our meter. With a group missing a three-phase meter would look like a single-phase one: only an
        overload notice is worth a frame that still tells all phases and whose it is."""
        if damaged:
            known = self.last is not None and reading.phases == self.last.phases and None not in reading.currents_a
            if not reading.overload or not known or reading.serial is None:
                return False
        if self._serial and reading.serial != self._serial:
            self.foreign_frames += 1
            if self._told is None or "serial" not in self._told:
                self._tell(f"another meter speaks: its serial is {reading.serial}, configured is {self._serial}")
            return False
        return True

    def _take(self, reading: TicReading) -> None:
        if not self._serial and reading.serial:
            self._serial = reading.serial
        self.last = reading
        self._tell("")
        self._on_reading(reading)

    def _why_silent(self, damaged: int, broken: int) -> str:
        """What came instead of a good frame: so many damaged groups, and frames that were cut off."""
        if self.foreign_frames and self.last is None:
            return f"only meters of another serial than {self._serial} are heard on {self._port}"
        if damaged:
            return f"only damaged frames on {self._port}, {damaged} groups with a wrong checksum: check its two wires"
        if broken:
            return f"only parts of frames on {self._port}, {broken} were cut off: check its two wires"
        return f"no whole frame on {self._port}, in standard mode or in historical mode"

    def _count(self, framer: Framer, now: float) -> None:
        if not framer.damaged_groups and not framer.broken_frames:
            return
        self.damaged_groups += framer.damaged_groups
        self.broken_frames += framer.broken_frames
        framer.damaged_groups = framer.broken_frames = 0
        if now - self._burst_at >= BURST_S:
            log.warning("tic_disturbed", groups=self.damaged_groups, frames=self.broken_frames)
        self._burst_at = now

    def _tell(self, trouble: str) -> None:
        if trouble == self._told:
            return
        self._told = trouble
        if trouble:
            log.warning("tic_lost", why=trouble)
        else:
            log.info("tic_found", mode=str(self.mode))
        self._on_state(not trouble, trouble)
