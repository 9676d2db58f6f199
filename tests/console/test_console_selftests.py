"""The console's self-tests that only a person can judge, or that the station answers."""

from pathlib import Path

import pytest
from asked_rig import Asked, person, said


@pytest.mark.parametrize(
    ("answer", "verdict"), [("yes\n", "PASSED: all tones heard"), ("no\n", "FAILED: not all tones heard")]
)
def test_the_buzzer_is_judged_by_who_hears_it(tmp_path: Path, answer: str, verdict: str) -> None:
    station = Asked()
    assert said(person(tmp_path, station), "test buzzer", answer).endswith(f"buzzer: {verdict}\n")
    assert [name for name, _ in station.calls] == ["audit", "test_buzzer"]
    assert station.told("audit")[0]["action"] == "self-test buzzer"


def test_nothing_is_tested_at_a_point_in_service_or_with_a_session(tmp_path: Path) -> None:
    station = Asked()
    station.points[0]["operative"] = True
    assert "take it out first with `availability 1 off`" in said(person(tmp_path, station), "test rcd 1")
    station.points[0]["transaction"] = 7
    assert "end it first" in said(person(tmp_path, station), "test all 1")
    assert station.told("self_test") == []
