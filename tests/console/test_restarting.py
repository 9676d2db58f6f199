"""`reboot` with the station dead: not under a car without force; by the supervisor, by the unit, or by hand."""

import fcntl
import io
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chargepoint.config_check import parse
from chargepoint.console import restarting
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne, SafetySilent
from chargepoint.console.console import execute
from chargepoint.console.language import Language
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal
from chargepoint.processes.supervisor import PID_NAME
from chargepoint.update.errands import RESTART, Errands

CONFIG = """
[station]
id = "X"
state_dir = "{0}/state"
run_dir = "{0}/run"
[supply]
max_current = 32
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
"""


@dataclass
class Report:
    evse: int = 1
    contactor_closed: bool = False
    domestic_closed: bool = False


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """No station listens; the safety process says that nothing is closed."""
    (tmp_path / "run").mkdir()
    config = parse(CONFIG.format(tmp_path))
    borne = Borne(config)
    closed(borne, monkeypatch)
    monkeypatch.setattr(restarting, "TAKEN_S", 0.05)
    access = Access(tmp_path / "pin", tmp_path / "run")
    return Session(config, "", Terminal(io.StringIO(), io.StringIO()), borne, access, Language("en"), "Jeanne")


def closed(borne: Borne, monkeypatch: pytest.MonkeyPatch, **report: Any) -> None:
    monkeypatch.setattr(borne, "reports", lambda: ({1: Report(**report)}, None))


def said(session: Session, line: str, answer: str = "yes") -> str:
    out = io.StringIO()
    session.terminal = Terminal(io.StringIO(answer + "\n"), out)
    execute(session, line)
    return out.getvalue()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr("syslog.syslog", lambda priority, text: told.append(text))
    return told


@pytest.mark.parametrize("which", ["contactor_closed", "domestic_closed"])
def test_it_is_refused_while_a_car_charges(
    session: Session, monkeypatch: pytest.MonkeyPatch, logged: list[str], which: str
) -> None:
    closed(session.borne, monkeypatch, **{which: True})
    assert "A car charges at point 1: its contactor is closed." in said(session, "reboot")
    assert logged == [] and not Errands(session.config.station.state_dir).waits(RESTART)


def test_it_is_done_by_force_and_entered_in_the_systems_log(
    session: Session, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    closed(session.borne, monkeypatch, contactor_closed=True)
    monkeypatch.setattr(Errands, "taken", lambda errands, name, within_s: errands.waits(name))  # the unit is quick
    assert said(session, "reboot force").endswith("It starts again.\n")
    assert logged == ["chargepoint: technician: reboot (Jeanne)"]


def test_an_order_that_nobody_takes_is_withdrawn_and_the_command_told(session: Session, logged: list[str]) -> None:
    text = said(session, "reboot")
    assert "Nobody took the order" in text and restarting.BY_HAND in text
    assert not Errands(session.config.station.state_dir).waits(RESTART)


def test_the_supervisor_of_a_terminal_is_asked_where_there_is_one(
    session: Session, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    run_dir, sent = session.config.station.run_dir, []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    (run_dir / PID_NAME).write_text("4711\n")
    assert restarting.supervisor(run_dir) is None  # nobody holds the directory: the number may be another program's
    held = os.open(run_dir, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        assert said(session, "reboot").endswith("It starts again.\n")
    finally:
        os.close(held)
    assert sent == [(4711, signal.SIGUSR1)]


def test_with_the_safety_process_dead_too_both_are_named_and_it_is_done(
    session: Session, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    def silent() -> Any:
        raise SafetySilent("it closed the connection")

    monkeypatch.setattr(session.borne, "reports", silent)
    text = said(session, "reboot")
    assert "The business process is not running" in text and "The safety process does not answer" in text
    assert logged


def test_it_is_not_done_without_a_yes(session: Session, logged: list[str]) -> None:
    assert said(session, "reboot", answer="no").endswith("Not done.\n")
    assert "reboot force" in said(session, "reboot now")
    assert logged == []
