"""The borne's pins as gpiozero devices, the pilots on the kernel's PWM, the analogue inputs on MCP3208.

Safe state first: the contactors' outputs are claimed low before anything else is opened, then the pilots are set
to steady +12 V, and only then is anything read.
"""

import contextlib
import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any

from gpiozero import InputDevice, OutputDevice

from chargepoint.board import frontend, mcp3208
from chargepoint.board.expander import ReadBackPin
from chargepoint.board.hardware import Hardware
from chargepoint.board.patience import patiently
from chargepoint.board.pins import SIGNALS, PinMap, signal_name
from chargepoint.board.pwm import PwmChannel, PwmError, find_chip
from chargepoint.board.types import BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.config import EvseSection

_SLOW_INPUTS = ("lock_is_closed", "lock_is_open", "bay", "domestic_plug", "domestic_mirror")
"""Inputs that may stand behind I2C: one of them is read in each pass, in turn."""
_DOOR_EVERY = 10
"""Passes between two readings of the door switch, and of each contact of the grid operator; never two in one pass."""
_MISSING_READINGS = 50
"""Failed readings in a row after which what they are read from is not there: half a second to a second."""


class _Devices:
    """Makes and owns the gpiozero devices."""

    def __init__(self, hardware: Hardware, pins: PinMap) -> None:
        self._hardware = hardware
        self._pins = pins
        self._owned: list[Any] = []

    def output(self, name: str, point: int | None = None) -> Any:
        """The pin of an output, claimed at the inactive level. Behind an expander it raises also what went unseen."""
        pin = self._claim(OutputDevice, name, point, active_high=True, initial_value=False)
        if self._pins.line(name, point).on_header:
            return pin
        return ReadBackPin(pin, f"{signal_name(name, point)} ({self._pins.text(name, point)})")

    def input(self, name: str, point: int | None = None) -> Any:
        """The pin of an input. Pulls are the front end's, so that a broken wire always reads as the safe level."""
        return self._claim(InputDevice, name, point, pull_up=None, active_state=SIGNALS[name].active_high)

    def close(self) -> None:
        for device in self._owned:
            device.close()
        self._owned.clear()

    def _claim(self, kind: Any, name: str, point: int | None, **options: Any) -> Any:
        line = self._pins.line(name, point)
        device = kind(f"GPIO{line.offset}", pin_factory=self._hardware.factory(line.chip), **options)
        self._owned.append(device)
        # The device owns the line; the loop reads the pin itself, without the device's bookkeeping (a third the cost).
        return device.pin


class _Output:
    """An output that is written only when it changes."""

    __slots__ = ("_pin", "_state")

    def __init__(self, pin: Any) -> None:
        self._pin = pin
        self._state: bool | None = False

    def set(self, on: bool) -> None:
        if on is not self._state:
            self._state = None  # unknown until the write has succeeded
            self._pin.state = on
            self._state = on

    def off(self) -> None:
        """Write the inactive level, whatever was written last."""
        self._state = None
        self.set(False)

    @property
    def written(self) -> bool:
        """The last `set` reached the line; behind an expander it was also seen there."""
        return self._state is not None


class _SlowOutput(_Output):
    """An output behind I2C on which no life depends: a failed write is written again in the next pass.

    A lock that does not move or a test that does not trip is a fault of its own; the loop must not die of it.
    """

    __slots__ = ("_errors", "_wanted")

    def __init__(self, pin: Any, errors: tuple[type[Exception], ...]) -> None:
        super().__init__(pin)
        self._errors = errors
        self._wanted = False

    def set(self, on: bool) -> None:
        self._wanted = on
        with contextlib.suppress(*self._errors):
            super().set(on)

    def again(self) -> None:
        """Write once more what did not reach the line."""
        if not self.written:
            self.set(self._wanted)


class _SlowInput:
    """An input that may stand behind I2C. One failed reading keeps the last value: a disturbance on the bus must not
    end a charge. From the second in a row on it reads as low, the dangerous meaning of every watched line."""

    __slots__ = ("_active_high", "_errors", "_pin", "failed", "value")

    def __init__(self, pin: Any, active_high: bool, errors: tuple[type[Exception], ...]) -> None:
        self._pin = pin
        self._active_high = active_high
        self._errors = errors
        self.failed = 0
        """Readings in a row that failed."""
        self.value = not active_high

    def read(self) -> None:
        try:
            level = bool(self._pin.state)
        except self._errors:
            self.failed += 1
            if self.failed < 2:
                return
            level = False
        else:
            self.failed = 0
        self.value = level is self._active_high


