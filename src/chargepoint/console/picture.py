"""Pictures of what happened over time: tracks one below the other on a common time axis, drawn and in characters.

A session is a few hundred points on a few tracks; a plotting library would cost more memory than the rest of the
program. Times are seconds from any origin; values None leave a gap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from chargepoint.console import drawing
from chargepoint.console.drawing import Line, Point, Shape, Text, box

GREY: Final = "#555555"
BLACK: Final = "#333333"
Anchor = Literal["start", "middle", "end"]
Points = Sequence[tuple[float, float | None]]
Scale = Callable[[float], float]
"""From a time or a value to a coordinate."""

COLOURS = ("#0b6fa4", "#c8501e", "#2f8f4e", "#7a4fa0", "#8a6d1d", "#555555")
"""Distinguishable for most colour-blind eyes; dashes tell the lines of a track apart as well."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4")

_LEFT, _RIGHT, _TOP, _TRACK, _GAP = 74, 16, 62, 110, 30
"""Layout of a drawing, in its units."""


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
        """The whole page as an SVG document of its own."""
        return drawing.svg(self._shapes(width), width, self._height)

    def png(self, width: int = 1000) -> bytes:
        """The same in pixels. Raises `drawing.NoPng`."""
        return drawing.png(self._shapes(width), width, self._height)

    def write(self, file: Path) -> None:
        """To a file whose name ends in one of `drawing.SUFFIXES`. Raises OSError and `drawing.NoPng`."""
        file.write_bytes(self.png() if file.suffix == ".png" else self.svg().encode())

    @property
    def _height(self) -> int:
        return _TOP + len(self.tracks) * (_TRACK + _GAP) + 20 + 15 * len(self.events)

    def _shapes(self, width: int) -> list[Shape]:
        start, end = _span(self)

        def x(at: float) -> float:
            return _LEFT + (at - start) / (end - start) * (width - _LEFT - _RIGHT)

        out: list[Shape] = [box(0, 0, width, self._height, fill="white"), Text((_LEFT, 24), self.title, size=17)]
        for index, track in enumerate(self.tracks):
            out += _track(track, x, _TOP + index * (_TRACK + _GAP), start, end)
        bottom = _TOP + len(self.tracks) * (_TRACK + _GAP)
        for fifth in range(6):
            at = start + (end - start) * fifth / 5
            anchor: Anchor = "start" if fifth == 0 else "end" if fifth == 5 else "middle"
            out.append(Text((x(at), _TOP - 20), self.time(at), GREY, anchor=anchor))
        for number, event in enumerate(self.events, 1):
            across = ((x(event.at), _TOP), (x(event.at), bottom - _GAP))
            out.append(Line(across, "#999999", dash="3 3"))
            out.append(Text((x(event.at), bottom - _GAP + 14), str(number), GREY, anchor="middle"))
            text = f"{number}  {self.time(event.at)}  {event.text}"
            out.append(Text((_LEFT, bottom + 8 + 15 * (number - 1)), text, BLACK))
        return out

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


def _track(track: Track, x: Scale, top: float, start: float, end: float) -> list[Shape]:
    low, high = _range(track)
    left, right, bottom = x(start), x(end), top + _TRACK

    def y(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * _TRACK

    out: list[Shape] = [Text((left, top - 6), f"{track.title} ({track.unit})")]
    for value in _ticks(low, high):
        out.append(Line(((left, y(value)), (right, y(value))), "#e4e4e4"))
        out.append(Text((left - 6, y(value) + 4), f"{value:g}", GREY, anchor="end"))
    out.append(box(left, top, right - left, _TRACK, "#bbbbbb"))
    for index, series in enumerate(track.series):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        out += [Line(line, colour, 1.6, dash) for line in _polylines(series, x, y)]
        if len(track.series) > 1:
            at = right - 130 * (len(track.series) - index)
            out.append(Line(((at, top - 10), (at + 24, top - 10)), colour, 1.6, dash))
            out.append(Text((at + 30, top - 6), series.name, BLACK))
    return out


def _polylines(series: Series, x: Scale, y: Scale) -> list[list[Point]]:
    """One list of coordinates per stretch without a gap."""
    stretches: list[list[Point]] = [[]]
    before: float | None = None
    for at, value in series.points:
        if value is None:
            stretches.append([])
        else:
            if series.step and before is not None:
                stretches[-1].append((x(at), y(before)))
            stretches[-1].append((x(at), y(value)))
        before = value
    return [stretch for stretch in stretches if len(stretch) > 1]


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round values within the axis."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]
