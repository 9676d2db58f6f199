"""Reservation profile: what is asked for goes to the core, which keeps the point."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ocpp.v16 import call_result
from ocpp.v16.enums import Action, CancelReservationStatus, ReservationStatus

from chargepoint.ocpp.rpc import on
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.registration import Registration
from chargepoint.station.api import Outcome, StationApi
from chargepoint.station.api import Reservation as Kept

_STATUS: Final = {
    Outcome.ACCEPTED: ReservationStatus.accepted,
    Outcome.OCCUPIED: ReservationStatus.occupied,
    Outcome.FAULTED: ReservationStatus.faulted,
    Outcome.UNAVAILABLE: ReservationStatus.unavailable,
}


class Reservation:
    """Handlers of the Reservation profile. `utc` is the present in seconds."""

    def __init__(
        self, station: StationApi, connectors: Connectors, registration: Registration, utc: Callable[[], float]
    ) -> None:
        self._station = station
        self._connectors = connectors
        self._registration = registration
        self._utc = utc

    @on(Action.reserve_now)
    async def reserve_now(
        self, connector_id: int, expiry_date: str, id_tag: str, reservation_id: int, parent_id_tag: str | None = None
    ) -> call_result.ReserveNow:
        place = self._connectors.place_of(connector_id)
        expires = from_text(expiry_date)
        passed = expires <= datetime.fromtimestamp(self._utc(), UTC)
        if place is None or passed or not self._registration.accepted:
            return call_result.ReserveNow(ReservationStatus.rejected)
        connector = place.connector if place.evse else 0
        outcome = await self._station.reserve(
            Kept(reservation_id, place.evse, id_tag, expires, parent_id_tag or None, connector)
        )
        return call_result.ReserveNow(_STATUS.get(outcome, ReservationStatus.rejected))

    @on(Action.cancel_reservation)
    async def cancel_reservation(self, reservation_id: int) -> call_result.CancelReservation:
        outcome = await self._station.cancel_reservation(reservation_id)
        accepted = outcome is Outcome.ACCEPTED
        return call_result.CancelReservation(
            CancelReservationStatus.accepted if accepted else CancelReservationStatus.rejected
        )
