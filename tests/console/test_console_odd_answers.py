"""The console while the station answers less, or otherwise, than it expects: it tells so and goes on."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chargepoint.config_check import parse
from chargepoint.console import console
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.language import Language
from chargepoint.console.rpc import Refused
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal
from chargepoint.processes.crashes import SafeMode
from chargepoint.processes.safe_mode import SafeStation

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
meter = {{ model = "eastron-sdm630", unit = 1 }}
[console]
pin_file = "{0}/pin"
"""
COMMANDS = (
    *("status", "status 1", "status 1.1", "status -w", "why 1", "faults", "faults ack 1 x", "limits", "counters"),
    *("meters", "meters registers 1", "meters frames", "reader", "tic", "ocpp", "ocpp messages", "log", "day"),
    *("test rcd 1", "test all 1", "test reader", "test meter", "test modem", "availability 1 on", "unlock 1"),
    *("stop 1", "level debug", "commission", "update", "reboot", "trace 1"),
)
Answers = Callable[..., Any]


def said(root: Path, answers: Answers, line: str, typed: str = "yes\nyes\n") -> str:
    (root / "run").mkdir(exist_ok=True)
    config, out = parse(CONFIG.format(root)), io.StringIO()
    access = Access(root / "pin", root / "run")
    terminal = Terminal(io.StringIO(typed), out)
    session = Session(config, "x.toml", terminal, Borne(config), access, Language("en"), who="J")
    session.borne.station.ask = answers  # type: ignore[method-assign]
    console.execute(session, line)
    return out.getvalue()


def safe_mode(root: Path) -> Answers:
    station = SafeStation(parse(CONFIG.format(root)), SafeMode("it fell", "", 5, 60.0))

    def answer(method: str, **_: Any) -> Any:
        if method == "status":
            return station.status()
        raise Refused(f"there is no method {method}")

    return answer


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_in_safe_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert "another version" not in said(tmp_path, safe_mode(tmp_path), command)


@pytest.mark.parametrize("answer", [None, {}, [], "text", {"evses": [{"id": 1}]}], ids=str)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_of_another_version_ends_no_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, answer: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    said(tmp_path, lambda method, **_: answer, command)


def test_the_end_of_the_input_at_a_question_ends_the_console_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    file = tmp_path / "x.toml"
    file.write_text(CONFIG.format(tmp_path))
    for typed in ("login\n", "login J\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert console.run(parse(file.read_text()), file) == 0
