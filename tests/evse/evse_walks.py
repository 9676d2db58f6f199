"""The alphabets of the walks: each closes over its own part of the world, the machine is always the whole one.

Run as a program it walks all of them to the end and prints the figures; the tests walk the small ones whole.
"""

import sys
import time

from evse_rig import Rig
from evse_walk import Move, Walk, put, release, say

from chargepoint.evse.lock import MotorArbiter

PLUG: Move = ("plug", put(cable=32, pilot="B"))
PLUG_READY: Move = ("plug ready", put(cable=32, pilot="C"))
UNPLUG: Move = ("unplug", put(cable=0, pilot="A"))
PERMIT: Move = ("permit", say(True))
WITHDRAW: Move = ("withdraw", say(False))
HOLD: Move = ("hold", say(False, True))
SECOND: Move = ("permit connector 2", say(True, connector=2))
RELEASE: Move = ("release", release)
B: Move = ("B", put(pilot="B"))
C: Move = ("C", put(pilot="C"))
CAR_END: Move = ("car end out", put(pilot="A"))

FINE = ((0.01, True), (0.6, True), (6.1, True), (31.0, True), (31.0, False))
COARSE = ((0.6, True), (6.1, True), (31.0, True), (31.0, False))

ALPHABETS: dict[str, tuple[list[Move], tuple[tuple[float, bool], ...], dict[str, object]]] = {
    "car and station": ([PLUG, UNPLUG, CAR_END, B, C, PERMIT, WITHDRAW, HOLD], FINE, {}),
    "tethered": ([PLUG, UNPLUG, C, PERMIT, WITHDRAW], FINE, {"socket": False}),
    "contactor": (
        [PLUG_READY, UNPLUG, PERMIT, WITHDRAW, ("weld", put(welded=True)),
         ("no close", put(contactor_follows=False)), ("sound", put(welded=False, contactor_follows=True))], COARSE, {},
    ),
    "lock": (
        [PLUG_READY, UNPLUG, CAR_END, PERMIT, WITHDRAW, RELEASE, ("jam", put(lock_moves=False)),
         ("sound", put(lock_moves=True)), ("opens", put(lock_at=0.5))], COARSE, {},
    ),
    "residual current": (
        [PLUG_READY, UNPLUG, PERMIT, ("trip", put(rdc=True)), ("quiet", put(rdc=False))], COARSE, {},
    ),
    "earth and converter": (
        [PLUG_READY, UNPLUG, PERMIT, ("lost", put(pe_ok=False)), ("silent", put(reference_v=0.0)),
         ("sound", put(pe_ok=True, reference_v=2.5))], COARSE, {},
    ),
    "pilot and proximity": (
        [PLUG_READY, UNPLUG, PERMIT, ("E", put(pilot="E")), ("D", put(pilot="D")), ("13 A", put(cable=13)),
         ("no diode", put(diode=False)), ("diode", put(diode=True))], COARSE, {},
    ),
    "domestic socket": (
        [PLUG_READY, UNPLUG, PERMIT, SECOND, WITHDRAW, ("domestic plug", put(domestic_plug=True)),
         ("domestic unplug", put(domestic_plug=False)), ("weld", put(domestic_welded=True)),
         ("sound", put(domestic_welded=False))], COARSE, {"domestic": True},
    ),
}  # fmt: skip
PAIR = [PLUG_READY, UNPLUG, PERMIT, WITHDRAW]
PAIR_WAITS = ((0.1, True), (0.6, True), (6.1, True))


def walk(name: str, limit: int = 10**9) -> Walk:
    """Walk one alphabet over one point."""
    moves, waits, config = ALPHABETS[name]
    return Walk((Rig(**config),), moves, waits, limit).run()


def walk_pair(limit: int = 10**9) -> Walk:
    """Two points on one lock supply."""
    arbiter = MotorArbiter()
    return Walk((Rig(arbiter, id=1), Rig(arbiter, id=2)), PAIR, PAIR_WAITS, limit).run()


def figures(name: str, done: Walk, seconds: float) -> str:
    """One line for people."""
    end = "whole" if done.whole else "CUT SHORT"
    return (
        f"{name:22} {done.nodes:7} states {done.transitions:8} transitions {done.closings:6} closings "
        f"{len(done.faults):2} faults {seconds:6.1f} s  {end}"
    )


def main() -> int:
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 10**9
    for name in [*ALPHABETS, "two points"]:
        begun = time.monotonic()
        done = walk_pair(limit) if name == "two points" else walk(name, limit)
        print(figures(name, done, time.monotonic() - begun), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
