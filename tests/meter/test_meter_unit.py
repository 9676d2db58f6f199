"""Another unit number for a meter, and the raw frames of a line."""

import pytest

from chargepoint.meter import maps
from chargepoint.meter.link import ModbusLink
from chargepoint.meter.plan import Block
from chargepoint.meter.scan import NotChanged, change_unit, scan_link, unit_register
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading


@pytest.mark.asyncio
async def test_a_meter_answers_to_its_new_number_and_to_no_other(tmp_path):
    port = tmp_path / "m"
    sim = SimMeterBus(port, {1: SimMeter("eastron-sdm630", SimReading), 2: SimMeter("abb-b23", SimReading)})
    await sim.start()
    link = scan_link(str(port), 9600)
    try:
        with pytest.raises(NotChanged, match="unit 2 answers already"):
            await unit_register(link, 1, 2)
        with pytest.raises(NotChanged, match="no source that we trust says where ABB B23 / B24"):
            await unit_register(link, 2, 5)
        known = await unit_register(link, 1, 5)
        assert known.model == "eastron-sdm630"
        assert await change_unit(link, 1, 5, known)
        with pytest.raises(NotChanged, match="does not answer"):
            await unit_register(link, 1, 6)
    finally:
        link.close()
        await sim.close()


@pytest.mark.asyncio
async def test_the_last_frames_are_kept_as_they_were_on_the_line(tmp_path):
    port = tmp_path / "m"
    sim = SimMeterBus(port, {1: SimMeter("eastron-sdm630", SimReading)})
    await sim.start()
    link = ModbusLink(str(port))
    try:
        await link.read(1, 4, Block(0, 2))
        (_, sent, asked), (_, heard, answer) = link.frames()
        assert sent and asked == bytes.fromhex("010400000002 71cb")
        assert not heard and answer[:3] == bytes.fromhex("010404") and len(answer) == 9
    finally:
        link.close()
        await sim.close()


def test_only_maps_that_say_so_let_the_number_be_written():
    writable = {model for model in maps.names() if maps.load(model).unit is not None}
    assert writable == {m for m in maps.names() if m.startswith("eastron")} | {"carlo-gavazzi-em24"}


@pytest.mark.asyncio
async def test_a_number_is_written_only_where_no_other_meter_reads_the_same_or_the_model_is_named(tmp_path):
    port = tmp_path / "m"
    sim = SimMeterBus(port, {1: SimMeter("carlo-gavazzi-em24", SimReading), 3: SimMeter("eastron-sdm120", SimReading)})
    await sim.start()
    link = scan_link(str(port), 9600)
    try:
        with pytest.raises(NotChanged, match="reads the same as carlo-gavazzi-em24, phoenix-eem350: see which it is"):
            await unit_register(link, 1, 5)
        with pytest.raises(NotChanged, match="does not read like a abb-b23, but like carlo-gavazzi-em24, phoenix"):
            await unit_register(link, 1, 5, "abb-b23")
        with pytest.raises(NotChanged, match="no source that we trust says where Phoenix Contact"):
            await unit_register(link, 1, 5, "phoenix-eem350")
        known = await unit_register(link, 1, 5, "carlo-gavazzi-em24")
        assert await change_unit(link, 1, 5, known)
        frames = [frame for _, sent, frame in link.frames() if sent]
        assert any(frame[:6] == bytes.fromhex("0106110a0005") for frame in frames)  # one register, by function 6
        assert (await unit_register(link, 3, 6)).unit is not None  # all that read the same have the same register
    finally:
        link.close()
        await sim.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "why"), [("schneider-iem3155", "is set at its display"), ("wago-879", "is set with its buttons")]
)
async def test_a_number_that_is_set_by_hand_is_refused_with_the_place(tmp_path, model, why):
    port = tmp_path / "m"
    sim = SimMeterBus(port, {1: SimMeter(model, SimReading)})
    await sim.start()
    link = scan_link(str(port), 9600)
    try:
        with pytest.raises(NotChanged, match=why):
            await unit_register(link, 1, 5, model)
    finally:
        link.close()
        await sim.close()


def test_a_map_cannot_say_both_that_its_number_is_written_and_set_by_hand():
    text = """
    title = "T"
    source = "S"
    function = 3
    max_registers = 10
    unit = { address = 1, type = "u16", source = "S" }
    unit_by_hand = { at = "display", source = "S" }
    registers = { energy_import = { address = 1, type = "u32" } }
    """
    with pytest.raises(maps.BadMap, match="either written to a register or set by hand"):
        maps.parse("t", text)
