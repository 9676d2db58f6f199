"""What a fault campaign did and what came of it, with the central system's account against the meters' registers."""

import asyncio
import contextlib
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from injected_borne import InjectedBorne

from chargepoint.sim.central_system import CentralSystem

DELIVERED_S = 900.0
"""All is delivered so long after the last trouble went, or lost."""
EXPLAINS_S = 900.0
"""Energy shows in the next start's register at most so long after what hid it."""
STAMP_S = 3.0
"""A time is right within this."""


@dataclass
class Account:
    """What was done, and what came of it."""

    sessions: int = 0
    healthy: int = 0
    healthy_first_try: int = 0
    healthy_offline: int = 0
    healthy_offline_first_try: int = 0
    healthy_hindered: int = 0
    """While disk, clock or Linky were bad, or had been shortly before."""
    healthy_hindered_first_try: int = 0
    faulty: int = 0
    faulty_charged: int = 0
    refused_strangers: int = 0
    stranger_charged: int = 0
    stuck: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """From the end of the cause (or from the unplug or acknowledgement its row asks for) until it is over."""
    transactions: int = 0
    lost: int = 0
    """Never closed, or in the journal and not at the central system."""
    twice: int = 0
    repeated_by_resend: int = 0
    """Sent again after a lost answer with the same content: one transaction, as OCPP 1.6 has it."""
    unbilled_wh: int = 0
    unbilled_explained_wh: int = 0
    billed_wh: int = 0
    misdated: list[str] = field(default_factory=list)
    """Transactions whose times are not the time the borne had reason to believe."""
    overloads: list[str] = field(default_factory=list)
    """The borne did not make room for the building."""
    violations: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Healthy cars that did not charge at the first try: when and what was seen."""
    seconds: float = 0.0
    station_starts: int = 0
    deaths: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        bad = self.stuck or self.lost or self.twice or self.unbilled_wh or self.violations or self.deaths
        return not (bad or self.stranger_charged or self.misdated or self.overloads)

    def add(self, other: "Account") -> None:
        """Take in another run's figures."""
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, dict):
                for key, values in theirs.items():
                    mine[key].extend(values)
            else:
                setattr(self, name, mine + theirs)

    def rows(self) -> list[dict[str, Any]]:
        """Recovery by fault."""
        return [
            {
                "fault": name,
                "times": self.faults[name],
                "recovered": len(values),
                "p50_s": round(statistics.median(values), 1),
                "mean_s": round(statistics.fmean(values), 1),
                "max_s": round(max(values), 1),
            }
            for name, values in sorted(self.recovery_s.items())
        ]


@dataclass
class Spans:
    """When something was on, in true UTC: (from, to, what)."""

    unread: dict[int, list[tuple[float, float, str]]] = field(default_factory=lambda: {1: [], 2: []})
    """By point: the register at the end may not be readable, or may move after the end."""
    shifted: list[tuple[float, float, float]] = field(default_factory=list)
    """A wrong clock that NTP vouched for, and by how much it was wrong, s."""


class Books:
    """The account of one borne's life."""

    def __init__(self, borne: InjectedBorne, central: CentralSystem, account: Account, spans: Spans) -> None:
        self.borne, self.central, self.account, self.spans = borne, central, account, spans
        self.begun = borne.utc()

    async def settle(self) -> None:
        """To be called when every trouble has been taken away: wait until all is delivered, then compare."""
        borne, account = self.borne, self.account
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVERED_S):
                while not borne.backend.online or await borne.station.queue():  # noqa: ASYNC110
                    await asyncio.sleep(1.0)
        account.seconds, account.station_starts = borne.loop.time(), borne.starts
        made = ("was used before", "answer to nothing")  # by the network, which repeats frames
        account.violations = [v for v in self.central.violations if not any(what in v for what in made)]
        if borne.failure is not None:
            account.deaths.append(repr(borne.failure))
        account.lost += await borne.station.queue()
        for evse, register in ((e, p.register_wh) for e, p in borne.electrics.points.items()):
            self._point(evse, register)

    def _point(self, evse: int, register: int) -> None:
        account = self.account
        places = (1, 3) if evse == 1 else (2,)  # the domestic socket is behind the same meter
        starts: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for booked in self.central.transactions:
            if booked.connector in places:
                starts[booked.meter_start, booked.started, booked.id_tag, booked.connector].append(booked)
        at = 0
        for (start_wh, started, _, _), booked in sorted(starts.items(), key=_by_register):
            account.transactions += 1
            account.repeated_by_resend += len(booked) - 1
            ends = {(b.meter_stop, b.stopped) for b in booked if b.meter_stop is not None}
            account.lost += not ends
            account.twice += len(ends) > 1
            if ends:
                stop_wh, stopped = min(ends)
                begun, ended = self._true(started), self._true(stopped)
                if begun is None or ended is None:
                    account.misdated.append(f"point {evse}: {started} to {stopped}")
                self._gap(evse, at, start_wh, begun or self.borne.utc(), started)
                account.billed_wh += stop_wh - start_wh
                at = stop_wh
        self._gap(evse, at, register, self.borne.utc(), "the end")

    def _true(self, stamp: str) -> float | None:
        """True UTC of a time the borne told; None when it had no reason to think it was that."""
        told = datetime.fromisoformat(stamp).timestamp()
        if self.begun - STAMP_S <= told <= self.borne.utc() + STAMP_S:
            return told
        for begun, ended, shift in self.spans.shifted:
            if begun - STAMP_S <= told - shift <= ended + STAMP_S:
                return told - shift
        return None

    def _gap(self, evse: int, billed_to: int, begins_at: int, until: float, when: str) -> None:
        """Energy between the end of one bill and the beginning of the next."""
        missing = abs(begins_at - billed_to)
        if missing == 0:
            return
        explained = any(begun < until and until - ended < EXPLAINS_S for begun, ended, _ in self.spans.unread[evse])
        if explained:
            self.account.unbilled_explained_wh += missing
        else:
            self.account.unbilled_wh += missing
            self.account.missed.append(f"{missing} Wh before {when} at point {evse}")


def _by_register(start: tuple[tuple[Any, ...], list[Any]]) -> tuple[int, int]:
    """Of those that began at the same register, one that took nothing was before the one that took something."""
    ends = [b.meter_stop for b in start[1] if b.meter_stop is not None]
    return start[0][0], min(ends, default=start[0][0])
