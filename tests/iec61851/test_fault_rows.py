"""What each fault does and how it goes, written down a second time: a row is not altered by accident.

Why each row is as it is stands in `docs/safety.md` and beside the row; here a change must be made on purpose.
"""

import pytest

from chargepoint.faults import FAULTS, Effect, Recover, row_of

OPEN, STOP, DERATE, REPORT = Effect.OPEN, Effect.STOP, Effect.DERATE, Effect.REPORT
SELF, UNPLUG, TECHNICIAN = Recover.SELF, Recover.UNPLUG, Recover.TECHNICIAN

ROWS: dict[str, tuple[Effect, Recover, float, int]] = {
    "diode": (OPEN, UNPLUG, 0.0, 0),
    "pilot-short": (OPEN, SELF, 5.0, 3),
    "pilot-voltage": (OPEN, SELF, 5.0, 3),
    "ventilation-required": (OPEN, SELF, 10.0, 3),
    "cable-cut": (OPEN, UNPLUG, 0.0, 0),
    "pwm-wrong": (OPEN, SELF, 10.0, 3),
    "pp-open": (OPEN, SELF, 5.0, 3),
    "pp-short": (OPEN, SELF, 5.0, 3),
    "pp-changed": (OPEN, UNPLUG, 0.0, 0),
    "pe-lost": (OPEN, SELF, 5.0, 3),
    "residual-current": (OPEN, TECHNICIAN, 0.0, 0),
    "residual-current-dc": (OPEN, TECHNICIAN, 0.0, 0),
    "rcd-test-fails": (OPEN, TECHNICIAN, 0.0, 0),
    "contactor-welded": (OPEN, TECHNICIAN, 0.0, 0),
    "contactor-stuck-open": (OPEN, SELF, 240.0, 3),
    "contactor-drops": (OPEN, SELF, 10.0, 3),
    "domestic-contactor": (OPEN, TECHNICIAN, 0.0, 0),
    "lock-jam": (OPEN, UNPLUG, 0.0, 0),
    "lock-stuck": (OPEN, SELF, 0.0, 0),
    "lock-opens": (OPEN, UNPLUG, 0.0, 0),
    "temperature-derating": (DERATE, SELF, 0.0, 0),
    "over-temperature": (STOP, SELF, 0.0, 0),
    "temperature-sensor": (STOP, SELF, 10.0, 0),
    "adc-silent": (OPEN, SELF, 10.0, 3),
    "coil-watchdog": (OPEN, SELF, 5.0, 0),
    "emergency-stop": (OPEN, SELF, 15.0, 0),
    "door-open": (OPEN, SELF, 5.0, 0),
    "board-mismatch": (OPEN, SELF, 30.0, 0),
    "loop-overrun": (OPEN, SELF, 60.0, 0),
    "self-test-failed": (OPEN, SELF, 0.0, 0),
    "memory-damaged": (REPORT, SELF, 0.0, 0),
    "lease-ended": (STOP, SELF, 0.0, 0),
    "unknown-latch": (OPEN, TECHNICIAN, 0.0, 0),
    "controller-silent": (OPEN, SELF, 0.0, 0),
    "controller-disobeys": (OPEN, SELF, 0.0, 0),
    "controller-fault": (OPEN, SELF, 0.0, 0),
    "over-current": (STOP, UNPLUG, 0.0, 0),
    "over-voltage": (STOP, SELF, 30.0, 0),
    "under-voltage": (STOP, SELF, 30.0, 0),
    "phase-lost": (STOP, SELF, 30.0, 0),
    "meter-lost": (REPORT, SELF, 0.0, 0),
    "reader-lost": (REPORT, SELF, 0.0, 0),
    "tic-lost": (REPORT, SELF, 0.0, 0),
    "building-meter-lost": (REPORT, SELF, 0.0, 0),
    "backend-offline": (REPORT, SELF, 0.0, 0),
    "disk-full": (REPORT, SELF, 0.0, 0),
    "state-in-memory": (REPORT, SELF, 0.0, 0),
    "database-damaged": (REPORT, TECHNICIAN, 0.0, 0),
    "clock-unsynchronised": (REPORT, SELF, 0.0, 0),
    "safe-mode": (STOP, SELF, 0.0, 0),
    "evse-process-lost": (STOP, SELF, 0.0, 0),
}
"""Name: effect, recovery, quiet time in s, how often per plug-in it may go by itself (0: no bound)."""

LATCHING = {
    "residual-current", "residual-current-dc", "rcd-test-fails", "contactor-welded", "domestic-contactor",
    "unknown-latch",
}  # fmt: skip
WHOLE_BORNE = {
    "coil-watchdog", "emergency-stop", "door-open", "board-mismatch", "loop-overrun", "memory-damaged", "reader-lost",
    "tic-lost", "building-meter-lost", "backend-offline", "disk-full", "state-in-memory", "database-damaged",
    "clock-unsynchronised", "safe-mode", "evse-process-lost",
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_does_and_recovers_as_written_down(name: str) -> None:
    row = FAULTS[name]
    assert (row.effect, row.recover, row.after_s, row.count) == ROWS[name]


def test_no_fault_is_missing() -> None:
    assert FAULTS.keys() == ROWS.keys()


def test_danger_found_survives_a_power_cut() -> None:
    assert {name for name, row in FAULTS.items() if row.latching} == LATCHING


def test_what_belongs_to_no_point_is_told_for_the_whole_borne() -> None:
    assert {name for name, row in FAULTS.items() if row.whole_borne} == WHOLE_BORNE


def test_only_what_charges_less_or_nothing_but_waits_is_not_shown_as_faulted() -> None:
    stops = {name for name, row in FAULTS.items() if row.effect in (OPEN, STOP)}
    assert {name for name, row in FAULTS.items() if row.faulted} == stops - {"lease-ended"}
    assert {name for name, row in FAULTS.items() if row.pauses} == {"over-temperature"}


def test_a_row_that_is_not_there_is_a_latched_one_under_the_same_name() -> None:
    row = row_of("melted-busbar")
    assert (row.name, row.recover, row.latching, row.faulted) == ("melted-busbar", Recover.TECHNICIAN, True, True)
    assert row_of("pe-lost") is FAULTS["pe-lost"]
