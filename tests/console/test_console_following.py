"""`log -f` shows every event once, whatever its time."""

from pathlib import Path
from typing import Any

import pytest
from asked_rig import Asked, person, said

from chargepoint.console.terminal import Terminal


def event(what: str, second: int = 5) -> dict[str, Any]:
    at = f"2026-01-01T00:00:{second:02}.000Z"
    return {"process": "station", "timestamp": at, "level": "info", "event": what}


def test_events_of_the_same_or_an_earlier_time_are_followed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = person(tmp_path, Asked())
    first = [event("first"), event("first")]
    looks = [first, [event("the clock was set back", 1), *first, event("first"), event("of the same instant")]]
    monkeypatch.setattr(session.borne, "log_lines", lambda count: looks.pop(0))
    monkeypatch.setattr(Terminal, "pressed", lambda terminal, seconds: False)
    shown = [line.split("station: ")[1] for line in said(session, "log -f").splitlines()]
    assert shown == ["first", "first", "the clock was set back", "first", "of the same instant"]
