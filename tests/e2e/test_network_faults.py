"""A bad network between the borne and its central system, in injected time: sessions go on, nothing is lost or booked
twice, and the link is back soon after the network is."""

import asyncio
import contextlib
import http
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import virtual_time
from fault_proxy import FaultProxy
from fault_weather import NETWORK
from injected_borne import InjectedBorne

from chargepoint.ocpp.connection import Endpoint, Link, LinkPolicy
from chargepoint.sim.car import Car
from chargepoint.sim.central_system import SILENCE, CentralSystem

sys.path.insert(0, str(Path(__file__).parents[1] / "ocpp"))
import itertools

from pki import Authority

BADGES = {1: "04A1B2C3D4E5F6", 2: "04112233445566"}
BACK_S = 95.0
"""The longest pause between attempts with the default keys (3 s doubled three times, up to 10 s by chance), an attempt
that runs into its time-out, and the ping that finds a dead link (30 s and 10 s for the pong)."""
KEYS = {"WebSocketPingInterval": 30, "MeterValueSampleInterval": 10}


class Site:
    """A borne, a bad network, a central system; point 1 is charging from the start."""

    def __init__(self, borne: InjectedBorne, proxy: FaultProxy, central: CentralSystem) -> None:
        self.borne, self.proxy, self.central = borne, proxy, central

    async def session(self, evse: int, seconds: float) -> None:
        """Plug, badge, charge, badge, unplug."""
        await self.start(evse)
        await asyncio.sleep(seconds)
        await self.stop(evse)

    async def start(self, evse: int) -> None:
        self.borne.electrics.points[evse].plug(32, Car())
        self.borne.controller.happened()
        await asyncio.sleep(1.0)
        self.borne.badge(BADGES[evse], evse)
        await self.until(lambda: self.borne.electrics.points[evse].current_a[0] > 1.0, 45, "current to flow")

    async def stop(self, evse: int) -> None:
        self.borne.badge(BADGES[evse], evse)
        await self.until(lambda: not self.borne.electrics.points[evse].lock.holds, 15, "the plug to be released")
        self.borne.electrics.points[evse].unplug("socket", force=False)
        self.borne.controller.happened()
        await asyncio.sleep(2.0)

    async def until(self, what: Callable[[], object], within_s: float, name: str) -> float:
        """How long it took, s."""
        begun = self.borne.loop.time()
        while not what():
            assert self.borne.loop.time() - begun < within_s, f"waited {within_s} s for {name}"
            await asyncio.sleep(0.1)
        return self.borne.loop.time() - begun

    async def back(self) -> float:
        """The link is back, and everything is told."""
        took = await self.until(lambda: self.borne.backend.online, BACK_S, "the link")
        begun = self.borne.loop.time()
        while await self.borne.station.queue():
            assert self.borne.loop.time() - begun < 200, "the queue does not empty"
            await asyncio.sleep(0.5)
        return took

    def books(self) -> list[tuple[int, int]]:
        """Start and stop registers of each transaction, in order; one told again after a lost answer, or by a network
        that repeats frames, is the same one."""
        starts = {(t.connector, t.started, t.meter_start) for t in self.central.transactions}
        stops: dict[tuple[int, int], set[tuple[int, str]]] = {}
        for t in self.central.transactions:
            if t.meter_stop is not None and t.stopped is not None:
                stops.setdefault((t.connector, t.meter_start), set()).add((t.meter_stop, t.stopped))
        assert all(len(ends) == 1 for ends in stops.values()), stops
        return sorted((start, next(iter(stops[connector, start]))[0]) for connector, _, start in starts)


@contextlib.asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with CentralSystem(tags=list(BADGES.values())) as central, FaultProxy(central.port) as proxy:
        loop = asyncio.get_running_loop()
        loop.names["csms.test"] = "127.0.0.1"  # type: ignore[attr-defined]
        borne = InjectedBorne(tmp_path, f"ws://csms.test:{proxy.port}/ocpp", KEYS)
        await borne.begin()
        try:
            here = Site(borne, proxy, central)
            await here.until(lambda: borne.backend.online, 20, "the first connection")
            yield here
        finally:
            await borne.end()


async def through(here: Site, begin: Callable[[], Any], end: Callable[[], Any], seconds: float = 90.0) -> None:
    """Sessions before, across the beginning, within, across the end, after: all are booked, once."""
    await here.session(1, 15)
    await here.session(2, 5)  # both badges are known here now
    await here.start(1)
    begin()
    await asyncio.sleep(seconds / 3)
    await here.stop(1)
    await here.session(2, seconds / 3)
    await here.start(1)
    await asyncio.sleep(seconds / 3)
    end()
    await here.back()
    await here.stop(1)
    await here.session(2, 5)
    await asyncio.sleep(5)
    await here.back()
    billed = here.books()
    assert len(billed) == 6
    for point in here.borne.electrics.points.values():
        mine = [t for t in here.central.transactions if t.connector == point.setup.id]
        total = {t.meter_start: t.meter_stop - t.meter_start for t in mine if t.meter_stop is not None}
        assert sum(total.values()) == point.register_wh


