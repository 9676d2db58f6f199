"""The terminal in front of the technician: a VT100 on a serial line, an ssh session, a pipe."""

import getpass
import io
import os
import select
import shutil
import sys
import termios
import tty
import unicodedata
from collections.abc import Iterable
from typing import TextIO

LINE_MAX = 1000
"""A command line longer than this is noise, not a command."""


class Terminal:
    """Where text comes from and goes to. Everything written has been through `text.clean` before, where it must."""

    def __init__(self, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        self._in = stdin or sys.stdin
        self._out = stdout or sys.stdout
        if isinstance(self._in, io.TextIOWrapper):
            self._in.reconfigure(errors="replace")  # noise on a serial line is not text
        self.interactive = self._in.isatty() and self._out.isatty()
        self.plain = not self.interactive or os.environ.get("TERM", "dumb") in ("dumb", "unknown", "")
        """No cursor movement, no clearing of the screen."""
        self._folded = "utf" not in (self._out.encoding or "").lower()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines. A serial line does not know its size: then 80 by 24."""
        columns, lines = shutil.get_terminal_size((80, 24))
        return max(columns, 20), max(lines, 5)

    def write(self, line: str = "") -> None:
        """One line."""
        self._out.write((fold(line) if self._folded else line) + "\n")
        self._out.flush()

    def page(self, lines: Iterable[str], more: str) -> None:
        """Lines, a screen at a time. `more` asks for the next one; q ends."""
        shown = 0
        for line in lines:
            if self.interactive and shown >= self.size[1] - 1:
                if self._key(more) in ("q", "Q", "\x03", "\x04"):
                    return
                shown = 0
            self.write(line)
            shown += 1 + max(0, len(line) - 1) // self.size[0]

    def screen(self, lines: list[str]) -> None:
        """In place of what was there; on a terminal without a cursor, below it."""
        if self.plain:
            self.write("-" * 20)
        else:
            self._out.write("\x1b[H\x1b[2J")
        for line in lines:
            self.write(line)

    def ask(self, prompt: str) -> str:
        """A line from the person; raises EOFError at the end of the input."""
        if self.interactive:
            return input(prompt)[:LINE_MAX].strip()
        line = self._in.readline(LINE_MAX)
        if not line:
            raise EOFError
        rest = line
        while len(rest) == LINE_MAX and not rest.endswith("\n"):  # the rest of a line that is no command anyway
            rest = self._in.readline(LINE_MAX)
        return line.strip()

    def secret(self, prompt: str) -> str:
        """As `ask`, without showing what is typed."""
        return getpass.getpass(prompt)[:LINE_MAX].strip() if self.interactive else self.ask(prompt)

    def pressed(self, seconds: float) -> bool:
        """Wait so long; True at once when the person types something. The typed text is taken."""
        if not self.interactive:
            select.select([], [], [], seconds)
            return False
        return self._raw_key(seconds, termios.TCSADRAIN) is not None

    def _key(self, prompt: str) -> str:
        self._out.write(fold(prompt) if self._folded else prompt)
        self._out.flush()
        key = self._raw_key(None, termios.TCSAFLUSH)
        self._out.write("\r" + " " * len(prompt) + "\r")
        return key or ""

    def _raw_key(self, seconds: float | None, when: int) -> str | None:
        """`when`: TCSAFLUSH forgets what was typed before, TCSADRAIN takes it."""
        descriptor = self._in.fileno()
        before = termios.tcgetattr(descriptor)
        try:
            tty.setcbreak(descriptor, when)
            ready, _, _ = select.select([descriptor], [], [], seconds)
            return os.read(descriptor, 64).decode(errors="replace") if ready else None
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def fold(text: str) -> str:
    """The text in ASCII, accents dropped, for a terminal that knows no other."""
    return unicodedata.normalize("NFKD", text.replace("œ", "oe")).encode("ascii", "ignore").decode()
