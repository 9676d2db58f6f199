"""What an operator of a site wants to know and OCPP 1.6 has no message for: by DataTransfer, where SiteReports is true.

Each has its time, and waits for the link like a progress report; a central system that does not know the vendor
answers so, which harms nobody.
"""

import json
from typing import Any

from ocpp.v16 import call

from chargepoint.ocpp.timestamps import to_text
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.outgoing import VENDOR_ID
from chargepoint.station.api import BayChanged, ReservationContested


def site_report(event: BayChanged | ReservationContested, connectors: Connectors) -> call.DataTransfer:
    """The message for an event: BayOccupancy or ReservationContested, its data a JSON object."""
    data: dict[str, Any] = {"connectorId": connectors.connector_of(event.evse), "timestamp": to_text(event.at)}
    if isinstance(event, BayChanged):
        message_id = "BayOccupancy"
        data["occupied"] = event.occupied
        if event.reservation is not None:
            data["reservationId"] = event.reservation
    else:
        message_id = "ReservationContested"
        data |= {"reservationId": event.reservation, "idTag": event.token}
    return call.DataTransfer(vendor_id=VENDOR_ID, message_id=message_id, data=json.dumps(data, separators=(",", ":")))
