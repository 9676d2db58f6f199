"""Pictures of what happened over time: tracks one below the other on a common time axis, as SVG and in characters.

A session is a few hundred points on a few tracks; a plotting library would cost more memory than the rest of the
program. Times are seconds from any origin; values None leave a gap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float | None]]
Scale = Callable[[float], float]
"""From a time or a value to a coordinate."""

COLOURS = ("#0b6fa4", "#c8501e", "#2f8f4e", "#7a4fa0", "#8a6d1d", "#555555")
"""Distinguishable for most colour-blind eyes; dashes tell the lines of a track apart as well."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4")

_LEFT, _RIGHT, _TOP, _TRACK, _GAP = 74, 16, 62, 110, 30
"""Layout of the SVG, in its user units."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `step`: the value holds until the next point."""

    name: str
    points: Points
    step: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One diagram: lines of the same unit."""

    title: str
    unit: str
    series: Sequence[Series]
    low: float | None = None
    """Least value of the axis; None: the least that occurs."""
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, marked across all tracks."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A page of tracks."""

    title: str
    tracks: Sequence[Track]
    events: Sequence[Event] = field(default_factory=tuple)
    clock: bool = False
    """Times are UTC seconds and shown as hours and minutes; else as seconds since the first one."""
    span: tuple[float, float] | None = None
    """From and to; None: what occurs."""

    def time(self, at: float) -> str:
        """As it stands at the axis."""
        start, end = _span(self)
        if self.clock:
            return datetime.fromtimestamp(at, UTC).strftime("%H:%M" if end - start > 1800 else "%H:%M:%S")
        return f"{at - start:.1f} s" if end - start < 100 else f"{at - start:.0f} s"

    def svg(self, width: int = 1000) -> str:
        """The whole page as an SVG document of its own: no script, no outside font or file."""
        start, end = _span(self)
        height = _TOP + len(self.tracks) * (_TRACK + _GAP) + 20 + 15 * len(self.events)
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="{_LEFT}" y="24" font-size="17">{escape(self.title)}</text>',
        ]

        def x(at: float) -> float:
            return _LEFT + (at - start) / (end - start) * (width - _LEFT - _RIGHT)

        for index, track in enumerate(self.tracks):
            out += _svg_track(track, x, _TOP + index * (_TRACK + _GAP), start, end)
        bottom = _TOP + len(self.tracks) * (_TRACK + _GAP)
        for fifth in range(6):
            at_time = start + (end - start) * fifth / 5
            anchor = "start" if fifth == 0 else "end" if fifth == 5 else "middle"
            place = f'x="{x(at_time):.1f}" y="{_TOP - 20}" text-anchor="{anchor}"'
            out.append(f'<text {place} fill="#555">{self.time(at_time)}</text>')
        for number, event in enumerate(self.events, 1):
            at = f"{x(event.at):.1f}"
            out.append(
                f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{bottom - _GAP}" stroke="#999" stroke-dasharray="3 3"/>'
            )
            out.append(f'<text x="{at}" y="{bottom - _GAP + 14}" text-anchor="middle" fill="#555">{number}</text>')
            text = escape(f"{number}  {self.time(event.at)}  {event.text}")
            out.append(f'<text x="{_LEFT}" y="{bottom + 8 + 15 * (number - 1)}" fill="#333">{text}</text>')
        return "\n".join([*out, "</svg>\n"])

    def sketch(self, width: int = 78, height: int = 5) -> list[str]:
        """The tracks in plain ASCII, for a terminal of `width` columns; each line of a track has its own character."""
        start, end = _span(self)
        columns = width - 8
        lines: list[str] = []
        for track in self.tracks:
            low, high = _range(track)
            legend = (
                "  ".join(f"{_MARKS[i]} {s.name}" for i, s in enumerate(track.series)) if len(track.series) > 1 else ""
            )
            lines.append(f"{track.title} ({track.unit})  {legend}".rstrip()[:width])
            rows = [[" "] * columns for _ in range(height)]
            for mark, series in reversed(list(zip(_MARKS, track.series, strict=False))):  # the first is on top
                for column in range(columns):
                    value = _value_at(series, start + (column + 1) / columns * (end - start))
                    if value is not None:
                        row = round((high - value) / (high - low) * (height - 1))
                        rows[min(max(row, 0), height - 1)][column] = mark
            for index, row_cells in enumerate(rows):
                label = high - (high - low) * index / (height - 1)
                lines.append(f"{label:6.4g} |{''.join(row_cells)}".rstrip())
        lines.append(" " * 7 + "+" + "-" * columns)
        first, last = self.time(start), self.time(end)
        lines.append(" " * 8 + first + last.rjust(columns - len(first)))
        return lines


_MARKS = "*o+x#%"


def _span(picture: Picture) -> tuple[float, float]:
    if picture.span is not None:
        return picture.span
    times = [at for track in picture.tracks for series in track.series for at, _ in series.points]
    times += [event.at for event in picture.events]
    if not times:
        return 0.0, 1.0
    return min(times), max(max(times), min(times) + 1e-3)


def _range(track: Track) -> tuple[float, float]:
    values = [value for series in track.series for _, value in series.points if value is not None]
    low = track.low if track.low is not None else min(values, default=0.0)
    high = track.high if track.high is not None else max(values, default=1.0)
    return low, high if high > low else low + 1.0


def _value_at(series: Series, at: float) -> float | None:
    """The last value at or before a time; None before the first."""
    found: float | None = None
    for when, value in series.points:
        if when > at:
            break
        found = value
    return found


def _svg_track(track: Track, x: Scale, top: float, start: float, end: float) -> list[str]:
    low, high = _range(track)
    left, right, bottom = x(start), x(end), top + _TRACK

    def y(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * _TRACK

    title = f"{escape(track.title)} ({escape(track.unit)})"
    out = [f'<text x="{left}" y="{top - 6}">{title}</text>']
    for value in _ticks(low, high):
        out.append(f'<line x1="{left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">{value:g}</text>')
    out.append(f'<rect x="{left}" y="{top}" width="{right - left:.1f}" height="{_TRACK}" fill="none" stroke="#bbb"/>')
    for index, series in enumerate(track.series):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        style = f'fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"'
        out += [f'<polyline {style} points="{line}"/>' for line in _polylines(series, x, y)]
        if len(track.series) > 1:
            at = right - 130 * (len(track.series) - index)
            out.append(f'<line x1="{at:.0f}" x2="{at + 24:.0f}" y1="{top - 10}" y2="{top - 10}" {style}/>')
            out.append(f'<text x="{at + 30:.0f}" y="{top - 6}" fill="#333">{escape(series.name)}</text>')
    return out


def _polylines(series: Series, x: Scale, y: Scale) -> list[str]:
    """One list of coordinates per stretch without a gap."""
    stretches: list[list[str]] = [[]]
    before: float | None = None
    for at, value in series.points:
        if value is None:
            stretches.append([])
        else:
            if series.step and before is not None:
                stretches[-1].append(f"{x(at):.1f},{y(before):.1f}")
            stretches[-1].append(f"{x(at):.1f},{y(value):.1f}")
        before = value
    return [" ".join(stretch) for stretch in stretches if len(stretch) > 1]


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round values within the axis."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]
