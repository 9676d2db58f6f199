"""JSON-RPC 2.0 over a Unix socket, one message a line: the station's and the simulated borne's control sockets.

A method is a plain function or coroutine function with annotated parameters. The server derives the check of
`params` from the annotations, so a wrong or missing parameter is answered with its name and never reaches the
method. A parameter annotated `Peer` is the connection itself and no part of the message.
"""

import asyncio
import contextlib
import inspect
import os
import socket
import stat
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
"""A mistake in the method itself: told to the client and to the event loop's exception handler."""
REFUSED = -32000
"""The method exists and the parameters are well formed, but the thing asked for cannot be done now."""

MAX_LINE = 256 * 1024
"""Bytes in one message, newline included; a longer one ends the connection."""
MAX_PENDING = 32
"""Requests of one connection that may wait for their answer at once."""
MAX_UNREAD = 1024 * 1024
"""Bytes a subscriber may leave unread before it is dropped."""

Id = str | int | float | None


class RpcError(Exception):
    """What a method raises to answer with an error; also what a client raises on such an answer."""

    def __init__(self, message: str, code: int = REFUSED, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data


class SocketBusy(Exception):
    """Another process already listens on the socket."""


class _Request(msgspec.Struct):
    jsonrpc: str
    method: str
    params: dict[str, Any] | list[Any] = {}
    id: Id | msgspec.UnsetType = msgspec.UNSET


class _Method:
    """One callable with the check of its parameters."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.function = function
        self.waits = inspect.iscoroutinefunction(function)
        hints = typing.get_type_hints(function)
        self.names: list[str] = []
        self.peer_name: str | None = None
        fields: list[Any] = []
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name, Any)
            if kind is Peer:
                self.peer_name = parameter.name
                continue
            self.names.append(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                fields.append((parameter.name, kind))
            else:
                fields.append((parameter.name, kind, parameter.default))
        self.params = msgspec.defstruct(f"{name}_params", fields, forbid_unknown_fields=True, kw_only=True)

    def arguments(self, params: dict[str, Any] | list[Any], peer: "Peer") -> dict[str, Any]:
        if isinstance(params, list):
            if len(params) > len(self.names):
                raise RpcError(f"at most {len(self.names)} parameters, not {len(params)}", INVALID_PARAMS)
            params = dict(zip(self.names, params, strict=False))
        try:
            checked = msgspec.convert(params, self.params)
        except msgspec.ValidationError as error:
            raise RpcError(str(error), INVALID_PARAMS) from error
        arguments = {name: getattr(checked, name) for name in self.names}
        if self.peer_name is not None:
            arguments[self.peer_name] = peer
        return arguments


class Peer:
    """One connected client, as a method that sends notifications sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._closing: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        return not self._writer.is_closing()

    def notify(self, method: str, params: Any) -> None:
        """Send a notification. A client that does not read what it subscribed to is dropped."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def send(self, message: Any) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(msgspec.json.encode(message) + b"\n")
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self._writer.transport.abort()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call back once when the client has gone, for example to end its subscription."""
        self._closing.append(callback)

    def closed(self) -> None:
        for callback in self._closing:
            callback()
        self._closing.clear()


class Server:
    """Listens on one Unix socket and serves `methods` to any number of clients."""

    def __init__(self, path: Path, methods: Mapping[str, Callable[..., Any]], *, mode: int = 0o660) -> None:
        self._path = path
        self._mode = mode
        self._methods = {name: _Method(name, function) for name, function in methods.items()}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises `SocketBusy` when a living process already does; takes a dead one's place."""
        if _answers(self._path):
            raise SocketBusy(f"{self._path}: another process already listens here; stop it first")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o777 & ~self._mode)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_LINE)

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        task.add_done_callback(_report)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        pending: set[asyncio.Task[None]] = set()
        try:
            while line := await _read_line(reader, peer):
                if len(pending) >= MAX_PENDING:
                    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                answer = self._handle(line, peer)
                if answer is not None:
                    task = asyncio.get_running_loop().create_task(answer)
                    pending.add(task)
                    task.add_done_callback(pending.discard)
                    task.add_done_callback(_report)
                await _drain(writer)
        except ConnectionError:
            pass  # the client has gone: nobody is left to be told
        finally:
            for task in pending:
                task.cancel()
            writer.close()
            peer.closed()

    def _handle(self, line: bytes, peer: Peer) -> typing.Coroutine[Any, Any, None] | None:
        """Answer at once, or return the coroutine that will."""
        try:
            raw = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            peer.send(_error(None, RpcError(f"not JSON: {error}", PARSE_ERROR)))
            return None
        try:
            request = msgspec.convert(raw, _Request)
        except msgspec.ValidationError as error:
            identity = raw.get("id") if isinstance(raw, dict) else None
            peer.send(_error(identity, RpcError(f"not a JSON-RPC 2.0 request: {error}", INVALID_REQUEST)))
            return None
        try:
            if request.jsonrpc != "2.0":
                raise RpcError(f'"jsonrpc" is {request.jsonrpc!r}, not "2.0"', INVALID_REQUEST)
            method = self._methods.get(request.method)
            if method is None:
                raise RpcError(f"there is no method {request.method!r}", METHOD_NOT_FOUND)
            arguments = method.arguments(request.params, peer)
            if method.waits:
                return _answer_later(method.function(**arguments), request, peer)
            _answer(request, peer, method.function(**arguments))
        except RpcError as error:
            _answer_error(request, peer, error)
        return None


