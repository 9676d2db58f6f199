"""The command line: exit status, where text goes, and what is refused."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chargepoint.config_check import load
from chargepoint.console import check, status
from chargepoint.console.cli import main

CONFIG = """\
[station]
id = "X"
state_dir = "{root}/state"
run_dir = "{root}/run"
[supply]
max_current = 20
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
[ocpp]
url = "ws://127.0.0.1:1/ocpp"
security_profile = 0
[ocpp.configuration]
HeartbeatIntervall = 3
NumberOfConnectors = 3
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "borne.toml"
    file.write_text(CONFIG.format(root=tmp_path))
    return str(file)


def test_check_names_mistakes_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "borne.toml"
    file.write_text('[station]\nid = "X"\n[suply]\n')
    assert main(["check", "-c", str(file)]) == 2
    told = capsys.readouterr().err
    assert 'line 3: suply: unknown table; did you mean "supply"?' in told
    assert "supply: is missing" in told
    assert "evse: is missing" in told


def test_check_warns_of_what_has_no_effect(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", config]) == 0
    told = capsys.readouterr().out
    assert 'ocpp.configuration.HeartbeatIntervall: is not a key the program knows; did you mean "Heart' in told
    assert "ocpp.configuration.NumberOfConnectors: is read-only" in told
    assert "evse[0].max_current: is 32 A, but the borne's supply gives 20 A at most" in told
    assert "evse[0].meter: is missing" in told


@pytest.mark.parametrize("simulated", [False, True])
def test_check_warns_of_a_state_that_does_not_outlive_a_start(
    config: str, simulated: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "fleeting_here", lambda folder: "overlay" if folder.name == "state" else "")
    file = Path(config)
    if not simulated:
        text = file.read_text().replace('"simulated"', '"raspberry-pi"')
        file.write_text(text.replace("security_profile = 0", "security_profile = 0\nallow_insecure = true"))
    assert main(["check", "-c", config]) == 0
    told = capsys.readouterr().out
    assert ("station.state_dir: is " in told) is not simulated
    assert ("which is on overlay: what the borne keeps would be lost in a power cut" in told) is not simulated


def test_check_names_values_that_their_keys_do_not_take(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(config)
    file.write_text(file.read_text().replace("HeartbeatIntervall", "ConnectionTimeOut = 'soon'\nHeartbeatIntervall"))
    assert main(["check", "-c", config]) == 2
    assert "ocpp.configuration.ConnectionTimeOut: 'soon' is not an integer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["run"], ["evse"], ["station"], ["status"], ["why", "1"], ["sim", "show"], ["console"]]
)
def test_every_command_refuses_a_wrong_configuration(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "-c", "/nowhere/borne.toml"]) == 2
    assert "/nowhere/borne.toml" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["why", "1"], ["sim", "plug", "1"]])
def test_asking_a_borne_that_does_not_run_fails(
    config: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-c", config]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert ".sock" in told.err


def test_scanning_a_bus_that_is_not_there_fails(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meters", "scan", "1-3", "-c", config]) == 1
    assert "sim-meters cannot be used" in capsys.readouterr().err


def test_the_file_may_be_named_before_the_command(config: str) -> None:
    assert main(["-c", config, "check"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["why"],
        ["why", "one"],
        ["why", "1", "--lang", "de"],
        ["sim"],
        ["meters"],
        ["meters", "scan", "0-5"],
    ],
)
def test_wrong_words_exit_2(words: list[str], config: str) -> None:
    try:
        status = main([*words, "-c", config] if words else words)
    except SystemExit as end:  # how argparse refuses
        status = end.code
    assert status == 2


def test_only_the_command_asked_for_is_imported() -> None:
    heavy = ("asyncio", "ocpp", "sqlite3", "difflib", "importlib.metadata")
    code = f"import sys, chargepoint.console.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_simulated_borne_that_runs_already_is_told_in_a_sentence(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = load(Path(config)).station.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(run_dir / "sim.sock"))
        first.listen()
        assert main(["sim", "serve", "-c", config]) == 1
    assert "another process already listens here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "asked"),
    [(["1"], (1, None)), (["1.2"], (1, 2)), (["1", "--connector", "2"], (1, 2)), (["1.2", "--connector", "1"], (1, 2))],
)
def test_why_takes_a_point_or_one_of_its_connectors(
    config: str, monkeypatch: pytest.MonkeyPatch, words: list[str], asked: tuple[int, int | None]
) -> None:
    told: list[tuple[int, int | None]] = []
    monkeypatch.setattr(status, "why", lambda config, evse, lang, connector: told.append((evse, connector)) or 0)
    assert main(["why", *words, "-c", config]) == 0
    assert told == [asked]


@pytest.mark.parametrize("word", ["one", "1.", ".2", "1.x", "1.2.3", "-1"])
def test_why_refuses_what_is_no_place(config: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["why", "-c", config, word])
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err
