"""What may go to a terminal: nothing that came from outside gets there unescaped."""

import re
import unicodedata
from typing import Any

_SHAPED = "LNPS"
"""First letters of the Unicode categories with a visible shape: no controls, formats, surrogates, combining marks."""


def clean(text: object, width: int = 200) -> str:
    """The text in visible characters alone, on one line, cut to `width`.

    Control characters, escape sequences and characters that reorder or hide text become `\\x1b`-like escapes.
    """
    shown = []
    used = 0
    for char in str(text)[: width + 1]:
        piece = char if char == " " or unicodedata.category(char)[0] in _SHAPED else _escape(char)
        used += len(piece)
        if used > width:
            shown.append("~")
            break
        shown.append(piece)
    return "".join(shown)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def file_name(text: str) -> str:
    """The text as a part of a file's name on any file system: a stick's refuses some characters of an OCPP identity."""
    return re.sub(r"[^A-Za-z0-9._=+@-]", "_", text)


def clean_all(value: Any) -> Any:
    """`clean` on every text in a decoded JSON value."""
    match value:
        case str():
            return clean(value, 2000)
        case dict():
            return {clean(key): clean_all(item) for key, item in value.items()}
        case list():
            return [clean_all(item) for item in value]
        case _:
            return value


def mask(token: str | None) -> str:
    """A badge's identity such that a person can recognise it, and nobody can use it."""
    if not token:
        return ""
    shown = clean(token)
    return shown if len(shown) <= 4 else shown[:2] + "*" * (len(shown) - 4) + shown[-2:]


def amps(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} A"


def table(rows: list[list[str]], indent: str = "") -> list[str]:
    """Columns as wide as their widest cell, two spaces apart; no trailing blanks."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return [(indent + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row))).rstrip() for row in rows]
