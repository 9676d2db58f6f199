"""Every map file: sound, read whole from a server made of it, and agreeing with answers written by hand."""

import asyncio
import time

import pytest

from chargepoint.config import MeterRef
from chargepoint.meter import maps
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.decode import to_reading
from chargepoint.meter.maps import BadMap, UnknownModel
from chargepoint.meter.plan import PAIR_MS, duration_ms, plan
from chargepoint.meter.registers import decode
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading, crc16

NOW = SimReading(
    voltage_v=(231.0, 229.5, 230.2),
    current_a=(16.0, 15.5, 14.75),
    power_w=(3696.0, 3557.0, 3395.0),
    energy_wh=1_234_500.0,
    export_wh=1_200.0,
    frequency_hz=50.1,
)

# Answers as a meter puts them on the wire: unit, function, byte count, data. Encoded by hand from the row's source.
GOLDEN = [
    # Eastron's manuals show this exchange themselves: 230.2 V.
    ("eastron-sdm630", "voltage_l1", 0x0000, "01 04 04 43 66 33 34", 230.2),
    ("eastron-sdm630", "energy_import", 0x0048, "01 04 04 44 9A 52 2B", 1234567.7),
    ("eastron-sdm72d-m-v2", "current_l3", 0x000A, "01 04 04 41 80 00 00", 16.0),
    ("eastron-sdm72d-m-v1", "energy_export", 0x004A, "01 04 04 3F 80 00 00", 1000.0),
    ("eastron-sdm120", "power_factor", 0x001E, "01 04 04 3F 7D 70 A4", 0.99),
    ("eastron-sdm230", "power", 0x000C, "01 04 04 C5 0F C0 00", -2300.0),
    ("abb-b21", "power", 0x5B14, "01 03 04 FF FC 7D 90", -2300.0),
    ("abb-b23", "voltage_l1", 0x5B00, "01 03 04 00 00 08 FE", 230.2),
    ("abb-b23", "energy_import", 0x5000, "01 03 08 00 00 00 00 00 01 E2 40", 1_234_560),
    ("abb-b23", "current_l2", 0x5B0E, "01 03 04 FF FF FF FF", None),
    ("abb-b23", "power_factor", 0x5B3A, "01 03 02 7F FF", None),
    ("carlo-gavazzi-em24", "voltage_l2", 0x0002, "01 04 04 08 FE 00 00", 230.2),
    ("carlo-gavazzi-em24", "energy_import", 0x003E, "01 04 04 E2 40 00 01", 12_345_600),
    ("carlo-gavazzi-em24-e1", "power", 0x0028, "01 04 04 A6 28 FF FF", -2300.0),
    ("carlo-gavazzi-em340", "frequency", 0x0033, "01 04 02 01 F4", 50.0),
    ("carlo-gavazzi-em112", "current_l1", 0x0002, "01 04 04 3E 80 00 00", 16.0),
    ("schneider-iem3155", "power", 0x0BF3, "01 03 04 40 13 33 33", 2300.0),
    ("schneider-iem3155", "energy_import", 0x0C83, "01 03 08 00 00 00 00 00 12 D6 87", 1_234_567),
    ("schneider-iem3150", "voltage_l3", 0x0BD7, "01 03 04 43 66 33 34", 230.2),
    ("inepro-pro380", "power_l2", 0x5016, "01 03 04 40 13 33 33", 2300.0),
    ("inepro-pro1", "energy_import", 0x600C, "01 03 04 44 9A 40 00", 1_234_000),
    ("wago-879", "frequency", 0x5008, "01 03 04 42 48 00 00", 50.0),
    ("finder-7m38", "current_l1", 2516, "01 04 04 41 80 00 00", 16.0),
    ("finder-7m38", "energy_import", 2752, "01 04 04 49 96 B4 38", 1_234_567),
    ("finder-7e78", "power", 0x1026, "01 04 04 45 0F C0 00", 2300.0),
    ("phoenix-eem350", "current_l3", 0x0010, "01 04 04 3E 80 00 00", 16.0),
    ("dzg-dvh4013", "voltage_l1", 0x0004, "01 03 04 00 00 59 EC", 230.2),
    ("dzg-dvh4013", "energy_import", 0x4000, "01 03 04 00 12 D6 87", 1_234_567),
    ("eltako-dsz15d", "voltage_l1", 0x0000, "01 04 04 00 00 59 EC", 230.2),
    ("eltako-dsz15d", "energy_import", 0x0048, "01 04 04 00 01 E2 40", 1_234_560),
    # t5: exponent -1, 2302; t6: exponent 0, -2300; t7: sign, 0.99; counter 1234567 with exponent 0.
    ("iskra-wm3m4c", "voltage_l1", 107, "21 04 04 FF 00 08 FE", 230.2),
    ("iskra-wm3m4c", "power", 140, "21 04 04 00 FF F7 04", -2300.0),
    ("iskra-wm3m4c", "power_factor", 164, "21 04 04 FF 00 26 AC", -0.99),
    ("iskra-wm3m4c", "energy_import", 418, "21 04 04 00 12 D6 87", 1_234_567),
]


