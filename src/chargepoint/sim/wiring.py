"""Between the electrical model and the controller's wires: reads the outputs, sets the inputs and ADC counts."""

import contextlib
import os
from pathlib import Path

from chargepoint.board import frontend
from chargepoint.board.pins import EXPANDER_LINES, EXPANDERS, SIGNALS, Line, PinMap, load_pins
from chargepoint.board.pwm import PERIOD_NS, find_chip
from chargepoint.board.simulated import PWM_NAME, make_pwm_tree
from chargepoint.board.wires import ADC_CHANNELS, FILE_NAME, Wires, line_index
from chargepoint.config import Config, EvseSection
from chargepoint.sim.electrics import Borne, Commands, Point


class _Input:
    """One input line of the controller."""

    __slots__ = ("_active_high", "_index", "_wires")

    def __init__(self, wires: Wires, name: str, line: Line) -> None:
        self._wires = wires
        self._index = line_index(line)
        self._active_high = SIGNALS[name].active_high

    def set(self, active: bool) -> None:
        self._wires.drive(self._index, 1 if active is self._active_high else 0)


class _PointWires:
    """The lines of one point."""

    def __init__(self, evse: EvseSection, pins: PinMap, wires: Wires, duty_file: Path) -> None:
        number = evse.id

        def out(name: str, built: bool = True) -> int | None:
            return line_index(pins.line(name, number)) if built else None

        def inp(name: str, built: bool = True) -> _Input | None:
            return _Input(wires, name, pins.line(name, number)) if built else None

        domestic = evse.domestic is not None
        self._levels = wires.levels
        self._counts = wires.counts
        self._adc = int(pins.text("adc", number).rpartition(".")[2]) * ADC_CHANNELS
        self._duty = os.open(duty_file, os.O_RDONLY | os.O_CLOEXEC)
        self._last_duty = 100.0
        self._contactor = out("contactor")
        self._rcd_test = out("rcd_test")
        self._lock_close = out("lock_close", evse.socket)
        self._lock_open = out("lock_open", evse.socket)
        self._domestic = out("domestic_contactor", domestic)
        self._lamps = [out(f"lamp_{colour}") for colour in ("red", "green", "blue")]
        self._inputs = {
            name: line
            for name, built in (
                ("mirror", True),
                ("load_live", True),
                ("rcd", True),
                ("rdc", True),
                ("pe", True),
                ("bay", True),
                ("lock_is_closed", evse.socket),
                ("lock_is_open", evse.socket),
                ("domestic_plug", domestic),
                ("domestic_mirror", domestic),
            )
            if (line := inp(name, built)) is not None
        }
        self._analogue: tuple[float, ...] = ()

    def read(self) -> Commands:
        """What the controller commands now."""
        return Commands(
            contactor=self._on(self._contactor),
            duty=self._read_duty(),
            lock=self._on(self._lock_close) - self._on(self._lock_open),
            rcd_test=self._on(self._rcd_test),
            domestic_contactor=self._on(self._domestic),
        )

    def lamps(self) -> tuple[bool, bool, bool]:
        red, green, blue = (self._on(lamp) for lamp in self._lamps)
        return red, green, blue

    def write(self, point: Point, adc_silent: bool) -> None:
        """Show the controller what the point has become."""
        values = {
            "mirror": point.contactor.closed,
            "load_live": point.load_live,
            "rcd": point.rcd_tripped,
            "rdc": point.rdc_tripped,
            "pe": point.pe_ok,
            "bay": point.bay_occupied,
            "lock_is_closed": point.lock.is_closed,
            "lock_is_open": point.lock.is_open,
            "domestic_plug": point.domestic_current_a is not None,
            "domestic_mirror": point.domestic_contactor.closed,
        }
        for name, line in self._inputs.items():
            line.set(values[name])
        analogue = (
            point.high.value,
            point.low.value,
            point.pp_ohm,
            point.sensor_c,
            point.generator_duty,
            float(adc_silent),
        )
        if analogue != self._analogue:
            self._analogue = analogue
            self._write_counts(point, adc_silent)

    def close(self) -> None:
        os.close(self._duty)

    def _on(self, index: int | None) -> bool:
        return index is not None and self._levels[index] == 1

    def _read_duty(self) -> float:
        """Percent, from the PWM directory; the last one when the file is just being rewritten."""
        text = os.pread(self._duty, 16, 0).partition(b"\n")[0]
        with contextlib.suppress(ValueError):
            self._last_duty = min(100.0, int(text) * 100.0 / PERIOD_NS)
        return self._last_duty

    def _write_counts(self, point: Point, silent: bool) -> None:
        if silent:
            counts = [0] * len(frontend.CHANNELS)
        else:
            counts = [
                frontend.pilot_count(point.high.value),
                frontend.pilot_count(point.low.value),
                frontend.pp_count(point.pp_ohm),
                frontend.temperature_count(point.sensor_c),
                frontend.volt_count(frontend.REFERENCE_V),
                frontend.duty_count(point.generator_duty),
            ]
        for channel, count in enumerate(counts):
            self._counts[self._adc + channel] = count


