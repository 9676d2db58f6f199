"""The station's time: steps and late synchronisation disturb nothing, and stamps come right in the end."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from station_harness import UTC0, FakeTime, Harness, station

from chargepoint.journal import outbox
from chargepoint.journal.stamp import resolve
from chargepoint.station import metering
from chargepoint.station.api import MeterSampled, SecurityEvent
from chargepoint.station.clock import Clock, _kernel_state, battery_backed, disciplined
from chargepoint.station.settings import Settings


def clock(time: FakeTime) -> Clock:
    return Clock(1, time.monotonic, time.utc, time.disciplined, time.ran_on)


def test_a_step_of_the_systems_clock_moves_nothing() -> None:
    time = FakeTime()
    c = clock(time)
    before = c.utc()
    time.utc_shift = -50_000
    assert c.utc() == before


def test_without_a_source_a_stamp_has_no_utc() -> None:
    time = FakeTime()
    time.ntp = False
    c = clock(time)
    assert not c.synchronised
    assert c.stamp().utc is None
    assert c.offer(UTC0)
    assert (c.source, c.synchronised) == ("backend", True)
    assert c.stamp().utc == pytest.approx(UTC0)


def test_small_differences_and_lesser_sources_are_left_alone() -> None:
    time = FakeTime()
    time.ntp = False
    c = clock(time)
    c.offer(UTC0)
    assert not c.offer(UTC0 + 1.5)
    assert c.utc() == pytest.approx(UTC0)
    assert c.offer(UTC0 + 3600)
    time.ntp = True
    assert c.check()
    assert c.source == "ntp"
    assert not c.offer(UTC0 - 9000)


def test_the_central_systems_time_counts_when_ntp_is_heard_no_more() -> None:
    time = FakeTime()
    c = clock(time)
    time.ntp = False
    assert not c.offer(UTC0 + time.mono + 1.0)
    assert c.offer(UTC0 + time.mono + 40.0)
    assert c.source == "backend"
    assert c.utc() == pytest.approx(UTC0 + time.mono + 40.0)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00", "1970-01-01T00:00:05", "2019-12-31T23:59:59", "9999-12-31T23:59:59"]
)
def test_a_time_that_cannot_be_is_not_taken(text: str) -> None:
    time = FakeTime()
    time.ntp = False
    c = clock(time)
    assert not c.offer(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    assert not c.synchronised
    assert c.now().year > 2000


def test_the_kernel_can_be_asked() -> None:
    assert -1 <= _kernel_state() <= 5  # refused, or one of the states of adjtimex(2)


@pytest.mark.parametrize(("state", "kept"), [(0, True), (4, True), (5, False)])
def test_the_kernels_word_goes_before_any_file(tmp_path: Path, state: int, kept: bool) -> None:
    told = tmp_path / "synchronized"
    told.touch()
    assert disciplined(lambda: state, told) is kept


def test_where_the_kernel_may_not_be_asked_the_file_of_timesyncd_says_it(tmp_path: Path) -> None:
    told = tmp_path / "synchronized"
    assert not disciplined(lambda: -1, told, lambda: UTC0)
    told.touch()
    os.utime(told, (UTC0, UTC0))
    assert disciplined(lambda: -1, told, lambda: UTC0 + 31_000)
    assert not disciplined(lambda: -1, told, lambda: UTC0 + 33_000)


def test_a_session_of_before_the_time_was_known_is_stamped_right(tmp_path: Path) -> None:
    async def main() -> None:
        time = FakeTime()
        time.ntp = False
        time.utc_shift = -1.7e9
        async with station(tmp_path, time=time) as h:
            await h.charge()
            assert (await h.entries())[0].stamp.utc is None
            time.mono += 100
            h.station.clock_offered(datetime.fromtimestamp(UTC0 + time.mono, UTC))
            await h.until(lambda: h.clock.synchronised)
            for _ in range(100):
                started = await h.journal.read(outbox.head)
                assert started is not None
                utc = await h.journal.read(lambda db: resolve(db, started.stamp))  # noqa: B023
                if utc is not None:
                    break
                await asyncio.sleep(0.01)
            assert utc == pytest.approx(UTC0 + 1000.0)
            assert h.status(1) == "Charging"
            assert any(isinstance(e, SecurityEvent) and e.kind == "SettingSystemTime" for e in h.backend.events)

    asyncio.run(main())


def test_only_a_step_of_the_clock_is_a_security_event(tmp_path: Path) -> None:
    async def main() -> None:
        time = FakeTime()
        time.ntp = False
        async with station(tmp_path, time=time) as h:

            def told() -> list[str]:
                events = (e for e in h.backend.events if isinstance(e, SecurityEvent))
                return [e.info for e in events if e.kind == "SettingSystemTime"]

            h.station.clock_offered(h.clock.now() + timedelta(milliseconds=1))
            assert (h.clock.source, told()) == ("backend", [])
            h.station.clock_offered(h.clock.now() + timedelta(seconds=1.9))
            assert told() == []
            h.station.clock_offered(h.clock.now() + timedelta(seconds=2.5))
            assert len(told()) == 1
            time.ntp = True
            h.advance(61)
            assert (h.clock.source, len(told())) == ("ntp", 2)
            assert told()[-1].endswith("(ntp)")

    asyncio.run(main())


def test_hours_of_clock_steps_do_not_end_a_session_or_its_timers(tmp_path: Path) -> None:
    async def main() -> None:
        time = FakeTime()
        async with station(tmp_path, time=time) as h:
            await h.charge()
            for shift in (-7200.0, 7200.0, 86400.0):
                time.utc_shift = shift
                h.advance(61)
                assert h.status(1) == "Charging"
            h.plug(2)
            time.utc_shift = 0
            h.advance(1)
            assert h.state(2) == "waiting_auth"

    asyncio.run(main())


def test_aligned_values_carry_the_exact_instant_in_and_out_of_a_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        time = FakeTime()
        settings = Settings(aligned_interval_s=900, sample_interval_s=0)
        async with station(tmp_path, settings, time=time) as h:
            await h.charge()
            h.advance(1)
            due = metering.aligned(h.clock.utc(), 900)
            h.advance(due - h.clock.utc() + 0.4)
            await h.until(lambda: any(isinstance(e, MeterSampled) for e in h.backend.events))
            other = next(e for e in h.backend.events if isinstance(e, MeterSampled))
            assert (other.evse, other.at.timestamp(), other.values[0].context) == (2, due, "Sample.Clock")
            before = h.backend.changes
            await h.until(lambda: h.backend.changes >= before)
            for _ in range(100):
                entries = await h.entries()
                if len(entries) == 2:
                    break
                await asyncio.sleep(0.01)
            assert (entries[1].kind, entries[1].stamp.utc) == ("sampled", pytest.approx(due))

    asyncio.run(main())


def test_what_the_operator_has_set_is_in_force_before_anything_is_decided(tmp_path: Path) -> None:
    """Also after a restart with a clock that is right from the start: nothing else would schedule aligned values."""

    async def main() -> None:
        settings = Settings()

        def kept(h: Harness) -> None:
            h.backend.settings_of_the_operator = lambda: setattr(settings, "aligned_interval_s", 900)

        async with station(tmp_path, settings, prepare=kept) as h:
            h.advance(901)
            await h.until(lambda: any(isinstance(e, MeterSampled) for e in h.backend.events))

    asyncio.run(main())


def test_aligned_instants_begin_at_midnight() -> None:
    midnight = 1_800_057_600.0 - 1_800_057_600.0 % 86400
    assert metering.aligned(midnight, 900) == midnight + 900
    assert metering.aligned(midnight + 899.9, 900) == midnight + 900
    assert metering.aligned(midnight + 86_300, 7000) == midnight + 86_400


@pytest.mark.parametrize(
    ("hctosys", "since_epoch", "ran_on"),
    [
        pytest.param("1\n", "1800000001\n", True, id="set-from-it"),
        pytest.param("0\n", "1800000001\n", False, id="not-set-from-it"),
        pytest.param("1\n", "37\n", False, id="it-has-no-cell-and-the-system-shows-a-saved-time"),
        pytest.param("1\n", "", False, id="unreadable"),
        pytest.param(None, None, False, id="not-there"),
    ],
)
def test_a_clock_ran_on_when_the_systems_time_was_set_from_it_and_still_agrees(
    tmp_path: Path, hctosys: str | None, since_epoch: str | None, ran_on: bool
) -> None:
    if hctosys is not None and since_epoch is not None:
        (tmp_path / "hctosys").write_text(hctosys)
        (tmp_path / "since_epoch").write_text(since_epoch)
    assert battery_backed(tmp_path, lambda: UTC0 + 1.7) is ran_on


def test_a_battery_makes_a_clock_trusted_and_not_synchronised() -> None:
    time = FakeTime()
    time.ntp, time.battery = False, True
    c = clock(time)
    assert c.trusted and not c.synchronised
    assert c.stamp().utc is None
