"""From the configuration to the meter buses the station runs."""

from chargepoint.config import Config, MeterRef
from chargepoint.meter.bus import MeterBus, MeterListener
from chargepoint.meter.link import ModbusLink
from chargepoint.meter.reading import BUILDING


def build_buses(config: Config, listener: MeterListener) -> list[MeterBus]:
    """One bus per line: the points' meters, and the building's where it is not on the same wires.

    Raises maps.UnknownModel for a model without a map.
    """
    points = {evse.id: evse.meter for evse in config.evse if evse.meter is not None}
    building = config.building_meter
    section = config.meter_bus
    own_line: ModbusLink | None = None
    if building is not None:
        if building.transport == "tcp":
            own_line = ModbusLink(building.host, tcp_port=building.port)
        elif building.device:
            own_line = ModbusLink(building.device, section.baudrate, section.parity)
        else:
            points[BUILDING] = MeterRef(model=building.model, unit=building.unit)
    buses = []
    if points:
        port = config.meter_port()
        buses.append(MeterBus(port, section.baudrate, section.parity, section.interval, points, listener))
    if building is not None and own_line is not None:
        ref = MeterRef(model=building.model, unit=building.unit)
        buses.append(MeterBus("", 0, "N", building.interval, {BUILDING: ref}, listener, own_line))
    return buses
