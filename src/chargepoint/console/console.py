"""The technician's console: a line of text in, a few lines out, on whatever terminal there is.

A program of its own: it works with the network down, with the station dead and with the safety process dead, and then
says so. Without the PIN it only looks; `login` opens what changes something.
"""

import contextlib
import readline
import shlex
import sqlite3
from pathlib import Path

from chargepoint.config import Config
from chargepoint.console.access import Access, LockedOut
from chargepoint.console.act import ACT
from chargepoint.console.borne import Borne, JournalUnreadable, SafetySilent
from chargepoint.console.language import CATALOGUES, Language
from chargepoint.console.look import LOOK
from chargepoint.console.rpc import Refused, Unreachable
from chargepoint.console.session import Command, Forbidden, Lines, Session, Usage, seat
from chargepoint.console.terminal import LINE_MAX, Terminal
from chargepoint.text import clean, table


def _help(session: Session, words: list[str]) -> Lines:
    if words:
        command = find(session, words[0])
        kind = session.t("needs the PIN") if command.action else session.t("only looks")
        return [f"{command.name} {command.usage}".rstrip(), f"  {session.t(command.text)} ({kind})"]
    rows = [[command.name, session.t(command.text)] for command in COMMANDS]
    return [
        *table(rows, "  "),
        session.t("`help COMMAND` says more; a command may be cut short as long as it is clear."),
    ]


def _lang(session: Session, words: list[str]) -> Lines:
    if len(words) != 1 or words[0] not in CATALOGUES:
        raise Usage(session.t("lang en or lang fr"))
    session.t = Language("fr" if words[0] == "fr" else "en")
    return [session.t("English.") if session.t.name == "en" else "Français."]


def _login(session: Session, words: list[str]) -> Lines:
    name = " ".join(words) or session.terminal.ask(session.t("Your name: "))
    if not session.access.pin_set:
        return _first_pin(session, name)
    try:
        right = session.access.check(session.terminal.secret("PIN: "))
    except LockedOut as error:
        if error.first:  # once: a flood of tries may not push everything else out of the log
            session.note("login while locked out")
        return [session.t("Too many wrong PINs: wait {seconds} s.", seconds=f"{error.seconds:.0f}")]
    if not right:
        session.note("wrong PIN")
        return [session.t("Wrong PIN.")]
    session.who = f"{clean(name, 40)} ({seat()})"
    session.note("login")
    return [session.t("Actions are open to {who}; `logout` closes them.", who=session.who)]


def _first_pin(session: Session, name: str) -> Lines:
    """Who can write the PIN's file may set the first one: at commissioning, or by the system's administrator."""
    session.who = f"{clean(name, 40)} ({seat()})"
    try:
        pin = next(command for command in ACT if command.name == "pin")
        lines = [session.t("This borne has no PIN yet."), *pin.run(session, [])]
    except OSError as error:
        session.who = ""
        return [
            session.t(
                "This borne has no PIN, and this account may not set one: {why}", why=clean(session.t.said(error))
            )
        ]
    if not session.access.pin_set:
        session.who = ""
    return lines


def _logout(session: Session, _: list[str]) -> Lines:
    session.who = ""
    return [session.t("Only looking from now on.")]


def _quit(session: Session, _: list[str]) -> Lines:
    session.done = True
    return []


OWN = (
    Command("login", "[NAME]", "open the actions with the PIN", _login),
    Command("logout", "", "close them", _logout),
    Command("lang", "en | fr", "the language of this console", _lang),
    Command("help", "[COMMAND]", "what there is", _help),
    Command("quit", "", "leave", _quit),
)
COMMANDS: tuple[Command, ...] = (*LOOK, *ACT, *OWN)


def find(session: Session, word: str) -> Command:
    """The command of that name, or the only one that begins so. Raises Usage."""
    exact = [command for command in COMMANDS if command.name == word]
    near = exact or [command for command in COMMANDS if command.name.startswith(word)]
    if len(near) == 1:
        return near[0]
    if near:
        names = ", ".join(command.name for command in near)
        raise Usage(session.t("{word} could be {names}.", word=clean(word, 30), names=names))
    raise Usage(session.t("There is no command {word}; `help` lists them.", word=clean(word, 30)))


def execute(session: Session, line: str) -> None:
    """One line. Whatever goes wrong is told; the console goes on."""
    if len(line) >= LINE_MAX:
        session.terminal.write(session.t("That line is too long to be a command."))
        return
    try:
        words = shlex.split(line)
        if words:
            command = find(session, words[0])
            if (command.action or (words[1:2] and words[1] in command.acting)) and not session.who:
                raise Forbidden
            lines = command.run(session, words[1:])
            if command.live:
                for text in lines:
                    session.terminal.write(text)
            else:
                session.terminal.page(lines, session.t("-- more: any key, or q --"))
    except Forbidden:
        session.terminal.write(session.t("That needs the PIN: login first."))
    except (Unreachable, SafetySilent) as error:
        session.terminal.write(session.silence(error))
    except (Usage, Refused, JournalUnreadable) as error:
        session.terminal.write(clean(session.t.said(error), 400))
    except (ValueError, OSError, sqlite3.Error) as error:
        session.terminal.write(session.t("It failed: {why}", why=clean(session.t.said(error), 300)))
    except (LookupError, TypeError, AttributeError) as error:
        why = clean(f"{type(error).__name__}: {error}", 300)
        session.terminal.write(
            session.t("The answer is not what was expected; is it of another version? {why}", why=why)
        )


def _completions(session: Session, text: str) -> list[str]:
    """What the word under the cursor may become: commands first, then points."""
    if readline.get_begidx() == 0:
        return [command.name + " " for command in COMMANDS if command.name.startswith(text)]
    ids = [str(evse.id) for evse in session.config.evse]
    ids += [f"{evse.id}.{n}" for evse in session.config.evse for n in evse.connectors if len(evse.connectors) > 1]
    return [word for word in ids if word.startswith(text)]


def _prepare_readline(session: Session) -> None:
    def complete(text: str, state: int) -> str | None:
        found = _completions(session, text)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    readline.parse_and_bind("set enable-bracketed-paste off")
    readline.set_history_length(200)
    readline.set_auto_history(True)


def _read(session: Session) -> str | None:
    """A line; None at the end of the input. Ctrl-C drops the line that was begun."""
    prompt = f"{clean(session.config.station.id, 30)}{'#' if session.who else '>'} "
    try:
        return session.terminal.ask(prompt)
    except EOFError:
        return None
    except KeyboardInterrupt:
        session.terminal.write()
        return ""


def run(config: Config, file: Path) -> int:
    """Read commands until `quit` or the end of the input."""
    access = Access(config.console.pin_file, config.station.run_dir)
    session = Session(config, str(file), Terminal(), Borne(config), access, Language(config.station.language))
    if session.terminal.interactive:
        _prepare_readline(session)
        session.terminal.write(session.t("{station}: `help` lists the commands.", station=clean(config.station.id)))
    while not session.done:
        line = _read(session)
        if line is None:
            break
        with contextlib.suppress(KeyboardInterrupt, EOFError):  # Ctrl-C or Ctrl-D ends the command, not the console
            execute(session, line)
    return 0
