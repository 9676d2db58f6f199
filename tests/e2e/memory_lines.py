"""Serial lines without terminals: what one end writes, the other has at once. For bornes in one process."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

_cables: dict[str, "MemoryWire"] = {}
"""By path: the far ends of the lines that are open."""


class MemoryWire:
    """In place of the simulation's `PtyWire`: the far end of a line."""

    def __init__(self, link_path: Path, on_bytes: Callable[[bytes], None]) -> None:
        self.path = str(link_path)
        self.on_bytes = on_bytes
        self.near: Callable[[bytes], None] | None = None
        self.garbled = False
        """What comes over is of no use."""

    def open(self) -> None:
        _cables[self.path] = self

    def close(self) -> None:
        _cables.pop(self.path, None)

    def write(self, data: bytes) -> None:
        if self.near is not None:
            self.near(data[::-1] if self.garbled else data)


class MemoryLine:
    """In place of the product's `SerialLine`: the near end."""

    def __init__(self, port: str, baudrate: int, *, bits: int = 8, parity: str = "N") -> None:
        self.port = port
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def open(self) -> None:
        cable(self.port).near = self._arrived.put_nowait

    def close(self) -> None:
        cable(self.port).near = None

    async def pause(self) -> None:
        await asyncio.sleep(0.2)

    async def read(self, until: float | None) -> bytes:
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
                return await self._arrived.get()
        except TimeoutError:
            return b""

    def write(self, data: bytes) -> None:
        cable(self.port).on_bytes(data)


def cable(path: str) -> MemoryWire:
    """The far end of an open line."""
    return _cables[path]
