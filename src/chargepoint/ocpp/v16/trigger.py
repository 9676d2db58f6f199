"""RemoteTrigger profile, and its extension: the answer first, then the message that was asked for."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ocpp.v16 import call_result
from ocpp.v16.enums import Action, TriggerMessageStatus

from chargepoint.ocpp.rpc import Reply, on
from chargepoint.ocpp.v16.connectors import Connectors, Place
from chargepoint.ocpp.v16.registration import Registration

Trigger = Callable[[tuple[Place, ...]], Awaitable[None]]
"""Sends the message, for these places where it is about connectors."""

MAX_PENDING: Final = 16
"""Triggered messages that wait; while there are so many, more are refused."""
_OF_CONNECTORS: Final = ("StatusNotification", "MeterValues")
_OF_POINTS: Final = ("MeterValues",)


class RemoteTrigger:
    """Handlers of TriggerMessage and ExtendedTriggerMessage. The mappings: what each can ask for, by its OCPP name.

    `possible` is asked before a message that may need something first.
    """

    def __init__(
        self,
        connectors: Connectors,
        registration: Registration,
        triggers: Mapping[str, Trigger],
        extended: Mapping[str, Trigger],
        possible: Callable[[str], bool],
    ) -> None:
        self._connectors = connectors
        self._registration = registration
        self._triggers = triggers
        self._extended = extended
        self._possible = possible
        self._pending = 0

    @on(Action.trigger_message)
    def trigger_message(
        self, requested_message: str, connector_id: int | None = None
    ) -> call_result.TriggerMessage | Reply:
        status, then = self._answer(self._triggers, requested_message, connector_id)
        answer = call_result.TriggerMessage(status)
        return answer if then is None else Reply(answer, then)

    @on(Action.extended_trigger_message)
    def extended_trigger_message(
        self, requested_message: str, connector_id: int | None = None
    ) -> call_result.ExtendedTriggerMessage | Reply:
        status, then = self._answer(self._extended, requested_message, connector_id)
        answer = call_result.ExtendedTriggerMessage(status)
        return answer if then is None else Reply(answer, then)

    def _answer(
        self, triggers: Mapping[str, Trigger], requested: str, connector_id: int | None
    ) -> tuple[TriggerMessageStatus, Callable[[], Awaitable[None]] | None]:
        """The status to answer with, and what to send after it."""
        if requested == "BootNotification":
            if self._registration.accepted:
                return TriggerMessageStatus.rejected, None  # errata 3.35, 3.40
            return TriggerMessageStatus.accepted, self._boot
        trigger = triggers.get(requested)
        if trigger is None:
            return TriggerMessageStatus.not_implemented, None
        places = self._places(requested, connector_id)
        if places is None or self._pending >= MAX_PENDING or not self._possible(requested):
            return TriggerMessageStatus.rejected, None

        async def send() -> None:
            self._pending += 1
            try:
                await trigger(places)
            finally:
                self._pending -= 1

        return TriggerMessageStatus.accepted, send

    async def _boot(self) -> None:
        self._registration.again()

    def _places(self, requested: str, connector_id: int | None) -> tuple[Place, ...] | None:
        """The places meant; without a connector all of them. None when it cannot be of that one."""
        if requested not in _OF_CONNECTORS:
            return ()
        if connector_id == 0 and requested in _OF_POINTS:
            return None  # the borne as a whole has no meter: nothing could follow an Accepted
        if connector_id is not None:
            place = self._connectors.place_of(connector_id)
            return None if place is None else (place,)
        wanted = self._connectors.all[1:] if requested in _OF_POINTS else self._connectors.all
        return tuple(place for connector in wanted if (place := self._connectors.place_of(connector)) is not None)
