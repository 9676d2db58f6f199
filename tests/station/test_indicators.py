"""What the lamps show: a table in the configuration, readable without telling colours apart."""

import itertools

import msgspec
import pytest

from chargepoint.config import LampsSection
from chargepoint.config_check import ConfigError, parse
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.indicators import MOMENTS, ROWS, Indicators, steps

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
    assert {entry.name for entry in msgspec.structs.fields(LampsSection)} == {*ROWS.values(), *MOMENTS}


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
    ],
)
def test_a_row_that_cannot_be_seen_is_a_mistake(row: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(BORNE + row + "\n")
