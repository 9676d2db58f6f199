"""The control sockets' transport: what is answered to good, wrong and hostile messages."""

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from chargepoint.jsonrpc import MAX_LINE, Client, Peer, RpcError, Server, SocketBusy, call

pytestmark = pytest.mark.asyncio


def add(a: int, b: int = 2) -> int:
    return a + b


def refuse(why: str) -> None:
    raise RpcError(why)


def side(side: Literal["socket", "car"]) -> str:
    return side


async def slow() -> str:
    await asyncio.sleep(5)
    return "late"


def subscribe(peer: Peer, topic: str) -> bool:
    peer.notify("event", {"topic": topic})
    return True


@pytest_asyncio.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    server = Server(
        tmp_path / "x.sock", {"add": add, "refuse": refuse, "side": side, "slow": slow, "subscribe": subscribe}
    )
    await server.start()
    yield tmp_path / "x.sock"
    await server.close()


async def raw(path: Path, line: bytes) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    return answer


async def test_parameters_by_name_and_by_position(path: Path) -> None:
    client = await Client.connect(path)
    assert await client.call("add", a=1) == 3
    await client.close()
    assert (await raw(path, b'{"jsonrpc":"2.0","id":"x","method":"add","params":[1,5]}'))["result"] == 6


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        (b"{", -32700, "JSON"),
        (b"[1]", -32600, "request"),
        (b'{"jsonrpc":"1.0","id":1,"method":"add"}', -32600, "2.0"),
        (b'{"jsonrpc":"2.0","id":1,"method":"fly"}', -32601, "fly"),
        (b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":"one"}}', -32602, "$.a"),
        (b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"c":1}}', -32602, "c"),
        (b'{"jsonrpc":"2.0","id":1,"method":"add"}', -32602, "a"),
        (b'{"jsonrpc":"2.0","id":1,"method":"side","params":{"side":"top"}}', -32602, "top"),
        (b'{"jsonrpc":"2.0","id":1,"method":"refuse","params":{"why":"locked"}}', -32000, "locked"),
    ],
)
async def test_a_wrong_message_is_answered_with_what_is_wrong(path: Path, line: bytes, code: int, word: str) -> None:
    error = (await raw(path, line))["error"]
    assert error["code"] == code
    assert word in error["message"]


async def test_a_slow_method_does_not_hold_up_the_next(path: Path) -> None:
    client = await Client.connect(path)
    waiting = asyncio.create_task(client.call("slow"))
    await asyncio.sleep(0)
    assert await client.call("add", a=1, timeout_s=2) == 3
    waiting.cancel()
    await client.close()


async def test_a_subscriber_gets_notifications(path: Path) -> None:
    client = await Client.connect(path)
    assert await client.call("subscribe", topic="faults")
    assert await anext(client.notifications()) == ("event", {"topic": "faults"})
    await client.close()


async def test_an_endless_line_ends_only_its_own_connection(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"x" * (2 * MAX_LINE))
    with contextlib.suppress(ConnectionResetError):
        assert b"longer than" in await reader.readline()
        assert await reader.read() == b""
    writer.close()
    assert (await raw(path, b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1}}'))["result"] == 3


async def test_a_second_server_is_refused(path: Path) -> None:
    with pytest.raises(SocketBusy, match=r"x\.sock"):
        await Server(path, {}).start()
    mode = await asyncio.to_thread(path.stat)
    assert stat.S_IMODE(mode.st_mode) == 0o660


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "y.sock"))
    dead.close()
    server = Server(tmp_path / "y.sock", {"add": add})
    await server.start()
    assert (await raw(tmp_path / "y.sock", b'{"jsonrpc":"2.0","id":1,"method":"add","params":[1]}'))["result"] == 3
    await server.close()


async def test_a_blocking_call_returns_the_result_and_raises_the_error(path: Path) -> None:
    assert await asyncio.to_thread(call, path, "add", a=3) == 5
    with pytest.raises(RpcError, match="no method"):
        await asyncio.to_thread(call, path, "fly")
