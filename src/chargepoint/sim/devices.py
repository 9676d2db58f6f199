"""The simulated serial devices of the configured borne: meters, badge readers, Linky TIC."""

from collections.abc import Callable

from chargepoint.config import Config
from chargepoint.jsonrpc import INVALID_PARAMS, RpcError
from chargepoint.sim.electrics import Borne, Point
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading
from chargepoint.sim.wire_readers import SimReader
from chargepoint.sim.wire_tic import SimLinky, SimTic


class SerialDevices:
    """Made from the configuration; each on a pseudo-terminal behind a link in the run directory."""

    def __init__(self, config: Config, borne: Borne) -> None:
        """Raises `ValueError` or `meter.maps.UnknownModel` when the configuration names what cannot be simulated."""
        run_dir = config.station.run_dir
        self._meters = {
            evse.id: SimMeter(evse.meter.model, _source(borne.points[evse.id]))
            for evse in config.evse
            if evse.meter is not None
        }
        units = {evse.meter.unit: self._meters[evse.id] for evse in config.evse if evse.meter is not None}
        building = config.building_meter
        if building is not None and building.transport == "rtu" and not building.device:
            units[building.unit] = SimMeter(building.model, lambda: _building(borne, building.phase_rotation))
        self._bus = SimMeterBus(run_dir / "sim-meters", units) if units else None
        self._tic: SimTic | None = None
        if config.tic is not None:
            self._tic = SimTic(run_dir / "sim-tic", lambda: what_linky_shows(borne, config.supply.phases))
        self._readers = {
            reader.id: SimReader(run_dir / f"sim-reader-{reader.id}", reader.kind) for reader in config.reader
        }

    async def start(self) -> None:
        if self._bus is not None:
            await self._bus.start()
        if self._tic is not None:
            await self._tic.start()
        for reader in self._readers.values():
            await reader.start()

    async def close(self) -> None:
        if self._bus is not None:
            await self._bus.close()
        if self._tic is not None:
            await self._tic.close()
        for reader in self._readers.values():
            await reader.close()

    def badge(self, reader: int, uid: bytes) -> None:
        if reader not in self._readers:
            there = ", ".join(str(number) for number in self._readers) or "none"
            raise RpcError(f"there is no reader {reader}; there are {there}", INVALID_PARAMS)
        self._readers[reader].present(uid)

    def set_fault(self, name: str, evse: int | None, on: bool) -> None:
        if name in ("meter-silent", "meter-noise") and evse is not None:
            if evse not in self._meters:
                raise RpcError(f"point {evse} has no meter", INVALID_PARAMS)
            setattr(self._meters[evse], name.removeprefix("meter-"), on)
        elif name in ("reader-silent", "reader-noise"):
            for reader in self._readers.values():
                setattr(reader, name.removeprefix("reader-"), on)
        elif name == "tic-silent" and self._tic is not None:
            self._tic.silent = on


def _source(point: Point) -> Callable[[], SimReading]:
    """What the meter of this point measures at the moment it is asked."""
    return lambda: SimReading(point.voltage_v, point.current_a, point.phase_power_w, point.register_wh)


def what_linky_shows(borne: Borne, phases: int) -> SimLinky:
    """What the building's Linky shows: the borne and everything else behind it."""
    return SimLinky(
        current_a=borne.grid_current_a[:phases],
        voltage_v=borne.nominal_v,
        subscribed_kva=borne.subscribed_kva,
        energy_wh=sum(point.register_wh for point in borne.points.values()),
    )


def _building(borne: Borne, rotation: str) -> SimReading:
    """What the building's meter shows on its own L1..L3."""
    supply = borne.grid_current_a
    first, second, third = (supply["RST".index(letter)] for letter in rotation)
    volt = borne.nominal_v
    return SimReading((volt,) * 3, (first, second, third), (first * volt, second * volt, third * volt))
