"""What a process inside a unit's sandbox can reach: one JSON line. Stands where the program would stand."""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def tried(work: Callable[[], object]) -> str:
    """`yes`, or the error's name."""
    try:
        work()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "yes"


def writable_code() -> None:
    import mmap

    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def set_clock() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.settimeofday((ctypes.c_long * 2)(1, 0), None) != 0:
        raise OSError(ctypes.get_errno(), "settimeofday")


def main() -> None:
    found = {
        "unix socket": tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()),
        "raw socket": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
        "write /etc": tried(lambda: Path("/etc/probe").write_text("x")),
        "write /usr": tried(lambda: Path("/usr/probe").write_text("x")),
        "write state": tried(lambda: Path(f"/var/lib/chargepoint/probe-{sys.argv[1]}").write_text("x")),
        "write run": tried(lambda: Path(f"/run/chargepoint/probe-{sys.argv[1]}").write_text("x")),
        "read configuration": tried(lambda: Path("/etc/chargepoint/chargepoint.toml").read_text()),
        "see /home": tried(lambda: list(Path("/root").iterdir())),
        "kernel memory": tried(lambda: Path("/dev/mem").open("rb").close()),
        "set the clock": tried(set_clock),
        "real-time": tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))),
        "writable code": tried(writable_code),
        "boot id": tried(lambda: Path("/proc/sys/kernel/random/boot_id").read_text()),
        "new name space": tried(lambda: os.close(os.open("/proc/self/ns/user", os.O_RDONLY)) or _unshare()),
    }
    Path(f"/run/chargepoint/probe-{sys.argv[1]}.json").write_text(json.dumps(found))


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    main()
