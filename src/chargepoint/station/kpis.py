"""What the borne counts of itself: figures an operator judges it by. Kept across restarts, written seldom.

Each figure is a name with labels, as Prometheus writes them: `plug_ins_total{evse="1"}`. `status --json` shows the same
names, and the text file is for node_exporter's textfile collector. Points are looked at whenever something has changed;
nothing in the session's way waits for this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chargepoint.connectors import DOMESTIC
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.point import Point

FIRST_TRY_S: Final = 60.0
"""A healthy car draws current within this time after its session has begun."""
DRAWS_A: Final = 1.0
DAYS_KEPT: Final = 62
DOWN: Final = frozenset({ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE})


@dataclass(slots=True)
class _Seen:
    """What was seen of a point last time."""

    state: str = "idle"
    car: str | None = None
    tx: int | None = None
    asked_at: float = 0.0
    """When plug and authorisation were both there."""
    powered: bool = False
    drew: bool = False
    judged: bool = False
    faults: dict[str, float] = field(default_factory=dict)
    """Since when each of them is seen."""
    last_fault: str = ""


@dataclass(slots=True)
class Kpis:
    """The counters, and the availability of each point by day."""

    figures: dict[str, float] = field(default_factory=dict)
    days: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Date (UTC) to point to seconds [in service and free of faults, observed]."""
    changed: bool = False
    """There is something that is not on the disk."""
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _last_tick: float | None = None

    def add(self, name: str, amount: float = 1, **labels: str | int) -> None:
        """Count. A figure begins at 0."""
        key = _key(name, labels)
        self.figures[key] = self.figures.get(key, 0) + amount
        self.changed = True

    def set(self, name: str, value: float, **labels: str | int) -> None:
        """A figure that is measured elsewhere."""
        self.figures[_key(name, labels)] = value

    def look(self, points: Iterable[Point], now: float) -> None:
        """Note what has become of the points since the last look."""
        for point in points:
            self._look_at(point, self._seen.setdefault(point.id, _Seen()), now)

    def _look_at(self, point: Point, seen: _Seen, now: float) -> None:
        session, evse, where = point.session, point.id, _where(point)
        faults = {f.name: seen.faults.get(f.name, now) for f in point.faults}
        for name in faults.keys() - seen.faults.keys():
            self.add("faults_total", evse=evse, fault=name)
        for name in seen.faults.keys() - faults.keys():
            self.add("faults_cleared_total", evse=evse, fault=name)
            self.add("fault_seconds_total", round(now - seen.faults[name], 1), evse=evse, fault=name)
        worst = point.fault()
        if worst is not None:
            seen.last_fault = worst.name
        if session.car is not None and session.car != seen.car:
            self.add("plug_ins_total", **where)
        if session.state == "starting" and seen.state != "starting":
            seen.asked_at, seen.powered, seen.drew, seen.judged, seen.last_fault = now, False, False, False, ""
        if session.tx is not None and session.tx != seen.tx:
            self.add("sessions_total", **where, how=session.grant.how if session.grant is not None else "resumed")
        if session.state == "running":
            self._running(point, seen, now)
        if seen.tx is not None and session.tx is None:
            self._judge(seen, point, "no")
            self.add(
                "sessions_ended_total", **where, reason=point.ended_by.value, fault=self._ending_fault(point, seen)
            )
        seen.faults, seen.car, seen.tx, seen.state = faults, session.car, session.tx, session.state

    def _running(self, point: Point, seen: _Seen, now: float) -> None:
        report, reading = point.report, point.reading
        on = report is not None and (report.contactor_closed or report.domestic_closed)
        if on and not seen.powered and seen.asked_at > 0:
            seen.powered = True
            self.add("start_to_power_seconds_sum", round(now - seen.asked_at, 2), **_where(point))
            self.add("start_to_power_seconds_count", **_where(point))
        if reading is not None and max((a for a in reading.current_a if a is not None), default=0.0) > DRAWS_A:
            seen.drew = True
        if seen.drew:
            self._judge(seen, point, "yes")
        elif now - seen.asked_at > FIRST_TRY_S:
            self._judge(seen, point, "no")

    def _judge(self, seen: _Seen, point: Point, success: str) -> None:
        """First-try success: current flowed within a minute of the start. Once a session."""
        if not seen.judged and seen.asked_at > 0:
            seen.judged = True
            self.add("first_try_total", **_where(point), success=success)

    def _ending_fault(self, point: Point, seen: _Seen) -> str:
        return seen.last_fault if point.ended_by.value in ("Other", "EmergencyStop") else ""

    def tick(self, points: Iterable[Point], online: bool, utc: datetime, now: float) -> None:
        """Time has passed: availability and offline seconds."""
        elapsed = 0.0 if self._last_tick is None else min(10.0, max(0.0, now - self._last_tick))
        self._last_tick = now
        if elapsed == 0.0:
            return
        if not online:
            self.add("offline_seconds_total", elapsed)
        day = self.days.setdefault(utc.astimezone(UTC).date().isoformat(), {})
        for point in points:
            up = day.setdefault(str(point.id), [0.0, 0.0])
            up[0] += 0.0 if point.status in DOWN else elapsed
            up[1] += elapsed
        self.changed = True
        if len(self.days) > DAYS_KEPT:
            oldest = (utc - timedelta(days=DAYS_KEPT)).date().isoformat()
            self.days = {date: value for date, value in self.days.items() if date > oldest}

    def as_json(self) -> dict[str, Any]:
        """For `status --json` and for the journal."""
        return {"figures": dict(sorted(self.figures.items())), "days": self.days}

    def load(self, kept: Mapping[str, Any] | None) -> None:
        """What was kept before. Figures of another shape are left out."""
        kept = kept or {}
        self.figures = {str(k): float(v) for k, v in kept.get("figures", {}).items() if isinstance(v, int | float)}
        self.days = {
            str(date): {str(evse): [float(pair[0]), float(pair[1])] for evse, pair in day.items() if len(pair) == 2}
            for date, day in kept.get("days", {}).items()
        }

    def prometheus(self) -> str:
        """Prometheus' text format, every name with the prefix `chargepoint_`; the samples of a name stand together."""
        samples: dict[str, list[str]] = {}
        for key, value in sorted(self.figures.items()):
            samples.setdefault(key.partition("{")[0], []).append(f"chargepoint_{key} {value:.10g}")
        for date in sorted(self.days)[-1:]:
            for evse, (up, observed) in sorted(self.days[date].items()):
                ratio = f'chargepoint_available_ratio{{evse="{evse}"}} {up / observed if observed else 1:.6g}'
                samples.setdefault("available_ratio", []).append(ratio)
        lines: list[str] = []
        for name in sorted(samples):
            kind = "counter" if name.endswith(("_total", "_sum", "_count")) else "gauge"
            lines += [f"# TYPE chargepoint_{name} {kind}", *samples[name]]
        return "\n".join(lines) + "\n"


def _where(point: Point) -> dict[str, int]:
    """The labels of a point's figure: those of its domestic socket name the connector too."""
    return {"evse": point.id} | ({"connector": DOMESTIC} if point.used.number == DOMESTIC else {})


def _key(name: str, labels: Mapping[str, str | int]) -> str:
    if not labels:
        return name
    inside = ",".join(f'{label}="{_escaped(str(value))}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
