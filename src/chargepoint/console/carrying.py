"""Where the console leaves what somebody shall take along: a directory, or a USB stick by way of the unit that is root.

The console of a borne may write nowhere but to its run directory, which no technician can reach, and to the folder
from which that unit serves him.
"""

import shutil
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from chargepoint.console.session import Session
from chargepoint.text import clean
from chargepoint.update import sticks
from chargepoint.update.errands import SAVE, Errands, Outcome

STICK: Final = "stick"
SAVED_S: Final = 120.0
POLL_S: Final = 0.5


Make = Callable[[Path], Generator[str, None, Path]]
"""Leaves a file in a directory, tells how that goes line by line, and answers which file."""


def kept(session: Session, words: list[str], make: Make) -> Iterator[str]:
    """Have `make` leave its file in the directory that is named, or here, or on a stick."""
    if words == [STICK]:
        yield from _on_a_stick(session, make)
        return
    file = yield from make(Path(words[0]) if words else Path.cwd())
    yield session.t("Written to {file}.", file=clean(file))


def _on_a_stick(session: Session, make: Make) -> Iterator[str]:
    if not sticks.plugged():
        yield session.t("There is no USB stick.")
        return
    errands = Errands(session.config.station.state_dir)
    shutil.rmtree(errands.outgoing, ignore_errors=True)  # of a console that was killed
    errands.outgoing.mkdir(parents=True)
    try:
        file = yield from make(errands.outgoing)
        outcome = _saved(errands)
    finally:
        shutil.rmtree(errands.outgoing, ignore_errors=True)
    if outcome is None:
        yield session.t("Nobody wrote it to the stick: is chargepoint-errands.path enabled?")
    elif outcome.done:
        yield session.t(
            "{file} is on USB stick {device}, which may be pulled.", file=clean(file.name), device=clean(outcome.text)
        )
    else:
        yield clean(session.t.said(outcome.text), 300)


def _saved(errands: Errands) -> Outcome | None:
    """What the unit says; None when it says nothing in its time."""
    errands.ask(SAVE)
    end = time.monotonic() + SAVED_S
    try:
        while (outcome := errands.outcome(SAVE)) is None and time.monotonic() < end:
            time.sleep(POLL_S)
    finally:  # somebody who leaves meanwhile has it written by nobody
        errands.withdraw(SAVE)
    return outcome
