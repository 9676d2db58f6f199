"""Charging profiles combined: the limit at an instant, and the composite schedule over a window.

The rules of OCPP 1.6, 3.13.2 and 3.13.3 with errata 3.28, 3.34, 3.43 to 3.45 and 3.69. Spans are painted over the
window from the highest precedence down, each profile only where none before it had anything to say; so every
period is looked at once. Times are whole UTC seconds. No I/O, no clock.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from math import floor
from operator import attrgetter
from typing import NamedTuple

from chargepoint.energy.profiles import DAY_S, Profile, Profiles

DEFAULT_PHASES = 3
_START = attrgetter("start")


class Level(NamedTuple):
    """A limit as a profile states it."""

    limit: float
    unit: str
    phases: int | None
    profile: int
    """Id of the profile, or -1 for a limit of the station's own."""

    def amps(self, volt: float) -> float:
        """Per phase."""
        return _amps(self.limit, self.unit, self.phases, volt)


Span = tuple[int, int, float | None, str, int | None, int]
"""From the first instant to the second (excluded) a limit holds, or none (None) does; then the rest of its `Level`.

A plain tuple, and flat: thousands are made for one schedule, and a plain one costs a fifth of a named one.
"""


@dataclass(frozen=True, slots=True)
class Now:
    """The limit at an instant, and when it changes next (at the latest a day ahead: then ask again)."""

    level: Level | None
    until: int


@dataclass(frozen=True, slots=True)
class Cap:
    """What a point can give by itself: A per phase, and phases."""

    amps: float
    phases: int = DEFAULT_PHASES
    connector: int = 1
    """Which of its connectors that is: profiles are for one of them."""

    def over(self, begin: int, end: int) -> list[Span]:
        return [(begin, end, self.amps, "A", self.phases, -1)]


@dataclass(frozen=True, slots=True)
class Running:
    """A point's transaction: when it started (UTC seconds), and its id where profiles name one."""

    started: int
    transaction: str | None = None


class ScheduledPeriod(NamedTuple):
    """A period of a composite schedule."""

    start: int
    """Seconds after the begin of the composite schedule."""
    limit: float
    """One decimal, rounded down."""
    phases: int | None


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule, as GetCompositeSchedule reports it."""

    begin: int
    duration: int
    unit: str
    periods: tuple[ScheduledPeriod, ...]


def point_limit(profiles: Profiles, evse: int, at: int, running: Running | None, connector: int = 1) -> Now:
    """What the profiles for a point's transaction (not those for the whole station) allow at `at`."""
    return _first(_point_spans(profiles, evse, at, at + DAY_S, running, connector))


def station_limit(profiles: Profiles, at: int) -> Now:
    """What the profiles for the whole station allow at `at`, for the sum over all points."""
    return _first(paint(profiles.station_chain(), at, at + DAY_S, None))


def composite(
    profiles: Profiles,
    evse: int,
    begin: int,
    duration: int,
    *,
    unit: str,
    volt: float,
    caps: Mapping[int, Cap],
    running: Mapping[int, Running],
) -> Composite:
    """The composite schedule of a point, or (evse 0) of the sum over all points, over `duration` seconds from `begin`.

    `caps` has every point's own limit, which holds where no profile does, and under 0, if given, the station's;
    `running` the transactions there are. Without a transaction the defaults are shown as if one started at `begin`.
    A duration of 0 asks for this instant: one period. Raises KeyError for an evse not in `caps`.
    """
    end = begin + max(1, duration)
    limits = paint(profiles.station_chain(), begin, end, None)
    if evse == 0:
        points = [point for point in caps if point != 0]
        own = _total([_capped(profiles, p, begin, end, caps, running, volt) for p in points], unit, volt)
        if 0 in caps:
            own = _lower(own, caps[0].over(begin, end), volt)
    else:
        own = _capped(profiles, evse, begin, end, caps, running, volt)
    return _report(_lower(own, limits, volt), begin, duration, unit, volt)


def paint(chain: Sequence[Profile], begin: int, end: int, started: int | None) -> list[Span]:
    """What the first of the chain with something to say allows, over the whole window, in order and without holes."""
    gaps = [(begin, end)]
    spans: list[Span] = []
    for profile in chain:
        if not gaps:
            break
        for base, run_begin, run_end in runs(profile, begin, end, started):
            first = max(0, bisect_right(gaps, (run_begin, end + 1)) - 1)
            left: list[tuple[int, int]] = []
            last = first
            while last < len(gaps) and gaps[last][0] < run_end:
                gap_begin, gap_end = gaps[last]
                inner_begin, inner_end = max(gap_begin, run_begin), min(gap_end, run_end)
                if inner_begin >= inner_end:
                    left.append((gap_begin, gap_end))
                else:
                    _add_spans(spans, profile, base, inner_begin, inner_end)
                    if gap_begin < inner_begin:
                        left.append((gap_begin, inner_begin))
                    if inner_end < gap_end:
                        left.append((inner_end, gap_end))
                last += 1
            gaps[first:last] = left
    spans.extend((gap_begin, gap_end, None, "A", None, -1) for gap_begin, gap_end in gaps)
    spans.sort(key=_begin)
    return spans


