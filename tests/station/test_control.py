"""The control socket: a real one, with its real client."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from station_harness import Harness, station

from chargepoint.config import OcppSection
from chargepoint.console.session import KEYS
from chargepoint.jsonrpc import Client, RpcError
from chargepoint.station.control import SOCKET_NAME, Control

Body = Callable[[Harness, Client], Coroutine[Any, Any, None]]


def play(tmp_path: Path, body: Body, **config: Any) -> None:
    async def main() -> None:
        async with station(tmp_path, **config) as h:
            control = Control(h.station, tmp_path / SOCKET_NAME)
            await control.start()
            client = await Client.connect(tmp_path / SOCKET_NAME)
            try:
                await body(h, client)
            finally:
                await client.close()
                await control.close()

    asyncio.run(main())


def test_status_has_what_the_surface_promises(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        await h.charge()
        h.advance(1)
        status = await client.call("status")
        assert {"evses", "faults", "ocpp", "clock", "version", "started", "kpis"} <= status.keys()
        assert {"connected", "version", "url", "queue"} <= status["ocpp"].keys()
        assert status["clock"] == {"synchronised": True, "source": "ntp"}
        one, two = status["evses"]
        promised = "id status pilot offered limits current power energy transaction id_token reservation faults"
        assert set(promised.split()) <= one.keys()
        assert (one["id"], one["status"], one["pilot"], one["offered"]) == (1, "Charging", "C2", 32.0)
        assert (one["transaction"], one["id_token"]) == (1, "TAG")
        assert {limit["name"] for limit in one["limits"]} >= {"socket", "cable"}
        assert two["faults"] == [] and two["transaction"] is None

    play(tmp_path, body)


def test_why_tells_that_the_central_system_has_not_accepted_the_borne(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        config = h.station.config
        h.station.config = msgspec.structs.replace(config, ocpp=OcppSection(url="ws://127.0.0.1:1"))
        h.backend.online = False
        h.backend.status = lambda: {"connected": True, "registration": "Pending"}  # type: ignore[method-assign]
        h.plug(1)
        await h.until_status("Preparing")
        assert "has not accepted this borne yet" in await client.call("why", evse=1, lang="en")

    play(tmp_path, body)


def test_a_start_takes_no_token_that_the_central_system_cannot_be_told(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        for token in ("", "T" * 21):
            with pytest.raises(RpcError, match=f"a token of {len(token)} characters"):
                await client.call("start", evse=1, token=token)
        assert h.state() == "idle"
        assert await client.call("start", evse=1, token="T" * 20) == {"outcome": "accepted"}

    play(tmp_path, body)


def test_why_tells_who_waits_for_a_plug_after_a_badge(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        h.badge()
        await h.until(lambda: h.station.entrance.waiting)
        assert "A badge was accepted" in await client.call("why", evse=2, lang="en")

    play(tmp_path, body)


def test_why_names_the_true_cause_in_both_languages(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        async def why(lang: str = "en") -> str:
            return str(await client.call("why", evse=1, lang=lang))

        assert "No car" in await why()
        assert "Aucun véhicule" in await why("fr")
        h.plug(1)
        assert "badge" in await why()
        h.badge()
        await h.until_status("Charging")
        h.advance(1)
        assert (await why()).startswith("Charging at 16 A of 32 A offered: the ")
        h.fault(1, "residual-current")
        assert "Residual current" in await why()
        told: list[Any] = []
        for _ in range(200):
            told = await client.call("history", limit=1)
            if told:
                break
            await asyncio.sleep(0.01)
        newest = told[0]
        assert (newest["evse"], newest["name"], newest["event"]) == (1, "residual-current", "raised")
        assert newest["at"].endswith("Z")
        h.station.evse_lost("gone")
        assert "safety process" in await why()
        with pytest.raises(RpcError, match="no point 9"):
            await client.call("why", evse=9)

    play(tmp_path, body)


def test_commands_act_or_say_why_not(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        with pytest.raises(RpcError, match="nothing to do"):
            await client.call("stop", evse=1)
        await h.charge()
        assert await client.call("stop", evse=1) == {"outcome": "accepted"}
        await h.until_status("Finishing")
        assert await client.call("unlock", evse=1) == {"outcome": "accepted"}
        assert await client.call("availability", evse=2, operative=False) == {"outcome": "accepted"}
        await h.until_status("Unavailable", 2)
        await client.call("disconnect")
        assert not h.backend.online
        await client.call("connect")
        assert h.backend.online
        assert (await client.call("acknowledge", evse=1, fault="diode"))["ok"]
        with pytest.raises(RpcError, match="evse"):
            await client.call("unlock")

    play(tmp_path, body)


def test_commands_at_a_connector_reach_that_one_alone(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        with pytest.raises(RpcError, match="point 1 has no connector 3: it has 1, 2"):
            await client.call("unlock", evse=1, connector=3)
        with pytest.raises(RpcError, match="nothing holds a plug in the domestic socket"):
            await client.call("unlock", evse=1, connector=2)
        await h.charge()
        with pytest.raises(RpcError, match="nothing to do"):
            await client.call("stop", evse=1, connector=2)
        assert await client.call("stop", evse=1, connector=1) == {"outcome": "accepted"}

    meter = {"model": "eastron-sdm630", "unit": 1}
    play(tmp_path, body, evse=[{"id": 1, "max_current": 32, "meter": meter, "domestic": {"max_current": 10}}])


def test_every_name_in_what_the_console_lists_has_a_word_in_every_language(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        await h.charge()
        h.advance(1)
        status = await client.call("status")
        readers = [{key: reader[key] for key in reader if key != "last"} for reader in await client.call("readers")]
        shown = [await client.call("meters"), readers, status["ocpp"], status["supply"]]
        assert names(shown) - set(KEYS) == set()

    play(tmp_path, body, tic={}, building_meter={"model": "eastron-sdm630", "unit": 9})


def names(value: Any) -> set[str]:
    match value:
        case dict():
            return set(value).union(*map(names, value.values()))
        case list():
            return set().union(*map(names, value))
        case _:
            return set()


def test_a_damaged_journal_is_acknowledged_at_evse_0(tmp_path: Path) -> None:
    (tmp_path / "chargepoint.db").write_bytes(b"no database" * 999)

    async def body(h: Harness, client: Client) -> None:
        assert [f["name"] for f in (await client.call("status"))["faults"]] == ["database-damaged"]
        assert (await client.call("acknowledge", evse=0, fault="database-damaged"))["ok"]
        assert (await client.call("status"))["faults"] == []

    play(tmp_path, body)


def test_events_and_samples_follow_a_subscription(tmp_path: Path) -> None:
    async def body(h: Harness, client: Client) -> None:
        await client.call("subscribe")
        h.plug(1)
        notes = client.notifications()
        method, params = await asyncio.wait_for(anext(notes), 3)
        assert (method, params["kind"], params["status"]) == ("event", "status", "Preparing")
        await client.call("trace", evse=1, seconds=1)
        method, params = await asyncio.wait_for(anext(notes), 3)
        assert (method, params["state"]) == ("sample", "A1")

    play(tmp_path, body)
