"""Real-time priority and locked memory, where the system grants them; a quiet interpreter always."""

import ctypes
import gc
import os
import sys

PRIORITY = 50
HELPER_PRIORITY = 10
"""The file-writing thread's: under the loop's, but above everything that is not real-time. A thread that were put aside
in favour of another program while it holds the interpreter would make the loop wait for that program."""
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
"""On fault: what has been used once stays; memory that is only reserved costs nothing."""
SWITCH_INTERVAL_S = 0.0005
"""The file-writing thread gives the interpreter back to the loop after so long."""


def claim() -> dict[str, str]:
    """Take what is granted. Answers what was, for the log: a borne without it still works, measurably later."""
    return {"scheduler": _fifo(PRIORITY), "memory": _lock_memory()}


def calm_interpreter() -> None:
    """No garbage collection from here on: what lives now is frozen, and the loop makes no cycles."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc: what the start needed goes back to the system
        libc.malloc_trim(0)
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def follow() -> None:
    """To be called by a helping thread: below the loop, where the system grants it."""
    _fifo(HELPER_PRIORITY)


def _fifo(priority: int) -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"not granted: {error.strerror}"
    return f"SCHED_FIFO {priority}"


def _lock_memory() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"not granted: {os.strerror(ctypes.get_errno())}"
    return "locked"
