"""One program at a time: by the kernel's lock on a file, which it lets go of for a program that dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from chargepoint.update.bundle import BundleError

_POLL_S = 1.0


@contextlib.contextmanager
def held(path: Path, patience_s: float, busy: str) -> Iterator[None]:
    """Hold the lock; raises BundleError(`busy`) when another program holds it for all that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + patience_s
        while not _taken(handle):
            if time.monotonic() >= end:
                raise BundleError(busy)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
