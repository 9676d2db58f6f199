"""Which point a badge means."""

import pytest

from chargepoint.station.badges import Decision, Meaning, View, accepted, own

NOW = 1000.0


def view(evse: int, state: str, **facts: object) -> View:
    return View(evse, state, **facts)  # type: ignore[arg-type]


TABLE = [
    ("both free", [view(1, "idle"), view(2, "idle")], Meaning.WAIT, (1, 2)),
    ("one plugged", [view(1, "waiting_auth", connected=True), view(2, "idle")], Meaning.START, (1,)),
    ("both plugged: the later one",
     [view(1, "waiting_auth", connected=True, plugged_at=5.0), view(2, "waiting_auth", connected=True, plugged_at=9.0)],
     Meaning.START, (2,)),
    ("own session runs", [view(1, "running", token="tag"), view(2, "idle")], Meaning.STOP, (1,)),
    ("own session runs, a stranger has plugged in",
     [view(1, "running", token="TAG"), view(2, "waiting_auth", connected=True)], Meaning.STOP, (1,)),
    ("two own sessions: the younger",
     [view(1, "running", token="TAG", plugged_at=1.0), view(2, "running", token="TAG", plugged_at=2.0)],
     Meaning.STOP, (2,)),
    ("own session has just begun", [view(1, "running", token="TAG", began_at=NOW - 2.9), view(2, "idle")],
     Meaning.UNDERSTOOD, (1,)),
    ("own session is just beginning", [view(1, "starting", token="tag", began_at=NOW)], Meaning.UNDERSTOOD, (1,)),
    ("own session has just begun, and current flows", [view(1, "running", token="TAG", began_at=NOW - 2.0, live=True)],
     Meaning.STOP, (1,)),
    ("own session began a moment ago", [view(1, "running", token="TAG", began_at=NOW - 3.0), view(2, "idle")],
     Meaning.STOP, (1,)),
    ("own session has just begun beside an older one",
     [view(1, "running", token="TAG", plugged_at=1.0), view(2, "running", token="TAG", plugged_at=2.0, began_at=NOW)],
     Meaning.UNDERSTOOD, (2,)),
    ("a group mate's session has just begun", [view(1, "running", token="MATE", group="G", began_at=NOW)],
     Meaning.STOP, (1,)),
    ("own session is ending", [view(1, "stopping", token="TAG"), view(2, "idle")], Meaning.UNDERSTOOD, (1,)),
    ("own session has just ended", [view(1, "finished", token="TAG", connected=True, ended_at=NOW - 2.0)],
     Meaning.UNDERSTOOD, (1,)),
    ("a group mate's session that this badge has just stopped",
     [view(1, "finished", token="MATE", group="G", connected=True, ended_at=NOW - 2.0, stopper="tag"), view(2, "idle")],
     Meaning.UNDERSTOOD, (1,)),
    ("a group mate's session that this badge is stopping",
     [view(1, "stopping", token="MATE", group="G", connected=True, stopper="TAG"), view(2, "idle")],
     Meaning.UNDERSTOOD, (1,)),
    ("a group mate's session that its own badge has just stopped",
     [view(1, "finished", token="MATE", group="G", connected=True, ended_at=NOW - 2.0, stopper="MATE")],
     Meaning.START, (1,)),
    ("own session ended a while ago", [view(1, "finished", token="TAG", connected=True, ended_at=NOW - 20.0)],
     Meaning.START, (1,)),
    ("own cable retained", [view(1, "finished", token="TAG", retained=True, ended_at=NOW - 60.0)],
     Meaning.RELEASE, (1,)),
    ("own badge waits", [view(1, "waiting_car", token="TAG"), view(2, "idle")], Meaning.RENEW, (1,)),
    ("a group mate's session", [view(1, "running", token="MATE", group="G"), view(2, "idle")], Meaning.STOP, (1,)),
    ("a group mate's session, own car plugged",
     [view(1, "running", token="MATE", group="G"), view(2, "waiting_auth", connected=True)], Meaning.START, (2,)),
    ("a stranger's session", [view(1, "running", token="X"), view(2, "idle")], Meaning.WAIT, (2,)),
    ("a stranger's sessions", [view(1, "running", token="X"), view(2, "running", token="Y")], Meaning.REFUSE, ()),
    ("a stranger's badge waits", [view(1, "waiting_car", token="X"), view(2, "running", token="Y")],
     Meaning.REFUSE, ()),
    ("a stranger's finished plug, a free point", [view(1, "finished", token="X", connected=True), view(2, "idle")],
     Meaning.WAIT, (2,)),
    ("a stranger's finished plug, no free point",
     [view(1, "finished", token="X", connected=True), view(2, "running", token="Y")], Meaning.START, (1,)),
    ("own finished plug, a free point", [view(1, "finished", token="TAG", connected=True), view(2, "idle")],
     Meaning.START, (1,)),
    ("a stranger's finished plug, a point out of service",
     [view(1, "finished", token="X", connected=True), view(2, "idle", usable=False)], Meaning.START, (1,)),
    ("reserved for this badge", [view(1, "idle"), view(2, "idle", reserved=True)], Meaning.WAIT, (2,)),
    ("reserved for another", [view(1, "idle", usable=False), view(2, "idle")], Meaning.WAIT, (2,)),
    ("plugged at a reserved point", [view(1, "waiting_auth", connected=True, usable=False)], Meaning.REFUSE, ()),
    ("cable in, car not yet", [view(1, "waiting_auth"), view(2, "running", token="X")], Meaning.WAIT, (1,)),
    ("out of service", [view(1, "idle", usable=False), view(2, "running", token="X")], Meaning.REFUSE, ()),
]  # fmt: skip


@pytest.mark.parametrize(("views", "meaning", "evses"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_badge(views: list[View], meaning: Meaning, evses: tuple[int, ...]) -> None:
    assert accepted("TAG", "G", views, NOW) == Decision(meaning, evses)


def test_stopping_ones_own_session_needs_no_authorisation() -> None:
    assert own("TAG", [view(1, "running", token="tag")], NOW).meaning is Meaning.STOP
    assert own("TAG", [view(1, "running", token="MATE", group="G")], NOW).meaning is Meaning.AUTHORISE
