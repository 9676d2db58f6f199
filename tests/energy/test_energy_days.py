"""Whole days through the code that decides: figures per car, kept, so that a change of behaviour is seen."""

import json
from pathlib import Path

import pytest
from energy_days import DAYS, POLICIES, Day, Outcome, replay

GOLDEN = Path(__file__).parent / "golden_days.json"
STEP_S = 5.0


def figures(outcome: Outcome) -> dict[str, object]:
    return {
        f"{i + 1} {stay.visit.name}": {
            "kwh": round(stay.energy_wh / 1000, 2),
            "start_s": None if stay.started is None else round(stay.started - stay.visit.arrives),
            "longest_wait_s": round(stay.longest_wait_s),
            "pilot_changes": stay.changes,
        }
        for i, stay in enumerate(outcome.stays)
    }


@pytest.mark.parametrize("day", DAYS, ids=lambda day: day.name)
def test_a_day_gives_every_car_what_it_gave_before(day: Day) -> None:
    """After a wanted change: `python tests/energy/test_energy_days.py` writes the figures anew."""
    outcome = replay(day, "ours", STEP_S)
    assert figures(outcome) == json.loads(GOLDEN.read_text())[day.name]
    assert outcome.worst_excess_a == 0.0, "no phase above the subscribed current once cars have had their time"
    hours = sum(stay.visit.leaves - stay.visit.arrives for stay in outcome.stays) / 3600
    assert sum(stay.changes for stay in outcome.stays) <= 30 * hours


def test_sharing_starves_nobody_where_first_come_does() -> None:
    day = next(day for day in DAYS if day.name == "turns")
    waits = {policy: replay(day, policy, 5.0).worst_wait_s for policy in POLICIES}
    assert waits["ours"] <= 2 * 900 + 60
    assert waits["first"] > 3 * 3600 and waits["equal"] > 3 * 3600


if __name__ == "__main__":
    days = {day.name: figures(replay(day, "ours", STEP_S)) for day in DAYS}
    GOLDEN.write_text(json.dumps(days, indent=1) + "\n")
