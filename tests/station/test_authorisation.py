"""Whether a token may charge: the flags and what is known, as a matrix."""

import asyncio
import itertools
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from station_harness import Harness, station

from chargepoint.journal import tokens
from chargepoint.station.api import Authorization, AuthStatus, Reservation
from chargepoint.station.authorisation import Fleet, Known, after_start, before_asking, effective, local, offline
from chargepoint.station.settings import Settings

NOW = 1_800_000_000.0
YES = Authorization(AuthStatus.ACCEPTED)
NO = Authorization(AuthStatus.BLOCKED)
PAST = Authorization(AuthStatus.ACCEPTED, datetime.fromtimestamp(NOW - 1, UTC))
FUTURE = Authorization(AuthStatus.ACCEPTED, datetime.fromtimestamp(NOW + 1, UTC))


def test_every_combination_of_flags_and_knowledge() -> None:
    flags = itertools.product((False, True), repeat=5)
    for (list_on, cache_on, here, pre, unknown), listed, cached in itertools.product(
        flags, (None, YES, NO, PAST), (None, YES, NO)
    ):
        settings = Settings(
            local_list_enabled=list_on,
            cache_enabled=cache_on,
            local_authorize_offline=here,
            local_pre_authorize=pre,
            offline_unknown_allowed=unknown,
        )
        known = Known(listed, cached)
        entry = (listed if list_on else None) or (cached if cache_on else None)
        good = entry is YES
        case = (settings, known)
        assert (before_asking(known, settings, NOW) is not None) == (pre and good), case
        alone = offline(known, settings, NOW)
        assert alone.accepted == ((good and here) or (entry is None and unknown)), case


def test_the_list_goes_before_the_cache() -> None:
    found = local(Known(NO, YES), Settings(), NOW)
    assert found is not None and found.status is AuthStatus.BLOCKED


def test_an_entry_counts_until_its_expiry() -> None:
    assert effective(FUTURE, NOW).accepted
    assert effective(PAST, NOW).status is AuthStatus.EXPIRED
    assert effective(Authorization(AuthStatus.CONCURRENT), NOW).accepted


def test_a_fleets_reservation_lets_its_badges_in_offline_and_no_others() -> None:
    settings = Settings(local_authorize_offline=False)
    mate = Known(Authorization(AuthStatus.ACCEPTED, None, "FLEET"))
    other = Known(Authorization(AuthStatus.ACCEPTED, None, "OTHER"))
    assert offline(mate, settings, NOW, Fleet(group="FLEET")).accepted
    assert not offline(mate, settings, NOW).accepted
    assert not offline(other, settings, NOW, Fleet(group="FLEET")).accepted
    assert offline(Known(), settings, NOW, Fleet(True, "FLEET")).accepted
    assert not offline(Known(NO), settings, NOW, Fleet(True, "FLEET")).accepted


@pytest.mark.parametrize(
    ("status", "stop", "energy", "stops", "more"),
    [
        (AuthStatus.ACCEPTED, True, 0, False, None),
        (AuthStatus.INVALID, True, 0, True, 0),
        (AuthStatus.INVALID, True, 900, True, 0),
        (AuthStatus.BLOCKED, False, 0, False, 0),
        (AuthStatus.CONCURRENT, False, 900, False, 900),
    ],
)
def test_after_the_start(status: AuthStatus, stop: bool, energy: int, stops: bool, more: int | None) -> None:
    settings = Settings(stop_on_invalid=stop, max_energy_on_invalid_wh=energy)
    found = after_start(Authorization(status), settings)
    assert (found.stop, found.more_wh) == (stops, more)


def test_list_and_cache_are_kept_and_changed_whole(tmp_path: Path) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    from chargepoint.journal.journal import migrate

    migrate(db)
    assert tokens.list_version(db) == 0
    tokens.replace_list(db, 3, [tokens.Entry("A", "Accepted"), tokens.Entry("B", "Blocked")])
    tokens.change_list(db, 4, [tokens.Entry("c", "Accepted", 5.0, "G")], ["a"])
    assert (tokens.list_version(db), tokens.list_size(db)) == (4, 2)
    assert tokens.lookup(db, "A") == (None, None)
    assert tokens.lookup(db, "C")[0] == tokens.Entry("c", "Accepted", 5.0, "G")
    for n in range(tokens.CACHE_MAX + 5):
        tokens.remember(db, tokens.Entry(f"T{n}", "Accepted"), float(n))
    assert tokens.lookup(db, "T0") == (None, None)
    assert tokens.lookup(db, "T7")[1] is not None
    tokens.clear_cache(db)
    assert tokens.lookup(db, "T7") == (None, None)
    assert tokens.list_size(db) == 2


def test_a_token_known_at_once_is_not_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with station(tmp_path, Settings(local_pre_authorize=True)) as h:
            await h.journal.write(lambda db: tokens.replace_list(db, 1, [tokens.Entry("LISTED", "Accepted")]))
            await h.charge("LISTED")
            assert h.backend.asked == []

    asyncio.run(main())


def test_offline_a_fleet_car_starts_by_plugging_in_where_its_reservation_holds(tmp_path: Path) -> None:
    async def main() -> None:
        rules = {"fleet_group": "FLEET", "fleet_unattended": True}
        async with station(tmp_path, authorisation=rules) as h:
            expires = h.clock.now() + timedelta(hours=1)
            await h.station.reserve(Reservation(5, 1, "CAR", expires, "FLEET"))
            h.backend.online = False
            h.plug(2)
            h.plug(1)
            await h.until_status("Charging", 1)
            assert h.state(2) == "waiting_auth"
            started = (await h.entries())[0].payload
            assert (started["token"], started["reservation"]) == ("CAR", 5)

    asyncio.run(main())


def test_offline_a_fleet_badge_is_let_in_where_its_reservation_holds(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        expires = h.clock.now() + timedelta(hours=1)
        await h.station.reserve(Reservation(5, 1, "CAR", expires, "FLEET"))
        h.backend.online = False
        h.plug(1)
        h.badge("STRANGER")
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")
        h.badge("CAR")
        await h.until_status("Charging", 1)

    async def main() -> None:
        async with station(tmp_path, authorisation={"fleet_group": "FLEET"}) as h:
            await body(h)

    asyncio.run(main())


def test_a_badge_shown_before_the_first_link_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        def starting(h: Harness) -> None:
            h.backend.online = False
            h.backend.url = "ws://somewhere"

        async with station(tmp_path, prepare=starting) as h:
            h.plug(1)
            h.badge()
            await asyncio.sleep(0.05)
            assert h.state(1) == "waiting_auth"
            h.backend.online = True
            await h.until_status("Charging")
            h.badge("STRANGER")
            await h.until(lambda: h.backend.asked == ["TAG", "STRANGER"])

    asyncio.run(main())


def test_a_badge_that_never_expires_is_known_again_at_the_next_charge(tmp_path: Path) -> None:
    """Central systems write "never" as the last instant there is; as a float it rounds into the year 10000."""

    async def main() -> None:
        async with station(tmp_path) as h:
            h.backend.tokens["TAG"] = Authorization(AuthStatus.ACCEPTED, datetime.max.replace(tzinfo=UTC))
            await h.charge()
            h.badge()
            await h.until_state("finished")
            h.unplug()
            await h.until_state("idle")
            h.advance(60)
            await h.charge()

    asyncio.run(main())
