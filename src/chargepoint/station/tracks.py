"""Keeps what the points did, for pictures of sessions and days: in memory first, on the disk in few, larger pieces.

A sample is taken when something a person would see has changed, and from time to time between; it waits in memory
for at most `KEEP_S`, or until its transaction ends. A power cut costs the last minutes of a picture and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chargepoint.journal.tracks import Row, Sample
from chargepoint.station.clock import Clock
from chargepoint.station.point import Point

KEEP_S: Final = 900.0
KEEP_IDLE_S: Final = 3600.0
"""While no car is there, everywhere: one write an hour."""
EVERY_S: Final = 60.0
"""In a session; a picture of an hour has 60 columns and more."""
EARLY_S: Final = 10.0
"""In its first minutes, in which most happens."""
EARLY_UNTIL_S: Final = 300.0
IDLE_S: Final = 600.0
"""Without a car: to tell a quiet point from a station that was off."""
DUTY_STEP: Final = 0.5
LIMIT_STEP_A: Final = 1.0
LEAST_S: Final = 1.0
MOST: Final = 400
"""Samples in one row; a point that changes without end fills rows no faster than the clock ticks."""


@dataclass(slots=True)
class _Track:
    """What waits of one point."""

    evse: int
    tx: int | None = None
    begun_at: float = 0.0
    """Monotonic: when the first waiting sample was taken."""
    tx_at: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    last: Sample | None = None
    last_at: float = float("-inf")


class Tracks:
    """Event-loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tracks: dict[int, _Track] = {}

    def look(self, points: Mapping[int, Point], supply_a: float, now: float) -> list[Row]:
        """Take what is due; the rows to be written now."""
        rows = self.take_all() if self._full(points, now) else []
        rows += self._take(0, None, Sample(0.0, offered_a=round(supply_a, 1)), IDLE_S, now)
        for point in points.values():
            track = self._tracks.get(point.id)
            tx = point.session.tx
            since = now - track.tx_at if track is not None and track.tx == tx else 0.0
            every = IDLE_S if not point.session.plugged else EARLY_S if since < EARLY_UNTIL_S else EVERY_S
            rows += self._take(point.id, tx, _sample(point), every, now)
        return rows

    def waiting(self) -> list[Row]:
        """What is not written yet."""
        return [self._row(track) for track in self._tracks.values() if track.samples]

    def take_all(self) -> list[Row]:
        """Everything that waits: the program ends."""
        rows = self.waiting()
        for track in self._tracks.values():
            track.samples = []
        return rows

    def _full(self, points: Mapping[int, Point], now: float) -> bool:
        """It is time: for all points at once, in one write."""
        keep_s = KEEP_S if any(point.session.plugged for point in points.values()) else KEEP_IDLE_S
        return any(
            now - track.begun_at >= keep_s or len(track.samples) >= MOST
            for track in self._tracks.values()
            if track.samples
        )

    def _take(self, evse: int, tx: int | None, sample: Sample, every_s: float, now: float) -> list[Row]:
        track = self._tracks.setdefault(evse, _Track(evse))
        done: list[Row] = []
        if track.samples and tx != track.tx:
            done, track.samples = [self._row(track)], []
        if tx != track.tx:
            track.tx, track.tx_at = tx, now
        elif now - track.last_at < (LEAST_S if _differ(track.last, sample) else every_s):
            return done
        if not track.samples:
            track.begun_at = now
        track.samples.append(_at(sample, round(now - track.begun_at, 1)))
        track.last, track.last_at = sample, now
        return done

    def _row(self, track: _Track) -> Row:
        return Row(self._clock.stamp(track.begun_at), track.evse, track.tx, tuple(track.samples))


def _at(sample: Sample, t: float) -> Sample:
    values = {name: getattr(sample, name) for name in sample.__struct_fields__}
    return Sample(**{**values, "t": t})


def _sample(point: Point) -> Sample:
    report, reading = point.report, point.reading
    return Sample(
        0.0,
        report.state if report is not None else "",
        round(report.duty, 1) if report is not None else 100.0,
        point.offered_a if point.permitted else 0.0,
        tuple(None if amps is None else round(amps, 1) for amps in reading.current_a) if reading is not None else (),
        round(reading.power_w) if reading is not None and reading.power_w is not None else None,
        reading.energy_wh if reading is not None else None,
        round(report.temperature_c, 1) if report is not None and report.temperature_c is not None else None,
        point.status.value,
        point.reason,
    )


def _differ(before: Sample | None, now: Sample) -> bool:
    """A person would see it in the picture. Currents and temperature move all the time and wait for the next sample."""
    if before is None:
        return True
    return (
        (before.state, before.status) != (now.state, now.status)
        or abs(before.duty - now.duty) >= DUTY_STEP
        or abs(before.offered_a - now.offered_a) >= LIMIT_STEP_A
    )