class Wiring:
    """All wires of the simulated borne."""

    def __init__(self, config: Config, borne: Borne) -> None:
        """Raises `pins.PinError`."""
        pins = load_pins(config)
        run_dir = config.station.run_dir
        self._borne = borne
        self._wires = Wires(run_dir / FILE_NAME)
        make_pwm_tree(run_dir / PWM_NAME)
        chip, device = find_chip(run_dir / PWM_NAME)
        self._points = {
            evse.id: _PointWires(
                evse,
                pins,
                self._wires,
                chip / f"pwm{device.channels[pins.line('pilot', evse.id).offset]}" / "duty_cycle",
            )
            for evse in config.evse
        }
        self._expanders = range(line_index(Line(1, 0)), line_index(Line(EXPANDERS, EXPANDER_LINES - 1)) + 1)
        self._heartbeat = line_index(pins.line("heartbeat"))
        self._stop = _Input(self._wires, "emergency_stop", pins.line("emergency_stop"))
        self._door = _Input(self._wires, "door", pins.line("door"))
        self._grid = [_Input(self._wires, name, pins.line(name)) for name in ("grid_a", "grid_b")]
        self._buzzer = line_index(pins.line("buzzer")) if pins.has("buzzer") else None
        self.tones = 0
        """How often the buzzer has begun to sound."""
        self._sounded = False
        self._watchdog = _Input(self._wires, "coil_watchdog", pins.line("coil_watchdog"))

    def exchange(self, now: float) -> bool:
        """Advance the model to `now` (monotonic s) with the controller's outputs; true when they have changed."""
        borne = self._borne
        changed = False
        for number, wires in self._points.items():
            commands = wires.read()
            point = borne.points[number]
            if commands != point.commands:
                point.commands = commands
                changed = True
        beat = self._wires.stamps[self._heartbeat]
        borne.advance(now, beat / 1e9 if beat else None)
        sounds = self.sounds
        self.tones += sounds and not self._sounded
        self._sounded = sounds
        silent = "adc-silent" in borne.faults
        for number, wires in self._points.items():
            wires.write(borne.points[number], silent)
        self._stop.set(borne.emergency_stop)
        self._door.set(borne.door_open)
        self._watchdog.set(borne.coils_armed)
        for line, closed in zip(self._grid, borne.grid_closed, strict=True):
            line.set(closed)
        for index in self._expanders:
            self._wires.absent[index] = "expander-silent" in borne.faults
        return changed

    @property
    def sounds(self) -> bool:
        """The buzzer, where there is one, sounds now."""
        return self._buzzer is not None and self._wires.levels[self._buzzer] == 1

    def lamps(self, evse: int) -> tuple[bool, bool, bool]:
        return self._points[evse].lamps()

    def close(self) -> None:
        for wires in self._points.values():
            wires.close()
        self._wires.close()
