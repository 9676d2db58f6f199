"""Which lines the configuration asks for, and the building's meter over TCP."""

import asyncio
import time

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from chargepoint.config_check import ConfigError, parse
from chargepoint.meter.build import BUILDING, build_buses

BASE = """
[station]
id = "X"
run_dir = "/tmp/x"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
meter = { model = "eastron-sdm630", unit = 1 }
[ocpp]
"""


class Told:
    def __init__(self):
        self.readings, self.lost = [], []

    def meter_read(self, evse, reading):
        self.readings.append((evse, reading))

    def meter_lost(self, evse, why):
        self.lost.append((evse, why))

    def meter_found(self, evse):
        pass


def test_a_building_meter_on_the_same_wires_shares_the_line_and_reports_as_zero():
    config = parse(BASE + '[building_meter]\nmodel = "eastron-sdm630"\nunit = 10\n')
    (bus,) = build_buses(config, Told())
    assert bus.last(BUILDING) is None and bus.last(1) is None


@pytest.mark.parametrize("own", ['device = "/dev/ttyUSB9"', 'transport = "tcp"\nhost = "meter.example"'])
def test_a_building_meter_of_its_own_has_its_own_line(own):
    config = parse(BASE + f'[building_meter]\nmodel = "eastron-sdm630"\nunit = 1\n{own}\n')
    assert len(build_buses(config, Told())) == 2


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('model = "eastron-sdm63"\nunit = 9', "building_meter.model"),
        ('model = "eastron-sdm630"\nunit = 1', "building_meter.unit"),
        ('model = "eastron-sdm630"\ntransport = "tcp"', "building_meter.host"),
    ],
)
def test_a_wrong_building_meter_is_refused_by_its_key(text, path):
    with pytest.raises(ConfigError, match=path):
        parse(BASE + f"[building_meter]\n{text}\n")


@pytest.mark.asyncio
async def test_the_building_meter_is_read_over_tcp(unused_tcp_port):
    low = [230.0, 231.0, 232.0, 10.0, 11.0, 12.0, 2300.0, 2541.0, -100.0]
    high = [0.0] * 12
    high[0], high[9], high[10], high[11] = 4741.0, 50.0, 100.5, 1.25
    data = [SimData(0, values=low, datatype=DataType.FLOAT32), SimData(0x34, values=high, datatype=DataType.FLOAT32)]
    server = ModbusTcpServer(SimDevice(id=3, simdata=data), address=("127.0.0.1", unused_tcp_port))
    serving = asyncio.create_task(server.serve_forever())
    told = Told()
    config = parse(
        BASE.replace("meter =", "# meter =")
        + f'[building_meter]\nmodel = "eastron-sdm630"\nunit = 3\ntransport = "tcp"\nhost = "127.0.0.1"\n'
        f"port = {unused_tcp_port}\n"
    )
    (bus,) = build_buses(config, told)
    task = asyncio.create_task(bus.run())
    deadline = time.monotonic() + 5
    while not told.readings:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    await server.shutdown()
    await asyncio.wait([serving])
    evse, reading = told.readings[0]
    assert evse == BUILDING
    assert reading.current_a == (10, 11, 12) and reading.energy_wh == 100_500 and reading.power_w == 4741