@pytest.mark.parametrize(("model", "quantity", "address", "answer", "expected"), GOLDEN)
def test_an_answer_written_by_hand_means_what_its_source_says(model, quantity, address, answer, expected):
    regmap = maps.load(model)
    row = regmap.registers[quantity]
    raw = bytes.fromhex(answer)
    assert (row.address, regmap.function, 2 * row.words) == (address, raw[1], raw[2])
    words = [int.from_bytes(raw[i : i + 2], "big") for i in range(3, len(raw), 2)]
    value = decode(words, row.type, regmap.word_order, regmap.absent)
    assert value is None if expected is None else value * row.scale == pytest.approx(expected, rel=1e-6)


def test_every_model_has_an_answer_written_by_hand():
    assert {row[0] for row in GOLDEN} == set(maps.names())


def test_the_makers_example_has_the_makers_checksum():
    assert crc16(bytes.fromhex("01 04 00 00 00 02")) == bytes.fromhex("71 CB")
    assert crc16(bytes.fromhex("01 04 04 43 66 33 34")) == bytes.fromhex("1B 38")


class Told:
    def __init__(self):
        self.reading = None

    def meter_read(self, evse, reading):
        self.reading = reading

    def meter_lost(self, evse, why):
        raise AssertionError(why)

    def meter_found(self, evse):
        pass


@pytest.mark.parametrize("model", maps.names())
@pytest.mark.asyncio
async def test_a_meter_made_of_the_file_is_read_whole(tmp_path, model):
    sim = SimMeterBus(tmp_path / "m", {1: SimMeter(model, lambda: NOW)})
    await sim.start()
    told = Told()
    bus = MeterBus(str(tmp_path / "m"), 9600, "N", 1.0, {7: MeterRef(model=model, unit=1)}, told)
    task = asyncio.create_task(bus.run())
    deadline = time.monotonic() + 3
    while told.reading is None:
        assert time.monotonic() < deadline, bus.counters
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    await sim.close()
    regmap, reading = maps.load(model), told.reading
    rows = regmap.registers
    assert reading.energy_wh == pytest.approx(1_234_500, abs=100)
    assert reading.power_w == pytest.approx(10_648 if regmap.phases == 3 else 3696, rel=1e-4)
    for phase in range(regmap.phases if "voltage_l1" in rows else 0):
        assert reading.voltage_v[phase] == pytest.approx(NOW.voltage_v[phase], abs=0.1)
        assert reading.current_a[phase] == pytest.approx(NOW.current_a[phase], abs=0.01)
    if "power_l1" in rows:
        assert reading.power_phases_w == pytest.approx(NOW.power_w, rel=1e-3)
    if "frequency" in rows:
        assert reading.frequency_hz == pytest.approx(50.1, abs=0.05)
    if "energy_export" in rows:
        assert reading.export_wh == pytest.approx(1200, abs=100)


@pytest.mark.parametrize("model", maps.names())
@pytest.mark.parametrize("alone", [True, False])
def test_a_plan_reads_what_it_promises_within_the_meters_limit_and_the_energy_last(model, alone):
    regmap = maps.load(model)
    found = plan(regmap, alone=alone)
    rounds = (found.whole, found.brief, *found.turns)
    energy = regmap.registers["energy_import"]
    for blocks in rounds:
        assert all(block.count <= regmap.max_registers for block in blocks)
        assert blocks[-1].holds(energy)
        for name in ("energy_import", "current_l1", "current_l3"):
            assert name not in regmap.registers or sum(block.holds(regmap.registers[name]) for block in blocks) == 1
    for name, row in regmap.registers.items():
        read_in = [blocks for blocks in (found.brief, *found.turns) if any(block.holds(row) for block in blocks)]
        if not name.startswith("power") or name == "power_factor":
            assert read_in and any(block.holds(row) for block in found.whole)
    powers = [name for name in ("power", "power_l1") if name in regmap.registers]
    assert any(any(block.holds(regmap.registers[name]) for block in found.whole) for name in powers) or not powers


