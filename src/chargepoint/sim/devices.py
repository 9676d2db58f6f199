"""The simulated serial devices of the configured borne: meters, badge readers, Linky TIC."""

from collections.abc import Callable

from chargepoint.config import Config
from chargepoint.jsonrpc import INVALID_PARAMS, RpcError
from chargepoint.sim.electrics import Borne, Point
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading
from chargepoint.sim.wire_readers import SimReader


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
        self._bus = SimMeterBus(run_dir / "sim-meters", units) if units else None
        self._readers = {
            reader.id: SimReader(run_dir / f"sim-reader-{reader.id}", reader.kind) for reader in config.reader
        }

    async def start(self) -> None:
        if self._bus is not None:
            await self._bus.start()
        for reader in self._readers.values():
            await reader.start()

    async def close(self) -> None:
        if self._bus is not None:
            await self._bus.close()
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


def _source(point: Point) -> Callable[[], SimReading]:
    """What the meter of this point measures at the moment it is asked."""
    return lambda: SimReading(point.voltage_v, point.current_a, point.phase_power_w, point.energy_wh)
