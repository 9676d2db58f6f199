"""The loads a car, a cable and a broken cable put on the control pilot.

Resistors are those of the EVSE test of IEC 61851-1 ed.3 Table A.9: R2 behind the diode in state B,
R3 parallel to it in C, the ventilation resistor parallel to both in D, each at minimum, nominal and
maximum.
"""

from dataclasses import dataclass

R_B = {"min": 1870.0, "nom": 2740.0, "max": 4610.0}
R_C = {"min": 909.0, "nom": 1300.0, "max": 1723.0}
R_D = {"min": 140.0, "nom": 270.0, "max": 448.0}

CABLES_F = (0.0, 1500e-12)
"""Between nothing plugged on and the longest cable of Table A.2."""

DUTIES = (5.0, 10.0, 26.7, 53.3, 85.0, 96.0, 100.0)
"""Percent; 100 is the steady +12 V of states x1."""


def parallel(*ohms: float) -> float:
    return 1.0 / sum(1.0 / r for r in ohms)


@dataclass(frozen=True)
class Load:
    """What hangs between pilot and protective earth."""

    state: str
    """A..F, or what is broken."""
    corner: str
    behind_diode_ohm: float | None = None
    across_ohm: float | None = None
    """Straight from pilot to earth, past the diode."""
    steady_low: bool = False
    """The generator stands at -12 V (state F)."""


def estimate_v(load: Load, generator_v: float, source_ohm: float = 1000.0) -> float:
    """Pilot voltage to within some 0.3 V, from which the simulation starts."""
    if load.across_ohm is not None:
        return generator_v * load.across_ohm / (load.across_ohm + source_ohm)
    if load.behind_diode_ohm is None or generator_v < 0:
        return generator_v
    diode_v = 0.7
    return generator_v - (generator_v - diode_v) * source_ohm / (load.behind_diode_ohm + source_ohm)


def loads() -> tuple[Load, ...]:
    """Every load of the tables. C takes R2 and R3 at their limits together, D all three."""
    out = [Load("A", "nom")]
    out += [Load("B", corner, R_B[corner]) for corner in R_B]
    out += [Load("C", corner, parallel(R_B[corner], R_C[corner])) for corner in R_C]
    out += [Load("D", corner, parallel(R_B["nom"], R_C["nom"], R_D[corner])) for corner in R_D]
    # The short of the test is 80 ohm at most (sequence 12), on either side of the car's diode.
    out += [Load("E", "short", across_ohm=1.0), Load("E", "80ohm", across_ohm=80.0)]
    out += [Load("E-after-diode", "short", behind_diode_ohm=1.0)]
    out += [Load("F", "nom", steady_low=True), Load("F", "B", R_B["nom"], steady_low=True)]
    out += [Load("C-no-diode", c, across_ohm=parallel(R_B[c], R_C[c])) for c in R_C]
    return tuple(out)
