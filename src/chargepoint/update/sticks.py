"""USB sticks: which are plugged in, where each is mounted, and mounting one read-only by way of systemd."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chargepoint.update.bundle import BundleError

PLACE: Final = Path("/run/chargepoint-stick")
"""Where the unit mounts one."""
OPTIONS: Final = "ro,nosuid,nodev,noexec"
"""Nothing on a stick is run, and nothing on it is changed: it may be pulled at any time."""
BLOCK: Final = Path("/sys/class/block")
MOUNTS: Final = Path("/proc/self/mounts")
MOUNT_S: Final = 30.0
Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Stick:
    """A file system on a USB device."""

    device: str
    """`/dev/sda1`."""
    place: Path | None
    """Where it is mounted; None when it is not."""

    @property
    def by_hand(self) -> str:
        """What root types to mount it."""
        return f"mount -o {OPTIONS} {self.device} /mnt"


def plugged(block: Path = BLOCK, mounts: Path = MOUNTS) -> list[Stick]:
    """All there are, by device. Empty where the kernel does not tell."""
    places = _places(mounts)
    try:
        entries = sorted(block.iterdir())
    except OSError:
        return []
    real = [entry.resolve() for entry in entries]
    usb = [each for each in real if any(part.startswith("usb") for part in each.parts)]
    divided = {each.parent.name for each in usb}  # a disk with partitions holds no file system of its own
    names = [f"/dev/{each.name}" for each in usb if each.name not in divided]
    return [Stick(name, places.get(name)) for name in names]


def _places(mounts: Path) -> dict[str, Path]:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    rows = [line.split() for line in lines if line.startswith("/dev/")]
    return {row[0]: Path(row[1].replace("\\040", " ")) for row in rows if len(row) > 1}


def mount(sticks: Sequence[Stick], run: Run, place: Path = PLACE) -> str:
    """Mount the first that is not mounted at `place`; one that was pulled meanwhile leaves it first. The device.

    Raises BundleError: there is none, or systemd cannot.
    """
    loose = [stick for stick in sticks if stick.place is None]
    if not loose:
        raise BundleError("there is no USB stick that is not mounted")
    run(("systemd-umount", str(place)))
    status = run(("systemd-mount", "--collect", "--fsck=no", f"--options={OPTIONS}", loose[0].device, str(place)))
    if status != 0:
        raise BundleError(f"{loose[0].device} cannot be mounted: systemd-mount ended with status {status}")
    return loose[0].device


def run(words: Sequence[str]) -> int:
    """A program to its end. Raises BundleError when it cannot be started, or does not end."""
    try:
        return subprocess.run(words, check=False, timeout=MOUNT_S).returncode
    except (OSError, subprocess.SubprocessError) as error:
        raise BundleError(f"{words[0]}: {error}") from error
