"""The alphabets of the walks: each frees its own part of the inputs, the machine is always the whole one.

    python tests/evse/evse_walks.py [NAME…] [--limit N]

walks them to the end and prints the figures; the tests walk the small ones whole.
"""

import argparse
import gc
import sys
import time

from evse_walk import OBEY, Alphabet, Pair, Walk, Word, acknowledge, give_up, say

from chargepoint.evse.point import Point

PERMIT: Word = ("permit", say(True))
HELD: Word = ("permit and hold", say(True, True))
WITHDRAW: Word = ("withdraw", say(False))
HOLD: Word = ("hold", say(False, True))
SECOND: Word = ("permit connector 2", say(True, connector=2))
RELEASE: Word = ("release", Point.request_unlock)
GIVE_UP: Word = ("give up the release", give_up)
ACKNOWLEDGE: Word = ("acknowledge", acknowledge)

REQUESTS: tuple[Word, ...] = tuple(
    (f"test {what}", lambda point, what=what: point.request_self_test(what)) for what in ("all", "lock", "pilot")
)

READ_BACK = frozenset({"DutyWatch._changed", "DutyWatch._bad_since", "DutyWatch._duty"})
WATCHDOG = frozenset({"CoilWatchdogWatch._since"})
WEAK = frozenset({"VoltageWatch._gap"})
TESTS = frozenset({"SelfTests.rcd_passed_at", "SelfTests._since"})
START = frozenset({"ConverterWatch._started"})
PACE = frozenset({"Offer._changed"})
COUNTS = ("Contactor._signs", "Contactor._lost")
FOLLOWS = frozenset({"Contactor._changed", *COUNTS, *(f"second {count}" for count in COUNTS)})
"""A contactor that obeys does so in time, and gives no sign against its command but in the pass of the command."""
STRAYS = frozenset({"PilotFilter._strays", "ProximityWatch._strays"})
"""Readings that agree on nothing: kept out where they are not the matter, for they multiply the states by three."""
STILL = STRAYS | READ_BACK | WATCHDOG | WEAK | TESTS | START | FOLLOWS
PACED = STILL | PACE
"""Where the pace of the offer is not the matter either: `tethered`, `car and station` and others keep it."""
ASIDE = frozenset({
    "PilotFilter.since", "WakeUp._offered_at", "Lease._until", "Contactor._not_before", "Domestic._since",
    "SelfTests.due",
})  # fmt: skip
"""Free where a car's contactor is alone, and where the domestic one beside it has a contact of its own. Elsewhere such
a timer is over as soon as it begins, a lease ends by a word alone, and the self-tests stay passed."""
CAR = (("A", 0), ("A", 32), ("B", 32), ("C", 32))
READY = (("A", 0), ("C", 32))
TETHERED = {"socket": False}
CONTACT = ((False, False), (True, True), (True, False), (False, True))
ONE_CONTACT = ((False, False), (True, True))
BOTH = (False, True)

