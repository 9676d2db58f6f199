"""Core profile: what the central system asks of the charge point."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import structlog
from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder
from ocpp.v16 import call_result
from ocpp.v16.enums import (
    Action,
    AvailabilityStatus,
    AvailabilityType,
    ClearCacheStatus,
    ConfigurationStatus,
    DataTransferStatus,
    RemoteStartStopStatus,
    ResetStatus,
    ResetType,
    UnlockStatus,
)

from chargepoint.energy.profiles import Profile, ProfileError, Purpose, check
from chargepoint.ocpp.rpc import on
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.v16.configuration import Configuration, Shown
from chargepoint.ocpp.v16.connectors import Connectors, Place
from chargepoint.ocpp.v16.keys import MAX_KEYS
from chargepoint.ocpp.v16.outgoing import VENDOR_ID
from chargepoint.ocpp.v16.registration import Registration
from chargepoint.ocpp.v16.smart_charging import profile_of
from chargepoint.station.api import Outcome, StationApi

log = structlog.get_logger("ocpp.core")

_AVAILABILITY: Final = {
    Outcome.ACCEPTED: AvailabilityStatus.accepted,
    Outcome.SCHEDULED: AvailabilityStatus.scheduled,
}
_UNLOCK: Final = {
    Outcome.ACCEPTED: UnlockStatus.unlocked,
    Outcome.NOT_SUPPORTED: UnlockStatus.not_supported,
    Outcome.UNKNOWN: UnlockStatus.not_supported,
}


class Departure(Struct, forbid_unknown_fields=True):
    """`data` of the vendor message `Departure`, as JSON."""

    connectorId: int  # the words of OCPP's own messages
    departure: str
    """When the car leaves, RFC 3339."""
    energyWh: Annotated[int, Meta(ge=0, le=1_000_000)]
    """What it needs by then, counted from the start of its transaction."""


DEPARTURE_EXAMPLE: Final = '{"connectorId": 1, "departure": "2026-01-31T08:00:00Z", "energyWh": 12000}'
decode_departure = Decoder(Departure).decode


class Core:
    """Handlers of the Core profile's incoming messages. `utc` is the present in seconds."""

    def __init__(
        self,
        station: StationApi,
        connectors: Connectors,
        configuration: Configuration,
        registration: Registration,
        utc: Callable[[], float],
    ) -> None:
        self._utc = utc
        self._station = station
        self._connectors = connectors
        self._configuration = configuration
        self._registration = registration

    @on(Action.change_availability)
    async def change_availability(self, connector_id: int, type: str) -> call_result.ChangeAvailability:
        place = self._connectors.place_of(connector_id)
        if place is None:
            return call_result.ChangeAvailability(AvailabilityStatus.rejected)
        outcome = await self._station.set_availability(place.evse, type == AvailabilityType.operative, place.connector)
        return call_result.ChangeAvailability(_AVAILABILITY.get(outcome, AvailabilityStatus.rejected))

    @on(Action.change_configuration)
    async def change_configuration(self, key: str, value: str) -> call_result.ChangeConfiguration:
        change = await self._configuration.change(key, value)
        return call_result.ChangeConfiguration(ConfigurationStatus(change.value))

    @on(Action.get_configuration)
    def get_configuration(self, key: list[str] | None = None) -> call_result.GetConfiguration:
        if not key:
            return call_result.GetConfiguration([_shown(shown) for shown in self._configuration.show_all()], None)
        known, unknown = self._configuration.show(key[:MAX_KEYS])
        return call_result.GetConfiguration(
            [_shown(shown) for shown in known] or None, [name[:50] for name in unknown] or None
        )

    @on(Action.clear_cache)
    async def clear_cache(self) -> call_result.ClearCache:
        outcome = await self._station.clear_cache()
        accepted = outcome is Outcome.ACCEPTED
        return call_result.ClearCache(ClearCacheStatus.accepted if accepted else ClearCacheStatus.rejected)

    @on(Action.data_transfer)
    async def data_transfer(self, vendor_id: str, message_id: str = "", data: str = "") -> call_result.DataTransfer:
        """Our own vendor has one message, `Departure`; every other vendor is unknown."""
        if vendor_id != VENDOR_ID:
            log.info("data transfer of an unknown vendor", vendor=vendor_id, message=message_id)
            return call_result.DataTransfer(DataTransferStatus.unknown_vendor_id)
        if message_id != "Departure":
            only = f"there is Departure, but no {message_id!r}"
            return call_result.DataTransfer(DataTransferStatus.unknown_message_id, only)
        trouble = await self._departure(data)
        status = DataTransferStatus.rejected if trouble else DataTransferStatus.accepted
        return call_result.DataTransfer(status, trouble[:255] or None)

    async def _departure(self, data: str) -> str:
        """Take a car's departure; answers what is wrong with it, or nothing."""
        try:
            told = decode_departure(data)
            at = from_text(told.departure)
        except (DecodeError, ValueError) as error:
            return f"{error}; data is a text like {DEPARTURE_EXAMPLE}"
        evse = self._connectors.evse_of(told.connectorId)
        if not evse:
            return f"there is no connector {told.connectorId}"
        outcome = await self._station.departure(evse, at, told.energyWh)
        return "" if outcome is Outcome.ACCEPTED else f"no transaction runs at connector {told.connectorId}"

    @on(Action.remote_start_transaction)
    async def remote_start(
        self, id_tag: str, connector_id: int | None = None, charging_profile: dict[str, Any] | None = None
    ) -> call_result.RemoteStartTransaction:
        place = None if connector_id is None else self._connectors.place_of(connector_id)
        evse, connector = (None, None) if place is None else place
        impossible = connector_id is not None and not evse
        if impossible or not self._registration.accepted:
            return call_result.RemoteStartTransaction(RemoteStartStopStatus.rejected)
        profile = None
        if charging_profile is not None:
            profile = profile_of(charging_profile, Place(evse or 1), self._utc())
            if profile.purpose is not Purpose.TX or profile.transaction is not None or not _possible(profile):
                return call_result.RemoteStartTransaction(RemoteStartStopStatus.rejected)
        outcome = await self._station.remote_start(id_tag, evse, profile, connector)
        return call_result.RemoteStartTransaction(_start_stop(outcome))

    @on(Action.remote_stop_transaction)
    async def remote_stop(self, transaction_id: int) -> call_result.RemoteStopTransaction:
        if not self._registration.accepted:
            return call_result.RemoteStopTransaction(RemoteStartStopStatus.rejected)
        return call_result.RemoteStopTransaction(_start_stop(await self._station.remote_stop(str(transaction_id))))

    @on(Action.reset)
    async def reset(self, type: str) -> call_result.Reset:
        outcome = await self._station.reset(type == ResetType.hard)
        return call_result.Reset(ResetStatus.accepted if outcome is Outcome.ACCEPTED else ResetStatus.rejected)

    @on(Action.unlock_connector)
    async def unlock(self, connector_id: int) -> call_result.UnlockConnector:
        """A connector that does not exist is NotSupported (errata 3.87); so are connector 0 and one without a lock."""
        place = self._connectors.place_of(connector_id)
        if place is None or place.evse == 0:
            return call_result.UnlockConnector(UnlockStatus.not_supported)
        outcome = await self._station.unlock(place.evse, place.connector)
        return call_result.UnlockConnector(_UNLOCK.get(outcome, UnlockStatus.unlock_failed))


def _possible(profile: Profile) -> bool:
    try:
        check(profile)
    except ProfileError as error:
        log.info("profile of a remote start refused", reason=str(error))
        return False
    return True


def _start_stop(outcome: Outcome) -> RemoteStartStopStatus:
    return RemoteStartStopStatus.accepted if outcome is Outcome.ACCEPTED else RemoteStartStopStatus.rejected


def _shown(shown: Shown) -> dict[str, Any]:
    row = {"key": shown.name, "readonly": shown.readonly}
    return row if shown.value is None else {**row, "value": shown.value}
