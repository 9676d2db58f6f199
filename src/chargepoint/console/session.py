"""One person at the console: language, rights, what the commands need."""

import getpass
import os
import syslog
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chargepoint.config import Config
from chargepoint.connectors import KINDS
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.language import Language
from chargepoint.console.rpc import Refused, Silent, Unreachable
from chargepoint.console.terminal import Terminal
from chargepoint.text import clean


class Usage(Exception):
    """The words after a command make no sense; the text, in the person's language, says why."""


class Forbidden(Exception):
    """An action without the PIN."""


@dataclass(slots=True)
class Session:
    """What a command gets."""

    config: Config
    config_file: str
    terminal: Terminal
    borne: Borne
    access: Access
    t: Language
    who: str = ""
    """Author of actions; empty until the PIN was given."""
    done: bool = field(default=False)
    """The person has left."""

    def evse(self, words: Sequence[str]) -> int:
        """The point that the first word names; the only one needs no name. Raises Usage."""
        ids = [evse.id for evse in self.config.evse]
        if not words and len(ids) == 1:
            return ids[0]
        if words and words[0].isascii() and words[0].isdecimal() and int(words[0]) in ids:
            return int(words[0])
        point, dot, _ = words[0].partition(".") if words else ("", "", "")
        if dot and point in map(str, ids):
            raise Usage(self.t("This command is about a whole point: {evse}, without a connector.", evse=point))
        raise Usage(self.t("Which point? This borne has {points}.", points=", ".join(map(str, ids))))

    def place(self, words: Sequence[str]) -> tuple[int, int | None]:
        """The point that the first word names, and its connector where it names one (`1`, `1.2`). Raises Usage."""
        name, dot, number = words[0].partition(".") if words else ("", "", "")
        evse = self.evse([name] if words else words)
        if not dot:
            return evse, None
        there = next(section.connectors for section in self.config.evse if section.id == evse)
        if number not in map(str, there):
            known = ", ".join(f"{evse}.{each} ({self.t(KINDS[each])})" for each in there)
            raise Usage(
                self.t("There is no connector {word}: there is {known}.", word=clean(words[0], 20), known=known)
            )
        return evse, int(number)

    def number(self, words: Sequence[str], index: int, default: float, least: float, most: float) -> float:
        """A number among the words, or its default. Raises Usage."""
        if len(words) <= index:
            return default
        try:
            value = float(words[index])
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise Usage(
                self.t("{word} must be a number from {least} to {most}.", word=words[index], least=least, most=most)
            )
        return value

    def silence(self, error: Silent) -> str:
        """Which process does not answer, and why, in the person's language."""
        why = clean(self.t(error.text, **error.words), 300)
        if isinstance(error, Unreachable):
            return self.t("The business process is not running, so nothing may charge: {why}", why=why)
        return self.t("The safety process does not answer: {why}", why=why)

    def sure(self, question: str) -> bool:
        """Whether the person says yes."""
        return self.terminal.ask(question).lower() in ("yes", "y", "oui", "o")

    def audit(self, action: str, evse: int | None = None, connector: int | None = None) -> None:
        """Enter an action in the security log before it is done. An action that cannot be entered is not done."""
        params = {} if evse is None else {"evse": evse}
        action = action if connector is None else f"{action}, connector {connector}"
        self.borne.station.ask("audit", who=self.who, action=action, **params)

    def audit_anyhow(self, action: str) -> None:
        """As `audit`, for what may bring a dead station back: without it, in the system's own log."""
        try:
            self.audit(action)
        except Unreachable:
            syslog.syslog(syslog.LOG_AUTH | syslog.LOG_WARNING, f"chargepoint: technician: {action} ({self.who})")

    def note(self, action: str) -> None:
        """Enter something that happened here; when the station is dead there is no log to enter it in."""
        try:
            self.borne.station.ask("audit", who=self.who or seat(), action=action)
        except (Unreachable, Refused):
            return


def which(connector: int | None) -> dict[str, int]:
    """A connector as the station's methods take it: left out when none was named."""
    return {} if connector is None else {"connector": connector}


def seat() -> str:
    """The account and the line that this console runs on."""
    try:
        line = os.ttyname(0).removeprefix("/dev/")
    except OSError:
        line = "no terminal"
    return f"{getpass.getuser()}@{line}"


KEYS = (
    "answers",
    "trouble",
    "reading",
    "age",
    "unit",
    "model",
    "kind",
    "port",
    "connected",
    "version",
    "queue",
    "registration",
    "limit",
    "reserved",
    "sources",
    "reason",
    "detail",
    "leaves",
    "others",
    "evse",
    "id",
    "url",
    "energy_wh",
    "export_wh",
    "power_w",
    "power_phases_w",
    "power_factor",
    "voltage_v",
    "current_a",
    "frequency_hz",
    "contacts",
    "for_s",
    "tic",
    "building-meter",
    "ladder",
    "rung",
    "away",
    "taken",
    "modem-reset",
    "modem-power",
    "reboot",
)
"""Names in the station's answers, each with a word of its own in every language."""


def tree(value: Any, t: Language, indent: str = "") -> Iterator[str]:
    """A decoded JSON value as indented lines, in words where there are."""
    match value:
        case dict():
            for key, item in value.items():
                name = t(key) if key in KEYS else key
                if isinstance(item, dict | list) and item:
                    yield f"{indent}{name}:"
                    yield from tree(item, t, indent + "  ")
                else:
                    yield f"{indent}{name}: {_plain(item, t)}"
        case list() if not any(isinstance(item, dict | list) for item in value):
            yield indent + ", ".join(_plain(item, t) for item in value)
        case list():
            for item in value:
                yield from tree(item, t, indent)
                if isinstance(item, dict) and not indent:
                    yield ""
        case _:
            yield indent + _plain(value, t)


def _plain(value: Any, t: Language) -> str:
    match value:
        case None | [] | {} | "":
            return "-"
        case bool():
            return t("yes") if value else t("no")
        case float():
            return f"{value:.6g}"
        case str():
            return t.said(value)
        case _:
            return str(value)


Lines = Iterable[str]


@dataclass(frozen=True, slots=True)
class Command:
    """One word of the console."""

    name: str
    usage: str
    """What follows the word."""
    text: str
    """What it does, in English; the catalogue has the French."""
    run: Callable[[Session, list[str]], Lines]
    action: bool = False
    """Changes something: needs the PIN, and is entered in the security log."""
    acting: tuple[str, ...] = ()
    """Of a command that only looks, the first words with which it acts all the same."""
    live: bool = False
    """Its lines come as things happen: no paging."""