@pytest.mark.parametrize("model", maps.names())
def test_two_meters_on_a_line_fit_into_a_quarter_of_a_second(model):
    found = plan(maps.load(model), alone=False)
    longest = max(duration_ms(found.brief), *(duration_ms(turn) for turn in (*found.turns, found.brief)))
    assert duration_ms(found.brief) + longest <= PAIR_MS


def test_only_one_of_two_meters_takes_a_long_round():
    found = plan(maps.load("carlo-gavazzi-em24"), alone=False)
    taken, had = [0, 0], [[], []]
    before = found.brief
    for reading in range(1, 100):
        meter = reading % 2
        blocks = found.blocks(reading, 2, taken[meter])
        assert found.brief in (before, blocks)
        if blocks is not found.brief:
            taken[meter] += 1
            had[meter].append(blocks)
        before = blocks
    assert set(had[0]) == set(had[1]) == set(found.turns) and abs(taken[0] - taken[1]) <= 1


@pytest.mark.parametrize("model", [name for name in maps.names() if "power_l3" in maps.load(name).registers])
def test_a_building_meter_reads_the_powers_of_its_phases_in_every_round(model):
    regmap = maps.load(model)
    found = plan(regmap, alone=False, signs=True)
    for blocks in (found.brief, *found.turns):
        assert any(block.holds(regmap.registers["power_l2"]) for block in blocks)


def test_a_power_that_is_not_renewed_is_not_read_at_all():
    """Phases read once and never again would be summed for ever."""
    for model in maps.names():
        regmap = maps.load(model)
        found = plan(regmap, alone=False)
        for name in ("power", "power_l1"):
            if name in regmap.registers and not any(
                block.holds(regmap.registers[name]) for blocks in (found.brief, *found.turns) for block in blocks
            ):
                assert not any(block.holds(regmap.registers[name]) for block in found.whole), (model, name)


def test_the_usual_meters_take_two_requests_of_different_length():
    for model in ("eastron-sdm630", "eastron-sdm72d-m-v2"):
        counts = [block.count for block in plan(maps.load(model)).whole]
        assert len(counts) == 2 and len(set(counts)) == 2


@pytest.mark.parametrize("model", maps.names())
def test_every_map_names_its_source(model):
    assert maps.load(model).source and maps.load(model).title


GOOD = """
title = "T"
source = "S"
function = 4
max_registers = 20
[registers]
energy_import = { address = 0x48, type = "f32" }
"""


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (GOOD.replace("function = 4", "function = 6"), "function 6"),
        (GOOD.replace("energy_import", "energy_export"), "no energy_import row"),
        (GOOD.replace('"f32"', '"f23"'), 'energy_import: type "f23"'),
        (GOOD.replace("0x48", "0xFFFF"), "outside 0..65535"),
        (GOOD + 'voltage = { address = 0, type = "f32" }', 'row "voltage"'),
        (GOOD + 'power = { address = 0x49, type = "f32" }', "both use register 73"),
        (GOOD + 'power = { address = 1, type = "f32", scale = 0 }', "scale 0"),
        (GOOD + 'power = { addr = 1, type = "f32" }', "addr"),
        (GOOD.replace("max_registers = 20", "max_registers = 200"), "max_registers = 200"),
        ("title = ", "register map m"),
    ],
)
def test_a_wrong_map_is_refused_with_the_row_and_the_reason(wrong, named):
    with pytest.raises(BadMap, match=named):
        maps.parse("m", wrong)


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UnknownModel, match="eastron-sdm630"):
        maps.load("eastron-sdm631")


def test_a_frequency_in_tenths_is_put_right():
    registers = {0x48: 0x449A, 0x49: 0x5000, 0: 0x43FA, 1: 0}  # 500.0 at address 0
    regmap = maps.parse("m", GOOD + 'frequency = { address = 0, type = "f32" }')
    assert to_reading(regmap, registers, 0.0).frequency_hz == 50
