"""What comes from outside reaches a terminal in visible characters alone."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from chargepoint.console.language import Language
from chargepoint.console.status import screen
from chargepoint.text import clean, clean_all, mask, table


@given(st.text())
def test_no_control_or_hidden_character_gets_through(text: str) -> None:
    assert all(char == " " or unicodedata.category(char)[0] in "LNPS" for char in clean(text))


@given(st.text(max_size=300), st.integers(5, 100))
def test_a_text_is_never_wider_than_asked(text: str, width: int) -> None:
    assert len(clean(text, width)) <= width + 1


def test_an_escape_sequence_is_shown_instead_of_obeyed() -> None:
    assert clean("\x1b]0;title\x07red\x1b[31m") == "\\x1b]0;title\\x07red\\x1b[31m"
    assert clean("a\u202eb") == "a\\u202eb"
    assert clean("Forêt d'Ardenne – 32 A") == "Forêt d'Ardenne – 32 A"


def test_nested_values_are_cleaned_with_their_keys() -> None:
    assert clean_all({"a\n": ["\r", 1, None, {"b": "\x00"}]}) == {"a\\x0a": ["\\x0d", 1, None, {"b": "\\x00"}]}


def test_a_badge_is_masked() -> None:
    assert mask("04A1B2C3") == "04****C3"
    assert mask(None) == ""


def test_columns_are_aligned() -> None:
    assert table([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]


def test_the_status_screen_fits_an_80_by_24_terminal_whatever_it_is_told() -> None:
    fault = {"name": "lock-jam", "since": "2026-01-01T00:00:00Z", "detail": "\x1b[2J" * 50}
    evse = {
        "id": 1,
        "status": "Charging",
        "pilot": "C2",
        "offered": 32.0,
        "current": [31.9, None, 31.0],
        "power": 22000.0,
    }
    evse |= {
        "energy": 1234567,
        "id_token": "\x1b[31mX" * 9,
        "limits": [{"name": "socket", "amps": 32.0, "owner": "x\n" * 90}],
    }
    lines = screen(
        {"evses": [evse | {"faults": [fault]}, evse | {"id": 2}], "faults": [fault], "ocpp": {}, "clock": {}},
        Language("fr"),
    )
    assert len(lines) <= 24
    assert all(len(line) <= 80 and line.isprintable() for line in lines)


def test_the_status_screen_tells_the_connectors_of_a_point_that_has_two() -> None:
    two = [{"type": "type-2", "status": "Unavailable"}, {"type": "domestic", "status": "Charging"}]
    status = {"evses": [{"id": 1, "connectors": two}, {"id": 2, "connectors": two[:1]}]}
    told = [line for line in screen(status, Language("fr")) if "domestique" in line]
    assert told == ["point 1: type 2 Hors service, domestique En charge"]
