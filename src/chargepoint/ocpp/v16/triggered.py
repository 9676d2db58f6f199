"""The messages a central system may trigger, each sent now or not at all, also while the registration is pending."""

from collections.abc import Awaitable, Callable
from typing import Any

from chargepoint.journal import outbox
from chargepoint.journal.journal import Journal
from chargepoint.ocpp.v16 import outgoing
from chargepoint.ocpp.v16.connectors import Connectors, Place
from chargepoint.ocpp.v16.firmware import Firmware
from chargepoint.ocpp.v16.logs import Logs
from chargepoint.ocpp.v16.registration import Registration
from chargepoint.ocpp.v16.security import Security
from chargepoint.ocpp.v16.trigger import RemoteTrigger, Trigger
from chargepoint.station.api import StationApi

Places = tuple[Place, ...]


class Triggered:
    """Makes them. `send` sends a request and returns its answer, or None; `heartbeat` sends a Heartbeat."""

    def __init__(
        self,
        station: StationApi,
        journal: Journal,
        connectors: Connectors,
        logs: Logs,
        firmware: Firmware,
        security: Security,
        send: Callable[[Any], Awaitable[Any]],
        heartbeat: Callable[[], Awaitable[None]],
    ) -> None:
        self._station = station
        self._journal = journal
        self._connectors = connectors
        self._logs = logs
        self._firmware = firmware
        self._security = security
        self._send = send
        self._heartbeat = heartbeat

    def remote_trigger(self, registration: Registration) -> RemoteTrigger:
        """The handlers of TriggerMessage and ExtendedTriggerMessage."""
        both: dict[str, Trigger] = {
            "Heartbeat": self._heartbeats,
            "StatusNotification": self._statuses,
            "MeterValues": self._meter_values,
        }
        extended: dict[str, Trigger] = {
            **both,
            "LogStatusNotification": self._one(self._logs.log_status),
            "FirmwareStatusNotification": self._one(self._firmware.signed_status),
            "SignChargePointCertificate": self._certificate,
        }
        triggers: dict[str, Trigger] = {
            **both,
            "DiagnosticsStatusNotification": self._one(self._logs.status),
            "FirmwareStatusNotification": self._one(self._firmware.status),
        }
        return RemoteTrigger(self._connectors, registration, triggers, extended, self._possible)

    def _possible(self, message: str) -> bool:
        return message != "SignChargePointCertificate" or self._security.may_request()

    def _one(self, request: Callable[[], Any]) -> Trigger:
        async def send(places: Places) -> None:
            await self._send(request())

        return send

    async def _certificate(self, places: Places) -> None:
        await self._security.request_certificate()

    async def _heartbeats(self, places: Places) -> None:
        await self._heartbeat()

    async def _statuses(self, places: Places) -> None:
        for place in places:
            await self._send(outgoing.status_notification(self._station.status_of(*place), self._connectors))

    async def _meter_values(self, places: Places) -> None:
        for evse, connector in places:
            sampled = self._station.sample_now(evse, "Trigger", connector)
            if sampled is not None and sampled.values:
                backend_id = await self._transaction_id(evse, connector)
                await self._send(outgoing.meter_values(sampled, self._connectors, backend_id))

    async def _transaction_id(self, evse: int, connector: int) -> str | None:
        """The central system's id of what runs at a connector; None while it has none."""
        tx = self._station.transaction_of(evse, connector)
        return None if tx is None else await self._journal.read(lambda db: outbox.backend_id(db, tx))
