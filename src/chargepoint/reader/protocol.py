"""What a reader protocol is: bytes and time in, bytes and UIDs out. No I/O, no clock."""

from collections.abc import Callable
from typing import Protocol


class ReaderProtocol(Protocol):
    """One reader's language. One object per opened port."""

    baudrate: int
    malformed: int
    """Frames that made no sense since whoever counts them set it to 0."""
    trouble: str | None
    """Why the reader does not work, in words; empty while it does; None while that is not known."""
    away: bool | None
    """Of the last card reported: it was certainly away before. None: this reader cannot tell."""

    def start(self, now: float) -> bytes:
        """The port was just opened: bytes to send."""

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Bytes that came; UIDs of the cards they report, byte 0 first."""

    def due(self) -> float | None:
        """When `tick` wants to be called, monotonic; None: not before the next byte."""

    def tick(self, now: float) -> bytes:
        """The time has come: bytes to send."""


ProtocolFactory = Callable[[], ReaderProtocol]