def runs(profile: Profile, begin: int, end: int, started: int | None) -> Iterator[tuple[int, int, int]]:
    """Each run of a profile's schedule that touches the window: where it is based, begins and ends, clipped to it."""
    base = profile.base(started, begin)
    if base is None:
        return
    begin = max(begin, base, begin if profile.valid_from is None else profile.valid_from)
    end = min(end, end if profile.valid_to is None else profile.valid_to)
    if profile.recurrency is None:
        stop = end if profile.duration is None else min(end, base + profile.duration)
        if begin < stop:
            yield base, begin, stop
        return
    cycle = profile.recurrency.seconds
    length = cycle if profile.duration is None else min(cycle, profile.duration)
    for run in range(base + (begin - base) // cycle * cycle, end, cycle):
        if max(begin, run) < min(end, run + length):
            yield run, max(begin, run), min(end, run + length)


def _begin(span: Span) -> int:
    return span[0]


def _add_spans(spans: list[Span], profile: Profile, base: int, begin: int, end: int) -> None:
    """Append the periods of one run between two instants within it."""
    periods = profile.periods
    first = bisect_right(periods, begin - base, key=_START) - 1
    last = bisect_left(periods, end - base, lo=first + 1, key=_START)
    shown = periods[first:last]
    begins = [base + period.start for period in shown]
    begins[0] = begin
    limits: list[float | None] = [period.limit for period in shown]
    phases = [period.phases for period in shown]
    spans.extend(zip(begins, [*begins[1:], end], limits, repeat(profile.unit), phases, repeat(profile.id)))


def _point_spans(
    profiles: Profiles, evse: int, begin: int, end: int, running: Running | None, connector: int
) -> list[Span]:
    transaction = None if running is None else running.transaction
    chain = profiles.chain(evse, transaction, running is not None, connector)
    return paint(chain, begin, end, begin if running is None else running.started)


def _first(spans: Sequence[Span]) -> Now:
    until, first = spans[0][1], spans[0][2:]
    for span in spans[1:]:
        if span[2:] != first:
            break
        until = span[1]
    return Now(_level(spans[0]), until)


def _level(span: Span) -> Level | None:
    limit = span[2]
    return None if limit is None else Level(limit, *span[3:])


def _amps(limit: float, unit: str, phases: int | None, volt: float) -> float:
    """Per phase; W are divided by the nominal voltage and the profile's own number of phases (errata 3.69)."""
    return limit if unit == "A" else limit / (volt * (phases or DEFAULT_PHASES))


def _watts(limit: float, unit: str, phases: int | None, volt: float) -> float:
    """In all."""
    return limit if unit == "W" else limit * volt * (phases or DEFAULT_PHASES)


def _capped(
    profiles: Profiles,
    evse: int,
    begin: int,
    end: int,
    caps: Mapping[int, Cap],
    running: Mapping[int, Running],
    volt: float,
) -> list[Span]:
    own = _point_spans(profiles, evse, begin, end, running.get(evse), caps[evse].connector)
    return _lower(caps[evse].over(begin, end), own, volt)


def _lower(first: Sequence[Span], second: Sequence[Span], volt: float) -> list[Span]:
    """The lower of two at every instant, in A per phase; where equal, the second's."""
    if len(second) == 1 and second[0][2] is None:
        return list(first)
    if len(first) == 1 and (amps := _span_amps(first[0], volt)) is not None:
        return _below(first[0], amps, second, volt)
    spans: list[Span] = []
    i = j = 0
    while i < len(first) and j < len(second):
        one, two = first[i], second[j]
        one_amps, two_amps = _span_amps(one, volt), _span_amps(two, volt)
        lower = two if two_amps is not None and (one_amps is None or two_amps <= one_amps) else one
        end = min(one[1], two[1])
        spans.append((max(one[0], two[0]), end, *lower[2:]))
        i += one[1] == end
        j += two[1] == end
    return spans


def _span_amps(span: Span, volt: float) -> float | None:
    return None if span[2] is None else _amps(span[2], span[3], span[4], volt)


def _below(cap: Span, amps: float, spans: Sequence[Span], volt: float) -> list[Span]:
    """These spans, and the cap of so many A wherever they have no limit or a higher one."""
    _, _, top, unit, phases, source = cap
    return [
        span
        if (limit := span[2]) is not None
        and (limit if span[3] == "A" else _amps(limit, span[3], span[4], volt)) <= amps
        else (span[0], span[1], top, unit, phases, source)
        for span in spans
    ]


def _total(points: Sequence[Sequence[Span]], unit: str, volt: float) -> list[Span]:
    """The sum over points, each of which has a limit everywhere."""
    rate_of = _amps if unit == "A" else _watts
    edges = sorted({span[0] for spans in points for span in spans} | {points[0][-1][1]})
    at = [0] * len(points)
    total: list[Span] = []
    for begin, end in pairwise(edges):
        rate = 0.0
        for i, spans in enumerate(points):
            while spans[at[i]][1] <= begin:
                at[i] += 1
            _, _, limit, own, phases, _ = spans[at[i]]
            rate += 0.0 if limit is None else rate_of(limit, own, phases, volt)
        total.append((begin, end, rate, unit, None, -1))
    return total


def _report(spans: Sequence[Span], begin: int, duration: int, unit: str, volt: float) -> Composite:
    rate_of = _amps if unit == "A" else _watts
    periods: list[ScheduledPeriod] = []
    last_limit, last_phases = -1.0, None
    for at, _, rate, own, phases, _ in spans:
        if rate is None:
            continue
        limit = round_down(rate if own == unit else rate_of(rate, own, phases, volt))
        if limit != last_limit or phases != last_phases:
            last_limit, last_phases = limit, phases
            periods.append(ScheduledPeriod(at - begin, limit, phases))
    return Composite(begin, duration, unit, tuple(periods))


def round_down(limit: float) -> float:
    """To one decimal, down; a limit already of one decimal stays what it is in spite of binary fractions."""
    return floor(limit * 10 + 1e-6) / 10
