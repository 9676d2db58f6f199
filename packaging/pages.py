"""Manual page and shell completion, from the command line's parser: `pages.py MAN_FILE COMPLETION_FILE VERSION`."""

import argparse
import sys
from pathlib import Path

from chargepoint.console.cli import _parser
from chargepoint.console.console import COMMANDS

FILES = (
    ("/etc/chargepoint/chargepoint.toml", "configuration of all processes"),
    ("/etc/chargepoint/trusted-keys/*.pem", "who may sign updates and configuration bundles"),
    ("/var/lib/chargepoint/chargepoint.db", "journal: transactions, what the central system has yet to hear"),
    ("/var/lib/chargepoint/evse.json", "latched faults and counters of the safety process"),
    ("/opt/chargepoint/current", "the version that runs"),
)
WORDS = {
    "sim": "serve plug unplug ev badge fault faults show set_energy speed wait",
    "update": "list install switch rollback trial serve errands keys sign",
    "provision": "make check apply",
}


def commands() -> list[tuple[str, str]]:
    """Every command with its one line."""
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [(choice.dest, choice.help or "") for choice in action._choices_actions]
    return []


def man(version: str) -> str:
    """roff, as man(7) wants it."""
    lines = [
        f'.TH CHARGEPOINT 1 "" "chargepoint {version}" "Charging station"',
        ".SH NAME",
        "chargepoint \\- controller of a public two-point AC charging station",
        ".SH SYNOPSIS",
        ".B chargepoint",
        "COMMAND [\\fB\\-c\\fR FILE] [WORD ...]",
        ".SH DESCRIPTION",
        "Runs the safety process and the business process of a charging station, checks its configuration, shows its",
        "state, and is the technician's console. FILE defaults to /etc/chargepoint/chargepoint.toml.",
        ".SH COMMANDS",
    ]
    for name, text in commands():
        lines += [".TP", f".B {name}", _escaped(text)]
    lines += [
        ".SH CONSOLE COMMANDS",
        "What \\fBchargepoint console\\fR understands. A word may be cut short while it is clear; \\fBhelp\\fR says",
        "it in the console\\(aqs language. Those marked with * need the PIN of the borne: \\fBlogin\\fR first.",
    ]
    for command in COMMANDS:
        mark = " *" if command.action else f" ({', '.join(command.acting)}: *)" if command.acting else ""
        lines += [".TP", f".B {_escaped(f'{command.name} {command.usage}'.rstrip())}{mark}", _escaped(command.text)]
    lines += [".SH FILES"]
    for path, text in FILES:
        lines += [".TP", f".I {_escaped(path)}", _escaped(text)]
    lines += [
        ".SH EXIT STATUS",
        "0 done, 1 failed, 2 wrong arguments or configuration.",
        ".SH SEE ALSO",
        ".BR systemctl (1),",
        "chargepoint.target, chargepoint\\-evse.service, chargepoint\\-station.service, chargepoint\\-console@.service",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def bash() -> str:
    """Completion for bash: commands, the words of those that have some, files after -c."""
    names = " ".join(name for name, _ in commands())
    cases = "\n".join(f'    {name}) words="{words}" ;;' for name, words in WORDS.items())
    return f"""# bash completion of chargepoint
_chargepoint() {{
  local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
  case $before in
    -c | --config) COMPREPLY=($(compgen -f -- "$now")); return ;;
    chargepoint) words="{names}" ;;
{cases}
  esac
  COMPREPLY=($(compgen -W "$words -c --help" -- "$now") $(compgen -f -- "$now"))
}}
complete -o filenames -F _chargepoint chargepoint
"""


if __name__ == "__main__":
    man_page, completion, version = sys.argv[1:]
    Path(man_page).write_text(man(version), encoding="utf-8")
    Path(completion).write_text(bash(), encoding="utf-8")
