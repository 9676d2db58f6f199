"""How urgent a line of a log is, told to the system's journal: `<N>` before it, which the journal takes off again.

So `journalctl -p warning` finds what went wrong. Whether it is the journal that reads is known from `JOURNAL_STREAM`
(systemd.exec(5)): a terminal, a pipe or a file gets the line alone.
"""

import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

SEVERITY: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""RFC 5424, table 2; sd-daemon(3) has the same numbers."""


def marks(stream: TextIO, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What stands before a line of each level; nothing unless the journal reads this stream."""
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # in memory, or closed
        return dict.fromkeys(SEVERITY, "")
    read = environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
    return {level: f"<{number}>" if read else "" for level, number in SEVERITY.items()}


def complain(text: str) -> None:
    """Say on standard error what kept the program from its work; of several lines the journal makes several entries."""
    mark = marks(sys.stderr)["error"]
    print(*(f"{mark}{line}" for line in text.splitlines()), sep="\n", file=sys.stderr, flush=True)
