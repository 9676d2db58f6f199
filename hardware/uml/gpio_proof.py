"""The board's code on the kernel's own GPIO lines, inside User Mode Linux: prints one PROVED or FAILED line per claim.

gpio-sim gives three chips as a borne has them (header, two expanders); lgpio and gpiozero drive them through
/dev/gpiochipN. What the kernel here has not: PWM, for which a directory of plain files stands in, and SPI, whose
answers come from this file.
"""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from chargepoint.board import frontend, mcp3208
from chargepoint.board.chips import find_gpio_chips
from chargepoint.board.hardware import KernelHardware
from chargepoint.board.pins import PinMap, load_pins, parse_line
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.simulated import make_pwm_tree
from chargepoint.board.spi import SpiDevice
from chargepoint.board.types import LockDrive, PointOutputs
from chargepoint.config import Config
from chargepoint.config_check import parse
from chargepoint.reader.gpio_edges import EVENT, GpioEdges
from chargepoint.reader.wiegand import Wiegand, bits

WORK = Path("/mnt")
GPIO_ROOT = WORK / "gpio"
PWM_ROOT = WORK / "pwm"
CONFIG = """
[[reader]]
kind = "wiegand"
[station]
id = "proof"
[supply]
max_current = 32
[board]
kind = "raspberry-pi"
[[evse]]
id = 1
max_current = 32
[evse.domestic]
[[evse]]
id = 2
max_current = 32
[evse.domestic]
"""
# How the kernel would name the devices of a Raspberry Pi 4 with two MCP23017.
NAMES = {"header": "fe200000.gpio", "outputs": "1-0020", "inputs": "1-0021"}
PLUGGED_C = {"cp_high": 6.0, "cp_low": -12.0}


class Lines:
    """The far end of the lines: what gpio-sim shows in sysfs."""

    def __init__(self, pins: PinMap) -> None:
        self._pins = dict(pins.items())
        self._sysfs: list[Path] = []
        for row in (WORK / "chips").read_text().splitlines():
            name, device, chip = row.split()
            self._sysfs.append(Path("/sys/devices/platform") / device / chip)
            folder = GPIO_ROOT.parent / "devices" / NAMES[name] / chip
            folder.mkdir(parents=True)
            GPIO_ROOT.mkdir(exist_ok=True)
            (GPIO_ROOT / chip).symlink_to(folder)

    def level(self, signal: str) -> int:
        return int(self._file(signal, "value").read_text())

    def pull(self, signal: str, high: bool) -> None:
        self._file(signal, "pull").write_text("pull-up" if high else "pull-down")

    def _file(self, signal: str, name: str) -> Path:
        line = parse_line(self._pins[signal])
        return self._sysfs[line.chip] / f"sim_gpio{line.offset}" / name


class Adc:
    """An MCP3208 that always says the same."""

    def __init__(self, frames: tuple[bytes, ...]) -> None:
        self._answers = mcp3208.Answers(len(frames))
        self._channels = [mcp3208.channel_of(frame) for frame in frames]

    def exchange(self) -> bytes:
        counts = {
            0: frontend.pilot_count(PLUGGED_C["cp_high"]),
            1: frontend.pilot_count(PLUGGED_C["cp_low"]),
            4: frontend.volt_count(frontend.REFERENCE_V),
        }
        return self._answers.received(tuple(counts.get(channel, 1000) for channel in self._channels))

    def close(self) -> None:
        pass


class ProofHardware(KernelHardware):
    """The kernel's GPIO; SPI from this file."""

    def spi(self, device: str, frames: tuple[bytes, ...]) -> SpiDevice:
        return Adc(frames)


def outputs(pins: PinMap) -> list[str]:
    words = ("contactor", "heartbeat", "lamp", "lock_close", "lock_open", "rcd_test")
    return [name for name, _ in pins.items() if name.startswith(words) or name.startswith("domestic_contactor")]


