"""The pilot controllers' maps: sound, and meaning what their sources say."""

import pytest

from chargepoint.config_hardware import controller_models
from chargepoint.controller import maps
from chargepoint.controller.device import Device, DeviceState
from chargepoint.controller.maps import BadMap, UnknownController, load, names, parse
from chargepoint.meter.link import Refused

# What the device's registers hold, written by hand from the sources named in the maps.
GOLDEN = {
    # Register 1000.. of an EVSE DIN that charges at 16 A, cable of 32 A, firmware 17, PWM on, relay on.
    "evse-din": (
        {3: {1000: [16, 16, 3, 32, 0, 17, 2, 0b00001], 2005: [0b1000], 2000: [0]}},
        DeviceState("C", True, 16.0, 16.0, True, 32.0, None, ()),
    ),
    # EM-CP-PP-ETH: input registers 100.. with "C", a 20 A cable, error bits none; EN LD CR LR set; 13 A permitted.
    "phoenix-em-cp-pp-eth": (
        {4: {100: [67, 20, 0, 0, 0, 0, 0, 0]}, 2: {200: [1, 0, 1, 0, 1, 1, 0, 0]}, 3: {300: [13]}, 1: {400: [1]}},
        DeviceState("C", True, 13.0, 13.0, True, 20.0, True, ()),
    ),
}


class FakeLink:
    """Registers by function and first address; a place that is not there is refused."""

    def __init__(self, contents):
        self.words = {
            (function, start + n): value
            for function, blocks in contents.items()
            for start, values in blocks.items()
            for n, value in enumerate(values)
        }
        self.written = []

    async def read(self, unit, function, block, gap_s=0.0):
        try:
            return [self.words[function, block.address + n] for n in range(block.count)]
        except KeyError:
            raise Refused("no such register") from None

    async def read_bits(self, unit, function, block, gap_s=0.0):
        return [bool(value) for value in await self.read(unit, function, block)]

    async def write(self, unit, address, words, gap_s=0.0, *, many=False):
        self.written.append((unit, address, words[0], many))

    async def write_bit(self, unit, address, on, gap_s=0.0):
        self.written.append((unit, address, on))


def device(model, change=None):
    contents, state = GOLDEN[model]
    link = FakeLink(contents)
    for (function, address), value in (change or {}).items():
        link.words[function, address] = value
    return Device(link, 7, load(model)), link, state


@pytest.mark.parametrize("model", names())
@pytest.mark.asyncio
async def test_registers_written_by_hand_mean_what_their_source_says(model):
    one, _, state = device(model)
    assert await one.begin() == ""
    assert await one.read() == state


def test_every_model_has_registers_written_by_hand():
    assert set(GOLDEN) == set(names()) == set(controller_models())


@pytest.mark.parametrize("model", names())
def test_every_map_names_its_source_its_doubts_and_its_watchdog(model):
    regmap = load(model)
    assert regmap.source and regmap.title and len(regmap.notes) > 3
    assert regmap.watchdog_s == 0 and any("no watchdog" in note for note in regmap.notes)


@pytest.mark.asyncio
async def test_permitting_and_withdrawing_write_what_each_device_wants():
    din, link, _ = device("evse-din")
    await din.permit(10.7)
    await din.permit(0.0)
    assert link.written == [(7, 1000, 10, True), (7, 1000, 0, True)]
    phoenix, link, _ = device("phoenix-em-cp-pp-eth")
    await phoenix.permit(10.7)
    await phoenix.permit(0.0)
    assert link.written == [(7, 300, 10, False), (7, 400, True), (7, 400, False)]


@pytest.mark.asyncio
async def test_a_module_that_counts_hundredths_is_asked_before_it_is_told():
    din, link, _ = device("evse-din", {(3, 2005): 1 << 7, (3, 1000): 1600, (3, 1001): 1600})
    await din.begin()
    assert (await din.read()).permitted_a == 16.0
    await din.permit(10.7)
    assert link.written == [(7, 1000, 1070, True)]


@pytest.mark.asyncio
async def test_a_module_that_permits_by_itself_after_its_start_is_named():
    din, _, _ = device("evse-din", {(3, 2000): 32})
    said = await din.begin()
    assert "permits 32 A by itself" in said and "register 2000" in said


@pytest.mark.parametrize(
    ("model", "change", "faults", "letter"),
    [
        ("evse-din", {(3, 1007): 0b10010, (3, 1002): 5}, {"diode", "residual-current"}, "E"),
        ("evse-din", {(3, 1002): 9}, {"controller-fault"}, "F"),
        ("phoenix-em-cp-pp-eth", {(4, 107): 1 << 11 | 1 << 5}, {"contactor-welded", "lock-jam"}, "C"),
    ],
)
@pytest.mark.asyncio
async def test_the_device_s_own_faults_become_rows_of_the_fault_table(model, change, faults, letter):
    one, _, _ = device(model, change)
    state = await one.read()
    assert {name for name, _ in state.faults} == faults and state.letter == letter


GOOD = """
title = "T"
source = "S"
notes = []
transport = "rtu"
unit = 1
watchdog_s = 0
[vehicle]
function = 3
address = 2
states = { 1 = "A" }
[setting]
function = 3
address = 0
[offered]
function = 3
address = 1
[pwm]
function = 3
address = 6
[contactor]
function = 3
address = 7
"""


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (GOOD.replace('1 = "A"', 'x = "A"'), 'vehicle state "x"'),
        (GOOD.replace('1 = "A"', '1 = "Z"'), "states"),
        (GOOD.replace("[setting]\nfunction = 3", "[setting]\nfunction = 4"), "setting is written"),
        (GOOD + "[enable]\nfunction = 2\naddress = 9\n", "enable is written"),
        (GOOD + '[[fault]]\nfunction = 3\naddress = 7\nbit = 1\nname = "no-such"\ntext = "t"\n', 'no fault "no-such"'),
        (GOOD.replace("watchdog_s = 0", ""), "watchdog_s"),
    ],
)
def test_a_wrong_map_is_refused_with_the_reason(wrong, named):
    parse("m", GOOD)
    with pytest.raises(BadMap, match=named):
        parse("m", wrong)


def test_an_unknown_controller_is_refused_with_the_known_ones():
    with pytest.raises(UnknownController, match="evse-din, phoenix-em-cp-pp-eth"):
        maps.load("charx")
