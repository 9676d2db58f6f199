"""An event loop whose clock jumps: whatever waits for time does not wait.

Sockets, threads and files stay real, and all of them are prompt: what a thread does for the loop is done when the loop
goes on, and what was sent over a socket has arrived (`prompt_tcp`). The clock stands still while anything is left to
do and goes to the next timer when nothing is; so minutes of a program's waiting cost what its work costs, and a run
follows from its seed alone, however busy the machine is.
"""

import asyncio
import itertools
import random
import selectors
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from prompt_tcp import prompt_tcp

T = TypeVar("T")

HUNG_S = 60.0
"""Real time without anything to do or to wait for, or that a thread works: a mistake of the test."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` is virtual and starts at 1000 s."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.names: dict[str, str] = {}
        """Host names that resolve, and to what; others do not."""
        self._thread = ThreadPoolExecutor(1, "virtual-time")
        super().__init__(_Jumping(self))
        numbers = itertools.count()
        self.set_task_factory(lambda loop, work, **more: _Numbered(next(numbers), work, loop=loop, **more))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """In a thread, as ever; the loop stands still meanwhile."""
        return done_in_thread(executor or self._thread, func, *args)

    def close(self) -> None:
        super().close()
        self._thread.shutdown()

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        """No resolver is asked: numbers are numbers, and names are those of `names`."""
        address = self.names.get(host, host)
        try:
            socket.inet_aton(address)
        except OSError:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from None
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


def done_in_thread(executor: Executor, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """What `run_in_executor` answers, with the work done."""
    work = executor.submit(func, *args)
    if not wait([work], HUNG_S).done:
        raise RuntimeError(f"{func} has been at work in a thread for {HUNG_S:g} s")
    return asyncio.wrap_future(work)


class _Numbered(asyncio.Task[Any]):
    """A set of such tasks goes through them by their age and not by their places in memory."""

    def __init__(self, number: int, *words: Any, **more: Any) -> None:
        self._number = number
        super().__init__(*words, **more)

    def __hash__(self) -> int:
        return self._number


class _Jumping(selectors.EpollSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if len(found) > 1:  # the kernel's order is that of its interrupts: ours is that of registration
            ready = {key.fd: (key, events) for key, events in found}
            found = [ready[key.fd] for key in self.get_map().values() if key.fd in ready]
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is not None:
            self._loop.now += timeout
            return []
        found = super().select(HUNG_S)
        if not found:
            raise RuntimeError("nothing is under way and nothing waits for time")
        return found


@contextmanager
def _clock(loop: VirtualLoop) -> Iterator[None]:
    """The program's monotonic clock is the loop's."""
    with patch("time.monotonic", loop.time):
        yield


@contextmanager
def _dice(seed: int) -> Iterator[None]:
    """What the program draws for itself, its pauses before another attempt to connect, is the same every time."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def run(main: Coroutine[Any, Any, T], seed: int = 0) -> T:
    """As `asyncio.run`, in virtual time."""
    loop = VirtualLoop()
    with _clock(loop), _dice(seed), prompt_tcp(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
