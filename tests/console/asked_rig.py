"""A console without a borne: a person, and a station that writes down what it is asked."""

import io
from pathlib import Path
from typing import Any

from chargepoint.config_check import parse
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.console import execute
from chargepoint.console.language import Language
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal

CONFIG = """
[station]
id = "X"
state_dir = "{0}/state"
run_dir = "{0}/run"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
[evse.domestic]
[[evse]]
id = 2
max_current = 32
"""


def connector(number: int, **more: Any) -> dict[str, Any]:
    kind = {1: "type-2", 2: "domestic"}[number]
    return {
        "id": number, "type": kind, "status": "Available", "since": "2026-01-31T10:00:00.000Z", "info": "",
        "max_current": 10.0, "phases": ["L1"], "plugged": False, "contactor": False, "operative": True,
        "scheduled": None, **more,
    }  # fmt: skip


def point(number: int, *connectors: dict[str, Any], **more: Any) -> dict[str, Any]:
    own = {"id": number, "transaction": None, "plugged": False, "operative": False, "connectors": list(connectors)}
    return {**own, "why": {"en": f"of point {number}"}, **more}


class Asked:
    """A station that writes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.points = [point(1, connector(1), connector(2)), point(2, connector(1))]

    def ask(self, method: str, timeout_s: float = 5.0, **params: Any) -> Any:
        self.calls.append((method, params))
        match method:
            case "status":
                return {"evses": list(self.points)}
            case "why":
                return f"because of {params}"
            case "self_test":
                return {"ok": True, "detail": params["what"]}
            case _:
                return {"outcome": "accepted"}

    def told(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.calls if name == method]


def person(root: Path, station: Asked) -> Session:
    """Who gave the PIN, reads English, and asks this station."""
    config = parse(CONFIG.format(root))
    borne = Borne(config)
    borne.station = station  # type: ignore[assignment]
    access = Access(root / "pin", root)
    return Session(config, "", Terminal(io.StringIO(), io.StringIO()), borne, access, Language("en"), "Jeanne")


def said(session: Session, line: str, answer: str = "") -> str:
    """What the console says to a line, and to `answer` at its question."""
    out = io.StringIO()
    session.terminal = Terminal(io.StringIO(answer), out)
    execute(session, line)
    return out.getvalue()