class _Point:
    """The devices of one point."""

    def __init__(self, evse: EvseSection, devices: _Devices, hardware: Hardware) -> None:
        self._number = evse.id
        self._devices = devices
        self._hardware = hardware
        self._errors = hardware.errors
        self._evse = evse
        self.contactor = _Output(devices.output("contactor", evse.id))
        domestic = evse.domestic is not None
        self.domestic_contactor = _Output(devices.output("domestic_contactor", evse.id)) if domestic else None
        self._last: PointOutputs | None = None
        self.missing = ""
        """Which inputs no longer answer, in words; empty while they do."""

    def open_pilot(self, channel: PwmChannel) -> None:
        self.pilot = channel

    def open_rest(self, pins: PinMap) -> None:
        """Everything that is not part of the safe state."""
        devices, number = self._devices, self._number
        self.lock_close = self.lock_open = None
        if self._evse.socket:
            self.lock_close = self._slow_output("lock_close")
            self.lock_open = self._slow_output("lock_open")
        self.rcd_test = self._slow_output("rcd_test")
        self.lamps = [self._slow_output(f"lamp_{colour}") for colour in ("red", "green", "blue")]
        self._slow_outputs = [out for out in (self.lock_close, self.lock_open, self.rcd_test) if out is not None]
        domestic = [] if self.domestic_contactor is None else [self.domestic_contactor]
        self._behind_i2c = [*self._slow_outputs, *self.lamps, *domestic]
        self._mirror = devices.input("mirror", number)
        self._load_live = devices.input("load_live", number)
        self._rcd = devices.input("rcd", number)
        self._rdc = devices.input("rdc", number)
        self._pe = devices.input("pe", number)
        slow = ["bay"]
        slow += ["lock_is_closed", "lock_is_open"] if self._evse.socket else []
        slow += ["domestic_plug", "domestic_mirror"] if self._evse.domestic is not None else []
        self._slow = {
            name: _SlowInput(devices.input(name, number), SIGNALS[name].active_high, self._errors) for name in slow
        }
        self._slow_turn = itertools.cycle(self._slow.values())
        self._slow_lines = [self._slow.get(name) for name in _SLOW_INPUTS]
        frames = tuple(mcp3208.frame(channel) for channel in range(len(frontend.CHANNELS)))
        self._answers = mcp3208.Answers(len(frames))
        self._adc = self._hardware.spi(pins.text("adc", number), frames)
        self._temperature = (0, frontend.SHORTED_C)
        for line in self._slow.values():
            line.read()

    def _look_for_missing(self) -> None:
        gone = [name for name, line in self._slow.items() if line.failed * len(self._slow) >= _MISSING_READINGS]
        self.missing = ", ".join(f"{name}_{self._number}" for name in gone)

    def read(self) -> PointInputs:
        line = next(self._slow_turn)  # one in each pass, in turn: an I2C read may take half a millisecond
        line.read()
        if line.failed or self.missing:
            self._look_for_missing()
        closed, opened, bay, plug, mirror = [line is not None and line.value for line in self._slow_lines]
        try:
            cp_high, cp_low, pp, ntc, reference, generator = self._answers.counts(self._adc.exchange())
        except OSError:
            cp_high = cp_low = pp = ntc = reference = generator = 0  # no reference: the machine sees a silent ADC
        if ntc != self._temperature[0]:
            self._temperature = (ntc, frontend.temperature_c(ntc))
        return PointInputs(
            frontend.pilot_v(cp_high),
            frontend.pilot_v(cp_low),
            frontend.pp_ohm(pp),
            not self._level(self._mirror),
            self._level(self._load_live),
            closed,
            opened,
            not self._level(self._rcd),
            not self._level(self._rdc),
            self._level(self._pe),
            self._temperature[1],
            frontend.volt(reference),
            frontend.duty_percent(generator),
            bay,
            plug,
            mirror,
        )

    def write(self, outputs: PointOutputs) -> None:
        if outputs == self._last:
            return
        # Opening comes before everything else, closing after everything else.
        if not outputs.contactor:
            self.contactor.set(False)
        if not outputs.domestic_contactor:
            self._open_domestic()
        self.pilot.set_duty(outputs.duty)
        if self.lock_close is not None and self.lock_open is not None:
            # Both sides of the bridge are never on together: off first.
            _drive_lock(self.lock_close, self.lock_open, outputs.lock)
        self.rcd_test.set(outputs.rcd_test)
        for lamp in self.lamps:
            lamp.again()
        if self.domestic_contactor is not None and outputs.domestic_contactor:
            with contextlib.suppress(*self._errors):  # it stays off, as its mirror contact tells, and is tried again
                self.domestic_contactor.set(True)
        if outputs.contactor:
            self.contactor.set(True)
        self._last = outputs if all(out.written for out in self._behind_i2c) else None

    def show(self, colours: tuple[bool, bool, bool]) -> None:
        """Red, green, blue."""
        for lamp, on in zip(self.lamps, colours, strict=True):
            lamp.set(on)
            if not lamp.written:
                self._last = None  # the next pass writes it again

    def _open_domestic(self, anew: bool = False) -> None:
        """One miss on the bus ends nothing. Of two only the coil watchdog can make up: raises, and the loop ends.

        `anew`: whatever was written last.
        """
        if self.domestic_contactor is None:
            return
        off = self.domestic_contactor.off if anew else partial(self.domestic_contactor.set, False)
        try:
            off()
        except self._errors:
            off()

    def make_safe(self) -> None:
        """Every output is tried, whatever another one raises."""
        self._last = None
        with contextlib.ExitStack() as last_first:
            for output in self._slow_outputs:
                last_first.callback(output.off)
            last_first.callback(self.pilot.set_duty, 100.0)
            last_first.callback(self._open_domestic, anew=True)
            last_first.callback(self.contactor.off)

    def close(self) -> None:
        with contextlib.ExitStack() as every:
            every.callback(self._adc.close)
            every.callback(self.pilot.close)

    def _slow_output(self, name: str) -> _SlowOutput:
        return _SlowOutput(self._devices.output(name, self._number), self._errors)

    def _level(self, pin: Any) -> bool:
        """The line's level; low, which is the dangerous meaning of every watched line, when it cannot be read."""
        try:
            return bool(pin.state)
        except self._errors:
            return False


