"""Replays the days of `tests/energy/energy_days.py` through the whole borne, under each policy.

`./dev run python docs/draw_days.py [DAY...]` takes about a minute for each day and policy. It writes one picture a
day into `docs/sharing/`, the figures into `docs/sharing/days.json`, and the tables of all days into `docs/sharing.md`
between the two marks. `DAY ours` replays under that policy alone; `tables` writes the tables alone.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "energy"))
from energy_days import DAYS, Day, Outcome, Sample
from stack_days import POLICIES, figures, replay_whole

HERE = Path(__file__).parent
FIGURES = HERE / "sharing" / "days.json"
SAMPLE_S = 30.0
WIDTH, LEFT, RIGHT = 860, 46, 18
PANEL, GAP, TOP = 130, 40, 44
NARROW = 50
"""A shade narrower than this has no words."""
PHASES = ("#b5651d", "#444444", "#8a8f98")
"""Colours near those of the conductors: brown, black, grey."""
POINTS = ("#1f77b4", "#2ca02c", "#9467bd")
BEGIN, END = "<!-- days: made by draw_days.py -->", "<!-- end of days -->"


class Panel:
    """One diagram: time across, amperes up."""

    def __init__(self, outcome: Outcome, row: int, title: str, most: float) -> None:
        self.day = outcome.day
        self.top = TOP + row * (PANEL + GAP)
        self.most = most
        self.parts = [f'<text x="{LEFT}" y="{self.top - 6}" class="t">{escape(title)}</text>']
        self._grid()

    def x(self, at: float) -> float:
        return LEFT + (at - self.day.begin) / (self.day.end - self.day.begin) * (WIDTH - LEFT - RIGHT)

    def y(self, amps: float) -> float:
        return self.top + PANEL * (1 - min(amps, self.most) / self.most)

    def _grid(self) -> None:
        step = 10 if self.most > 30 else 5
        for amps in range(0, int(self.most) + 1, step):
            y = self.y(amps)
            self.parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" class="g"/>')
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="a" text-anchor="end">{amps} A</text>')
        hour = int(-(-self.day.begin // 3600))
        while hour * 3600 <= self.day.end:
            x = self.x(hour * 3600)
            self.parts.append(f'<path d="M{x:.1f} {self.top}v{PANEL}" class="g"/>')
            self.parts.append(
                f'<text x="{x:.1f}" y="{self.top + PANEL + 13}" class="a" text-anchor="middle">{hour} h</text>'
            )
            hour += 1

    def line(self, points: list[tuple[float, float]], colour: str, style: str = "", steps: bool = False) -> None:
        """A line through (time, amperes); of equal neighbours only the ends are drawn."""
        kept = [
            p
            for i, p in enumerate(points)
            if not 0 < i < len(points) - 1 or not points[i - 1][1] == p[1] == points[i + 1][1]
        ]
        path = f"M{self.x(kept[0][0]):.1f} {self.y(kept[0][1]):.1f}"
        for at, amps in kept[1:]:
            path += f"H{self.x(at):.1f}V{self.y(amps):.1f}" if steps else f"L{self.x(at):.1f} {self.y(amps):.1f}"
        self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}" {style}/>')

    def shade(self, begin: float, end: float, text: str) -> None:
        x = self.x(begin)
        self.parts.insert(
            0, f'<rect x="{x:.1f}" y="{self.top}" width="{self.x(end) - x:.1f}" height="{PANEL}" fill="#fbe9e7"/>'
        )
        if self.x(end) - x > NARROW:
            self.parts.append(f'<text x="{x + 3:.1f}" y="{self.top + 12}" class="a">{escape(text)}</text>')


def picture(outcome: Outcome) -> str:
    """A day as SVG: the connection above, each point below."""
    day, samples = outcome.day, outcome.samples
    most = max(day.subscribed_a * 1.15, max(max(s.load) for s in samples) + 2)
    whole = Panel(
        outcome, 0, "the connection: L1 brown, L2 black, L3 grey; red: subscribed; dashed: room of the borne", most
    )
    for i, colour in enumerate(PHASES):
        whole.line([(s.at, s.load[i]) for s in samples], colour)
    whole.line([(day.begin, day.subscribed_a), (day.end, day.subscribed_a)], "#c62828")
    whole.line([(s.at, s.limit) for s in samples], "#c62828", 'stroke-dasharray="5 3" stroke-opacity="0.7"', steps=True)
    for begin, end in day.silent:
        whole.shade(begin, end, "Linky silent")
    panels = [whole]
    for i in range(len(samples[0].offered)):
        panels.append(_point(outcome, i, samples))
    height = TOP + len(panels) * (PANEL + GAP)
    style = (
        "text{font:11px sans-serif;fill:#333}.t{font-weight:bold}"
        ".a{font-size:10px;fill:#666}.g{stroke:#e4e4e4;fill:none}"
    )
    body = "\n".join("\n".join(panel.parts) for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f"<style>{style}</style>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n<text x="{LEFT}" y="18" style="font-size:14px" class="t">'
        f"{escape(day.title)}</text>\n{body}\n</svg>\n"
    )


def _point(outcome: Outcome, i: int, samples: list[Sample]) -> Panel:
    day = outcome.day
    names = ", ".join(f"{s.visit.name} {s.energy_wh / 1000:.1f} kWh" for s in outcome.stays if s.visit.point == i + 1)
    panel = Panel(outcome, i + 1, f"point {i + 1} ({day.wirings[i]}): line offered, full drawn; {names}", 34.0)
    path = "M" + "L".join(f"{panel.x(s.at):.1f} {panel.y(s.drawn[i]):.1f}" for s in samples)
    zero = panel.y(0)
    colour = POINTS[i % len(POINTS)]
    panel.parts.append(
        f'<path d="{path}L{panel.x(samples[-1].at):.1f} {zero:.1f}L{panel.x(samples[0].at):.1f} {zero:.1f}Z"'
        f' fill="{colour}" fill-opacity="0.25"/>'
    )
    panel.line([(s.at, s.offered[i]) for s in samples], colour, steps=True)
    for id, begin, end, factor in day.derate:
        if id == i + 1:
            panel.shade(begin, end, f"{factor * 32:g} A, hot" if factor else "too warm")
    for id, begin, end in day.meter_dead:
        if id == i + 1:
            panel.shade(begin, end, "its meter is dead")
    return panel


def main(words: list[str]) -> None:
    """Replay the days named (all without a name), and write what came of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    policies = [policy for policy in POLICIES if policy in words] or list(POLICIES)
    names = set(words) - set(POLICIES)
    for day in DAYS:
        if names and day.name not in names:
            continue
        for policy in policies:
            outcome = asyncio.run(replay_whole(day, policy, sample_s=SAMPLE_S if policy == "ours" else 0.0))
            keep(day, policy, summary(outcome))
            if policy == "ours":
                (FIGURES.parent / f"{day.name}.svg").write_text(picture(outcome))
    write_page(known())