class Proof:
    """The claims, in order; each starts from a board just made."""

    def __init__(self, config: Config) -> None:
        self.config, self.pins = config, load_pins(config)
        self.lines = Lines(self.pins)
        make_pwm_tree(PWM_ROOT)

    def board(self) -> GpioBoard:
        return GpioBoard(self.config.evse, self.pins, ProofHardware(self.pins, GPIO_ROOT, PWM_ROOT))

    def chips_are_found_by_their_devices(self) -> None:
        found = find_gpio_chips(GPIO_ROOT, 2)
        expect(len({found.header, *found.expanders}) == 3, f"three chips, not {found}")

    def every_output_rests_low(self) -> None:
        board = self.board()
        high = [name for name in outputs(self.pins) if self.lines.level(name) != 0]
        board.close()
        expect(not high, f"{high} are high")

    def every_output_reaches_its_own_line_and_no_other(self) -> None:
        board = self.board()
        orders: dict[str, Callable[[], None]] = {"heartbeat": board.heartbeat}
        for point in (1, 2):
            commands = {
                "contactor": PointOutputs(contactor=True, duty=26.7),
                "lock_close": PointOutputs(lock=LockDrive.CLOSE),
                "lock_open": PointOutputs(lock=LockDrive.OPEN),
                "rcd_test": PointOutputs(rcd_test=True),
                "domestic_contactor": PointOutputs(domestic_contactor=True),
            }
            for name, command in commands.items():
                orders[f"{name}_{point}"] = lambda p=point, c=command: board.write_point(p, c)
            for number, colour in enumerate(("red", "green", "blue")):
                on = [number == i for i in range(3)]
                orders[f"lamp_{colour}_{point}"] = lambda p=point, o=on: board.write_lamps(p, *o)
        for name, order in orders.items():
            order()
            high = [other for other in outputs(self.pins) if self.lines.level(other) == 1]
            expect(high == [name], f"{name} ordered, {high} are high")
            for point in (1, 2):
                board.write_point(point, PointOutputs())
                board.write_lamps(point, False, False, False)
            if name == "heartbeat":
                board.heartbeat()
        board.close()

    def every_input_is_read_with_its_meaning(self) -> None:
        board = self.board()
        low_means = {"mirror": "contactor_closed", "rcd": "rcd_tripped", "rdc": "rdc_tripped"}
        low_means |= {"domestic_mirror": "domestic_closed"}
        high_means = {"load_live": "load_live", "pe": "pe_ok", "lock_is_closed": "lock_closed"}
        high_means |= {"lock_is_open": "lock_open", "bay": "bay_occupied", "domestic_plug": "domestic_plug"}
        for point in (1, 2):
            for meanings, active in ((low_means, False), (high_means, True)):
                for signal_name, field in meanings.items():
                    for high in (True, False):
                        self.lines.pull(f"{signal_name}_{point}", high)
                        for _ in range(6):  # slow inputs are read one in each pass
                            inputs = board.read_point(point)
                        said = getattr(inputs, field)
                        expect(said is (high is active), f"{signal_name}_{point} {high=} reads {field}={said}")
        board.close()

    def the_borne_s_inputs_are_read(self) -> None:
        board = self.board()
        for high in (True, False):
            for name in ("emergency_stop", "door", "coil_watchdog"):
                self.lines.pull(name, high)
            for _ in range(11):  # the door is read in every tenth pass
                inputs = board.read_borne()
            said = (not inputs.emergency_stop, not inputs.door_open, inputs.coil_watchdog_armed)
            expect(said == (high, high, high), f"{high=}: {inputs}")
        board.close()

    def the_adc_and_the_pwm_are_reached(self) -> None:
        board = self.board()
        inputs = board.read_point(1)
        expect(abs(inputs.cp_high_v - 6.0) < 0.01, f"cp_high {inputs.cp_high_v}")
        expect(abs(inputs.reference_v - 2.5) < 0.01, f"reference {inputs.reference_v}")
        board.write_point(1, PointOutputs(duty=26.7))
        duty = int((PWM_ROOT / "pwmchip0/pwm0/duty_cycle").read_text())
        expect(duty == 267_000, f"duty {duty} ns")
        board.close()

    def a_closed_board_leaves_every_output_low(self) -> None:
        board = self.board()
        board.write_point(1, PointOutputs(contactor=True, duty=26.7))
        expect(self.lines.level("contactor_1") == 1, "the contactor is on before")
        board.close()
        high = [name for name in outputs(self.pins) if self.lines.level(name) != 0]
        expect(not high, f"{high} stay high")
        duty = int((PWM_ROOT / "pwmchip0/pwm0/duty_cycle").read_text())
        expect(duty == 1_000_000, f"the pilot stands at {duty} ns, not steady +12 V")

    def a_killed_process_loses_its_lines(self) -> None:
        child = os.fork()
        if child == 0:
            board = self.board()
            board.write_point(1, PointOutputs(contactor=True, duty=26.7))
            (WORK / "closed").touch()
            time.sleep(60)
            os._exit(1)
        deadline = time.monotonic() + 20
        while not (WORK / "closed").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        expect(self.lines.level("contactor_1") == 1, "the child has closed the contactor")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(f"NOTE contactor line after SIGKILL: {self.lines.level('contactor_1')} (a Pi may differ)")
        board = self.board()  # the lines are free again, and safe
        expect(self.lines.level("contactor_1") == 0, "the next process has opened it")
        board.close()

    def a_line_held_by_another_process_is_refused(self) -> None:
        first = self.board()
        try:
            self.board()
        except Exception as error:  # noqa: BLE001  # whichever it is, it must be one and must name the trouble
            expect("busy" in str(error).lower(), f"it said {error!r}")
        else:
            raise AssertionError("two boards own the same lines")
        finally:
            first.close()

    def a_wiegand_reader_s_edges_arrive_with_their_line(self) -> None:
        offsets = (self.pins.line("wiegand_zero").offset, self.pins.line("wiegand_one").offset)
        names = ("wiegand_zero", "wiegand_one")
        for name in names:
            self.lines.pull(name, True)
        edges = GpioEdges(f"/dev/gpiochip{find_gpio_chips(GPIO_ROOT).header}:{offsets[0]},{offsets[1]}")
        descriptor = edges._open_device()
        uid = bytes.fromhex("DEADBEEF")
        begun, raw = time.monotonic(), b""
        for bit in bits(uid):
            # gpio-sim hands an edge on at this kernel's next tick, 10 ms: one at a time, or two become one.
            self.lines.pull(names[bit], False)
            raw += next_edge(descriptor)
            self.lines.pull(names[bit], True)
        os.close(descriptor)
        events = list(EVENT.iter_unpack(raw))
        stamps = [event[0] / 1e9 for event in events]
        expect(stamps == sorted(stamps), "edges come in their order")
        expect(begun <= stamps[0] and stamps[-1] <= time.monotonic(), "edges carry the monotonic clock")
        # Time in this machine is not real time: the decoder gets the edges as a reader's pace would have them.
        protocol = Wiegand(offsets[0])
        protocol.start(begun)
        paced = b"".join(EVENT.pack(1_500_000 * n, *event[1:]) for n, event in enumerate(events))
        found = protocol.receive(paced, 1.0)
        expect(found == [uid] and protocol.malformed == 0, f"{found}, {protocol.malformed} malformed")

    def the_reader_cannot_have_a_line_of_the_safety_process(self) -> None:
        board = self.board()
        contactor = self.pins.line("contactor_1").offset
        try:
            GpioEdges(f"/dev/gpiochip{find_gpio_chips(GPIO_ROOT).header}:{contactor},15")._open_device()
        except OSError as error:
            expect(error.errno == errno.EBUSY, f"it said {error!r}")
        else:
            raise AssertionError("the reader has the contactor's line")
        finally:
            board.close()


def next_edge(descriptor: int) -> bytes:
    """The event of an edge that has just been made; nothing when there is none for half a second."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        try:
            return os.read(descriptor, 48 * 64)
        except BlockingIOError:
            time.sleep(0)
    return b""


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def main() -> int:
    proof = Proof(parse(CONFIG))
    failed = 0
    for name, claim in vars(Proof).items():
        if name.startswith("_") or name == "board" or not callable(claim):
            continue
        try:
            claim(proof)
        except Exception:  # noqa: BLE001  # every claim is tried, whatever the one before did
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"PROVED {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
