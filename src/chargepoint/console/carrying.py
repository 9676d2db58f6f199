"""Where the console leaves what somebody shall take along: a directory, or a USB stick by way of the unit that is root.

The console of a borne may write almost nowhere but to its run directory, which no technician can reach.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from chargepoint.console.session import Session
from chargepoint.text import clean
from chargepoint.update import saving, sticks
from chargepoint.update.bundle import BundleError
from chargepoint.update.errands import SAVE, Errands, Outcome

STICK: Final = "stick"
TAKEN_S: Final = 30.0
WRITTEN_S: Final = 200.0
"""Longer than the unit may take (TimeoutStartSec)."""
POLL_S: Final = 0.5

Make = Callable[[Path], Generator[str, None, Path]]
"""Leaves a file in a directory, tells how that goes line by line, and answers which file."""


def kept(session: Session, words: list[str], make: Make) -> Iterator[str]:
    """Have `make` leave its file in the directory that is named, or here, or on a stick."""
    if words != [STICK]:
        file = yield from make(Path(words[0]) if words else Path.cwd())
        yield session.t("Written to {file}.", file=clean(file))
        return
    try:
        saving.free(sticks.plugged())
    except BundleError as error:
        yield clean(session.t.said(error), 300)
        return
    with Errands(session.config.station.state_dir).alone() as alone:
        if alone:
            yield from _on_a_stick(session, make)
        else:
            yield session.t("Another console is filling a stick.")


def _on_a_stick(session: Session, make: Make) -> Iterator[str]:
    """What cannot be written to a stick is not lost: it stays where it would be without one."""
    run_dir = session.config.station.run_dir
    for left in run_dir.glob(f"{saving.OUTGOING}*"):  # of a console that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=saving.OUTGOING, dir=run_dir) as folder:
        file = yield from make(Path(folder))
        while not (yield from _written(session, file)):
            if not session.sure(session.t("Another try, or another stick? Type yes: ")):
                yield session.t("Written to {file}.", file=clean(file.rename(run_dir / file.name)))
                return


def _written(session: Session, file: Path) -> Generator[str, None, bool]:
    errands = Errands(session.config.station.state_dir)
    errands.ask(SAVE)
    try:
        if not errands.taken(SAVE, TAKEN_S):
            yield session.t("Nobody took the order: is chargepoint-errands.path enabled?")
            return False
    finally:  # somebody who leaves meanwhile has it written by nobody
        errands.withdraw(SAVE)
    yield session.t("It is being written: leave the stick in.")
    outcome = _outcome(errands)
    if outcome is not None and outcome.why:
        yield clean(session.t.said(outcome.why), 300)
        return False
    if outcome is None or file.name not in outcome.words:
        yield session.t("Nobody says whether it was written: look at the stick.")
        return False
    device = clean(outcome.words[0])
    yield session.t("{file} is on USB stick {device}, which may be pulled.", file=clean(file.name), device=device)
    return True


def _outcome(errands: Errands) -> Outcome | None:
    """What the unit says; None when it says nothing in its time."""
    end = time.monotonic() + WRITTEN_S
    while (outcome := errands.outcome(SAVE)) is None and time.monotonic() < end:
        time.sleep(POLL_S)
    return outcome
