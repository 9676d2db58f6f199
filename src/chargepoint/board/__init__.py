"""The pins of the borne. `make_board` is the one place that asks which kind of board this is."""

from chargepoint.board.types import Board
from chargepoint.config import Config


def make_board(config: Config) -> Board:
    """The board the configuration names, its outputs already safe.

    Raises `types.BoardError`: a mistake in the pin map, a machine that is not that board, no hardware PWM.
    """
    from chargepoint.board.hardware import Hardware, KernelHardware
    from chargepoint.board.pins import load_pins
    from chargepoint.board.raspberry_pi import GpioBoard
    from chargepoint.board.simulated import SimulatedHardware

    pins = load_pins(config)
    hardware: Hardware = SimulatedHardware(config.station.run_dir, pins) if config.simulated else KernelHardware(pins)
    return GpioBoard(config.evse, pins, hardware)