@pytest.mark.parametrize("name", NETWORK)
def test_whatever_the_network_does_sessions_go_on_and_every_one_is_booked_once(tmp_path: Path, name: str) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:

            def begin() -> None:
                here.proxy.turn(**NETWORK[name])
                if "portal" in name:
                    here.proxy.reset()

            await through(here, begin, here.proxy.turn)

    virtual_time.run(play())


def test_a_name_that_is_not_found_for_a_while(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            names = here.borne.loop.names

            def begin() -> None:
                names.clear()
                here.proxy.reset()

            await through(here, begin, lambda: names.update({"csms.test": "127.0.0.1"}))
            assert here.borne.backend.status()["trouble"] == ""

    virtual_time.run(play())


def test_a_central_system_that_refuses_connections_for_a_while(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:

            def begin() -> None:
                here.central.refuse = http.HTTPStatus.SERVICE_UNAVAILABLE
                here.proxy.reset()

            await through(here, begin, lambda: setattr(here.central, "refuse", None))

    virtual_time.run(play())


def test_a_central_system_that_takes_connections_and_answers_nothing_is_told_and_nothing_is_given_up(
    tmp_path: Path,
) -> None:
    """For a quarter of an hour: far longer than the attempts that a message has."""

    async def play() -> None:
        async with site(tmp_path) as here:
            await here.session(1, 15)
            await here.session(2, 15)
            mute = dict.fromkeys(
                ("Authorize", "Heartbeat", "StatusNotification", "MeterValues", "StartTransaction", "StopTransaction"),
                SILENCE,
            )
            here.central.answers.update(mute)
            await here.session(1, 60)
            await here.until(lambda: not here.borne.backend.online, 200, "the silence to be noticed")
            assert here.borne.backend.status()["trouble"] == "connected, but nothing is answered"
            for _ in range(4):
                await here.session(2, 200)
            assert any(f.name == "backend-offline" for f in here.borne.station.faults)
            here.central.answers.clear()
            begun = here.borne.loop.time()
            await here.until(lambda: here.borne.backend.online, 60 + BACK_S, "the link")
            await here.back()
            assert here.borne.loop.time() - begun < 300
            assert len(here.books()) == 7
            await asyncio.sleep(2)
            assert not any(f.name == "backend-offline" for f in here.borne.station.faults)

    virtual_time.run(play())


# The link alone


def link(url: str, trust: str, pauses: list[float], profile: int = 2) -> Link:
    async def serve(connection: Any) -> None:
        await connection.wait_closed()

    end = Endpoint(url, "CP", "ocpp1.6", profile, b"secret", trust)
    return Link(
        lambda: end, LinkPolicy(), serve, on_failure=lambda error: pauses.append(asyncio.get_running_loop().time())
    )


def test_a_day_without_the_central_system_is_a_few_thousand_attempts_and_never_in_step(tmp_path: Path) -> None:
    """Another week is seven of these: pauses do not grow beyond their bound, and none is as long as the last."""

    async def play() -> list[float]:
        failures: list[float] = []
        task = asyncio.create_task(link("ws://127.0.0.1:1", "", failures, 0).run())
        await asyncio.sleep(86_400)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return failures

    at = virtual_time.run(play())
    pauses = [b - a for a, b in itertools.pairwise(at)][5:]
    assert min(pauses) >= 24.0 and max(pauses) <= 34.1
    assert len({round(pause, 2) for pause in pauses}) > 500


def test_a_certificate_that_has_expired_keeps_the_link_away_by_name_until_it_is_renewed(tmp_path: Path) -> None:
    root = Authority()

    def served(days: tuple[int, int]) -> ssl.SSLContext:
        chain, key = root.issue("csms.test", days=days, host="csms.test")
        (tmp_path / "pair.pem").write_text(f"{chain}\n{key}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "pair.pem")
        return context

    async def play() -> None:
        loop = asyncio.get_running_loop()
        loop.names["csms.test"] = "127.0.0.1"  # type: ignore[attr-defined]
        async with CentralSystem(tls=served((-9, -1))) as central:
            port = central.port
            one = link(f"wss://csms.test:{port}", root.pem, [])
            task = asyncio.create_task(one.run())
            await asyncio.sleep(120)
            assert "certificate has expired" in one.trouble
            assert not one.connected
            await central.close()
            central.tls, central.port = served((-1, 60)), port
            await central.start()
            await asyncio.sleep(BACK_S)
            assert one.connected and one.trouble == ""
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    virtual_time.run(play())
