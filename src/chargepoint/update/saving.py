"""Root's half of carrying something away on a USB stick, which is mounted for the copy alone; it may be pulled after.

The console lays what shall be carried away into a folder of its own in the run directory. Nothing in there is trusted:
only plain files of the two kinds that the console makes are copied, and no link is followed; nor is one on the stick.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from chargepoint.update.bundle import BundleError
from chargepoint.update.sticks import PLACE, Run, Stick, mount_at

OUTGOING: Final = "outgoing-"
"""How the name of such a folder begins."""
OUT: Final = Path("/run/chargepoint-stick-out")
OPTIONS: Final = "rw,nosuid,nodev,noexec"
_KINDS: Final = re.compile(r"[A-Za-z0-9_=+@][A-Za-z0-9._=+@-]*\.(tar\.gz|html)")


def save(run_dir: Path, there: Sequence[Stick], run: Run, place: Path = OUT) -> list[str]:
    """Copy the files to the largest file system of the sticks that takes them: a stick may begin with a small one that
    few machines show. Its device, and the names of the files.

    Raises BundleError: there is nothing to copy, no stick, none that can be written to, or it cannot be let go.
    """
    files = list(_files(run_dir))
    if not files:
        raise BundleError("there is nothing to write to a stick")
    failed = []
    for stick in free(there):
        try:
            _save(files, stick, run, place)
        except BundleError as error:
            failed.append(error)
        else:
            return [stick.device, *(file.name for file in files)]
    raise failed[0]


def free(there: Sequence[Stick]) -> list[Stick]:
    """Those that nobody has mounted by hand, the largest first. Raises BundleError: there are none."""
    ours = [stick for stick in there if stick.place is None or str(stick.place).startswith(str(PLACE))]
    if ours:
        return sorted(ours, key=lambda stick: -stick.sectors)
    if there:
        raise BundleError(f"{there[0].device} is mounted at {there[0].place} by hand: unmount it there first")
    raise BundleError("there is no USB stick")


def _files(run_dir: Path) -> Iterator[Path]:
    for folder in sorted(run_dir.glob(f"{OUTGOING}*")):
        if folder.is_dir() and not folder.is_symlink():
            yield from sorted(path for path in folder.iterdir() if _KINDS.fullmatch(path.name))


def _save(files: Sequence[Path], stick: Stick, run: Run, place: Path) -> None:
    if stick.place is not None:  # for an update, read-only
        run(("systemd-umount", str(stick.place)))
    mount_at(stick.device, run, place, OPTIONS)
    try:
        for file in files:
            _copy(file, place / file.name)
        _sync(place)
    except OSError as error:
        raise BundleError(f"{stick.device} could not be written to: {error.strerror or error}") from error
    finally:
        status = run(("systemd-umount", str(place)))
    if status != 0:
        raise BundleError(f"{stick.device} cannot be let go: systemd-umount ended with status {status}")


def _copy(file: Path, target: Path) -> None:
    """Whole or not at all. A second name of a file could be one of another's."""
    part = target.with_name(f"{target.name}.part")
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        source = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(source, "rb") as reader:
        known = os.fstat(source)
        if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
            raise BundleError(f"{file.name} is not a plain file")
        part.unlink(missing_ok=True)
        try:
            with part.open("xb") as writer:
                shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fsync(writer.fileno())
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
