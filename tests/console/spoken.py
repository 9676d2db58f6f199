"""Finds, in the code, every sentence that another room hands to who stands in front of the borne.

Those rooms speak English on their sockets, in their logs and to the central system; `chargepoint.sentences` has the
French. What is found here must be there.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "chargepoint"
ROOMS = ("evse", "station", "controller", "meter", "reader", "tic", "update", "ocpp", "energy", "journal")
NOT_SAID = frozenset({"SCHED_FIFO {}"})
"""What only looks like a sentence."""
FILES = ("serial_line.py", "jsonrpc.py", "logs.py", "board/raspberry_pi.py")

NOT_FOR_PEOPLE = frozenset(
    {
        "AssertionError",
        "NotImplementedError",
        "TooMuch",
        "ProfileError",  # answers to the central system
        "Refusal",
        "_Malformed",
        "_AfterReply",
        "_UnknownRule",
        "NotSendable",
        "x.BadCertificate",
        "BadCertificate",
        "BadGroup",  # one broken group of a TIC frame: counted
        "BadSignature",  # evidence tools for developers
        "BadMap",  # files of the program
        "UnknownController",
        "UnknownModel",  # said by `check`, in the words of the configuration
        "UnknownReader",
        "AlreadyRunning",  # said to who starts a second process
        "JournalBusy",
        "JournalClosed",
        "JournalTooNew",
        "Stuck",
        "PwmError",  # said once, by a board that cannot start
        "BackendUnreachable",
    }
)
"""Exceptions whose texts end in a log, at the central system, or with who starts a program."""
VALUE_ERRORS = ("logs.py",)
"""Where a ValueError is an answer to a technician; elsewhere it goes to the central system or to a developer."""

TELLS = frozenset(
    {
        "set",
        "own",
        "restore",
        "see",
        "Done",
        "_fail",
        "_rcd_failed",
        "_cancel",
        "_give_up",
        "late",
        "News",
        "_tell",
        "say",
    }
)
"""What takes the detail of a fault, or the answer to a request, among its arguments."""
HOLDS = frozenset(
    {
        "pilot_detail",
        "detail",
        "trouble",
        "rcd_detail",
        "refused",
        "why",
        "hot",
        "failed",
        "_tic_trouble",
        "_SENTENCES",
        "PROBLEMS",
        "said",
        "text",
        "failure",
        "age",
    }
)
"""Names of what is told later."""


def sentences() -> set[str]:
    """All of them, as templates: `{}` stands where a value goes in."""
    found: set[str] = set()
    files = [file for room in ROOMS for file in (SOURCE / room).rglob("*.py")] + [SOURCE / name for name in FILES]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            for value in _told(node, str(file.relative_to(SOURCE))):
                found |= {text for text in _texts(value) if " " in text.strip() and any(map(str.isalpha, text))}
    return found - NOT_SAID


def _told(node: ast.AST, file: str) -> Iterator[ast.expr]:
    match node:
        case ast.Raise(exc=ast.Call(func=func, args=args)):
            name = ast.unparse(func)
            if name == "ValueError" and file not in VALUE_ERRORS:
                return
            if name not in NOT_FOR_PEOPLE:
                yield from args
        case ast.Call(func=ast.Attribute(attr="append", value=ast.Attribute(attr="measured")), args=args):
            yield from args
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
            if name in TELLS:
                yield from args
            yield from (keyword.value for keyword in keywords if keyword.arg in HOLDS and name not in _LOGS)
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
            if name in HOLDS:
                yield value
        case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), value=ast.expr() as value):
            if name in HOLDS:
                yield value
        case ast.Return(value=ast.expr() as value):
            if file.split("/")[0] in ("evse", "station", "controller", "meter", "reader", "tic"):
                yield value


_LOGS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


def _texts(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=parts):
            whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            return [re.sub(r"(\{\})+", "{}", whole)]
        case ast.IfExp(body=body, orelse=other):
            return _texts(body) + _texts(other)
        case ast.BoolOp(values=values):
            return [text for value in values for text in _texts(value)]
        case ast.Dict(values=values):
            return [text for value in values for text in _texts(value)]
        case ast.Tuple(elts=values) | ast.List(elts=values):
            return [text for value in values for text in _texts(value)]
        case _:
            return []
