"""Root's half of carrying something away on a USB stick, which is mounted for the copy alone; it may be pulled after.

The folder is the console's, so nothing in it is trusted: only its plain files are copied, by a handle on the folder
itself, and no link is followed.
"""

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chargepoint.update.bundle import BundleError
from chargepoint.update.sticks import PLACE, Run, Stick, mount_at

OUT: Final = Path("/run/chargepoint-stick-out")
OPTIONS: Final = "rw,nosuid,nodev,noexec"


def save(folder: Path, there: Sequence[Stick], run: Run, place: Path = OUT) -> str:
    """Copy every file of the folder to the first stick that nobody has mounted by hand. The stick's device.

    Raises BundleError: there is none, it cannot be written to, or it cannot be let go.
    """
    stick = _free(there)
    if stick.place is not None:  # for an update, read-only
        run(("systemd-umount", str(stick.place)))
    mount_at(stick.device, run, place, OPTIONS)
    try:
        _copy_all(folder, place)
    except OSError as error:
        raise BundleError(f"{stick.device} could not be written to: {error.strerror or error}") from error
    finally:
        status = run(("systemd-umount", str(place)))
    if status != 0:
        raise BundleError(f"{stick.device} cannot be let go: systemd-umount ended with status {status}")
    return stick.device


def _free(there: Sequence[Stick]) -> Stick:
    ours = [stick for stick in there if stick.place is None or str(stick.place).startswith(str(PLACE))]
    if ours:
        return ours[0]
    if there:
        raise BundleError(f"{there[0].device} is mounted at {there[0].place} by hand: unmount it there first")
    raise BundleError("there is no USB stick")


def _copy_all(folder: Path, place: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        for name in names:
            _copy(handle, name, place / name)
        target = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(target)
        finally:
            os.close(target)
    finally:
        os.close(handle)


def _copy(folder: int, name: str, target: Path) -> None:
    """A copy that was not finished is not left there. A second name of a file could be one of another's."""
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(source, "rb") as reader:
        known = os.fstat(source)
        if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
            return
        target.unlink(missing_ok=True)  # the stick may be anybody's: no link on it is written through
        try:
            with target.open("xb") as writer:
                shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fsync(writer.fileno())
        except OSError:
            target.unlink(missing_ok=True)
            raise
