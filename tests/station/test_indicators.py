"""What the lamps show: a table in the configuration, readable without telling colours apart."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from station_harness import Harness, station

from chargepoint.config import LampsSection
from chargepoint.config_check import ConfigError, parse
from chargepoint.energy.limits import NAMES, Limit
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.indicators import MOMENTS, ROWS, WAITING, Indicators, steps, waits_for

BORNE = """
[station]
id = "B"
[supply]
max_current = 32
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
[lamps]
"""


def test_every_status_and_every_moment_has_a_row() -> None:
    shown = Indicators.of(LampsSection())
    assert set(shown.by_status) == set(ConnectorStatus)
    assert set(MOMENTS) < set(shown.moments)
    assert {entry.name for entry in msgspec.structs.fields(LampsSection)} == {*ROWS.values(), *MOMENTS, *WAITING}


def test_no_two_situations_differ_by_colour_alone() -> None:
    """A rhythm is told by its shortest and longest dark time and by how often it flashes, not by milliseconds."""
    shown = Indicators.of(LampsSection())
    rhythms = {
        status.value: tuple((any(step[:3]), step[3]) for step in pattern) for status, pattern in shown.by_status.items()
    }
    for (one, first), (two, second) in itertools.combinations(rhythms.items(), 2):
        if len(first) != len(second):
            continue
        longest = max(max(a[1], b[1]) / min(a[1], b[1]) for a, b in zip(first, second, strict=True))
        assert longest >= 1.8, f"{one} and {two} flash alike"


def test_a_row_becomes_steps() -> None:
    assert steps("green") == ((False, True, False, 1000),)
    assert steps("yellow 500 200") == ((True, True, False, 500), (False, False, False, 200))


def test_a_row_of_the_configuration_is_shown() -> None:
    config = parse(BORNE + 'charging = "cyan 50 50"\n')
    assert Indicators.of(config.lamps).by_status[ConnectorStatus.CHARGING] == steps("cyan 50 50")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('charging = "pink"', "a colour, then milliseconds lit and dark"),
        ('charging = "blue 500"', "a colour, then milliseconds lit and dark"),
        ('charging = "blue"', "colour alone is not enough"),
        ('faulted = "red 700 700"', "rhythm of lamps.preparing"),
        ('waiting_grid = "cyan 300 300"', "rhythm of lamps.faulted|rhythm of lamps.waiting_grid"),
        ('waiting_schedule = "pink"', "a colour, then milliseconds lit and dark"),
    ],
)
def test_a_row_that_cannot_be_seen_is_a_mistake(row: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(BORNE + row + "\n")


OWN_ROWS = {
    "waiting_grid": "cyan 100 2000",
    "waiting_temperature": "yellow 100 1500",
    "waiting_schedule": "magenta 100 1000",
    "waiting_authorisation": "white 2000 100",
}


def test_every_reason_that_gives_no_current_has_a_row() -> None:
    found = {name: waits_for(name) for name in NAMES}
    grid = {"tic", "building-meter", "overload", "safe-share", "grid-signal"}
    schedule = {"ocpp-max", "ocpp-default", "ocpp-transaction", "operator", "technician", "tariff"}
    assert {name for name, row in found.items() if row == "waiting_grid"} == grid
    assert {name for name, row in found.items() if row == "waiting_schedule"} == schedule
    assert {name for name, row in found.items() if row == "waiting_temperature"} == {"temperature"}
    assert waits_for("overload#tic") == "waiting_grid"


@pytest.mark.asyncio
@pytest.mark.parametrize("lamps", [OWN_ROWS, {}])
@pytest.mark.parametrize(
    ("limit", "row"),
    [
        ("temperature", "waiting_temperature"),
        ("technician", "waiting_schedule"),
        ("operator", "waiting_schedule"),
        ("grid-signal#flex", "waiting_grid"),
        ("socket", "waiting_current"),
    ],
)
async def test_a_paused_session_shows_what_it_waits_for(
    tmp_path: Path, lamps: dict[str, str], limit: str, row: str
) -> None:
    async with station(tmp_path, lamps=lamps) as h:
        await h.charge()
        h.advance(20)
        h.station.points[1].limits.set(Limit(limit, "somebody", 0.0, h.time.mono))
        await until_shown(h, lamps.get(row, LampsSection().waiting_current))


@pytest.mark.asyncio
async def test_a_session_without_room_on_the_supply_shows_that_it_waits_for_current(tmp_path: Path) -> None:
    async with station(tmp_path, lamps=OWN_ROWS, supply={"max_current": 8}) as h:
        await h.charge("TAG2", 2)
        h.plug(1)
        h.badge()
        await h.until_state("running")
        h.advance(20)
        await until_shown(h, LampsSection().waiting_current)


@pytest.mark.asyncio
@pytest.mark.parametrize("lamps", [OWN_ROWS, {}])
async def test_a_cable_without_a_badge_shows_that_it_waits_for_one(tmp_path: Path, lamps: dict[str, str]) -> None:
    async with station(tmp_path, lamps=lamps) as h:
        h.plug()
        await until_shown(h, lamps.get("waiting_authorisation", LampsSection().preparing))
        h.fault(1, "diode")
        await until_shown(h, LampsSection().faulted)


async def until_shown(h: Harness, row: str) -> Any:
    h.station.tick()
    await h.until(lambda: h.link.shown[1].steps == steps(row))


TONES = {"enabled": True, "accepted": "100", "refused": "50 60 70", "fault": "900"}


@pytest.mark.asyncio
async def test_the_buzzer_tells_a_badge_taken_refused_and_a_fault_once_each(tmp_path: Path) -> None:
    async with station(tmp_path, buzzer=TONES) as h:
        h.badge("NOBODY")
        await h.until(lambda: h.link.heard)
        assert set(h.link.heard) == {(1, (50, 60, 70)), (2, (50, 60, 70))}  # both points' reader; one buzzer sounds
        h.link.heard.clear()
        h.advance(5)
        await h.charge()
        assert h.link.heard == [(1, (100,))]
        h.fault(1, "diode")
        await h.until_status("Faulted")
        h.station.tick()
        assert h.link.heard == [(1, (100,)), (1, (900,))]


@pytest.mark.asyncio
async def test_without_a_buzzer_nothing_is_sounded(tmp_path: Path) -> None:
    async with station(tmp_path) as h:
        await h.charge()
        h.fault(1, "diode")
        await h.until_status("Faulted")
        assert h.link.heard == [] and not h.station.test_buzzer()


@pytest.mark.asyncio
async def test_a_technician_hears_all_tones_one_after_the_other_and_none_that_is_switched_off(tmp_path: Path) -> None:
    async with station(tmp_path, buzzer={**TONES, "refused": ""}) as h:
        assert h.station.test_buzzer()
        assert h.link.heard == [(1, (100, 800, 900))]


@pytest.mark.parametrize("row", ["80 80", "1000", "loud", "80 80 80 80 80 80 80 80 80 80 80"])
def test_a_row_of_tones_that_cannot_be_is_a_mistake(row: str) -> None:
    with pytest.raises(ConfigError, match="milliseconds sounding, silent, sounding"):
        parse(BORNE + f'[buzzer]\nfault = "{row}"\n')
