"""Where each value of the configuration comes from: the file, the journal (set by the operator), or the program."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from chargepoint.config_lines import key_lines
from chargepoint.console.borne import JournalUnreadable
from chargepoint.console.session import Lines, Session
from chargepoint.text import clean, table

_SECRET = ("password", "key", "pin")
_USER = re.compile(r'(://)[^/?#@\s"]*@')
"""Name and password in an address."""


def values(section: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key path, value and default of everything in a section; `msgspec.NODEFAULT` where there is none."""
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        name = f"{path}.{field.encode_name}" if path else field.encode_name
        if isinstance(value, msgspec.Struct):
            yield from values(value, name)
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            for index, item in enumerate(value):
                yield from values(item, f"{name}[{index}]")
        else:
            default = field.default
            if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            yield name, value, default


def shown(path: str, value: Any) -> str:
    """A value for the eye. What could be a secret is not shown; the name of the file that holds one is."""
    if isinstance(value, dict):
        return ", ".join(f"{clean(key)}={shown(key, item)}" for key, item in value.items()) or "-"
    secret = any(word in path.lower() for word in _SECRET) and not isinstance(value, Path)
    return "***" if secret and value else clean(value)


def origins(session: Session) -> Lines:
    """Every value, and the line of the file that says so."""
    lines = _lines(session)
    rows = [[session.t(word) for word in ("key", "value", "from")]]
    for path, value, _ in values(session.config):
        origin = session.t("line {line}", line=lines[path]) if path in lines else session.t("default")
        rows.append([path, shown(path, value), origin])
    rows += [[f"{key}", shown(key, value), session.t("set while running")] for key, value in _kept(session)]
    return table(rows)


def differences(session: Session) -> Lines:
    """What differs from the program's own defaults, and what was set while running."""
    rows = [[session.t(word) for word in ("key", "value", "default")]]
    for path, value, default in values(session.config):
        if default is not msgspec.NODEFAULT and value != default:
            rows.append([path, shown(path, value), shown(path, default)])
    rows += [[key, shown(key, value), session.t("set while running")] for key, value in _kept(session)]
    return table(rows)


def _lines(session: Session) -> dict[str, int]:
    try:
        return key_lines(Path(session.config_file).read_text(encoding="utf-8"))
    except OSError:
        return {}


def _kept(session: Session) -> list[tuple[str, Any]]:
    """Settings that were changed while the borne ran, by an operator."""
    try:
        return list(session.borne.stored("settings").items())
    except JournalUnreadable:
        return []


def redacted(text: str) -> str:
    """A configuration file's text with the values of secrets replaced; broken TOML gives nothing at all.

    Line by line, comments too; and then wherever a secret stands all the same: in a table on one line, over several.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return "# not valid TOML, left out\n"
    lines = []
    for line in text.splitlines():
        name, equals, _ = line.partition("=")
        secret = any(word in name.lower() for word in _SECRET) and "file" not in name.lower()
        lines.append(f'{name}= "***"' if equals and secret else line)
    shown = "\n".join(lines) + "\n"
    for value in sorted(_secrets(data), key=len, reverse=True):
        shown = shown.replace(value, "***")
    return _USER.sub(r"\1***@", shown)


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    """The lines of every text under a key that could be a secret's."""
    match value:
        case dict():
            for name, item in value.items():
                yield from _secrets(item, f"{key}.{name}".lower())
        case list():
            for item in value:
                yield from _secrets(item, key)
        case str() if "file" not in key and ("password" in key or "key" in key):
            yield from (line for line in map(str.strip, value.splitlines()) if len(line) > 3)  # less would be anything
