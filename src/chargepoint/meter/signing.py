"""Signed transactions for the points whose meter can sign; for the others nothing happens.

A signature that fails never keeps a car from charging or a session from ending: it is logged, and the session is
reported by its register alone.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from chargepoint.config import Config, EvseSection
from chargepoint.meter import maps
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.iskra import IskraSigner, SigningFailed
from chargepoint.meter.link import NoAnswer, Refused
from chargepoint.meter.ocmf import SignedData, Station, dataset

log = structlog.get_logger()

BEGIN_WAIT_S = 5.0
"""The car waits for this at the start of a session."""
END_WAIT_S = 20.0
"""The meter may take 15 s for a signature."""


class Signing:
    """Begins and ends signed transactions on the meters of one bus."""

    def __init__(self, bus: MeterBus, station: Station, evse_ids: Mapping[int, str]) -> None:
        """`evse_ids`: the points whose meter signs, with the identifier that goes into the data set."""
        self._bus = bus
        self._station = station
        self._evse_ids = evse_ids

    def signs(self, evse: int) -> bool:
        return evse in self._evse_ids

    async def begin(self, evse: int, token: str, utc: float, offset_min: int = 0) -> bool:
        """Start a signed transaction before the contactor closes. False: the session will be unsigned."""
        if evse not in self._evse_ids:
            return False
        try:
            text = dataset(self._station, token, self._evse_ids[evse])
            async with asyncio.timeout(BEGIN_WAIT_S):
                await self._bus.exclusive(
                    evse, lambda line, unit: IskraSigner(line, unit).begin(text, int(utc), offset_min)
                )
        except (SigningFailed, NoAnswer, Refused, ValueError, TimeoutError) as e:
            log.error("meter_does_not_sign", evse=evse, at="begin", why=str(e) or "it takes too long")
            return False
        return True

    async def end(self, evse: int) -> SignedData | None:
        """End it after the contactor opened; begin and end are in one data set. None: there is no signature."""
        if evse not in self._evse_ids:
            return None
        try:
            async with asyncio.timeout(END_WAIT_S):
                return await self._bus.exclusive(evse, lambda line, unit: IskraSigner(line, unit).end())
        except (SigningFailed, NoAnswer, Refused, ValueError, TimeoutError) as e:
            log.error("meter_does_not_sign", evse=evse, at="end", why=str(e) or "it takes too long")
            return None


def build_signing(config: Config, bus: MeterBus, firmware: str) -> Signing:
    """Signing for the points of the configuration. Raises maps.UnknownModel."""
    section = config.station
    station = Station(section.vendor, section.serial or section.id, firmware)
    return Signing(bus, station, {evse.id: evse.evse_id or f"{section.id}*{evse.id}" for evse in _signing(config.evse)})


def _signing(evses: Iterable[EvseSection]) -> list[EvseSection]:
    return [evse for evse in evses if evse.meter is not None and maps.load(evse.meter.model).signing]
