"""On which line of a TOML text each key stands: `tomllib` does not tell, and who looks for a mistake wants to know."""

import re
from pathlib import Path

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"^\s*\[\s*({_PATH})\s*\]\s*(?:#.*)?$")
_ARRAY = re.compile(rf"^\s*\[\[\s*({_PATH})\s*\]\]\s*(?:#.*)?$")
_PAIR = re.compile(rf"^\s*({_PATH})\s*=\s*(.*)$")
_LANGUAGE = re.compile(r"""^\s*language\s*=\s*["'](en|fr)["']""", re.MULTILINE)
_INLINE = re.compile(rf"[{{,]\s*({_PATH})\s*=")


def key_lines(text: str) -> dict[str, int]:
    """Key path (`evse[0].meter.unit`) to line number, from 1. A text that is not TOML gives what could be seen."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:  # inside a text over several lines, where nothing is a key
            closing = "" if closing in line else closing
        elif match := _ARRAY.match(line):
            name = _resolve(match[1], counts)
            counts[name] = counts.get(name, -1) + 1
            table = f"{name}[{counts[name]}]"
            lines.setdefault(name, number)
            lines[table] = number
        elif match := _TABLE.match(line):
            table = _resolve(match[1], counts)
            lines[table] = number
        elif match := _PAIR.match(line):
            path = ".".join([*([table] if table else []), *_parts(match[1])])
            lines[path] = number
            if match[2].startswith("{"):
                for inner in _INLINE.finditer(match[2]):
                    lines[".".join([path, *_parts(inner[1])])] = number
            closing = next((q for q in ('"""', "'''") if match[2].count(q) == 1), "")
    return lines


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, path)]


def _resolve(path: str, counts: dict[str, int]) -> str:
    """A header's path with the indices of the array entries it lies in: `evse.meter` becomes `evse[0].meter`."""
    parts = _parts(path)
    resolved = ""
    for index, part in enumerate(parts):
        resolved = f"{resolved}.{part}" if resolved else part
        if index < len(parts) - 1 and resolved in counts:
            resolved = f"{resolved}[{counts[resolved]}]"
    return resolved


def written_language(file: Path) -> str:
    """The language that a configuration names, however wrong it is elsewhere; English (`en`) when it names none."""
    try:
        found = _LANGUAGE.search(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "en"
    return "en" if found is None else found[1]


def closest(word: str, known: list[str]) -> str:
    """`; did you mean "x"?`, or nothing when nothing is near."""
    import difflib  # only needed once something is wrong

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
