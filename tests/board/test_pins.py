"""The pin map: what is accepted, and that every mistake is named."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from chargepoint.board.pins import Line, PinError, load_pins, parse_line, reference
from chargepoint.config import (
    BoardSection,
    Config,
    DomesticSection,
    EvseSection,
    ReaderSection,
    StationSection,
    SupplySection,
)


def config(
    pins: dict[str, str] | None = None,
    points: int = 2,
    domestic: bool = False,
    socket: bool = True,
    pulls: dict[str, Literal["up", "down"]] | None = None,
    reader: str = "pn532",
) -> Config:
    section = DomesticSection() if domestic else None
    return Config(
        station=StationSection(id="T", run_dir=Path("/nowhere")),
        supply=SupplySection(max_current=52),
        board=BoardSection(kind="simulated", pins=pins or {}, pulls=pulls or {}),
        reader=(msgspec.convert({"kind": reader}, ReaderSection),),
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
    assert load_pins(config({"door": "EXP30"}, pulls={"EXP30": "down"})).line("door") == Line(2, 14)


@pytest.mark.parametrize(
    ("pins", "pulls", "words"),
    [
        ({"door": "EXP30"}, {}, ["door", "EXP30 has no pull", "held down", 'EXP30 = "down" in [board.pulls]']),
        ({"contactor_1": "GPIO9"}, {}, ["contactor_1", "GPIO9 has no pull", "an output must be held down"]),
        ({"contactor_1": "GPIO14"}, {}, ["contactor_1", "GPIO14 is held up", "must be held down"]),
        ({"rcd_1": "GPIO20", "mirror_1": "GPIO22"}, {"GPIO20": "up"}, ["rcd_1", "GPIO20 is held up"]),
        ({"door": "EXP30"}, {"EXP99": "down"}, ["board.pulls.EXP99", "EXP31"]),
    ],
)
def test_a_line_that_no_resistor_holds_is_refused(
    pins: dict[str, str], pulls: dict[str, Literal["up", "down"]], words: list[str]
) -> None:
    with pytest.raises(PinError) as caught:
        load_pins(config(pins, pulls=pulls))
    for word in words:
        assert word in str(caught.value)


def test_a_wiegand_reader_takes_two_lines_and_only_when_there_is_one() -> None:
    assert "wiegand_zero" not in dict(load_pins(config()).items())
    pins = load_pins(config(reader="wiegand"))
    assert (pins.line("wiegand_zero"), pins.line("wiegand_one")) == (Line(0, 14), Line(0, 15))
    assert load_pins(config({"door": "GPIO14"}, pulls={"GPIO14": "down"})).text("door") == "GPIO14"
    with pytest.raises(PinError, match="GPIO14 is used by door and wiegand_zero"):
        load_pins(config({"door": "GPIO14"}, pulls={"GPIO14": "down"}, reader="wiegand"))


def test_the_reference_map_says_how_every_line_of_it_is_held() -> None:
    carrier = reference()
    assert set(carrier.pulls) >= {line for line in carrier.lines.values() if not line.startswith("SPI")}


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
        ({"door": "GPIO3"}, ["door", "I2C bus"]),
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


def test_a_domestic_contactor_is_not_put_on_a_line_that_is_pulled_up_at_boot() -> None:
    with pytest.raises(PinError, match="domestic_contactor_1: GPIO7 is pulled up"):
        load_pins(config({"domestic_contactor_1": "GPIO7"}, domestic=True, pulls={"GPIO7": "down"}))


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
