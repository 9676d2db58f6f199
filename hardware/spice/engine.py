"""Runs ngspice in batch and reads back its .meas results."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

MISSING = "ngspice is not installed (apt-get install ngspice)"

_RESULT = re.compile(r"^(\w+)\s+=\s+(-?[\d.]+e[+-]\d+)", re.MULTILINE)
_FAILED = re.compile(r"^\s*\.?meas\w* .*failed|^(\w+)\s+=\s+failed", re.MULTILINE | re.IGNORECASE)


class SpiceError(Exception):
    """ngspice did not give a result; the text says what it printed."""


def available() -> bool:
    return shutil.which("ngspice") is not None


def run(deck: str, timeout_s: float = 60.0) -> dict[str, float]:
    """Measurements by lower-case name. A measurement whose condition never came is absent.

    Raises SpiceError when ngspice is missing, fails, or takes longer than `timeout_s`.
    """
    if not available():
        raise SpiceError(MISSING)
    with tempfile.TemporaryDirectory(prefix="spice-") as folder:
        path = Path(folder) / "deck.cir"
        path.write_text(deck, encoding="utf-8")
        try:
            done = subprocess.run(
                ["ngspice", "-b", path.name], cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SpiceError(f"ngspice needed more than {timeout_s:g} s for: {deck.splitlines()[0]}") from error
    text = done.stdout + done.stderr
    found = {name.lower(): float(value) for name, value in _RESULT.findall(text)}
    if not found and not _FAILED.search(text):
        raise SpiceError(f"ngspice gave no measurement (status {done.returncode}):\n{text[-2000:]}")
    return found
