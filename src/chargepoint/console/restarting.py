"""Starting the borne again from the console when the station, which would do it in good order, is dead."""

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chargepoint.console.borne import SafetySilent
from chargepoint.console.rpc import Unreachable
from chargepoint.console.session import Session
from chargepoint.processes.supervisor import PID_NAME
from chargepoint.update.errands import BY_HAND, RESTART, Errands

TAKEN_S: Final = 10.0


def without_station(session: Session, error: Unreachable, forced: bool) -> Iterator[str]:
    """Not while the safety process says that a car is charging, unless that is wanted."""
    yield session.silence(error)
    try:
        reports = session.borne.reports()[0].values()
        live = [str(report.evse) for report in reports if report.contactor_closed or report.domestic_closed]
    except SafetySilent as silent:
        live = []
        yield session.silence(silent)
    if live and not forced:
        yield session.t(
            "A car charges at point {points}: its contactor is closed. `reboot force` starts again all the same.",
            points=", ".join(live),
        )
        return
    if not session.sure(session.t("Contactors open, both processes start again. Type yes: ")):
        yield session.t("Not done.")
        return
    session.audit_anyhow("reboot")
    pid = supervisor(session.config.station.run_dir)
    if pid is not None:
        os.kill(pid, signal.SIGUSR1)
        yield session.t("It starts again.")
        return
    errands = Errands(session.config.station.state_dir)
    errands.ask(RESTART)
    if errands.taken(RESTART, TAKEN_S):
        yield session.t("It starts again.")
    else:
        yield session.t("Nobody took the order: is chargepoint-errands.path enabled? As root: {words}", words=BY_HAND)


def supervisor(run_dir: Path) -> int | None:
    """The process of `chargepoint run` on this directory, which it holds locked; None when there is none."""
    try:
        descriptor = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # somebody holds it
    else:
        return None
    finally:
        os.close(descriptor)
    try:
        return int((run_dir / PID_NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
