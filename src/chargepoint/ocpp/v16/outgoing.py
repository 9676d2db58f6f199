"""The outbox's records and the core's events as OCPP 1.6 requests."""

from collections.abc import Callable
from typing import Any, Final

from ocpp.v16 import call

from chargepoint.connectors import TYPE_2
from chargepoint.faults import FAULTS
from chargepoint.ocpp.queue import NEVER_DELIVERED, Outgoing, Sample
from chargepoint.ocpp.timestamps import to_text
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.dialect import meter_value
from chargepoint.ocpp.v16.keys import STOP_MAX_METER_VALUES
from chargepoint.station.api import MeterSampled, StatusChanged, StopReason

_REASONS: Final = frozenset(reason.value for reason in StopReason)
"""A newer version, since taken back, may have had others: the end of a transaction is told all the same."""
VENDOR_ID: Final = "chargepoint"
MAX_INFO: Final = 50


def request(message: Outgoing, connectors: Connectors) -> Any:
    """The request for one record of the outbox."""
    return _RENDER[message.entry.kind](message, connectors)


def status_notification(event: StatusChanged, connectors: Connectors) -> call.StatusNotification:
    """The vendor's code of a fault is its MREC code, or its name where MREC has none."""
    row = None if event.error is None else FAULTS.get(event.error)
    info = event.info or (event.error or "")
    return call.StatusNotification(
        connector_id=connectors.connector_of(event.evse, event.connector),
        error_code="NoError" if event.error is None else (row.ocpp16 if row else "OtherError"),
        status=event.status.value,
        timestamp=to_text(event.at),
        info=info[:MAX_INFO] or None,
        vendor_id=None if event.error is None else VENDOR_ID,
        vendor_error_code=None if event.error is None else (row.mrec if row and row.mrec else event.error)[:MAX_INFO],
    )


def meter_values(event: MeterSampled, connectors: Connectors, backend_id: str | None = None) -> call.MeterValues:
    """Values of a moment; `backend_id`: of the transaction that runs there, if its id is known (4.7)."""
    return call.MeterValues(
        connector_id=connectors.connector_of(event.evse, event.connector),
        transaction_id=None if backend_id is None else int(backend_id),
        meter_value=[meter_value(event.at, event.values)],
    )


def _start(message: Outgoing, connectors: Connectors) -> call.StartTransaction:
    payload = message.entry.payload
    return call.StartTransaction(
        connector_id=connectors.connector_of(payload["evse"], payload.get("connector", TYPE_2)),
        id_tag=payload["token"],
        meter_start=int(payload["meter_start_wh"]),
        timestamp=to_text(message.at),
        reservation_id=payload.get("reservation"),
    )


def _sampled(message: Outgoing, connectors: Connectors) -> call.MeterValues:
    payload = message.entry.payload
    return call.MeterValues(
        connector_id=connectors.connector_of(payload["evse"], payload.get("connector", TYPE_2)),
        transaction_id=None if message.entry.tx is None else _transaction_id(message),
        meter_value=[meter_value(message.at, payload["values"])],
    )


def _stop(message: Outgoing, connectors: Connectors) -> call.StopTransaction:
    payload = message.entry.payload
    data = [meter_value(sample.at, sample.values) for sample in thinned(message.data, STOP_MAX_METER_VALUES)]
    return call.StopTransaction(
        meter_stop=int(payload["meter_stop_wh"]),
        timestamp=to_text(message.at),
        transaction_id=_transaction_id(message),
        reason=payload["reason"] if payload["reason"] in _REASONS else StopReason.OTHER.value,
        id_tag=payload["token"],
        transaction_data=data or None,
    )


def _security(message: Outgoing, connectors: Connectors) -> call.SecurityEventNotification:
    payload = message.entry.payload
    return call.SecurityEventNotification(
        type=payload["kind"], timestamp=to_text(message.at), tech_info=payload["info"][:255] or None
    )


_RENDER: Final[dict[str, Callable[[Outgoing, Connectors], Any]]] = {
    "started": _start,
    "sampled": _sampled,
    "ended": _stop,
    "security": _security,
}


def _transaction_id(message: Outgoing) -> int:
    """Zero and negative ids are as good as others (errata 3.54)."""
    return int(NEVER_DELIVERED if message.backend_id is None else message.backend_id)


def thinned(data: tuple[Sample, ...], most: int) -> tuple[Sample, ...]:
    """The first and the last, and as many of the middle, evenly, as keep the number of values at `most`."""
    while len(data) > 2 and sum(len(sample.values) for sample in data) > most:
        data = (data[0], *data[1:-1][1::2], data[-1])
    return data
