"""The board's code drives the kernel's own GPIO lines, inside User Mode Linux."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

UML = Path(__file__).parents[2] / "hardware" / "uml"


def kernel() -> Path:
    done = subprocess.run([str(UML / "build-kernel"), "--print"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def claims() -> set[str]:
    text = (UML / "gpio_proof.py").read_text(encoding="utf-8")
    body = text[text.index("class Proof:") : text.index("def expect(")]
    return set(re.findall(r"^    def ([a-z]\w+)\(self\) -> None:", body, re.M))


@pytest.mark.skipif(not kernel().exists(), reason="no User Mode Linux kernel: run hardware/uml/build-kernel once")
@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is not installed (extra pi)")
def test_the_board_s_code_drives_and_reads_the_kernel_s_lines() -> None:
    done = subprocess.run(
        [str(UML / "run")],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(Path.home()), "CHARGEPOINT_PYTHON": sys.executable},
    )
    said = done.stdout + done.stderr
    assert "FAILED" not in said, said
    proved = set(re.findall(r"^PROVED (\w+)", said, re.M))
    assert proved == claims(), said
    assert "EXIT 0" in said


def test_the_proof_claims_something() -> None:
    assert len(claims()) >= 8
