"""What the supply leaves for the borne, moment by moment: the shell around `energy.supply`.

Takes what the Linky (TIC), the building's meter, the grid operator's contacts and the operator's profiles for the whole
station say, sets what may be shared, and gives every point the named limits that explain it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from chargepoint.config import Config, GridSignalSection
from chargepoint.connectors import DOMESTIC
from chargepoint.energy.allocator import Phases, Supply, wiring
from chargepoint.energy.limits import MINIMUM_A, Limit
from chargepoint.energy.supply import GridSignal, Room, Source, SourceRules, tightest
from chargepoint.meter.reading import Reading
from chargepoint.station.charging_profiles import ChargingProfiles
from chargepoint.station.faultlist import FaultList
from chargepoint.station.point import Point
from chargepoint.tic.reading import TicReading

log = structlog.get_logger()

NOMINAL_V: Final = 230.0
"""Subscribed power is told in kVA at this voltage between phase and neutral (NOI-CPT_54E)."""
OWNERS: Final = {"tic": "Linky meter", "building-meter": "building's meter"}
FAULTS: Final = {"tic": "tic-lost", "building-meter": "building-meter-lost"}
_STALE_S: Final = 10.0


class SupplyWatch:
    """All that bounds the sum over the points."""

    def __init__(
        self, config: Config, profiles: ChargingProfiles, faults: FaultList, now: float, changed: Callable[[], None]
    ) -> None:
        self._config = config
        self._profiles = profiles
        self._faults = faults
        self._changed = changed
        amps = config.supply.max_current
        self.static_a: Phases = (amps, amps, amps) if config.supply.phases == 3 else (amps, 0.0, 0.0)
        self.sources: dict[str, Source] = {}
        if config.tic is not None and config.tic.limits:
            tic = config.tic
            self.sources["tic"] = Source(self._rules("tic", tic.includes_borne, tic.production), now)
        if config.building_meter is not None:
            meter = config.building_meter
            rules = self._rules("building-meter", meter.includes_borne, meter.production)
            self.sources["building-meter"] = Source(rules, now)
        self._signals = [_grid_signal(section) for section in config.grid_signal]
        self._wired: int | None = None
        """A bit for each closed contact of the board; None before the safety process has told."""
        self._subscribed: Phases = self.static_a
        self._tic: TicReading | None = None
        self._tic_trouble = ""
        self._overload = False
        self.supply = Supply(self.static_a)
        self.rooms: dict[str, Room] = {}

    def _rules(self, name: str, includes_borne: bool, production: bool) -> SourceRules:
        sharing = self._config.sharing
        safe = sharing.safe_current
        if safe is None:
            safe = min(MINIMUM_A * len(self._config.evse), self._config.supply.max_current)
        return SourceRules(name, safe, sharing.margin, includes_borne, production)

    # What comes in

    def tic_read(self, reading: TicReading) -> None:
        """A whole frame of the Linky."""
        self._tic = reading if reading.relays is not None or reading.tariff is not None else self._tic
        source = self.sources.get("tic")
        drawn = [a if a is not None else 0.0 for a in reading.current_resolved_a()]
        for i, notice in enumerate(reading.overload_a):
            drawn[i] = max(drawn[i], notice or 0.0)
        if reading.subscribed_va:
            # The meter opens at its cut-off power, which the distributor may set below what is subscribed.
            most_va = min(reading.subscribed_va, reading.cut_off_va or reading.subscribed_va)
            amps = most_va / NOMINAL_V / reading.phases
            self._subscribed = (amps, amps, amps) if reading.phases == 3 else (amps, 0.0, 0.0)
        if source is None or reading.current_a[0] is None:
            return
        source.reading(reading.at, (drawn[0], drawn[1], drawn[2]), self._subscribed, reading.overload)
        if reading.overload and not self._overload:
            log.warning("overload notice", drawn_a=[round(amps, 1) for amps in drawn], subscribed_a=self._subscribed)
        self._overload = reading.overload
        if reading.overload:
            self._changed()

    def tic_state(self, heard: bool, why: str) -> None:
        """The listener found or lost the meter."""
        self._tic_trouble = "" if heard else why

    def contacts_read(self, closed: tuple[bool, ...]) -> None:
        """The grid operator's contacts at the board, as the safety process tells them."""
        self._wired = sum(on << place for place, on in enumerate(closed))

    def building_read(self, reading: Reading) -> None:
        """A reading of the building's meter."""
        source, section = self.sources.get("building-meter"), self._config.building_meter
        if source is None or section is None or None in reading.current_a[: self._config.supply.phases]:
            return  # a phase that is not told is not nothing drawn: after a while it counts as silence
        drawn = [0.0, 0.0, 0.0]
        for i, line in enumerate(wiring(section.phase_rotation, self._config.supply.phases)):
            amps, power = reading.current_a[i] or 0.0, reading.power_phases_w[i]
            # Some meters tell a magnitude, others sign the current itself.
            drawn[line] = -abs(amps) if power is not None and power < 0 else amps
        most = section.max_current or self._config.supply.max_current
        limit = (most, most, most) if self._config.supply.phases == 3 else (most, 0.0, 0.0)
        source.reading(reading.at, (drawn[0], drawn[1], drawn[2]), limit)

    def view(self, now: float) -> dict[str, Any]:
        """The `supply` part of the status: what may be shared, and what each meter of the connection leaves."""
        sources = {
            name: {
                "reason": room.reason,
                "detail": room.detail,
                "leaves": [round(amps, 1) for amps in room.amps],
                "others": None if (base := self.sources[name].base_a) is None else [round(amps, 1) for amps in base],
                "for_s": round(now - room.since),
            }
            for name, room in self.rooms.items()
        }
        reserved = list(self.supply.reserved_a)
        contacts = None if self._wired is None else [bool(self._wired >> place & 1) for place in range(2)]
        return {"limit": list(self.supply.limit_a), "reserved": reserved, "sources": sources, "contacts": contacts}

    # What follows

    def update(self, points: Iterable[Point], now: float) -> Supply:
        """Work out what may be shared now, and set the limits that belong to it on every point."""
        points = list(points)
        borne = _borne(points, now)
        reserved = _stray(points)
        for source in self.sources.values():
            source.borne(now, borne)
        self.rooms = {name: source.room(now) for name, source in self.sources.items()}
        amps = tightest(list(self.rooms.values()), self.static_a)
        most = self._profiles.station_limit_a(now)
        if most is not None:
            amps = (min(amps[0], most[0]), min(amps[1], most[0]), min(amps[2], most[0]))
        self.supply = Supply(amps, reserved)
        for name, source in self.sources.items():
            lost = source.lost(now)
            detail = self._tic_trouble if name == "tic" and lost and self._tic_trouble else self.rooms[name].detail
            self._faults.own(FAULTS[name], lost, now, detail)
        for point in points:
            self._limit(point, most, now)
        return self.supply

    def _limit(self, point: Point, most: tuple[float, str] | None, now: float) -> None:
        lines = point.used.lines
        limits = point.limits
        limits.expire(now)
        limits.set(Limit("supply", "configuration", min(self.static_a[i] for i in lines), now))
        for name, room in self.rooms.items():
            left = round(min(room.amps[i] for i in lines), 1)
            for reason in (name, f"overload#{name}", f"safe-share#{name}"):
                if reason.split("#")[0] == room.reason:
                    limits.set(Limit(reason, OWNERS[name], left, now, room.until, room.detail))
                else:
                    limits.clear(reason)
        if most is None:
            limits.clear("ocpp-max")
        else:
            limits.set(Limit("ocpp-max", most[1], most[0], now))
        self._signal(point, now)
        self._tariff(point, now)

    def _signal(self, point: Point, now: float) -> None:
        fresh = self._tic is not None and now - self._tic.at < _STALE_S
        relays = self._tic.relays if fresh and self._tic is not None else None
        for signal in self._signals:
            name = f"grid-signal#{signal.name}"
            closed = self._wired if signal.wired else relays
            if signal.concerns(point.id) and closed is not None and signal.active(closed):
                point.limits.set(Limit(name, "grid operator", signal.limit_a, now))
            else:
                point.limits.clear(name)

    def _tariff(self, point: Point, now: float) -> None:
        """A fleet car waits for the off-peak tariff, as the meter tells it; unknown tariff: it does not wait."""
        sharing, grant = self._config.sharing, point.session.grant
        fresh = self._tic is not None and now - self._tic.at < _STALE_S
        tariff = self._tic.tariff if fresh and self._tic is not None else None
        fleet = grant is not None and grant.group in sharing.fleet_groups
        if fleet and tariff is not None and sharing.off_peak and tariff not in sharing.off_peak:
            point.limits.set(Limit("tariff", "Linky meter", 0.0, now, detail=tariff))
        else:
            point.limits.clear("tariff")


