"""Draws the state machines from the code: `./dev run python docs/draw_machines.py` writes `docs/machines.md`."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from chargepoint.evse.machine import MACHINE as PILOT
from chargepoint.station.session import MACHINE as SESSION

PAGE = """\
# State machines

Made from the code by `docs/draw_machines.py`; a test compares.

## A point, in the safety process
The states of IEC 61851-1, Annex A: the letter is what the car signals, 1 means no PWM, 2 that the borne offers current.
Whether the contactor is closed is decided beside it, from this state and from lock, lease, faults and delays.

{pilot}
## A session, in the business process
{session}"""


def draw(machine: Any) -> str:
    """A mermaid diagram; triggers that lead from one state to the same other share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, event in machine.events.items():
        for source, transitions in event.transitions.items():
            for transition in transitions:
                label = name.replace("_", " ") + _guard(transition)
                dest = transition.dest or source
                if label not in arrows[source, dest]:
                    arrows[source, dest].append(label)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {machine.initial}"]
    for (source, dest), labels in sorted(arrows.items()):
        lines.append(f"    {source} --> {dest}: {', '.join(labels)}")
    return "\n".join([*lines, "```", ""])


def _guard(transition: Any) -> str:
    """The conditions of a transition, in brackets as UML has them."""
    words = [("" if condition.target else "not ") + _name(condition.func) for condition in transition.conditions]
    return f" [{' and '.join(words)}]" if words else ""


def _name(function: Any) -> str:
    name = function if isinstance(function, str) else function.__name__
    return name.lstrip("_").replace("_", " ")


def page() -> str:
    """The whole page."""
    return PAGE.format(pilot=draw(PILOT), session=draw(SESSION))


if __name__ == "__main__":
    (Path(__file__).parent / "machines.md").write_text(page())
