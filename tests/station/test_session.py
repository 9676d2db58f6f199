"""The session machine, by tables of events with the time as an argument."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.station.api import StopReason
from chargepoint.station.session import STATES, Begin, Dropped, End, Grant, Session, TimedOut
from chargepoint.station.settings import Settings

GRANT = Grant("TAG", "GROUP")
Event = Callable[[Session, float], object]

EVENTS: dict[str, Event] = {
    "cable in": lambda s, t: s.cable(True, t),
    "cable out": lambda s, t: (s.car_is(None, t), s.cable(False, t)),
    "car": lambda s, t: s.car_is("b:1", t),
    "car gone": lambda s, t: s.car_is(None, t),
    "other car": lambda s, t: s.car_is("b:2", t),
    "grant": lambda s, t: s.approved(GRANT, t),
    "other grant": lambda s, t: s.approved(Grant("OTHER"), t),
    "begun": lambda s, t: s.begun(7),
    "begin failed": lambda s, t: s.begin_failed(),
    "stop": lambda s, t: s.stop(StopReason.LOCAL, "TAG", t),
    "deauthorise": lambda s, t: s.stop(StopReason.DEAUTHORIZED, None, t),
    "ended": lambda s, t: s.ended(t),
    "time-out": lambda s, t: s.tick(t + 120.0),
    "tick": lambda s, t: s.tick(t),
    "release": lambda s, t: s.release("TAG", t),
}

TABLE = [
    ("nothing", [], "idle", []),
    ("plug", ["cable in", "car"], "waiting_auth", []),
    ("plug then badge", ["cable in", "car", "grant"], "starting", [Begin(GRANT, "b:1")]),
    ("badge then plug", ["grant", "cable in", "car"], "starting", [Begin(GRANT, "b:1")]),
    ("badge between cable and car", ["cable in", "grant", "car"], "starting", [Begin(GRANT, "b:1")]),
    ("badge without plug runs out", ["grant", "time-out"], "idle", [Dropped(GRANT)]),
    ("plug without badge runs out", ["cable in", "car", "time-out"], "finished", [TimedOut()]),
    ("a badge after that", ["cable in", "car", "time-out", "grant"], "starting", [TimedOut(), Begin(GRANT, "b:1")]),
    ("unplugged before any badge", ["cable in", "car", "cable out"], "idle", []),
    ("a badge again renews the wait", ["grant", "grant"], "waiting_car", []),
    ("another badge does not take the wait over", ["grant", "other grant", "cable in", "car"], "starting",
     [Begin(GRANT, "b:1")]),
    ("begun", ["cable in", "car", "grant", "begun"], "running", [Begin(GRANT, "b:1")]),
    ("no transaction could be begun", ["cable in", "car", "grant", "begin failed"], "finished",
     [Begin(GRANT, "b:1"), Dropped(GRANT)]),
    ("stopped by badge", ["cable in", "car", "grant", "begun", "stop"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.LOCAL, "TAG")]),
    ("then the cable stays", ["cable in", "car", "grant", "begun", "stop", "ended"], "finished", None),
    ("then it is pulled", ["cable in", "car", "grant", "begun", "stop", "ended", "cable out"], "idle", None),
    ("pulled while ending", ["cable in", "car", "grant", "begun", "stop", "cable out", "ended"], "idle", None),
    ("started again with the same cable", ["cable in", "car", "grant", "begun", "stop", "ended", "grant"], "starting",
     [Begin(GRANT, "b:1"), End(7, StopReason.LOCAL, "TAG"), Begin(GRANT, "b:1")]),
    ("another car on the cable left in", ["cable in", "car", "grant", "begun", "stop", "ended", "other car"],
     "waiting_auth", None),
    ("another car while ending", ["cable in", "car", "grant", "begun", "stop", "other car", "ended"],
     "waiting_auth", None),
    ("unplugged in mid-session", ["cable in", "car", "grant", "begun", "cable out"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.EV_DISCONNECTED, None)]),
    ("the car's end pulled", ["cable in", "car", "grant", "begun", "car gone"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.EV_DISCONNECTED, None)]),
    ("the car exchanged unseen", ["cable in", "car", "grant", "begun", "other car"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.EV_DISCONNECTED, None)]),
    ("unplugged before the start is durable", ["cable in", "car", "grant", "cable out", "begun"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.EV_DISCONNECTED, None)]),
    ("stopped before the start is durable", ["cable in", "car", "grant", "stop", "begun"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.LOCAL, "TAG")]),
    ("a stop is asked for twice", ["cable in", "car", "grant", "begun", "stop", "deauthorise"], "stopping",
     [Begin(GRANT, "b:1"), End(7, StopReason.LOCAL, "TAG")]),
    ("a withdrawn wait", ["grant", "stop"], "idle", [Dropped(GRANT)]),
    ("time does nothing to a session", ["cable in", "car", "grant", "begun", "time-out"], "running", None),
]  # fmt: skip


def play(events: list[str], settings: Settings | None = None) -> Session:
    session = Session(settings or Settings())
    for at, name in enumerate(events):
        EVENTS[name](session, float(at))
    session.close()
    return session


@pytest.mark.parametrize(("events", "state", "effects"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_session(events: list[str], state: str, effects: list[object] | None) -> None:
    session = play(events)
    assert session.state == state
    if effects is not None:
        assert session.effects == effects


def test_a_car_that_leaves_keeps_its_session_when_configured_so() -> None:
    settings = Settings(stop_on_ev_disconnect=False)
    assert play(["cable in", "car", "grant", "begun", "car gone"], settings).state == "running"
    assert play(["cable in", "car", "grant", "begun", "car gone", "car"], settings).state == "running"
    assert play(["cable in", "car", "grant", "begun", "car gone", "cable out"], settings).state == "stopping"


def test_the_cable_of_a_refused_token_stays_locked_until_its_owner_comes() -> None:
    ended = ["cable in", "car", "grant", "begun", "deauthorise", "ended"]
    assert play(ended).holds_lock
    assert not play([*ended, "release"]).holds_lock
    assert not play(["cable in", "car", "grant", "begun", "stop", "ended"]).holds_lock


def test_the_cable_is_released_or_kept_on_a_disconnect_as_configured() -> None:
    gone = ["cable in", "car", "grant", "begun", "car gone", "ended"]
    assert not play(gone).holds_lock
    assert play(gone, Settings(unlock_on_ev_disconnect=False)).holds_lock


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=25))
def test_no_order_of_events_breaks_the_session(events: list[str]) -> None:
    session = Session(Settings())
    failed = 0
    for at, name in enumerate(events):
        if name == "begun" and session.state != "starting":
            continue
        if name == "ended" and session.state != "stopping":
            continue
        if name == "begin failed" and session.state != "starting":
            continue
        failed += name == "begin failed"
        EVENTS[name](session, float(at))
        assert session.state in STATES
        begun = sum(isinstance(e, Begin) for e in session.effects) - failed
        ended = sum(isinstance(e, End) for e in session.effects)
        assert ended <= begun <= ended + 1
        assert (session.tx is not None) == (session.state in ("running", "stopping"))
        if session.state in ("starting", "running"):
            assert session.grant is not None
        if session.state == "starting" and not session.ending:
            assert session.connected
    session.close()


def test_a_session_stays_at_its_connector_while_something_is_plugged_there() -> None:
    session = Session(Settings())
    session.use(2)
    session.cable(True, 1.0)
    session.car_is("b:d1", 1.0)
    with pytest.raises(ValueError, match="connector 2 is in use"):
        session.use(1)
    session.car_is(None, 2.0)
    session.cable(False, 2.0)
    session.use(1)
    assert (session.connector, session.state) == (1, "idle")
    session.close()


def test_a_grant_for_a_connector_waits_there_and_one_for_any_where_it_was() -> None:
    session = Session(Settings())
    session.approved(Grant("TAG", connector=2), 1.0)
    assert (session.connector, session.state) == (2, "waiting_car")
    session.stop(StopReason.OTHER, None, 2.0)
    session.approved(GRANT, 3.0)
    assert session.connector == 2
    session.close()


@pytest.mark.parametrize(("connector", "kept"), [(1, True), (2, False)])
def test_only_a_plug_with_a_lock_is_kept_after_a_refused_token(connector: int, kept: bool) -> None:
    session = Session(Settings())
    session.resumed(7, GRANT, "b:1", 1.0, connector)
    session.stop(StopReason.DEAUTHORIZED, None, 2.0)
    session.ended(3.0)
    assert session.retained is kept
    session.close()
