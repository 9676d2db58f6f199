"""How OCPP 1.6 numbers the connectors of a borne, and what of a connector reaches the core and the wire."""

from datetime import UTC, datetime

import pytest
from conftest import Borne

from chargepoint.config import DomesticSection, EvseSection
from chargepoint.journal.outbox import Entry
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp.queue import Outgoing
from chargepoint.ocpp.v16 import outgoing
from chargepoint.ocpp.v16.connectors import Connectors, Place
from chargepoint.station.api import ConnectorStatus, MeterSampled, StatusChanged

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def numbered(*domestic: bool) -> Connectors:
    """Points 4, 5, ... with or without a domestic socket."""
    made = [DomesticSection() if has else None for has in domestic]
    return Connectors.of([EvseSection(id=4 + n, max_current=32, domestic=one) for n, one in enumerate(made)])


def test_domestic_sockets_come_after_all_type_2_sockets_in_the_same_order() -> None:
    connectors = numbered(True, False, True)
    assert connectors.count == 5 and list(connectors.all) == [0, 1, 2, 3, 4, 5]
    places = [connectors.place_of(number) for number in connectors.all]
    assert places == [(0, 1), (4, 1), (5, 1), (6, 1), (4, 2), (6, 2)]
    assert [connectors.connector_of(*place) for place in places if place is not None] == [0, 1, 2, 3, 4, 5]
    assert [connectors.evse_of(number) for number in (4, 5, 6, -1)] == [4, 6, None, None]
    with pytest.raises(ValueError, match="not in tuple"):
        connectors.connector_of(5, 2)


def test_adding_a_domestic_socket_renumbers_nothing() -> None:
    before, after = numbered(False, False), numbered(True, True)
    assert [before.place_of(n) for n in range(3)] == [after.place_of(n) for n in range(3)]


def test_messages_carry_the_connector_they_are_about() -> None:
    connectors = numbered(True, True)
    status = StatusChanged(5, ConnectorStatus.CHARGING, None, "", NOW, 2)
    assert outgoing.status_notification(status, connectors).connector_id == 4
    assert outgoing.meter_values(MeterSampled(4, NOW, (), 2), connectors).connector_id == 3
    payload = {"evse": 4, "connector": 2, "token": "TAG", "meter_start_wh": 1, "values": []}
    for kind in ("started", "sampled"):
        entry = Entry(1, kind, 7, Stamp("b", 1.0, None), payload, 0)
        assert outgoing.request(Outgoing(entry, NOW, "12", ()), connectors).connector_id == 3


def test_a_record_of_before_there_were_connectors_is_of_the_first() -> None:
    entry = Entry(1, "sampled", 7, Stamp("b", 1.0, None), {"evse": 5, "values": []}, 0)
    assert outgoing.request(Outgoing(entry, NOW, "12", ()), numbered(True, True)).connector_id == 2


@pytest.mark.asyncio
async def test_a_domestic_connector_that_does_not_exist_is_refused(borne: Borne) -> None:
    for action, params in (
        ("ChangeAvailability", {"type": "Operative"}),
        ("RemoteStartTransaction", {"idTag": "TAG1"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues"}),
    ):
        assert (await borne.central.call(action, {"connectorId": 3, **params}))["status"] == "Rejected"
    assert (await borne.central.call("UnlockConnector", {"connectorId": 3}))["status"] == "NotSupported"
    assert Place(1) == (1, 1)
