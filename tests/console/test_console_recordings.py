"""`trace` of what the safety process has recorded around a fault."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_rig import Asked, person, said

from chargepoint.board.types import BorneInputs, PointInputs, PointOutputs
from chargepoint.console.language import Language
from chargepoint.evse.lock import MotorArbiter
from chargepoint.evse.point import Point, PointConfig
from chargepoint.evse.recorder import Recorder, contents

NAME = "evse2-20261127T120000Z-residual-current.rec"
SOUND = PointInputs(
    cp_high_v=12.0, cp_low_v=12.0, pp_ohm=float("inf"), contactor_closed=False, load_live=False, lock_closed=False,
    lock_open=True, rcd_tripped=False, rdc_tripped=False, pe_ok=True, temperature_c=20.0, reference_v=2.5,
    duty_measured=100.0,
)  # fmt: skip


@pytest.fixture
def recordings(tmp_path: Path) -> Iterator[Path]:
    """A recording of a second in which the pilot falls to 9 V in the middle."""
    point, recorder = Point(PointConfig(2), MotorArbiter(), 1000.0), Recorder(passes=200)
    for number in range(101):
        now = 1000.0 + number / 100
        high = 12.0 if number < 50 else 9.0
        seen = PointInputs(**{**{name: getattr(SOUND, name) for name in SOUND.__slots__}, "cp_high_v": high})
        recorder.note(point, seen, BorneInputs(False, False, True), PointOutputs(), now)
    directory = tmp_path / "state" / "recorder"
    directory.mkdir(parents=True)
    (directory / NAME).write_bytes(contents(recorder.snapshot(), 2, "b00t", "residual-current", 1001.0))
    yield directory


def test_the_recordings_are_listed_with_the_newest_last(tmp_path: Path, recordings: Path) -> None:
    newer = recordings / "evse1-20261127T130000Z-request.rec"
    newer.write_bytes(b"")
    session = person(tmp_path, Asked())
    assert said(session, "trace files").split() == [NAME, newer.name]
    for file in recordings.iterdir():
        file.unlink()
    assert said(session, "trace files").strip() == "There is none."


def test_a_recording_is_told_by_what_changed_and_can_be_written_and_drawn(tmp_path: Path, recordings: Path) -> None:
    session = person(tmp_path, Asked())
    told = said(session, f"trace {NAME} {tmp_path}/a.csv {tmp_path}/a.svg").splitlines()
    assert "the first pass whole" in told[0]
    assert told[1].startswith("    0.000 state=A1 cp_high_v=12.0") and "faults=-" in told[1]
    assert told[2] == "    0.500 cp_high_v=9.0"
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert len(rows) == 102 and rows[1].startswith("1000.0,12.0,12.0,,100.0,A1,0,20.0")
    assert "svg" in (tmp_path / "a.svg").read_text()
    session.t = Language("fr")
    assert "le premier passage en entier" in said(session, f"trace {NAME}")


@pytest.mark.parametrize("name", ["evse1-20261127T120000Z-diode.rec", "../evse.rec", "/etc/x.rec"])
def test_a_recording_that_is_not_there_is_refused_with_its_name(tmp_path: Path, recordings: Path, name: str) -> None:
    told = said(person(tmp_path, Asked()), f"trace {name}")
    assert f"There is no recording {name}" in told and "trace files" in told


def test_a_recording_that_is_damaged_is_refused_with_the_reason(tmp_path: Path, recordings: Path) -> None:
    (recordings / NAME).write_bytes(b"{}\nnothing")
    assert f"{NAME} cannot be read: " in said(person(tmp_path, Asked()), f"trace {NAME}")
