"""The ladder of a lost link: its rungs, their order and pauses, what begins it anew; and the hooks it calls."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from station_harness import Harness, config, station

from chargepoint.journal import store
from chargepoint.station.control import Control
from chargepoint.station.ladder import LONGEST_S, SETTLE_S, STABLE_S, Ladder, Rung
from chargepoint.station.uplink import rungs

ALL = {Rung.MODEM_RESET: 900.0, Rung.MODEM_POWER: 3600.0, Rung.REBOOT: 14_400.0}


def climb(ladder: Ladder, until: float, *, since: float = 0.0, idle: bool = True, every: float = 1.0) -> list[Any]:
    """What it takes, and when, while the link is away from `since` to `until`."""
    taken, now = [], since
    while now <= until:
        if (rung := ladder.step(False, idle, now)) is not None:
            taken.append((rung, now))
        now += every
    return taken


def test_the_rungs_come_in_order_each_at_its_time() -> None:
    first = {}
    for rung, at in climb(Ladder(dict(ALL)), 15_000):
        first.setdefault(rung, at)
    assert first == {Rung.MODEM_RESET: 900, Rung.MODEM_POWER: 3600, Rung.REBOOT: 14_400}


def test_a_rung_comes_again_after_twice_the_time_and_never_more_seldom_than_daily() -> None:
    at = [when for _, when in climb(Ladder({Rung.MODEM_RESET: 900.0}), 14 * 86_400, every=10.0)]
    pauses = [later - before for before, later in itertools.pairwise(at)]
    assert pauses[:4] == [1800, 3600, 7200, 14_400]
    assert max(pauses) <= LONGEST_S + 10


def test_after_a_rung_the_network_has_time_to_come_back() -> None:
    at = [when for _, when in climb(Ladder({Rung.MODEM_RESET: 900.0, Rung.MODEM_POWER: 901.0}), 4000)]
    assert all(later - before >= SETTLE_S for before, later in itertools.pairwise(at))


def test_a_higher_rung_makes_the_lower_ones_wait_anew() -> None:
    ladder = Ladder({Rung.MODEM_RESET: 900.0, Rung.MODEM_POWER: 2000.0})
    assert climb(ladder, 2000) == [(Rung.MODEM_RESET, 900), (Rung.MODEM_POWER, 2000)]
    assert climb(ladder, 2000 + 1799, since=2001) == []


def test_a_rung_without_a_command_is_left_out() -> None:
    modem = config(Path("/tmp"), modem={"power_command": ["switch"], "power_after": 300}).modem
    assert rungs(modem) == {Rung.MODEM_POWER: 300}
    assert climb(Ladder({}), 100_000, every=10.0) == []


def test_the_machine_is_not_started_anew_while_a_car_is_there() -> None:
    ladder = Ladder({Rung.REBOOT: 600.0})
    assert climb(ladder, 90_000, idle=False, every=10.0) == []
    assert ladder.step(False, True, 90_010) is Rung.REBOOT


def test_the_lower_rungs_go_on_while_a_reboot_waits_for_the_car_to_leave() -> None:
    taken = {rung for rung, _ in climb(Ladder(dict(ALL)), 30_000, idle=False, every=10.0)}
    assert taken == {Rung.MODEM_RESET, Rung.MODEM_POWER}


def test_only_a_link_that_stays_begins_the_ladder_anew() -> None:
    ladder = Ladder({Rung.MODEM_RESET: 900.0})
    climb(ladder, 800)
    ladder.step(True, True, 801)
    ladder.step(True, True, 801 + STABLE_S - 1)
    assert ladder.away_s(900) == 0.0
    assert climb(ladder, 950, since=921) == [(Rung.MODEM_RESET, 921)]  # it only flickered
    ladder.step(True, True, 1000)
    ladder.step(True, True, 1000 + STABLE_S)
    assert ladder.rung is None
    assert ladder.taken(Rung.MODEM_RESET) == 0
    assert climb(ladder, 2999, since=2000) == [(Rung.MODEM_RESET, 2900)]


def test_a_machine_that_started_in_vain_does_so_again_only_after_twice_the_time() -> None:
    ladder = Ladder({Rung.REBOOT: 600.0}, {Rung.REBOOT: 1})
    assert ladder.rung is Rung.REBOOT
    assert climb(ladder, 1300) == [(Rung.REBOOT, 1200)]


# The shell


def play(tmp_path: Path, body: Callable[[Harness], Awaitable[None]], **more: Any) -> None:
    async def go() -> None:
        async with station(tmp_path, ocpp={"url": "ws://x", "security_profile": 0}, **more) as h:
            await body(h)

    asyncio.run(go())


def notes(tmp_path: Path, word: str) -> tuple[str, ...]:
    """A command that leaves a trace."""
    return ("sh", "-c", f'echo "{word}" >> "{tmp_path}/done"')


def away(h: Harness, seconds: int) -> None:
    h.backend.online = False
    for _ in range(seconds // 10):
        h.advance(10)


async def done(h: Harness, tmp_path: Path) -> list[str]:
    await h.until(lambda: not h.station.uplink._acting)
    file = tmp_path / "done"
    return file.read_text().split() if file.exists() else []


def test_the_sites_commands_are_run_and_counted_and_told(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        away(h, 320)
        assert await done(h, tmp_path) == ["reset"]
        away(h, 400)
        assert await done(h, tmp_path) == ["reset", "power"]
        assert h.station.health.kpis.figures['link_rungs_total{rung="modem-power"}'] == 1
        fault = next(f for f in h.station.faults if f.name == "backend-offline")
        assert "for 11 min; modem resets: 1; modem power cycles: 1" in fault.detail
        assert h.station.uplink.view(h.time.mono)["rung"] == "modem-power"
        h.plug()
        await h.until_state("waiting_auth")
        said = Control(h.station, tmp_path / "s").why(1, "en")
        assert "for 11 min; modem resets: 1" in said
        said = Control(h.station, tmp_path / "s").why(1, "fr")
        assert "depuis 11 min ; réinitialisations du modem : 1 ; coupures du modem : 1" in said
        h.backend.online = True
        h.advance(1)
        assert "backend-offline" not in h.station.faults

    play(
        tmp_path,
        body,
        modem={
            "reset_command": notes(tmp_path, "reset"),
            "reset_after": 300,
            "power_command": notes(tmp_path, "power"),
            "power_after": 700,
        },
    )


def test_a_registration_that_is_not_accepted_is_no_matter_of_the_modem(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.backend.registered = False
        away(h, 400)
        assert await done(h, tmp_path) == []
        assert "backend-offline" not in h.station.faults

    play(tmp_path, body, modem={"reset_command": notes(tmp_path, "reset"), "reset_after": 300})


def test_a_command_that_fails_is_told_and_the_station_goes_on(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        away(h, 320)
        await done(h, tmp_path)
        h.advance(1)
        fault = next(f for f in h.station.faults if f.name == "backend-offline")
        assert "sh: status 3, no such modem" in fault.detail
        h.plug()
        await h.until_state("waiting_auth")

    play(tmp_path, body, modem={"reset_command": ("sh", "-c", "echo no such modem; exit 3"), "reset_after": 300})


@pytest.mark.parametrize("there", ["charging", "plugged", "plugged-out-of-service", "badge"])
def test_no_reboot_with_somebody_at_the_borne(tmp_path: Path, there: str) -> None:
    async def body(h: Harness) -> None:
        if there == "charging":
            await h.charge()
        elif there == "plugged":
            h.plug()
        elif there == "plugged-out-of-service":
            await h.station.set_availability(1, False)
            h.plug()
            assert h.state() == "idle"
        else:
            h.badge()
            await h.until_state("idle", 1)
            await h.until(lambda: h.station.entrance.waiting)
            h.settings.connection_timeout_s = 10**6
        h.backend.online = False
        for _ in range(10):
            h.advance(100 if there != "badge" else 11)
        assert not h.station._idle()
        assert await done(h, tmp_path) == []

    play(tmp_path, body, modem={"reboot_command": notes(tmp_path, "reboot"), "reboot_after": 600})


def test_a_reboot_is_noted_before_it_happens_and_forgotten_once_the_link_is_good(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        away(h, 620)
        assert await done(h, tmp_path) == ["reboot"]
        assert await h.journal.read(lambda db: store.get(db, "uplink", "reboots")) == {"count": 1}

    async def after(h: Harness) -> None:
        assert h.station.uplink.ladder.taken(Rung.REBOOT) == 1
        h.advance(1)
        h.advance(int(STABLE_S) + 1)
        await asyncio.sleep(0.05)
        assert await h.journal.read(lambda db: store.get(db, "uplink", "reboots")) == {"count": 0}

    modem = {"reboot_command": notes(tmp_path, "reboot"), "reboot_after": 600}
    play(tmp_path, body, modem=modem)
    play(tmp_path, after, modem=modem)


def test_the_status_tells_the_rung(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        from chargepoint.station.view import station_status

        away(h, 100)
        shown = json.loads(json.dumps(await station_status(h.station)))["ocpp"]["ladder"]
        assert shown["rung"] == "reconnect"
        assert 80 <= shown["away"] <= 100

    play(tmp_path, body)
