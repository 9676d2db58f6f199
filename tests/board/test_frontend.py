"""Counts and what they mean: there and back, at the ends, and against the resistors of the standard."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.board import frontend, mcp3208
from chargepoint.board.spi import message_request


@given(st.floats(-14.9, 14.9))
def test_the_pilot_is_read_to_ten_millivolts(volt: float) -> None:
    assert frontend.pilot_v(frontend.pilot_count(volt)) == pytest.approx(volt, abs=0.01)


@pytest.mark.parametrize("ohm", [60, 100, 220, 680, 1500, 2460, 4500])
def test_the_coding_resistors_are_read_to_one_percent(ohm: float) -> None:
    assert frontend.pp_ohm(frontend.pp_count(ohm)) == pytest.approx(ohm, rel=0.01)


def test_an_open_and_a_shorted_proximity_contact() -> None:
    assert math.isinf(frontend.pp_ohm(frontend.pp_count(math.inf)))
    assert frontend.pp_ohm(frontend.pp_count(0)) == 0


@given(st.floats(-30, 110))
def test_the_temperature_is_read_to_half_a_degree(celsius: float) -> None:
    assert frontend.temperature_c(frontend.temperature_count(celsius)) == pytest.approx(celsius, abs=0.5)


def test_a_broken_temperature_sensor_reads_as_impossible() -> None:
    assert frontend.temperature_c(4095) < -200
    assert frontend.temperature_c(0) > 200


@given(st.floats(0, 100))
def test_the_generators_mean_tells_its_duty(percent: float) -> None:
    assert frontend.duty_percent(frontend.duty_count(percent)) == pytest.approx(percent, abs=0.05)


@given(st.integers(0, 7))
def test_a_command_frame_asks_for_its_channel(channel: int) -> None:
    assert mcp3208.channel_of(mcp3208.frame(channel)) == channel


def test_the_command_bytes_are_the_data_sheets() -> None:
    assert mcp3208.frame(0) == bytes.fromhex("060000")
    assert mcp3208.frame(3) == bytes.fromhex("06c000")
    assert mcp3208.frame(4) == bytes.fromhex("070000")


@pytest.mark.parametrize("command", [b"\x06\x00", b"\x04\x00\x00", b"\x00\x00\x00"])
def test_what_is_no_single_ended_conversion_is_refused(command: bytes) -> None:
    with pytest.raises(ValueError, match="single-ended"):
        mcp3208.channel_of(command)


def test_undefined_bits_before_the_twelve_are_masked() -> None:
    assert mcp3208.Answers(2).counts(bytes.fromhex("fffabc00f123")) == (0xABC, 0x123)


def test_the_ioctl_numbers_are_the_kernels() -> None:
    assert message_request(1) == 0x40206B00
    assert message_request(6) == 0x40C06B00
