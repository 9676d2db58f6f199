"""Checks `docs/ocpp16.md`: every message, every key and every behaviour has its row, and every test named in it exists.

    ./dev run python docs/check_ocpp16.py

Prints what is missing; the exit status is the number of things missing.
"""

import re
import sys
from pathlib import Path

from chargepoint.ocpp.v16.dialect import DIALECT
from chargepoint.ocpp.v16.keys import ALL

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ocpp16.md"
BEHAVIOURS = 60
_TEST = re.compile(r"`([a-z0-9_]+)::(test_[a-z0-9_]+)`")
_ROW = re.compile(r"^\| ([^|]+?) +\|", re.MULTILINE)


def missing(page: str) -> list[str]:
    """Everything that is not as it should be, one sentence each."""
    files = {path.stem.removeprefix("test_"): path.read_text() for path in ROOT.glob("tests/*/test_*.py")}
    wrong = [
        f"the test {name} of {file} does not exist"
        for file, name in _TEST.findall(page)
        if f"def {name}(" not in files.get(file, "")
    ]
    rows = {row.strip("`") for row in _ROW.findall(page)}
    wanted = sorted(DIALECT.actions) + [key.name for key in ALL] + [str(n) for n in range(1, BEHAVIOURS + 1)]
    wrong += [f"{name} has no row" for name in wanted if name not in rows]
    for line in page.splitlines():
        if (
            line.startswith("| ")
            and not _TEST.search(line)
            and "No test:" not in line
            and not line.startswith("| Name")
        ):
            wrong.append(f"this row names no test: {line[:60]}")
    return wrong


def main() -> int:
    wrong = missing(PAGE.read_text())
    for sentence in wrong:
        print(sentence)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