def _drive_lock(close: _Output, open_: _Output, drive: LockDrive) -> None:
    if drive is not LockDrive.CLOSE:
        close.set(False)
    if drive is not LockDrive.OPEN:
        open_.set(False)
    if drive is LockDrive.CLOSE and open_.written:
        close.set(True)
    elif drive is LockDrive.OPEN and close.written:
        open_.set(True)


class GpioBoard:
    """The borne's board (see `types.Board`). Constructing it makes the outputs safe before it opens the inputs."""

    def __init__(self, evses: Iterable[EvseSection], pins: PinMap, hardware: Hardware) -> None:
        """Raises `BoardMismatch`, `PwmError` or `OSError` when this machine lacks something."""
        evses = tuple(evses)
        self._hardware = hardware
        self._devices = _Devices(hardware, pins)
        self._points = {evse.id: _Point(evse, self._devices, hardware) for evse in evses}
        self._heartbeat = self._devices.output("heartbeat")
        self._beat = False
        self._open_pilots(pins)
        for point in self._points.values():
            point.open_rest(pins)
        self._emergency_stop = self._devices.input("emergency_stop")
        self._coil_watchdog = self._devices.input("coil_watchdog")
        self._door = _SlowInput(self._devices.input("door"), False, hardware.errors)
        self._grid = tuple(
            _SlowInput(self._devices.input(name), True, hardware.errors) for name in ("grid_a", "grid_b")
        )
        built = pins.has("buzzer")
        self._buzzer = _SlowOutput(self._devices.output("buzzer"), hardware.errors) if built else None
        self._passes = 0
        self._errors = hardware.errors
        self.make_safe()

    def read_point(self, evse_id: int) -> PointInputs:
        return self._points[evse_id].read()

    def read_borne(self) -> BorneInputs:
        turn = self._passes % _DOOR_EVERY
        if turn == 0:
            self._door.read()
        elif turn == 3:
            self._grid[0].read()
        elif turn == 6:
            self._grid[1].read()
        self._passes += 1
        return BorneInputs(
            not self._level(self._emergency_stop),
            self._door.value,
            self._level(self._coil_watchdog),
            (self._grid[0].value, self._grid[1].value),
            ", ".join([point.missing for point in self._points.values() if point.missing]),
        )

    def write_point(self, evse_id: int, outputs: PointOutputs) -> None:
        self._points[evse_id].write(outputs)
        if self._buzzer is not None:
            self._buzzer.again()

    def write_lamps(self, evse_id: int, red: bool, green: bool, blue: bool) -> None:
        self._points[evse_id].show((red, green, blue))

    def write_buzzer(self, on: bool) -> None:
        if self._buzzer is not None:
            self._buzzer.set(on)

    def heartbeat(self) -> None:
        self._beat = not self._beat
        self._heartbeat.state = self._beat

    def make_safe(self) -> None:
        with contextlib.ExitStack() as last_first:  # what only sounds stands behind I2C and keeps no contactor waiting
            if self._buzzer is not None:
                last_first.callback(self._buzzer.off)
            for point in self._points.values():
                last_first.callback(point.make_safe)
            for point in self._points.values():
                last_first.callback(point.contactor.off)

    def close(self) -> None:
        with contextlib.ExitStack() as last_first:
            last_first.callback(self._hardware.close)
            last_first.callback(self._devices.close)
            for point in self._points.values():
                last_first.callback(point.close)
            last_first.callback(self.make_safe)

    def _open_pilots(self, pins: PinMap) -> None:
        chip, device = patiently(lambda: find_chip(self._hardware.pwm_root))
        taken: dict[int, int] = {}
        for number, point in self._points.items():
            channel = device.channels[pins.line("pilot", number).offset]
            if channel in taken:
                raise PwmError(
                    f"board.pins.pilot_{number} and pilot_{taken[channel]}: {pins.text('pilot', number)} and "
                    f"{pins.text('pilot', taken[channel])} are the same PWM channel of {device.device}"
                )
            taken[channel] = number
            point.open_pilot(patiently(partial(PwmChannel, chip, channel)))

    def _level(self, pin: Any) -> bool:
        try:
            return bool(pin.state)
        except self._errors:
            return False
