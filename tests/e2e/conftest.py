"""A central system and a borne that end with the test, whatever happened in it."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from harness import Borne

from chargepoint.sim.central_system import CentralSystem

KNOWN = "04A1B2C3D4E5F6"
OTHER = "04112233"
BLOCKED = "DEADBEEF"


@pytest_asyncio.fixture
async def central() -> AsyncIterator[CentralSystem]:
    """Knows two good badges and a blocked one; whatever else is shown is Invalid. Fails the test on any bad frame."""
    tags = {KNOWN: "Accepted", OTHER: "Accepted", BLOCKED: "Blocked"}
    async with CentralSystem(tags=tags) as system:
        yield system
        assert system.violations == []


async def registered(borne: Borne) -> bool:
    return bool((await borne.status())["ocpp"].get("registration") == "Accepted")


StartBorne = Callable[..., Awaitable[Borne]]


@pytest_asyncio.fixture
async def start_borne(central: CentralSystem) -> AsyncIterator[StartBorne]:
    """Call it to start a borne on the central system of this test."""
    started: list[Borne] = []

    async def start(extra: str = "", edit: Callable[[str], str] = lambda text: text) -> Borne:
        borne = Borne(central.url, extra, edit)
        started.append(borne)
        await borne.start()
        await borne.until(lambda: registered(borne), 20, "the central system to accept the borne")
        return borne

    yield start
    for borne in started:
        await borne.stop()
        borne.remove()
