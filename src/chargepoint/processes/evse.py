"""The safety process: the board's pins and the loop over them."""

from chargepoint.board import make_board
from chargepoint.board.types import BoardError
from chargepoint.config import Config
from chargepoint.evse import loop
from chargepoint.evse.messages import LAST_WORDS_NAME
from chargepoint.evse.single import AlreadyRunning, Claim
from chargepoint.processes.last_words import told
from chargepoint.urgency import complain


def main(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Answers the process's exit status.

    The claim comes before the board: a second process must not touch pins that the first one drives.
    """
    try:
        claim = Claim(config.station.run_dir)
    except AlreadyRunning as refused:
        complain(f"chargepoint evse: {refused}")
        return 1
    try:
        board = make_board(config)
    except BoardError as wrong:
        complain(f"chargepoint evse: {wrong}")
        return 2
    try:
        return loop.run(config, board, claim=claim)
    except Exception as error:
        _last_words(config, error)
        raise


def _last_words(config: Config, error: Exception) -> None:
    """So that the station can tell what its lost neighbour died of."""
    reason, where = told(error)
    try:
        (config.station.run_dir / LAST_WORDS_NAME).write_text(f"{reason} ({where})\n", encoding="utf-8")
    except OSError as trouble:
        complain(f"chargepoint evse: the error cannot be noted: {trouble}")
