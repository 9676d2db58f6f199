"""Times of IEC 61851-1 table A.6, and the ones this borne chooses within them. Seconds unless named otherwise.

A number of the standard carries its sequence; a number without one is the borne's own choice, with the reason.
"""

OPEN_LIMIT_S = 0.100
"""Sequences 2.1, 2.2, 8.1, 8.2 (unplug; car opens S2): contactor open, the standard's bound."""

CLOSE_LIMIT_S = 3.0
"""Sequence 4 (car ready): contactor closed, the standard's bound."""

RESULTS_TO_CHANGE = 2
"""Pilot results (one every 10 ms) that must agree before a state counts: one glitch opens nothing, 20 ms opens."""

STABLE_C_S = 0.500
"""C must hold so long before closing: some cars pulse C for 250 ms while they make up their mind."""

STOP_S = 6.0
"""Sequence 10.2: a car that ignores x1 is cut off under load after so long."""

RECLOSE_S = 5.0
"""After the contactor opened: spares the car's charger and the contactor."""

RECLOSE_AFTER_FAULT_S = 30.0
"""After a fault that opened or stopped: a fault that comes and goes must not hammer the contactor."""

DUTY_SPACING_S = 5.0
"""Sequence 6: a car has 5 s to follow a change; no second change before."""

WAKE_UP_AFTER_S = 30.0
"""A.5.3: in B2 so long without C."""
WAKE_UP_PULSE_S = 4.0
"""A.5.3, T_step_EF: state F for at least so long."""

CONTACTOR_FEEDBACK_S = 1.0
"""Mirror contact and load-side voltage must follow the command within so long."""

LOCK_MOVE_S = 1.0
"""A lock motor gets current for at most so long in one move."""
LOCK_PAUSE_S = 1.0
"""Between two tries."""
LOCK_TRIES = 3
LOCK_MOVES = 10
LOCK_MOVES_WINDOW_S = 60.0
"""At most `LOCK_MOVES` moves of one actuator in this time: its rated duty."""

SELF_TEST_PERIOD_S = 24 * 3600.0
"""The residual current devices are tested at least so often (IEC 62955 practice)."""
