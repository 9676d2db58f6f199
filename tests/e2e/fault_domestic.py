"""The faults that matter to a domestic socket, for the campaign of `fault_campaign.py`."""

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fault_campaign import Campaign, Case, Stage, at_once, at_stop, before, stages

from chargepoint.board.pins import load_pins
from chargepoint.board.wires import line_index
from chargepoint.config_check import load

WHERE = ", domestic socket"
LOAD_A = 9


def with_sockets(text: str) -> str:
    """A domestic socket on both points; OCPP numbers them 3 and 4."""
    first, second = text.split("\n[[evse]]\nid = 2")
    second, rest = second.split("\n[supervision]")
    socket = "\n[evse.domestic]\nmax_current = 10\nphase = '{}'\n"
    return f"{first}{socket.format('S')}\n[[evse]]\nid = 2{second}{socket.format('T')}\n[supervision]{rest}"


class Socket(Stage):
    """One point of a running borne, and its domestic socket."""

    def __init__(self, point: Stage) -> None:
        pins = load_pins(load(point.borne.config))
        line = line_index(pins.line("domestic_contactor", point.evse))
        super().__init__(point.borne, point.central, point.evse, point.wires, line)
        self.connector = 2 + point.evse

    async def plug(self, **car: Any) -> None:
        await self.borne.sim("plug", evse=self.evse, connector=2, load=LOAD_A)
        await self._until("Preparing", 10)

    async def charge(self) -> None:
        await self.plug()
        await self.ask()
        await self.borne.sim("wait", evse=self.evse, connector=2, contactor=True, timeout=30)
        await self._until("Charging", 10)

    async def unplug(self) -> None:
        if (await self.borne.wires(self.evse))["domestic"]["plugged"]:
            await self.borne.sim("unplug", evse=self.evse, connector=2)

    async def _until(self, status: str, within_s: float) -> None:
        async def so() -> bool:
            return bool((await self.borne.evse(self.evse))["connectors"][1]["status"] == status)

        await self.borne.until(so, within_s, f"the domestic socket of point {self.evse} to be {status}")


@asynccontextmanager
async def sockets() -> Any:
    async with stages(with_sockets) as points:
        yield [Socket(point) for point in points]


async def _draw_more(stage: Stage) -> int:
    await stage.charge()
    at = time.monotonic_ns()
    await stage.borne.sim("ev", evse=stage.evse, load=2 * LOAD_A)
    return at


async def _draw_less(stage: Stage) -> None:
    await stage.borne.sim("ev", evse=stage.evse, load=LOAD_A)


def cases() -> list[Case]:
    made = [
        at_once("residual-current", 80),
        at_once("residual-current-dc", 80),
        at_once("pe-lost", 80),
        Case("over-current", _draw_more, 20_000, 12.0, _draw_less),
        before("contactor-stuck-open", 15.0, sim="domestic-stuck-open"),
        at_stop("domestic-contactor", 4.0, sim="domestic-welded"),
    ]
    return [replace(case, where=WHERE) for case in made]


class DomesticCampaign(Campaign):
    """As `Campaign`, in the domestic sockets."""

    def __init__(self, only: set[str] | None = None) -> None:
        super().__init__(set())
        self.points = [case for case in cases() if only is None or case.name in only]
        self._stages = sockets
