"""The charging profiles of the station: kept in the journal, and turned into limits of points and of the supply."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from chargepoint.config import Config
from chargepoint.energy.composite import Cap, Composite, Now, Running, composite, point_limit, station_limit
from chargepoint.energy.limits import Limit
from chargepoint.energy.profiles import DAY_S, Period, Profile, ProfileError, Profiles, Purpose, from_dict, to_dict
from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import resolve
from chargepoint.journal.transactions import open_transactions
from chargepoint.station.api import Outcome
from chargepoint.station.clock import Clock
from chargepoint.station.point import Point

log = structlog.get_logger()

AREA: Final = "profiles"
LONGEST_COMPOSITE_S: Final = 7 * 86_400
"""A composite schedule is told no further ahead: years of it would stop everything else, and no frame would hold it."""
_LIMIT_NAMES: Final = {Purpose.TX: "ocpp-transaction", Purpose.TX_DEFAULT: "ocpp-default"}


class ChargingProfiles:
    """What the operator wants when. Event-loop only."""

    def __init__(self, config: Config, journal: Journal, clock: Clock) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self.profiles = Profiles()
        self._running: dict[int, tuple[int, float, int]] = {}
        """Of each point with a transaction: its id, the monotonic time of its start, and its connector."""
        self._recovered: dict[int, float] = {}
        self._known: dict[int, tuple[Now, Running | None, Profiles, float, int]] = {}
        """Of each point: its limit, and what it was worked out from."""

    async def recover(self) -> None:
        """Profiles and starts of transactions of before. What cannot be read is left out, and said."""

        def read(db: sqlite3.Connection) -> tuple[dict[str, Any], dict[int, float | None], set[int]]:
            found = open_transactions(db)
            return store.items(db, AREA), {t.tx: resolve(db, t.started) for t in found}, {t.evse for t in found}

        kept, starts, busy = await self._journal.read(read)
        profiles: list[Profile] = []
        for key, value in kept.items():
            try:
                periods = [store.known(Period, period) for period in value["periods"]]
                profile = from_dict({**store.known(Profile, value), "periods": periods})
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                log.warning("a stored charging profile cannot be read and is left out", profile=key, error=repr(error))
                continue
            if profile.purpose is not Purpose.TX or profile.evse in busy:
                profiles.append(profile)
        self.profiles = Profiles(tuple(profiles))
        self._recovered = {tx: utc - self._clock.offset for tx, utc in starts.items() if utc is not None}

    async def install(self, profile: Profile) -> Outcome:
        """As `StationApi.set_profile`."""
        if profile.purpose is Purpose.TX:
            running = self._running.get(profile.evse)
            own = running is not None and profile.transaction in (None, str(running[0]))
            if running is None or not own or profile.connector != running[2]:
                return Outcome.REJECTED
            # One that a power cut leaves behind shall never be taken for the next transaction's.
            profile = replace(profile, transaction=str(running[0]))
        await self._change(self.profiles.install(replace(profile, installed=int(self._clock.utc()))))
        return Outcome.ACCEPTED

    async def clear(
        self,
        id: int | None,
        evse: int | None,
        purpose: Purpose | None,
        stack: int | None,
        connector: int | None = None,
    ) -> Outcome:
        """As `StationApi.clear_profiles`."""
        left, gone = self.profiles.clear(id, evse, purpose, stack, connector)
        if gone == 0:
            return Outcome.UNKNOWN
        await self._change(left)
        return Outcome.ACCEPTED

    async def started(self, point: Point, profile: Profile | None) -> None:
        """Keep the profile a remote start brought along, for this transaction alone."""
        if profile is None or point.session.tx is None:
            return
        own = replace(
            profile,
            evse=point.id,
            connector=point.session.connector,
            transaction=str(point.session.tx),
            installed=int(self._clock.utc()),
        )
        await self._change(self.profiles.install(own))

    async def ended(self, evse: int) -> None:
        """Forget the profiles of the transaction that has just ended; what stays on a full disk is left out later."""
        after = self.profiles.ended(evse)
        try:
            await self._change(after)
        except ProfileError as error:
            log.error("profiles of an ended transaction stay stored", evse=evse, error=str(error))
            self.profiles = self.profiles.ended(evse)

    async def _change(self, after: Profiles) -> None:
        before, self.profiles = self.profiles, after
        gone = [p.id for p in before if p not in after.items]
        new = [p for p in after if p not in before.items]
        if not gone and not new:
            return

        def write(db: sqlite3.Connection) -> None:
            for id in gone:
                store.delete(db, AREA, str(id))
            for profile in new:
                store.put(db, AREA, str(profile.id), to_dict(profile))

        try:
            await self._journal.write(write)
        except sqlite3.Error as error:
            self.profiles = before
            log.error("journal does not take a write", what="charging profile", error=str(error))
            raise ProfileError("profiles", f"the profile could not be stored: {error}") from error

    def follow(self, points: Iterable[Point], now: float) -> tuple[list[Point], list[int]]:
        """Note which transactions run; answers the points where one has begun, and those where one has ended."""
        begun: list[Point] = []
        ended: list[int] = []
        for point in points:
            tx = point.session.tx
            known = self._running.get(point.id)
            if known is not None and tx != known[0]:
                del self._running[point.id]
                ended.append(point.id)
            if tx is not None and (known is None or tx != known[0]):
                resumed = self._recovered.pop(tx, None)
                # A clock that lost time in a power cut tells a start still to come: the profile would not count yet.
                begin = now if resumed is None else min(now, resumed)
                self._running[point.id] = (tx, begin, point.session.connector)
                if resumed is None:
                    begun.append(point)
        return begun, ended

    def running(self, evse: int) -> Running | None:
        known = self._running.get(evse)
        if known is None:
            return None
        tx, mono, _ = known
        return Running(int(mono + self._clock.offset), str(tx))

    def limit(self, point: Point, now: float) -> None:
        """Set what the profiles allow this point as a named limit."""
        offset = self._clock.offset
        at = int(now + offset)
        running = self.running(point.id)
        known = self._known.get(point.id)
        used = point.used.number
        if known is None or known[1:] != (running, self.profiles, offset, used) or not known[0].until > at:
            now_limit = point_limit(self.profiles, point.id, at, running, used)
            known = (now_limit, running, self.profiles, offset, used)
            self._known[point.id] = known
        level = known[0].level
        name = ""
        if level is not None:
            purpose = next(p.purpose for p in self.profiles if p.id == level.profile)
            name = _LIMIT_NAMES[purpose]
            amps = level.amps(self._config.supply.voltage)
            ends = known[0].until
            until = ends - offset if ends < at + DAY_S - 1 else None  # a day ahead only means: ask again
            point.limits.set(Limit(name, f"profile {level.profile}", amps, now, until))
        for other in _LIMIT_NAMES.values():
            if other != name:
                point.limits.clear(other)

    def station_limit_a(self, now: float) -> tuple[float, str] | None:
        """What the profiles allow all points together, A per phase, and who says so; None: no profile limits them."""
        level = station_limit(self.profiles, int(now + self._clock.offset)).level
        return None if level is None else (level.amps(self._config.supply.voltage), f"profile {level.profile}")

    def composite(
        self, points: Mapping[int, Point], evse: int, duration: int, unit: str, connector: int
    ) -> Composite | None:
        """As `StationApi.composite`."""
        supply = self._config.supply
        if evse != 0 and (evse not in points or connector not in points[evse].connectors):
            return None
        used = {point.id: point.used for point in points.values()}
        if evse != 0:
            used[evse] = points[evse].connectors[connector]
        caps = {id: Cap(one.max_current, len(one.lines), one.number) for id, one in used.items()}
        caps[0] = Cap(supply.max_current, supply.phases)
        running = {
            id: r
            for id, one in used.items()
            if (r := self.running(id)) is not None and self._running[id][2] == one.number
        }
        at, duration = int(self._clock.utc()), min(duration, LONGEST_COMPOSITE_S)
        return composite(self.profiles, evse, at, duration, unit=unit, volt=supply.voltage, caps=caps, running=running)