def _grid_signal(section: GridSignalSection) -> GridSignal:
    kind, _, number = section.source.rpartition("-")
    closed = section.active == "closed"
    return GridSignal(section.name, section.limit, section.evses, int(number) - 1, closed, wired=kind == "input")


def _borne(points: Iterable[Point], now: float) -> Phases:
    """What the points draw on the phases of the supply, as far as their meters are heard.

    A point whose meter is not heard counts as drawing nothing: the connection's meter sees its current as the
    building's, which is the careful way.
    """
    total = [0.0, 0.0, 0.0]
    for point in points:
        reading = point.reading
        if reading is None or now - reading.at >= _STALE_S:
            continue
        for line, amps in zip(
            wiring(point.config.phase_rotation, point.config.phases), reading.current_a, strict=False
        ):
            total[line] += amps or 0.0
    return (total[0], total[1], total[2])


def _stray(points: Iterable[Point]) -> Phases:
    """Kept for domestic sockets that are live without a session of theirs to take part in the sharing: welded, or on
    since before a restart. All others are shared out like cars."""
    kept = [0.0, 0.0, 0.0]
    for point in points:
        socket, report = point.connectors.get(DOMESTIC), point.report
        seated = point.session.connector == DOMESTIC and point.session.connected
        if socket is not None and report is not None and report.domestic_closed and not seated:
            kept[socket.lines[0]] += socket.max_current
    return (kept[0], kept[1], kept[2])
