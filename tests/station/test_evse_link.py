"""The station's end of the wall, against a real SEQPACKET socket."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chargepoint.evse.messages import (
    BorneReport,
    Done,
    Dump,
    Permit,
    PointReport,
    ToEvse,
    Unlock,
    decode_to_evse,
    encode,
)
from chargepoint.station import evse_link
from chargepoint.station.evse_link import EvseLink, LinkLost


class Heard:
    """A listener that writes down."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def point_reported(self, report: PointReport) -> None:
        self.said.append(f"point {report.evse}")

    def borne_reported(self, report: BorneReport) -> None:
        self.said.append("borne")

    def evse_found(self) -> None:
        self.said.append("found")

    def evse_lost(self, why: str) -> None:
        self.said.append("lost")
        self.why = why


class Server:
    """The safety process's end."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.setblocking(False)
        self.connection: socket.socket | None = None

    async def accept(self) -> None:
        self.connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self.listener), 3)
        self.connection.setblocking(False)

    async def receive(self) -> ToEvse:
        assert self.connection is not None
        packet = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.connection, 65536), 3)
        return decode_to_evse(packet)

    def send(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.send(data)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.listener.close()


@contextlib.asynccontextmanager
async def linked(tmp_path: Path) -> AsyncIterator[tuple[EvseLink, Server, Heard]]:
    path = tmp_path / "evse.sock"
    server = Server(path)
    link, heard = EvseLink(path), Heard()
    link.attach(heard)
    running = asyncio.create_task(link.run())
    await server.accept()
    try:
        yield link, server, heard
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        server.close()


async def until(what: object, *args: object) -> None:
    for _ in range(1500):
        if what(*args):  # type: ignore[operator]
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not in time")


def test_a_changed_permission_leaves_at_once_and_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evse_link, "RENEW_S", 0.05)

    async def main() -> None:
        async with linked(tmp_path) as (link, server, _):
            await until(lambda: link.connected)
            permit = Permit(1, True, 16.0)
            link.permit(permit)
            link.permit(permit)
            assert await server.receive() == permit
            assert await server.receive() == permit
            lower = Permit(1, True, 10.0)
            link.permit(lower)
            await until(lambda: True)
            for _ in range(3):
                if await server.receive() == lower:
                    return
            raise AssertionError("the lower permission did not come")

    asyncio.run(main())


def test_a_fault_of_the_station_is_named_to_the_recorder_and_its_answer_waits_for_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with linked(tmp_path) as (link, server, heard):
            await until(lambda: link.connected)
            link.record(2, "over-voltage")
            asked = await server.receive()
            assert isinstance(asked, Dump) and (asked.evse, asked.reason) == (2, "over-voltage")
            server.send(encode(Done(asked.id, 2, False, "recorded before")))
            server.send(encode(BorneReport(1.0, "b")))
            await until(lambda: heard.said[-1] == "borne")

    asyncio.run(main())


def test_a_lost_safety_process_is_told_and_connected_to_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evse_link, "_RETRY_S", 0.02)

    async def main() -> None:
        async with linked(tmp_path) as (link, server, heard):
            await until(lambda: link.connected)
            link.permit(Permit(2, False, 0.0))
            await server.receive()
            assert server.connection is not None
            server.connection.close()
            await until(lambda: "lost" in heard.said)
            await server.accept()
            assert await server.receive() == Permit(2, False, 0.0)
            server.send(encode(BorneReport(1.0, "b")))
            await until(lambda: heard.said[-1] == "borne")
            assert heard.said == ["found", "lost", "found", "borne"]

    asyncio.run(main())


def test_what_the_safety_process_died_of_is_told_while_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evse_link, "_RETRY_S", 0.02)
    words = tmp_path / "evse-last-words"

    async def why() -> str:
        async with linked(tmp_path) as (link, server, heard):
            await until(lambda: link.connected)
            assert server.connection is not None
            server.connection.close()
            await until(lambda: "lost" in heard.said)
            return heard.why

    words.write_text("ZeroDivisionError: division by zero (point.py:7 in step)\n")
    assert asyncio.run(why()) == "ZeroDivisionError: division by zero (point.py:7 in step)"
    os.utime(words, (1.0, 1.0))
    assert "ZeroDivisionError" not in asyncio.run(why())


def test_a_silent_safety_process_counts_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evse_link, "_SILENT_S", 0.05)

    async def main() -> None:
        async with linked(tmp_path) as (_, _server, heard):
            await until(lambda: "lost" in heard.said)

    asyncio.run(main())


def test_a_malformed_packet_is_counted_and_survived(tmp_path: Path) -> None:
    async def main() -> None:
        async with linked(tmp_path) as (link, server, heard):
            for packet in (b"nonsense", b'{"type":"unknown"}', b'{"type":"point"}', b"\xff\xfe"):
                server.send(packet)
            server.send(encode(BorneReport(1.0, "b")))
            await until(lambda: "borne" in heard.said)
            assert link.malformed == 4

    asyncio.run(main())


def test_a_request_is_answered_by_its_own_done_or_not_at_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with linked(tmp_path) as (link, server, _):
            await until(lambda: link.connected)
            asked = asyncio.create_task(link.unlock(1, 2.0))
            request = await server.receive()
            assert isinstance(request, Unlock)
            server.send(encode(Done(request.id + 100, 1, False)))
            server.send(encode(Done(request.id, 1, True)))
            assert (await asked).ok
            with pytest.raises(LinkLost, match="did not answer"):
                await link.unlock(1, 0.05)

    asyncio.run(main())


def test_a_request_without_a_link_fails_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(LinkLost, match="not connected"):
            await EvseLink(tmp_path / "none.sock").unlock(1, 2.0)

    asyncio.run(main())
