"""Points kept for somebody."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from station_harness import FakeTime, Harness, station

from chargepoint.station.api import (
    Authorization,
    AuthStatus,
    BayChanged,
    Outcome,
    Reservation,
    ReservationContested,
)
from chargepoint.station.reservations import Reservations, Spot

NOW = 1_800_000_000.0


def reservation(
    id: int = 1, evse: int = 1, token: str = "TAG", group: str | None = None, s: float = 600
) -> Reservation:
    return Reservation(id, evse, token, datetime.fromtimestamp(NOW + s, UTC), group)


FREE = [Spot(1, True), Spot(2, True)]
BUSY, FAULTED, OUT = Spot(1, False), Spot(1, True, True, 1.0), Spot(1, True, False)


@pytest.mark.parametrize(
    ("held", "new", "spots", "outcome"),
    [
        ([], reservation(), FREE, Outcome.ACCEPTED),
        ([], reservation(), [BUSY, Spot(2, True)], Outcome.OCCUPIED),
        ([], reservation(), [FAULTED, Spot(2, True)], Outcome.FAULTED),
        ([], reservation(), [OUT, Spot(2, True)], Outcome.UNAVAILABLE),
        ([], reservation(evse=7), FREE, Outcome.REJECTED),
        ([], reservation(s=-1), FREE, Outcome.REJECTED),
        ([], reservation(evse=0), FREE, Outcome.ACCEPTED),
        ([], reservation(evse=0), [BUSY, Spot(2, True)], Outcome.ACCEPTED),
        ([], reservation(evse=0), [BUSY, Spot(2, False)], Outcome.OCCUPIED),
        ([], replace(reservation(), connector=1), [Spot(1, False, beside=frozenset({1})), FREE[1]], Outcome.ACCEPTED),
        ([], replace(reservation(), connector=2), [Spot(1, False, beside=frozenset({1})), FREE[1]], Outcome.OCCUPIED),
        ([reservation(1)], reservation(2, token="X"), FREE, Outcome.OCCUPIED),
        ([reservation(1)], reservation(1, token="X"), FREE, Outcome.ACCEPTED),
        ([reservation(1)], reservation(1, evse=2), FREE, Outcome.ACCEPTED),
        ([reservation(1)], reservation(2, evse=0), FREE, Outcome.ACCEPTED),
        ([reservation(1), reservation(2, evse=2)], reservation(3, evse=0), FREE, Outcome.OCCUPIED),
        ([reservation(1, evse=0), reservation(2, evse=0)], reservation(3, evse=1), FREE, Outcome.OCCUPIED),
    ],
)
def test_reserve(held: list[Reservation], new: Reservation, spots: list[Spot], outcome: Outcome) -> None:
    reservations = Reservations(held)
    assert reservations.add(new, spots, NOW) is outcome
    assert (new in list(reservations)) == (outcome is Outcome.ACCEPTED)


def test_only_its_token_or_group_may_use_a_reserved_point() -> None:
    reservations = Reservations([reservation(token="TAG", group="G")])
    assert reservations.keeps_from(1, "X", None, FREE)
    assert reservations.keeps_from(1, None, None, FREE)
    assert not reservations.keeps_from(1, "tag", None, FREE)
    assert not reservations.keeps_from(1, "X", "G", FREE)
    assert not reservations.keeps_from(2, "X", None, FREE)


def test_a_reservation_of_any_point_keeps_the_last_free_one() -> None:
    reservations = Reservations([reservation(evse=0)])
    assert not reservations.keeps_from(1, "X", None, FREE)
    assert reservations.keeps_from(2, "X", None, [BUSY, Spot(2, True)])
    assert not reservations.keeps_from(2, "TAG", None, [BUSY, Spot(2, True)])


def test_what_ends_a_reservation() -> None:
    def after(spots: list[Spot], used: list[int] | None = None, utc: float = NOW, known: bool = True) -> int:
        reservations = Reservations([reservation()])
        reservations.prune(spots, used or [], utc, known)
        return len(reservations)

    assert after(FREE) == 1
    assert after(FREE, utc=NOW + 600) == 0
    assert after(FREE, utc=NOW + 600, known=False) == 1
    assert after(FREE, used=[1]) == 0
    assert after([OUT, Spot(2, True)]) == 0
    assert after([Spot(1, True, True, 9.0), Spot(2, True)]) == 1
    assert after([Spot(1, True, True, 10.0), Spot(2, True)]) == 0


def play(tmp_path: Path, body: Callable[[Harness], Coroutine[Any, Any, None]], time: FakeTime | None = None) -> None:
    async def main() -> None:
        async with station(tmp_path, time=time) as harness:
            await body(harness)

    asyncio.run(main())


def soon(h: Harness, evse: int = 1, token: str = "TAG", group: str | None = None) -> Reservation:
    return Reservation(7, evse, token, h.clock.now() + timedelta(minutes=10), group)


def test_a_reserved_point_is_used_by_its_holder_alone_and_the_start_carries_its_id(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        assert h.status(1) == "Reserved"
        assert await h.station.remote_start("TAG2", 1) is Outcome.REJECTED
        h.plug(1)
        h.badge("TAG2")
        await h.until(lambda: h.state(2) == "waiting_car")
        h.badge("TAG")
        await h.until_status("Charging", 1)
        assert (await h.entries())[0].payload["reservation"] == 7
        assert await h.station.cancel_reservation(7) is Outcome.UNKNOWN

    play(tmp_path, body)


def test_an_id_that_was_used_up_may_be_given_again_while_its_session_runs(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        await h.charge("TAG", 1)
        assert await h.station.reserve(soon(h, evse=2, token="TAG2")) is Outcome.ACCEPTED
        h.advance(5)
        assert h.status(2) == "Reserved"
        assert await h.station.cancel_reservation(7) is Outcome.ACCEPTED

    play(tmp_path, body)


def test_a_badge_of_the_reservations_group_may_use_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.backend.tokens["MATE"] = Authorization(AuthStatus.ACCEPTED, None, "FLEET")
        assert await h.station.reserve(soon(h, group="FLEET")) is Outcome.ACCEPTED
        h.plug(1)
        h.badge("MATE")
        await h.until_status("Charging", 1)
        assert (await h.entries())[0].payload["reservation"] == 7

    play(tmp_path, body)


def test_a_reservation_that_cannot_be_recorded_takes_no_other_with_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        broken, write = asyncio.Event(), h.journal.write

        async def fails(work: Any) -> None:
            await broken.wait()
            raise sqlite3.OperationalError("disk I/O error")

        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        h.journal.write = fails  # type: ignore[method-assign,assignment]
        replacing = asyncio.create_task(h.station.reserve(soon(h, token="TAG2")))
        await asyncio.sleep(0)
        h.journal.write = write  # type: ignore[method-assign]
        assert await h.station.reserve(replace(soon(h, evse=2, token="TAG3"), id=8)) is Outcome.ACCEPTED
        broken.set()
        assert await replacing is Outcome.REJECTED
        assert [(r.id, r.evse, r.token) for r in h.station.reserving.reservations] == [(8, 2, "TAG3"), (7, 1, "TAG")]

    play(tmp_path, body)


def test_one_that_was_replaced_comes_back_only_where_nobody_has_come_since() -> None:
    old, new = reservation(1, 1), reservation(1, 2)
    moved = Reservations([new, reservation(2, 1)])
    moved.take_back(new, old)
    assert [(r.id, r.evse) for r in moved] == [(2, 1)]
    cancelled = Reservations()
    cancelled.take_back(new, old)
    assert not len(cancelled)


def test_a_remote_start_of_a_group_mate_known_to_the_central_system_alone_is_asked_for(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.backend.tokens["MATE"] = Authorization(AuthStatus.ACCEPTED, None, "FLEET")
        h.backend.tokens["OTHERS"] = Authorization(AuthStatus.ACCEPTED, None, "OTHERS")
        assert await h.station.reserve(soon(h, group="FLEET")) is Outcome.ACCEPTED
        h.plug(1)
        assert await h.station.remote_start("OTHERS", 1) is Outcome.ACCEPTED
        await h.until(lambda: h.station.points[1]._moment[0] == "refused")
        assert h.state(1) == "waiting_auth"
        assert await h.station.remote_start("OTHERS", 1) is Outcome.REJECTED, "its group is in the cache now"
        assert await h.station.remote_start("MATE", 1) is Outcome.ACCEPTED
        await h.until_status("Charging", 1)
        assert h.backend.asked == ["OTHERS", "MATE"]
        assert (await h.entries())[0].payload["reservation"] == 7

    play(tmp_path, body)


def test_a_reservation_survives_a_restart_and_expires_after_it(tmp_path: Path) -> None:
    time = FakeTime()

    async def before(h: Harness) -> None:
        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED

    async def after(h: Harness) -> None:
        await h.until_status("Reserved", 1)
        h.advance(601)
        await h.until_status("Available", 1)

    async def at_last(h: Harness) -> None:
        await h.until_status("Available", 1)
        assert len(h.station.reserving.reservations) == 0

    for body in (before, after, at_last):
        play(tmp_path, body, time)


def test_a_fault_that_lasts_ends_a_reservation(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        h.fault(1, "residual-current")
        h.advance(5)
        assert len(h.station.reserving.reservations) == 1
        h.advance(6)
        assert len(h.station.reserving.reservations) == 0
        assert await h.station.reserve(soon(h)) is Outcome.FAULTED

    play(tmp_path, body)


def test_one_point_is_kept_free_for_a_reservation_of_any(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.reserve(soon(h, evse=0)) is Outcome.ACCEPTED
        assert (h.status(1), h.status(2)) == ("Available", "Available")
        await h.charge("TAG2", 1)
        assert h.status(2) == "Reserved"
        h.plug(2)
        assert await h.station.remote_start("ANY", 2) is Outcome.REJECTED
        h.badge("TAG")
        await h.until_state("running", 2)
        assert (await h.entries())[-1].payload["reservation"] == 7

    play(tmp_path, body)


def test_a_good_badge_at_a_point_kept_for_another_is_told_to_the_operator(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        h.plug(1)
        h.badge("TAG2")
        await h.until(lambda: h.state(2) == "waiting_car")
        told = [event for event in h.backend.events if isinstance(event, ReservationContested)]
        assert [(event.evse, event.reservation, event.token) for event in told] == [(1, 7, "TAG2")]
        h.badge("TAG")
        await h.until_status("Charging", 1)
        assert len([event for event in h.backend.events if isinstance(event, ReservationContested)]) == 1

    play(tmp_path, body)


def test_a_vehicle_before_a_kept_point_is_told_once_the_sensor_is_sure(tmp_path: Path) -> None:
    time = FakeTime()

    async def body(h: Harness) -> None:
        def told() -> list[tuple[int, bool, int | None]]:
            events = [event for event in h.backend.events if isinstance(event, BayChanged)]
            return [(event.evse, event.occupied, event.reservation) for event in events]

        assert await h.station.reserve(soon(h)) is Outcome.ACCEPTED
        h.link.cars[1].before = True
        h.advance(1)
        h.link.cars[1].before = False  # somebody has passed
        h.advance(5)
        h.link.cars[1].before = True
        h.advance(1)
        assert told() == []
        h.advance(2)
        assert told() == [(1, True, 7)]
        h.link.cars[1].before = False
        h.advance(1)
        h.advance(2)
        assert told() == [(1, True, 7), (1, False, 7)]

    play(tmp_path, body, time)
