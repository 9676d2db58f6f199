"""The safety process: the board's pins and the loop over them."""

import sys

from chargepoint.board import make_board
from chargepoint.board.types import BoardError
from chargepoint.config import Config
from chargepoint.evse import loop
from chargepoint.evse.single import AlreadyRunning, Claim


def main(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Answers the process's exit status.

    The claim comes before the board: a second process must not touch pins that the first one drives.
    """
    try:
        claim = Claim(config.station.run_dir)
    except AlreadyRunning as refused:
        print(f"chargepoint evse: {refused}", file=sys.stderr)
        return 1
    try:
        board = make_board(config)
    except BoardError as wrong:
        print(f"chargepoint evse: {wrong}", file=sys.stderr)
        return 2
    return loop.run(config, board, claim=claim)
