"""The safety process's end of the wall: a SEQPACKET socket, never waiting, several clients (station, console)."""

import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from chargepoint.evse.messages import FromEvse, ToEvse, decode_to_evse, encode

MAX_PACKET = 65536
BACKLOG = 4
PER_PASS = 16
"""Packets taken from one client in one pass: a flood must not make the loop late."""


class Client:
    """One connected program."""

    __slots__ = ("socket", "trace_every", "trace_evse", "trace_next", "trace_until")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.trace_evse = 0
        self.trace_every = 0.1
        self.trace_next = 0.0
        self.trace_until = float("-inf")


class Server:
    """`poll` once a pass; `send` to one, `broadcast` to all. A client that does not read is dropped: on its next
    connection it is told everything anew."""

    def __init__(self, path: Path, on_problem: Callable[[str, str], None]) -> None:
        self._path = path
        self._on_problem = on_problem
        self.clients: dict[int, Client] = {}
        self.malformed = 0
        path.unlink(missing_ok=True)
        self._listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._listener.bind(str(path))
        path.chmod(0o660)
        self._listener.listen(BACKLOG)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when `poll` has something to take: for an event loop."""
        return self._poll.fileno()

    def poll(self, handle: Callable[[ToEvse, Client], None], greet: Callable[[Client], None]) -> None:
        """Take what has arrived, without waiting."""
        for descriptor, _ in self._poll.poll(0):
            if descriptor == self._listener.fileno():
                self._accept(greet)
            else:
                client = self.clients.get(descriptor)
                if client is not None:
                    self._receive(client, handle)

    def broadcast(self, message: FromEvse) -> None:
        """To every client."""
        if self.clients:
            packet = encode(message)
            for client in list(self.clients.values()):
                self._send(client, packet)

    def send(self, client: Client, message: FromEvse) -> None:
        """To one client; nothing happens when it has gone."""
        if client.socket.fileno() in self.clients:
            self._send(client, encode(message))

    def close(self) -> None:
        """Say good-bye to all and remove the socket."""
        for client in list(self.clients.values()):
            self._drop(client)
        self._poll.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self, greet: Callable[[Client], None]) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            self._on_problem("accept", os.strerror(error.errno or 0))
            return
        connection.setblocking(False)
        client = Client(connection)
        self.clients[connection.fileno()] = client
        self._poll.register(connection, select.EPOLLIN)
        greet(client)

    def _receive(self, client: Client, handle: Callable[[ToEvse, Client], None]) -> None:
        for _ in range(PER_PASS):
            try:
                packet = client.socket.recv(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._drop(client)
                return
            try:
                message = decode_to_evse(packet)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self.malformed += 1
                if self.malformed == 1:
                    self._on_problem("malformed-packet", f"{error}; further ones are only counted")
                continue
            handle(message, client)

    def _send(self, client: Client, packet: bytes) -> None:
        try:
            client.socket.send(packet)
        except OSError as error:
            self._on_problem("client-dropped", os.strerror(error.errno or 0))
            self._drop(client)

    def _drop(self, client: Client) -> None:
        descriptor = client.socket.fileno()
        if self.clients.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
            client.socket.close()
