"""Core profile over a real WebSocket, judged by the official schemas."""


import pytest

pytestmark = pytest.mark.asyncio


async def test_boot_is_followed_by_the_status_of_connectors_0_1_and_2(borne):
    assert [p["connectorId"] for p in borne.central.calls("StatusNotification")] == [0, 1, 2]
    assert borne.central.received[0].action == "BootNotification"
    assert borne.central.violations == []
    assert borne.backend.online
