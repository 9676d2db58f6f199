"""A serial device that does not exist: the controller's end is a pseudo-terminal behind a symbolic link."""

import asyncio
import errno
import os
import tty
from collections.abc import Callable
from pathlib import Path


class PtyWire:
    """The far end of one serial line. The near end may be opened, closed and opened again at will.

    Our own handle on the near end stays open, so the far end never sees a hang-up; what nobody reads is dropped when
    the kernel's buffer is full, as on a real wire.
    """

    def __init__(self, link_path: Path, on_bytes: Callable[[bytes], None]) -> None:
        self._link = link_path
        self._on_bytes = on_bytes
        self._far = self._near = -1

    @property
    def is_open(self) -> bool:
        return self._far >= 0

    def open(self) -> None:
        """Make the pseudo-terminal and put the link there, in one step for whoever looks."""
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._near))
        fresh.replace(self._link)
        asyncio.get_running_loop().add_reader(self._far, self._readable)

    def close(self) -> None:
        """Take the device away: an open near end is hung up."""
        if not self.is_open:
            return
        asyncio.get_running_loop().remove_reader(self._far)
        name = os.ttyname(self._near)
        # A newer simulator may have put its own link there already.
        if self._link.is_symlink() and str(self._link.readlink()) == name:
            self._link.unlink()
        os.close(self._near)
        os.close(self._far)
        self._far = self._near = -1

    def write(self, data: bytes) -> None:
        """Send; bytes that find the buffer full are lost."""
        if not self.is_open:
            return
        try:
            os.write(self._far, data)
        except BlockingIOError:
            return

    def _readable(self) -> None:
        try:
            data = os.read(self._far, 4096)
        except OSError as e:
            if e.errno not in (errno.EAGAIN, errno.EIO):
                raise
            return
        if data:
            self._on_bytes(data)
