"""Words to numbers and back, and which numbers are believed."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.meter import maps
from chargepoint.meter.decode import EnergyGuard, Implausible, to_reading
from chargepoint.meter.registers import WORDS, decode, encode

INTEGERS = {"u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}
INTEGERS |= {"u64": (0, 2**53), "i64": (-(2**53), 2**53)}
ORDERS = st.sampled_from(["big", "little"])


@given(st.sampled_from(sorted(INTEGERS)).flatmap(lambda k: st.tuples(st.just(k), st.integers(*INTEGERS[k]))), ORDERS)
def test_every_integer_survives_its_registers(kind_and_value, order):
    kind, value = kind_and_value
    words = encode(value, kind, order)
    assert len(words) == WORDS[kind] and decode(words, kind, order) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), ORDERS)
def test_every_float_survives_its_registers(value, order):
    assert decode(encode(value, "f32", order), "f32", order) == value


@given(st.sampled_from(["t5", "t6"]), st.floats(0, 1e7, allow_nan=False))
def test_packed_values_keep_six_digits(kind, value):
    assert decode(encode(value, kind), kind) == pytest.approx(value, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_no_value(value):
    raw = struct.pack(">f", value)
    assert decode([int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:], "big")], "f32") is None


@pytest.mark.parametrize("kind", ["u16", "i16", "u32", "i32", "u64", "i64"])
def test_the_mark_for_no_value_counts_only_where_the_map_says_so(kind):
    words = encode(None, kind)
    assert decode(words, kind, absent=True) is None
    assert decode(words, kind) is not None


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_the_register_never_falls_on_less_than_three_readings(values):
    guard = EnergyGuard()
    accepted = []
    for n, value in enumerate(values):
        try:
            guard.check(value, float(n))
        except Implausible:
            continue
        if accepted and value < accepted[-1]:
            assert n >= 2 and values[n - 2] <= values[n - 1] <= value
        accepted.append(value)
    assert accepted[0] == values[0]


def test_a_register_that_jumps_once_is_not_believed_and_one_that_stays_there_is():
    guard = EnergyGuard()
    guard.check(1_000_000, 0.0)
    with pytest.raises(Implausible, match="jumped from 1000000 Wh to 903000000 Wh"):
        guard.check(903_000_000, 1.0)
    guard.check(1_000_006, 2.0)
    for second in (3.0, 4.0):
        with pytest.raises(Implausible):
            guard.check(5_000_000, second)
    guard.check(5_000_000, 5.0)
    guard.check(5_000_006, 6.0)


def test_a_register_that_went_on_while_nobody_read_it_is_believed_at_once():
    guard = EnergyGuard()
    guard.check(0, 0.0)
    guard.check(220_000, 10 * 3600.0)


@pytest.mark.parametrize(
    ("address", "value", "named"), [(0x00, 1e6, "voltage of L1"), (0x08, 1e9, "current of L2"), (0x48, -5.0, "energy")]
)
def test_values_no_meter_shows_are_named(address, value, named):
    registers = dict.fromkeys(range(0x50), 0)
    registers.update(enumerate(encode(value, "f32"), address))
    with pytest.raises(Implausible, match=named):
        to_reading(maps.load("eastron-sdm630"), registers, 0.0)


@pytest.mark.parametrize("power", [400, -400, 30_000])
def test_an_exponent_that_no_counter_has_is_implausible_and_no_crash(power):
    iskra = maps.load("iskra-wm3m4c")
    row = iskra.registers["energy_import"]
    with pytest.raises(Implausible, match="exponent register 414"):
        to_reading(iskra, {row.exponent: power & 0xFFFF, row.address: 0, row.address + 1: 5}, 0.0)


def test_a_dead_phase_is_a_value_and_not_a_mistake():
    reading = to_reading(maps.load("eastron-sdm630"), dict.fromkeys(range(0x50), 0), 5.0)
    assert reading.voltage_v == (0, 0, 0) and reading.energy_wh == 0 and reading.at == 5.0
