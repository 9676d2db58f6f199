"""A station on a journal that a newer version wrote before it was taken back."""

from datetime import timedelta
from pathlib import Path

import pytest
from station_harness import FakeTime, station

from chargepoint.energy.profiles import Kind, Period, Profile, Purpose
from chargepoint.journal import store
from chargepoint.journal.stamp import Stamp
from chargepoint.station import endings
from chargepoint.station.api import Outcome, Reservation, StopReason
from chargepoint.station.endings import Ending

PROFILE = Profile(7, Purpose.TX_DEFAULT, 0, Kind.ABSOLUTE, "A", (Period(0, 10.0),), start=0)


@pytest.mark.asyncio
async def test_every_area_that_a_newer_version_has_extended_is_read(tmp_path: Path) -> None:
    time = FakeTime()
    async with station(tmp_path, time=time) as h:
        await h.charge()
        leaves = h.clock.now() + timedelta(hours=1)
        tx = h.station.points[1].session.tx
        assert tx is not None
        assert await h.station.departure(1, leaves, 9_000) is Outcome.ACCEPTED
        assert await h.station.set_profile(PROFILE) is Outcome.ACCEPTED
        assert await h.station.reserve(Reservation(5, 0, "TAG", leaves)) is Outcome.ACCEPTED
        assert await h.station.set_availability(2, False) is Outcome.ACCEPTED
        ending = Ending(StopReason.LOCAL, None, Stamp(h.journal.boot, 1.0, None))

        def extend(db) -> None:  # type: ignore[no-untyped-def]
            store.put(db, "uplink", "reboots", {"count": 1})
            endings.begin(db, 99, ending)
            areas = {row[0] for row in db.execute("SELECT area FROM store")}
            assert areas >= {"availability", "departures", "endings", "kpis", "profiles", "reservations", "uplink"}
            more = "json('{\"form\": 2}')"
            db.execute(f"UPDATE store SET value = json_set(value, '$.later', {more}) WHERE json_type(value) = 'object'")
            db.execute("UPDATE store SET value = json_insert(value, '$[#]', 1) WHERE json_type(value) = 'array'")
            db.execute(
                f"UPDATE store SET value = json_set(value, '$.periods[0].later', {more}) WHERE area = 'profiles'"
            )
            db.execute("INSERT INTO store SELECT DISTINCT area, 'later', '{\"form\": 2}' FROM store")

        await h.journal.write(extend)

    async with station(tmp_path, time=time) as again:
        core = again.station
        assert [(p.id, p.periods) for p in core.profiles.profiles.items] == [(7, PROFILE.periods)]
        assert [r.id for r in core.reserving.reservations] == [5]
        assert not core.points[2].operative
        assert core.departures._known[1].energy_wh == 9_000
        assert await again.journal.read(lambda db: endings.of(db, 99)) == ending