ALPHABETS: dict[str, Alphabet] = {
    "car": Alphabet({"pilot": ("A", "C")}, (PERMIT,), TETHERED, PACED),
    "tethered": Alphabet({"pilot": ("A", "B", "C")}, (PERMIT, WITHDRAW), TETHERED, STILL),
    "ventilated": Alphabet({"pilot": ("A", "C", "D")}, (PERMIT, WITHDRAW), {**TETHERED, "ventilated": True}, STILL),
    "straying pilot": Alphabet({"pilot": ("A", "B", "C")}, (PERMIT,), TETHERED, STILL - STRAYS),
    "car and station": Alphabet({"plug": CAR}, (PERMIT, WITHDRAW, HOLD), {}, STILL),
    "diode": Alphabet({"pilot": ("A", "B", "C"), "diode": BOTH}, (PERMIT, WITHDRAW), TETHERED, STILL),
    "pilot short": Alphabet({"pilot": ("A", "C", "E", "F")}, (PERMIT,), TETHERED, PACED),
    "ventilation refused": Alphabet({"pilot": ("A", "C", "D")}, (PERMIT,), TETHERED, PACED),
    "any pilot": Alphabet({"pilot": tuple("ABCDEF"), "diode": BOTH}, (PERMIT,), TETHERED, PACED, spends=False),
    "pilot's voltage": Alphabet({"pilot": ("A", "C", "over", "weak")}, (PERMIT,), TETHERED, STILL - WEAK),
    "proximity": Alphabet(
        {"plug": (("A", 0), ("C", 32), ("C", 0), ("C", 13), ("C", -1))}, (PERMIT,), {}, PACED, spends=False
    ),
    "proximity short": Alphabet({"plug": (("A", 0), ("C", 32), ("C", -1))}, (PERMIT,), {}, PACED),
    "straying proximity": Alphabet(
        {"plug": (("A", 0), ("C", 32), ("C", 20), ("C", 13))}, (PERMIT,), {},
        PACED - {"ProximityWatch._strays"}, spends=False,
    ),
    "contactor": Alphabet({"pilot": ("A", "C"), "contact": CONTACT}, (PERMIT, ACKNOWLEDGE), TETHERED, PACED - FOLLOWS),
    "contactor and plug": Alphabet(
        {"plug": READY, "contact": ONE_CONTACT}, (HELD, ACKNOWLEDGE), {}, PACED - FOLLOWS
    ),
    "lock": Alphabet(
        {"plug": READY, "lock": ("closed", "open", "between")}, (HELD, WITHDRAW, RELEASE, GIVE_UP), {}, PACED,
        wear=True, shared=True,
    ),
    "residual current": Alphabet(
        {"plug": READY, "rcd": BOTH, "rdc": BOTH}, (PERMIT, ACKNOWLEDGE), {}, PACED - TESTS
    ),
    "earth, stop, door": Alphabet(
        {"pilot": ("A", "C"), "pe_ok": BOTH, "stop": BOTH, "door": BOTH}, (PERMIT,), TETHERED, PACED,
        spends=False,
    ),
    "converter and watchdog": Alphabet(
        {"pilot": ("A", "C"), "reference_v": (2.5, 0.0), "armed": BOTH}, (PERMIT,), TETHERED, PACED - WATCHDOG - START
    ),
    "read-back": Alphabet({"pilot": ("A", "B", "C"), "duty": (OBEY, 42.0)}, (PERMIT,), TETHERED, PACED - READ_BACK),
    "temperature": Alphabet(
        {"pilot": ("A", "B", "C"), "temperature_c": (20.0, 66.0, 69.0, 72.0, -200.0)}, (PERMIT,), TETHERED, STILL
    ),
    "self-tests": Alphabet(
        {"pilot": ("A", "C"), "rcd": BOTH}, (PERMIT, ACKNOWLEDGE, *REQUESTS[::2]), TETHERED, PACED - TESTS
    ),
    "lock's self-test": Alphabet(
        {"plug": (("A", 0), ("A", 32)), "lock": ("closed", "open")}, (REQUESTS[1],), {}, PACED
    ),
    "domestic socket alone": Alphabet(
        {"domestic_plug": BOTH, "domestic_contact": BOTH}, (SECOND, WITHDRAW, ACKNOWLEDGE),
        {**TETHERED, "domestic": True}, PACED - FOLLOWS, spends=False,
    ),
    "both connectors": Alphabet(
        {"pilot": ("A", "C"), "domestic_plug": BOTH}, (PERMIT, SECOND, WITHDRAW), {**TETHERED, "domestic": True}, PACED,
        spends=False,
    ),
    "domestic contactor beside a car": Alphabet(
        {"pilot": ("A", "C"), "domestic_plug": BOTH, "domestic_contact": BOTH}, (PERMIT, SECOND, WITHDRAW, ACKNOWLEDGE),
        {**TETHERED, "domestic": True}, PACED - FOLLOWS, spends=False,
    ),
    "contactor beside a domestic socket": Alphabet(
        {"domestic_plug": BOTH, "contact": ONE_CONTACT}, (SECOND, WITHDRAW, ACKNOWLEDGE),
        {**TETHERED, "domestic": True}, PACED - FOLLOWS, spends=False,
    ),
    "car's contactor beside a domestic socket": Alphabet(
        {"pilot": ("A", "C"), "domestic_plug": BOTH, "contact": ONE_CONTACT}, (PERMIT, SECOND, WITHDRAW, ACKNOWLEDGE),
        {**TETHERED, "domestic": True}, PACED - FOLLOWS | ASIDE, spends=False,
        settled=True,
    ),
}  # fmt: skip

LOCKS_ONLY = PACED | {
    "Lease._until",
    "Contactor._not_before",
    "PilotFilter.since",
    "WakeUp._offered_at",
    "Point._car_since",
}
PAIR = Alphabet({"plug": READY}, (HELD, RELEASE), {}, LOCKS_ONLY)
"""Each point with a car that comes and goes, permitted at any time; the locks obey at the end of their travel."""


def figures(name: str, done: Walk | Pair, seconds: float) -> str:
    """One line for people."""
    return (
        f"{name:40} {len(done.seen):9,} states {done.transitions:11,} transitions {done.passes:11,} passes "
        f"{seconds:6.0f} s  {'whole' if done.whole else 'CUT SHORT'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ALPHABETS)}, two points; default all")
    parser.add_argument("--limit", type=int, default=10**9, help="stop at so many states")
    options = parser.parse_args()
    gc.disable()  # nothing here goes round in a circle, and looking through a million states takes its time
    for name in options.names or [*ALPHABETS, "two points"]:
        begun = time.monotonic()
        if name == "two points":
            pair = Pair(PAIR).run()
            print(figures(name, pair, time.monotonic() - begun), flush=True)
            continue
        done = Walk(ALPHABETS[name], options.limit).run()
        done.repeats(200)
        left, served = done.every_state_can_be_left(), done.every_sound_car_gets_power()
        print(figures(name, done, time.monotonic() - begun), flush=True)
        told = f"every state can be left ({left:,} passes), a sound car gets power from each ({served:,})"
        print(f"{'':40} {told}; faults met: {', '.join(sorted(done.faults)) or 'none'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