async def _read_line(reader: asyncio.StreamReader, peer: Peer) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # asyncio's word for a line over its limit
        peer.send(_error(None, RpcError(f"a message is longer than {MAX_LINE} bytes", INVALID_REQUEST)))
        return b""


async def _drain(writer: asyncio.StreamWriter) -> None:
    if writer.transport.get_write_buffer_size():
        await writer.drain()


async def _answer_later(result: typing.Awaitable[Any], request: _Request, peer: Peer) -> None:
    answered = False
    try:
        _answer(request, peer, await result)
        answered = True
    except RpcError as error:
        _answer_error(request, peer, error)
        answered = True
    finally:
        if not answered:
            _answer_error(request, peer, RpcError("the method failed or was cancelled", INTERNAL_ERROR))


def _report(task: asyncio.Task[None]) -> None:
    """Give a task's unforeseen exception to the event loop's handler, which logs it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "control socket", "exception": error, "task": task})


def _answer(request: _Request, peer: Peer, result: Any) -> None:
    if request.id is not msgspec.UNSET:
        peer.send({"jsonrpc": "2.0", "id": request.id, "result": result})


def _answer_error(request: _Request, peer: Peer, error: RpcError) -> None:
    if request.id is not msgspec.UNSET:
        peer.send(_error(request.id, error))


def _error(identity: Any, error: RpcError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": identity, "error": body}


def _answers(path: Path) -> bool:
    """Whether a living process accepts connections on this socket."""
    probe = socket.socket(socket.AF_UNIX)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _result(message: dict[str, Any]) -> Any:
    error = message.get("error")
    if error is not None:
        raise RpcError(error.get("message", "unnamed error"), error.get("code", REFUSED), error.get("data"))
    return message.get("result")


class Client:
    """An asynchronous client: calls, and the notifications that arrive between the answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._notes: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._receive())

    @classmethod
    async def connect(cls, path: Path) -> "Client":
        """Raises `OSError` when nobody listens."""
        return cls(*await asyncio.open_unix_connection(str(path), limit=MAX_LINE))

    async def call(self, method: str, *, timeout_s: float = 35.0, **params: Any) -> Any:
        """The method's result. Raises `RpcError` on an error answer, `TimeoutError`, `ConnectionError`."""
        if self._task.done():
            raise ConnectionError("the connection is closed")
        self._last_id += 1
        identity = self._last_id
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = answer
        request = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
        self._writer.write(msgspec.json.encode(request) + b"\n")
        try:
            async with asyncio.timeout(timeout_s):
                return _result(await answer)
        finally:
            del self._waiting[identity]

    async def notifications(self) -> AsyncIterator[tuple[str, Any]]:
        """(method, params) of each notification, until the connection ends."""
        while (note := await self._notes.get()) is not None:
            yield note

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()

    async def _receive(self) -> None:
        try:
            while line := await self._reader.readline():
                message = msgspec.json.decode(line)
                if "method" in message:
                    self._notes.put_nowait((message["method"], message.get("params")))
                elif (answer := self._waiting.get(message.get("id"))) is not None and not answer.done():
                    answer.set_result(message)
        except (ConnectionError, ValueError):
            pass  # told to every waiting caller below
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the other side closed the connection"))
            self._notes.put_nowait(None)


def call(path: Path, method: str, *, timeout_s: float = 35.0, **params: Any) -> Any:
    """One call, blocking: for command lines. Raises `RpcError`, `OSError` (nobody listens), `TimeoutError`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        connection.sendall(msgspec.json.encode(request) + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                message = msgspec.json.decode(line)
                if message.get("id") == 1 and "method" not in message:
                    return _result(message)
    raise ConnectionError(f"{path}: closed before it answered {method!r}")
