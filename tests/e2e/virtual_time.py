"""An event loop whose clock jumps: whatever waits for time does not wait.

Sockets, threads and files stay real. The clock stands still while anything is under way on them and goes to the next
timer when nothing is; so minutes of a program's waiting cost what its work costs.
"""

import asyncio
import selectors
import socket
import time
from collections.abc import Coroutine
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

T = TypeVar("T")

_PATIENCE_S = 0.002
"""Real time a look at the sockets takes while a thread is at work for the loop."""
_SETTLES_S = 0.02
"""Real time in which bytes that were sent to a socket of this process arrive, or nobody is reading there."""
_HUNG_S = 60.0
"""Real time without anything to do or to wait for: a mistake of the test."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` is virtual and starts at 1000 s. `working` counts what threads do for the loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.working = 0
        self.under_way = 0
        """Bytes that sockets of this process have sent to each other, less those that were read."""
        self.unread = 0
        """As many as nobody was there to read when it was last looked."""
        self.names: dict[str, str] = {}
        """Host names that resolve, and to what; others do not."""
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._worked)
        return future

    def _worked(self, future: object) -> None:
        self.working -= 1

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        """No resolver is asked: numbers are numbers, and names are those of `names`."""
        address = self.names.get(host, host)
        try:
            socket.inet_aton(address)
        except OSError:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from None
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


class _Jumping(selectors.EpollSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        loop = self._loop
        loop.unread = min(loop.unread, loop.under_way)
        if loop.under_way != loop.unread:
            found = super().select(_SETTLES_S)  # the loopback takes its time on a busy machine
            if found:
                return found
            loop.unread = loop.under_way
        hung_at = time.perf_counter() + _HUNG_S
        while self._loop.working or timeout is None:
            found = super().select(_PATIENCE_S)
            if found:
                return found
            if time.perf_counter() > hung_at:
                raise RuntimeError("nothing is under way and nothing waits for time")
        self._loop.now += timeout
        return []


@contextmanager
def _clock(loop: VirtualLoop) -> Any:
    """The program's monotonic clock is the loop's."""
    real = time.monotonic
    time.monotonic = loop.time
    try:
        yield
    finally:
        time.monotonic = real


@contextmanager
def _counted(loop: VirtualLoop) -> Any:
    """Count what TCP has under way: both ends of every connection are in this process."""
    sends, receives = socket.socket.send, socket.socket.recv

    def send(self: socket.socket, data: Any, *more: Any) -> int:
        sent = sends(self, data, *more)
        loop.under_way += sent if self.family == socket.AF_INET else 0
        return sent

    def recv(self: socket.socket, *words: Any) -> bytes:
        data = receives(self, *words)
        loop.under_way -= len(data) if self.family == socket.AF_INET else 0
        return data

    with patch.object(socket.socket, "send", send), patch.object(socket.socket, "recv", recv):
        yield


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time."""
    loop = VirtualLoop()
    with _clock(loop), _counted(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
