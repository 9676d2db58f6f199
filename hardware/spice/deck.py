"""The ngspice deck of one point's pilot: driver, socket, car, divider, peak detectors, mean.

Nodes worth watching: `cp` (the socket's pilot contact), `hi` and `lo` (the two held peaks at the ADC),
`gm` (the generator's mean at the ADC).
"""

from dataclasses import dataclass

from hardware.spice.car import Load, estimate_v
from hardware.spice.values import Values

PERIOD_S = 1e-3
"""IEC 61851-1 Table A.2: 1000 Hz."""


@dataclass(frozen=True)
class Event:
    """A change of the load at `at_s`: the first load leaves, `after` takes its place."""

    at_s: float
    after: Load


def op_amp(v: Values) -> str:
    """One pole, a slew limit and hard rails; recovers from saturation at its slew rate."""
    gbw, slew, vos = v["detector"]["gbw_hz"], v["detector"]["slew_v_s"], v["detector"]["offset_v"]
    c = 10e-12
    gm, i_max = 6.2832 * gbw * c, slew * c
    return f"""
.subckt opa inp inn out
Bg 0 x I={i_max:g}*tanh({gm / i_max:g}*(V(inp)-V(inn)+{vos:g}))
Cx x 0 {c:g} IC=1.5
Rx x 0 1e9
Dp x xp dc
Vp xp 0 11.3
Dn xn x dc
Vn xn 0 -11.3
Bo o1 0 V=V(x)
Ro o1 out 60
.ends
.model dc D(IS=1e-12 N=0.1)
"""


def _load(load: Load, name: str, node: str, gate: str | None) -> str:
    """A load, through a switch controlled by `gate` where it comes or goes."""
    lines = []
    at = node
    if gate is not None:
        lines.append(f"S{name} {node} {name}0 {gate} 0 sw")
        at = f"{name}0"
        lines.append(f"R{name}0 {at} 0 1e8")
    if load.across_ohm is not None:
        lines.append(f"R{name}x {at} 0 {load.across_ohm:g}")
    if load.behind_diode_ohm is not None:
        lines += [f"D{name} {at} {name}1 dcar", f"R{name}d {name}1 0 {load.behind_diode_ohm:g}"]
    return "\n".join(lines)


def pilot(
    v: Values, load: Load, duty: float, cable_f: float, stop_s: float, measures: str, event: Event | None = None
) -> str:
    """The whole deck; `measures` are .meas lines. The holds start 30 mV short of their peaks."""
    p, d, det, m, rails = v["pilot"], v["divider"], v["detector"], v["mean"], v["rails"]
    high_s = duty / 100 * PERIOD_S
    if load.steady_low:
        drive = "Vpwm pwm 0 0"
    elif duty >= 100:
        drive = "Vpwm pwm 0 3.3"
    else:
        edge = p["driver_edge_s"]
        drive = f"Vpwm pwm 0 PULSE(0 3.3 0 {edge:g} {edge:g} {high_s - edge:g} {PERIOD_S:g})"
    mean_start = 0.11 * (rails["pilot_neg_v"] + (rails["pilot_pos_v"] - rails["pilot_neg_v"]) * duty / 100) + 1.65
    if load.steady_low:
        mean_start = 0.11 * rails["pilot_neg_v"] + 1.65
    steady = rails["pilot_neg_v"] if load.steady_low else rails["pilot_pos_v"]
    low = steady if load.steady_low or duty >= 100 else rails["pilot_neg_v"]
    hi_start = 0.11 * estimate_v(load, steady) + 1.65 - 0.03
    lo_start = 0.11 * estimate_v(load, low) + 1.65 + 0.03
    coming = ""
    if event is not None:
        at = event.at_s
        coming = f"Vgo go 0 PULSE(1 0 {at:g} 1u 1u 1 2)\nVcome come 0 PULSE(0 1 {at:g} 1u 1u 1 2)\n"
        coming += _load(event.after, "L2", "cp", "come")
    divider = f"""
Vref ref 0 {rails["reference_v"]:g}
Ra cp u {d["R_A"]:g}
Rb ref u {d["R_B"]:g}
Rc u 0 {d["R_C"]:g}
Cin u 0 {d["C_IN"]:g} IC={0.11 * estimate_v(load, low) + 1.65:g}
Xb u bu bu opa
"""
    detectors = f"""
Xp bu pa po opa
Dhp po pa dh
Rpa pa hi {det["R_ATTACK"]:g}
Chp hi 0 {det["C_HOLD"]:g} IC={hi_start:g}
Rkeep hi 0 {det["R_KEEP"]:g}
Rbl hi bl {det["R_BLEED"]:g}
Sbl bl 0 pwm 0 swb
Ilp hi 0 {det["I_LEAK"]:g}
Xn bu na no opa
Dhn na no dh
Rna lo na {det["R_ATTACK"]:g}
Chn lo 0 {det["C_HOLD"]:g} IC={lo_start:g}
Rrise ref lo {det["R_RISE"]:g}
Iln 0 lo {det["I_LEAK"]:g}
"""
    mean = f"""
Rma g m1 {m["R_A"]:g}
Rmb ref m1 {m["R_B"]:g}
Rmc m1 0 {m["R_C"]:g}
Cm1 m1 0 {m["C_1"]:g} IC={mean_start:g}
Rm2 m1 gm {m["R_2"]:g}
Cm2 gm 0 {m["C_2"]:g} IC={mean_start:g}
"""
    return f"""* control pilot of one point: {load.state} {load.corner}, {duty:g} %, cable {cable_f * 1e12:g} pF
{drive}
Bg g0 0 V={rails["pilot_neg_v"]:g}+({rails["pilot_pos_v"] - rails["pilot_neg_v"]:g})*V(pwm)/3.3
Rdrv g0 g {p["driver_ohm"]:g}
Rcp g cp {p["R_CP"]:g}
Ccp cp 0 {p["C_CP"] + p["C_TVS"] + cable_f + 1e-12:g} IC={estimate_v(load, low):g}
{_load(load, "L1", "cp", "go" if event else None)}
{coming}{divider}{detectors}{mean}
{op_amp(v)}
.model dcar D(IS=3e-9 N=1.9 RS=0.8 TT=4n)
.model dh D(IS=2e-9 N=1.8 RS=1 CJO=2p TT={det["transit_s"]:g})
.model sw SW(VT=0.5 VH=0.1 RON=0.5 ROFF=1e9)
.model swb SW(VT=1.2 VH=0.1 RON=20 ROFF=5e9)
.options method=gear reltol=2e-3 abstol=1e-11 vntol=1e-5 itl4=60
.tran 2u {stop_s:g} 0 5u UIC
{measures}
.end
"""
