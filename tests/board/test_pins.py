"""The pin map: what is accepted, and that every mistake is named."""

from pathlib import Path

import msgspec
import pytest

from chargepoint.board.pins import Line, PinError, load_pins, parse_line
from chargepoint.config import BoardSection, Config, DomesticSection, EvseSection, StationSection, SupplySection


def config(pins: dict[str, str] | None = None, points: int = 2, domestic: bool = False, socket: bool = True) -> Config:
    section = DomesticSection() if domestic else None
    return Config(
        station=StationSection(id="T", run_dir=Path("/nowhere")),
        supply=SupplySection(max_current=52),
        board=BoardSection(kind="simulated", pins=pins or {}),
        evse=tuple(
            EvseSection(id=number + 1, max_current=32, domestic=section, socket=socket) for number in range(points)
        ),
    )


def test_the_reference_map_serves_two_points_with_everything_built_in() -> None:
    pins = load_pins(config(domestic=True))
    assert pins.line("contactor", 1) == Line(0, 16)
    assert pins.line("door") == Line(2, 0)


def test_signals_that_are_not_built_in_need_no_line() -> None:
    names = {name for name, _ in load_pins(config(socket=False)).items()}
    assert "lock_close_1" not in names
    assert "domestic_contactor_1" not in names


def test_an_override_moves_one_signal() -> None:
    assert load_pins(config({"door": "EXP30"})).line("door") == Line(2, 14)


@pytest.mark.parametrize(
    ("pins", "words"),
    [
        ({"contactr_1": "GPIO16"}, ["board.pins.contactr_1", "no such signal"]),
        ({"contactor_1": "GPIO17"}, ["GPIO17", "contactor_1", "contactor_2"]),
        ({"contactor_1": "GPIO4"}, ["contactor_1", "pulled up"]),
        ({"heartbeat": "GPIO2"}, ["heartbeat", "pulled up"]),
        ({"contactor_1": "EXP7"}, ["contactor_1", "header"]),
        ({"rcd_1": "EXP20"}, ["rcd_1", "header"]),
        ({"door": "EXP23"}, ["door", "only be an output"]),
        ({"door": "GPIO9"}, ["door", "SPI bus"]),
        ({"door": "GPIO28"}, ["door", "GPIO28"]),
        ({"door": "EXP32"}, ["door", "EXP32"]),
        ({"door": "banana"}, ["door", "banana"]),
        ({"pilot_1": "GPIO16"}, ["pilot_1", "no hardware PWM"]),
        ({"adc_2": "SPI0.0"}, ["SPI0.0", "adc_1", "adc_2"]),
        ({"adc_2": "SPI9.0"}, ["adc_2", "SPI9.0"]),
    ],
)
def test_a_mistake_is_named_with_its_signal_and_line(pins: dict[str, str], words: list[str]) -> None:
    with pytest.raises(PinError) as caught:
        load_pins(config(pins))
    for word in words:
        assert word in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(PinError) as caught:
        load_pins(config({"door": "banana", "heartbeat": "GPIO2"}))
    assert "banana" in str(caught.value) and "GPIO2" in str(caught.value)


def test_a_third_point_needs_lines_of_its_own() -> None:
    with pytest.raises(PinError, match=r"^point 3 has no lines; [^;]*$"):
        load_pins(config(points=3))


def test_expander_lines_count_on_over_the_chips() -> None:
    assert parse_line("EXP16") == Line(2, 0)


def test_points_numbered_otherwise_take_the_lines_that_are_free() -> None:
    other = config()
    points = tuple(msgspec.structs.replace(evse, id=number) for evse, number in zip(other.evse, (7, 1), strict=True))
    pins = load_pins(msgspec.structs.replace(other, evse=points))
    assert pins.line("contactor", 1) == Line(0, 16)
    assert pins.line("contactor", 7) == Line(0, 17)
