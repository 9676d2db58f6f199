"""A point may have two connectors: the console's commands name one as POINT.CONNECTOR, or say why they cannot."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from asked_rig import Asked, connector, person, point, said

from chargepoint.console.session import Session
from chargepoint.journal import transactions
from chargepoint.journal.journal import FILE_NAME, migrate
from chargepoint.journal.stamp import Stamp


@pytest.fixture
def station() -> Asked:
    return Asked()


@pytest.fixture
def session(tmp_path: Path, station: Asked) -> Session:
    return person(tmp_path, station)


@pytest.mark.parametrize("word", ["off", "inoperative"])
def test_one_connector_is_taken_out_of_service_and_entered_so(session: Session, station: Asked, word: str) -> None:
    assert said(session, f"availability 1.2 {word}") == "Done.\n"
    assert station.told("availability") == [{"evse": 1, "operative": False, "connector": 2}]
    assert station.told("audit") == [{"who": "Jeanne", "action": "availability off, connector 2", "evse": 1}]


@pytest.mark.parametrize("line", ["unlock 1.2", "stop 1.2", "why 1.2"])
def test_a_command_at_a_connector_asks_for_that_one(session: Session, station: Asked, line: str) -> None:
    said(session, line)
    asked = station.told(line.split()[0])
    assert [(params["evse"], params["connector"]) for params in asked] == [(1, 2)]


@pytest.mark.parametrize("line", ["unlock 1", "stop 1", "why 1", "availability 1 on", "availability 0 on"])
def test_a_command_at_a_point_names_no_connector(session: Session, station: Asked, line: str) -> None:
    said(session, line)
    assert ["connector" in params for params in station.told(line.split()[0])] == [False]


@pytest.mark.parametrize("word", ["1.3", "1.", "1.x", "1.1.2", "1.02"])
def test_a_connector_that_is_not_there_is_refused_with_those_that_are(
    session: Session, station: Asked, word: str
) -> None:
    assert said(session, f"unlock {word}") == f"There is no connector {word}: there is 1.1 (type-2), 1.2 (domestic).\n"
    assert said(session, "why 2.2") == "There is no connector 2.2: there is 2.1 (type-2).\n"
    assert said(session, "why .2") == "Which point? This borne has 1, 2.\n"
    assert station.calls == []


@pytest.mark.parametrize("line", ["limits 1.2", "trace 1.2", "meters registers 1.2", "faults ack 1.2 diode"])
def test_a_command_about_a_whole_point_says_so(session: Session, station: Asked, line: str) -> None:
    assert "This command is about a whole point: 1, without a connector.\n" in said(session, line)


def test_status_of_one_connector_shows_what_is_its_own(session: Session, station: Asked) -> None:
    station.points[0] = point(
        1, connector(1), connector(2, status="Unavailable", operative=False, plugged=True, scheduled=True)
    )
    lines = said(session, "status 1.2").splitlines()
    assert lines[0] == "point 1.2 (domestic)"
    assert "  status      Unavailable" in lines
    assert "  in service  no (changes when the session ends)" in lines
    assert "  plugged     yes" in lines
    assert "  limit       10.0 A, L1" in lines
    assert lines[-1] == "because of {'evse': 1, 'connector': 2, 'lang': 'en'}"


def test_status_of_one_point_leaves_the_others_out(session: Session) -> None:
    shown = said(session, "status 2")
    assert "point 2: of point 2" in shown and "point 1" not in shown


def test_at_a_domestic_socket_only_what_it_has_is_tested(session: Session, station: Asked) -> None:
    assert "The domestic socket has no lock; try rcd contactor there." in said(session, "test lock 1.2")
    assert station.told("self_test") == []
    assert said(session, "test all 1.2").count("PASSED") == 2
    assert [params["what"] for params in station.told("self_test")] == ["rcd", "contactor"]
    assert said(session, "test contactor 1.2").startswith("Testing contactor at point 1.2...")


def test_a_plug_in_the_other_socket_refuses_the_tests_of_the_point(session: Session, station: Asked) -> None:
    station.points[0] = point(1, connector(1), connector(2, plugged=True))
    assert "a plug is in the socket: unplug first" in said(session, "test rcd 1")
    assert station.told("self_test") == []


def test_a_session_at_the_domestic_socket_is_listed_as_commands_name_it(session: Session) -> None:
    state = session.config.station.state_dir
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / FILE_NAME)) as db:
        migrate(db)
        for number in (1, 2):
            transactions.begin(db, 1, number, "TAG", None, None, "car", Stamp(1, 1.0, 1_800_000_000.0), 10)
        db.commit()
    rows = [line.split() for line in said(session, "sessions").splitlines()]
    assert [(row[0], row[1]) for row in rows[1:]] == [("2", "1.2"), ("1", "1")]
    assert ["point", "1.2"] in [line.split() for line in said(session, "sessions show 2").splitlines()]
