"""The import rules of the house: each one holds, and each one bites."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OFFENCES = {
    "Arrows run downwards only": ("meter/offence.py", "from chargepoint.station import api"),
    "iec61851 and energy import nothing of ours": ("energy/offence.py", "import chargepoint.config"),
    "The safety process knows no business": ("evse/offence.py", "import asyncio"),
    "The station has no access to the pins": ("station/offence.py", "from chargepoint.board import types"),
    "ocpp knows no driver": ("ocpp/offence.py", "from chargepoint.tic import __doc__"),
    "Only board imports gpiozero": ("console/offence.py", "import gpiozero"),
    "Only meter imports pymodbus": ("station/offence.py", "import pymodbus"),
    "Only the drivers of serial devices import pyserial": ("console/offence.py", "import serial"),
    "Only ocpp imports ocpp and websockets": ("station/offence.py", "import websockets"),
}


def verdicts(root: Path) -> dict[str, str]:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=root, capture_output=True, text=True, env={"PYTHONPATH": "src"})
    return dict(re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def offended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The verdicts on a copy of the source with one offence against each rule."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for file, line in OFFENCES.values():
        with (root / "src" / "chargepoint" / file).open("a") as out:
            out.write(line + "\n")
    return verdicts(root)


def test_there_is_an_offence_for_every_rule(offended: dict[str, str]) -> None:
    assert len(offended) == len(OFFENCES)


@pytest.mark.parametrize("rule", OFFENCES)
def test_an_offence_breaks_the_rule(rule: str, offended: dict[str, str]) -> None:
    assert [verdict for name, verdict in offended.items() if name.startswith(rule)] == ["BROKEN"]
