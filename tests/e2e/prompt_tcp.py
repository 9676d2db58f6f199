"""TCP over the loopback whose every step is over when its call returns: for programs in injected time.

The kernel hands a segment, a connection or the end of one to the other socket when it gets to it, on a busy machine
somewhat later than the call that caused it. Here the call waits (in real time) until the other socket of this process
has what was sent to it. So what is readable at an instant follows from what was done before, and from nothing else.

Where a receiver's window is full the kernel goes on sending by itself; that alone is not waited for.
"""

import contextlib
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

ARRIVES_S = 20.0
"""Real time after which something that was sent over the loopback has been lost: a mistake of this module."""
_GLANCES = 50
"""So often it is looked without giving the processor away."""
_PAUSE_S = 0.0001
_ESTABLISHED, _SYN_SENT, _FIN_WAIT1, _FIN_WAIT2, _CLOSE = 1, 2, 4, 5, 7
"""States of a socket, as Linux numbers them."""
_OPEN = (_ESTABLISHED, _FIN_WAIT1, _FIN_WAIT2)
"""The other side has not ended it."""
_WAITING = struct.Struct("24xI")
"""Of `struct tcp_info`: connections of a listening socket that nobody has accepted."""
_SIOCOUTQNSD = 0x894B
"""Bytes that the window does not let go yet."""

Address = tuple[str, int]


@dataclass(slots=True)
class _Side:
    """One end of a connection."""

    sock: socket.socket | None = None
    """None: not accepted yet, or closed."""
    sent: int = 0
    received: int = 0
    ended: bool = False
    """It sends no more, and has said so or reset the connection."""


@dataclass(slots=True)
class _Listener:
    sock: socket.socket
    coming: int = 0
    """Connections made and not accepted."""


@dataclass(slots=True)
class _Loopback:
    """The sockets of this process."""

    sides: dict[socket.socket, tuple[_Side, _Side]] = field(default_factory=dict)
    """By socket: its own side and the other one."""
    callers: dict[tuple[Address, Address], tuple[_Side, _Side]] = field(default_factory=dict)
    """Both sides of what was not accepted yet, the caller's first; by the caller's address and the listener's."""
    listeners: dict[int, _Listener] = field(default_factory=dict)
    """By port."""

    # What the calls do besides

    def listened(self, listening: socket.socket) -> None:
        if _is_tcp(listening):
            self.listeners[listening.getsockname()[1]] = _Listener(listening)

    def connecting(self, caller: socket.socket, address: Any) -> None:
        listener = self.listeners.get(address[1]) if _is_tcp(caller) and address[0] == "127.0.0.1" else None
        if listener is None:
            return
        _until(lambda: _state(caller) != _SYN_SENT, "an answer to a connection")
        if _state(caller) == _CLOSE:
            return  # refused
        own, other = self.sides[caller] = (_Side(caller), _Side())
        self.callers[caller.getsockname(), caller.getpeername()] = (own, other)
        listener.coming += 1
        _until(lambda: _waiting(listener.sock) >= listener.coming, "a connection")

    def accepted(self, listening: socket.socket, taken: socket.socket, caller_at: Any) -> None:
        sides = self.callers.pop((caller_at, taken.getsockname()), None) if _is_tcp(taken) else None
        if sides is None:
            return
        caller, own = sides
        own.sock = taken
        self.sides[taken] = (own, caller)
        self.listeners[listening.getsockname()[1]].coming -= 1
        _arrives(caller, own)

    def sent(self, sender: socket.socket, count: int) -> None:
        if sender in self.sides:
            own, other = self.sides[sender]
            own.sent += count
            _arrives(own, other)

    def received(self, receiver: socket.socket, count: int) -> None:
        if receiver in self.sides:
            own, other = self.sides[receiver]
            own.received += count
            _arrives(other, own)

    def ending(self, ending: socket.socket, end: Callable[[], None]) -> None:
        """`end` it: it is closed, or sends no more."""
        own, other = self.sides.get(ending, (_Side(), _Side()))
        prompt = own.sock is None or _count(ending, _SIOCOUTQNSD) == 0
        end()
        if ending.fileno() < 0:
            self.sides.pop(ending, None)
            own.sock = None
        own.ended = True
        if prompt:
            _arrives(own, other)


def _is_tcp(any_socket: socket.socket) -> bool:
    return any_socket.family == socket.AF_INET and any_socket.type == socket.SOCK_STREAM


def _state(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _waiting(listening: socket.socket) -> int:
    return int(_WAITING.unpack(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING.size))[0])


def _count(one: socket.socket, what: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(one, what, bytes(4)))[0])


def _arrives(sender: _Side, receiver: _Side) -> None:
    """Wait until the receiver's socket has what the sender's has let go."""
    to = receiver.sock
    if to is None or (sender.sent == receiver.received and not sender.ended):
        return

    def arrived() -> bool:
        if sender.ended:
            return _state(to) not in _OPEN
        held = 0 if sender.sock is None else _count(sender.sock, _SIOCOUTQNSD)
        return receiver.received + _count(to, termios.FIONREAD) + held >= sender.sent or _state(to) == _CLOSE

    _until(arrived, f"{sender.sent - receiver.received} bytes" + ", and the end" * sender.ended)


def _until(there: Callable[[], bool], what: str) -> None:
    begun, glances = time.perf_counter(), 0
    while not there():
        glances += 1
        if glances > _GLANCES:
            time.sleep(_PAUSE_S)
        if time.perf_counter() - begun > ARRIVES_S:
            raise RuntimeError(f"the loopback did not bring {what} within {ARRIVES_S:g} s")


@contextlib.contextmanager
def prompt_tcp() -> Iterator[None]:
    """So are the connections that are made meanwhile within this process."""
    here, real = _Loopback(), socket.socket
    listen, connect, accept = real.listen, real.connect, real.accept
    send, sendmsg, recv, recv_into = real.send, real.sendmsg, real.recv, real.recv_into
    shutdown, close = real.shutdown, real.close

    def listens(self: socket.socket, *words: Any) -> None:
        listen(self, *words)
        here.listened(self)

    def connects(self: socket.socket, address: Any) -> None:
        try:
            connect(self, address)
        finally:
            here.connecting(self, address)

    def accepts(self: socket.socket) -> tuple[socket.socket, Any]:
        taken, address = accept(self)
        here.accepted(self, taken, address)
        return taken, address

    def sends(self: socket.socket, data: Any, *words: Any) -> int:
        count = send(self, data, *words)
        here.sent(self, count)
        return count

    def sends_parts(self: socket.socket, *words: Any) -> int:
        count = sendmsg(self, *words)
        here.sent(self, count)
        return count

    def receives(self: socket.socket, *words: Any) -> bytes:
        data = recv(self, *words)
        here.received(self, len(data))
        return data

    def receives_into(self: socket.socket, *words: Any) -> int:
        count = recv_into(self, *words)
        here.received(self, count)
        return count

    def shuts(self: socket.socket, how: int) -> None:
        here.ending(self, lambda: shutdown(self, how))

    def closes(self: socket.socket) -> None:
        here.ending(self, lambda: close(self))

    with contextlib.ExitStack() as patched:
        for name, call in (
            ("listen", listens),
            ("connect", connects),
            ("accept", accepts),
            ("send", sends),
            ("sendmsg", sends_parts),
            ("recv", receives),
            ("recv_into", receives_into),
            ("shutdown", shuts),
            ("close", closes),
        ):
            patched.enter_context(patch.object(socket.socket, name, call))
        yield
