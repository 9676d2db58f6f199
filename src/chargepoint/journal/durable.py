"""Whether a folder outlives a start of the machine."""

import os
import re
from pathlib import Path, PurePath
from typing import Final

_FLEETING: Final = frozenset({"overlay", "ramfs", "tmpfs"})
"""In memory. An overlay's writes are so on a read-only root; elsewhere in a container that is thrown away."""


def fleeting(mountinfo: str, folder: PurePath) -> str:
    """The file system under an absolute folder without links, when it does not outlive a start; empty when it does.

    `mountinfo` is proc(5)'s: of two mounts at one place the later one hides the other.
    """
    best, found = -1, ""
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        place = PurePath(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mount.split(" ")[4]))
        if folder.is_relative_to(place) and len(place.parts) >= best:
            best, found = len(place.parts), source.split(" ")[0]
    return found if found in _FLEETING else ""


def fleeting_here(folder: Path) -> str:
    """The same of this machine; empty as well where the kernel does not tell its mounts."""
    try:
        mountinfo = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    except OSError:
        return ""
    return fleeting(mountinfo, folder.resolve())
