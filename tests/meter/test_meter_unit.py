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
        with pytest.raises(NotChanged, match="is set at the meter itself"):
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
    assert writable == {model for model in maps.names() if model.startswith("eastron")}
