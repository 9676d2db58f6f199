"""The safety process: the board's pins and the loop over them."""

from chargepoint.board import make_board
from chargepoint.config import Config
from chargepoint.evse import loop


def main(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Answers the process's exit status."""
    return loop.run(config, make_board(config))
