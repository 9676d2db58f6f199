"""The words of the command line as requests to the simulated borne."""

from typing import Any

import pytest

from chargepoint.sim.client import UsageError, request


@pytest.mark.parametrize(
    ("line", "method", "params"),
    [
        ("plug 1 --cable 32", "plug", {"evse": 1, "cable": 32}),
        ("plug 2 --max-current=16 --no-wants-energy", "plug", {"evse": 2, "max_current": 16, "wants_energy": False}),
        ("unplug 1 car --force", "unplug", {"evse": 1, "side": "car", "force": True}),
        ("unplug 1 --side car --force true", "unplug", {"evse": 1, "side": "car", "force": True}),
        ("badge 04112233", "badge", {"uid": "04112233"}),
        ("badge 04112233 2", "badge", {"uid": "04112233", "reader": 2}),
        ("fault diode 1", "fault", {"name": "diode", "evse": 1}),
        ("fault diode 1 off", "fault", {"name": "diode", "evse": 1, "on": False}),
        ("fault emergency-stop --on no", "fault", {"name": "emergency-stop", "on": False}),
        ("set-energy 1 1000", "set_energy", {"evse": 1, "wh": 1000}),
        ("speed 60", "speed", {"factor": 60}),
        ("wait 1 --state C --timeout 2.5", "wait", {"evse": 1, "state": "C", "timeout": 2.5}),
        ("wait 1 --contactor", "wait", {"evse": 1, "contactor": True}),
        ("building 1,2,3.5", "building", {"current": [1, 2, 3.5]}),
        ("show", "show", {}),
    ],
)
def test_words_become_a_request(line: str, method: str, params: dict[str, Any]) -> None:
    assert request(line.split()) == (method, params)


@pytest.mark.parametrize(
    ("line", "word"),
    [("", "say what"), ("fly 1", "fly"), ("plug one", "number"), ("plug 1 2", "too many"), ("plug 1 --cable", "value")],
)
def test_wrong_words_are_named(line: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        request(line.split())
