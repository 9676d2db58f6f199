"""A TCP relay between the borne and its central system that behaves like a bad network.

What TCP itself hides (loss, reordering, duplicated segments) shows above it as time that passes and bytes that come
late; so `loss` stalls the stream. What a middle box can do to a WebSocket is done to its frames: repeated whole, or
cut off in the middle.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

CHUNK = 4096
PORTAL_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 30\r\n\r\n<html>Please log in</html>    "
PORTAL_REDIRECT = (
    b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
TEXT = 0x1


@dataclass
class Weather:
    """What the network does now. Everything at rest: it relays."""

    down: bool = False
    """Connections are reset as soon as they are made; those that stand are reset."""
    silent: bool = False
    """Half-open: bytes go in and nothing comes out, on old connections and new ones; nobody closes anything."""
    portal: bytes = b""
    """New connections get this instead of the central system."""
    delay_s: float = 0.0
    """Every chunk comes so much later, in order."""
    loss: float = 0.0
    """Share of chunks that have to be sent again: the stream stalls for `stall_s`."""
    stall_s: float = 3.0
    bytes_per_s: float = 0.0
    """A slow reader: no more than so many; 0: no bound."""
    cut: float = 0.0
    """Share of text frames of which a half arrives, and then a reset."""
    repeat: float = 0.0
    """Share of text frames that arrive twice."""


class _Frames:
    """Cuts a stream that begins with an HTTP head into the head and whole WebSocket frames."""

    def __init__(self) -> None:
        self._held = b""
        self._head = True

    def feed(self, data: bytes) -> list[tuple[bool, bytes]]:
        """Whole pieces, each with whether it is a text frame."""
        self._held += data
        pieces: list[tuple[bool, bytes]] = []
        while self._held:
            length = self._head_length() if self._head else self._frame_length()
            if length is None or length > len(self._held):
                break
            pieces.append((not self._head and self._held[0] & 0x0F == TEXT, self._held[:length]))
            self._held, self._head = self._held[length:], False
        return pieces

    def _head_length(self) -> int | None:
        end = self._held.find(b"\r\n\r\n")
        return None if end < 0 else end + 4

    def _frame_length(self) -> int | None:
        held = self._held
        if len(held) < 2:
            return None
        length, size = held[1] & 0x7F, 2
        if length >= 126:
            extended = 2 if length == 126 else 8
            size += extended
            if len(held) < size:
                return None
            length = int.from_bytes(held[2:size], "big")
        return size + (4 if held[1] & 0x80 else 0) + length


class FaultProxy:
    """Listens on a port of its own; `weather` may be changed at any time, then call `turned`."""

    def __init__(self, port: int, seed: int = 1, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
        """`port`: of the central system, on the loopback."""
        self.weather = Weather()
        self.upstream = port
        self.port = 0
        self.accepted = 0
        """Connections taken so far."""
        self._dice = random.Random(seed)
        self._sleep = sleep
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.StreamWriter, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *why: object) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def turn(self, **weather: Any) -> None:
        """The network becomes this, all else at rest."""
        self.weather = Weather(**weather)
        if self.weather.down:
            self.reset()

    def reset(self) -> None:
        """Reset every connection, both ways."""
        for writer in list(self._writers):
            _abort(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers[writer] = None
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            _abort(writer)  # the other side has gone, or the test is over: so has this one
        finally:
            self._writers.pop(writer, None)
            self._tasks.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.down:
            _abort(writer)
            return
        if self.weather.portal:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.weather.portal)
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self._writers[up_writer] = None
        ways = [
            asyncio.ensure_future(self._carry(reader, up_writer, writer)),
            asyncio.ensure_future(self._carry(up_reader, writer, up_writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            while self.weather.silent:  # an end that was closed is not told to the other
                await self._sleep(1.0)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.pop(up_writer, None)
            up_writer.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        frames, forgotten = _Frames(), False
        while data := await reader.read(CHUNK):
            forgotten = forgotten or self.weather.silent
            if forgotten:
                continue  # as behind an address translator that has forgotten the connection: silent for ever
            for text, piece in frames.feed(data):
                await self._wait(len(piece))
                if text and self._dice.random() < self.weather.cut:
                    writer.write(piece[: len(piece) // 2])
                    await asyncio.sleep(0)
                    _abort(writer)
                    _abort(back)
                    return
                writer.write(piece)
                if text and self._dice.random() < self.weather.repeat:
                    writer.write(piece)
                await writer.drain()

    async def _wait(self, size: int) -> None:
        weather = self.weather
        wait = weather.delay_s + (size / weather.bytes_per_s if weather.bytes_per_s else 0.0)
        if weather.loss and self._dice.random() < weather.loss:
            wait += weather.stall_s
        if wait:
            await self._sleep(wait)
        while self.weather.silent:
            await self._sleep(1.0)


def _abort(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