def known() -> dict[str, Any]:
    """The figures kept so far."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def keep(day: Day, policy: str, found: dict[str, Any]) -> None:
    """Put these figures in their place among the others."""
    kept = known()
    own = {**kept.get(day.name, {}), policy: found}
    kept[day.name] = {policy: own[policy] for policy in POLICIES if policy in own}
    FIGURES.write_text(json.dumps({d.name: kept[d.name] for d in DAYS if d.name in kept}, indent=1) + "\n")


def summary(outcome: Outcome) -> dict[str, Any]:
    """What is kept of a day under a policy."""
    return {
        "kwh": round(outcome.energy_kwh, 2),
        "longest_wait_s": round(outcome.worst_wait_s),
        "excess_s": round(outcome.excess_s),
        "longest_excess_s": round(outcome.longest_excess_s),
        "pilot_changes": sum(stay.changes for stay in outcome.stays),
        "faults": sorted(outcome.faults),
        "cars": figures(outcome),
    }


def write_page(kept: dict[str, Any]) -> None:
    """The tables, between the page's two marks."""
    rows = [
        "| day | policy | energy | longest wait | above the limit, in all | longest | pilot changes |",
        "|---|---|---|---|---|---|---|",
    ]
    pages = []
    for day in DAYS:
        if "ours" not in kept.get(day.name, {}):
            continue
        for policy, found in kept[day.name].items():
            name = f"[{day.name}](#{day.name})" if policy == next(iter(kept[day.name])) else ""
            rows.append(
                f"| {name} | {policy} | {found['kwh']:.1f} kWh | {found['longest_wait_s'] / 60:.1f} min "
                f"| {found['excess_s']} s | {found['longest_excess_s']} s | {found['pilot_changes']} |"
            )
        ours = kept[day.name]["ours"]
        told = f"\n\nThe borne complained of: {', '.join(ours['faults'])}." if ours["faults"] else ""
        image = f"![{day.title}](sharing/{day.name}.svg)"
        pages.append(f"### {day.name}\n{day.title}.\n\n{image}\n\n{_cars(day, ours['cars'])}{told}")
    page = HERE / "sharing.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(rows) + "\n\n" + "\n\n".join(pages) + f"\n{END}{after}")


def _cars(day: Day, cars: dict[str, Any]) -> str:
    rows = [
        "| car | point | plugged | energy | first current after | longest wait | pilot changes |",
        "|---|---|---|---|---|---|---|",
    ]
    for visit, car in zip(day.visits, cars.values(), strict=True):
        started = "never" if car["start_s"] is None else f"{car['start_s']} s"
        plugged = f"{_clock(visit.arrives)} to {_clock(visit.leaves)}"
        rows.append(
            f"| {visit.name} | {visit.point} | {plugged} | {car['kwh']:.1f} kWh | {started} "
            f"| {car['longest_wait_s'] / 60:.1f} min | {car['pilot_changes']} |"
        )
    return "\n".join(rows)


def _clock(at: float) -> str:
    return f"{int(at // 3600):02d}:{int(at % 3600 // 60):02d}"


if __name__ == "__main__":
    main(sys.argv[1:])
