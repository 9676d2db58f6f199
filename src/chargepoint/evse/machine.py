"""The control pilot's state machine, A1..F of IEC 61851-1, annex A.

One static table shared by all points; a point is a model, a light object with a `state`. The letter is
the car's (what its resistors say), the digit the EVSE's: x1 steady, not ready; x2 PWM, ready. A2 is not
there: the PWM ends in the pass in which the car is gone. F is commanded, never read.

    pilot_a .. pilot_e   the filtered pilot has said so (table A.4)
    ready, not_ready     the PWM is on, is off (sequences 3 and 9)
    withhold             the EVSE puts F on the pilot (wake-up, out of service)

F is left only by a pilot that has been read again after the EVSE took F away.
"""

from typing import Final, Protocol

from transitions import Machine

from chargepoint.iec61851.pilot import Band

STATES: Final = ("A1", "B1", "B2", "C1", "C2", "D1", "D2", "E", "F")
READY: Final = frozenset({"B2", "C2", "D2"})
CAR: Final = frozenset({"B1", "B2", "C1", "C2", "D1", "D2"})


class PilotModel(Protocol):
    """What the machine needs of a point."""

    state: str

    def withheld(self, now: float) -> bool:
        """F is on the pilot."""

    def entered(self, now: float) -> None:
        """After each change of state."""


def _table() -> list[dict[str, object]]:
    table: list[dict[str, object]] = []

    def add(trigger: str, source: list[str], dest: str) -> None:
        table.append({"trigger": trigger, "source": source, "dest": dest})

    add("pilot_a", [s for s in STATES if s not in ("A1", "F")], "A1")
    add("pilot_e", [s for s in STATES if s not in ("E", "F")], "E")
    for letter in "BCD":
        one, two = f"{letter}1", f"{letter}2"
        trigger = f"pilot_{letter.lower()}"
        add(trigger, [s for s in ("A1", "B1", "C1", "D1", "E") if s != one], one)
        add(trigger, [s for s in ("B2", "C2", "D2") if s != two], two)
        add("ready", [one], two)
        add("not_ready", [two], one)
    for letter, dest in (("a", "A1"), ("b", "B1"), ("c", "C1"), ("d", "D1"), ("e", "E")):
        table.append({"trigger": f"pilot_{letter}", "source": "F", "dest": dest, "unless": "withheld"})
    add("withhold", [s for s in STATES if s != "F"], "F")
    return table


MACHINE: Final = Machine(
    model=None,
    states=list(STATES),
    transitions=_table(),
    initial="A1",
    auto_transitions=False,
    queued=True,
    after_state_change="entered",
)

PILOT_TRIGGER: Final = {
    Band.A: "pilot_a",
    Band.B: "pilot_b",
    Band.C: "pilot_c",
    Band.D: "pilot_d",
    Band.E: "pilot_e",
    Band.F: "pilot_e",
}
"""-12 V that nobody commanded is a pilot at fault, as E."""


def fire(model: PilotModel, trigger: str, now: float) -> None:
    """Feed one trigger; one that the present state does not know changes nothing."""
    event = MACHINE.events[trigger]
    if model.state in event.transitions:
        event.trigger(model, now)
