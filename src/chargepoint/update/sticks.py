"""USB sticks: which are plugged in, where each is mounted, and mounting them by way of systemd.

A USB disk may also be what the machine runs from. A disk of which any part is the machine's is no stick, and neither
are its other partitions: mounting one, even read-only, would replay its log.
"""

import itertools
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chargepoint.update.bundle import BundleError

PLACE: Final = Path("/run/chargepoint-stick")
"""Where the unit mounts one; others at `/run/chargepoint-stick-2`, and so on."""
APART: Final = (str(PLACE), "/media/", "/mnt/", "/run/media/")
"""What is mounted here may be a stick; what is mounted anywhere else is the machine's."""
OPTIONS: Final = "ro,nosuid,nodev,noexec"
"""For an update nothing on a stick is run, and nothing on it is changed: it may be pulled at any time."""
MOUNT_S: Final = 30.0
Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Stick:
    """A file system on a USB device."""

    device: str
    """`/dev/sda1`."""
    place: Path | None
    """Where it is mounted; None when it is not."""
    sectors: int = field(default=0, compare=False)
    """Of 512 bytes."""

    @property
    def by_hand(self) -> str:
        """What root types to mount it."""
        return f"mount -o {OPTIONS} {self.device} /mnt"


def plugged(root: Path = Path("/")) -> list[Stick]:
    """All there are, by device. Empty where the kernel does not tell. `root`: where `sys`, `proc`, `etc`, `dev` are."""
    try:
        real = [entry.resolve() for entry in sorted((root / "sys/class/block").iterdir())]
    except OSError:
        return []
    usb = [each for each in real if any(part.startswith("usb") for part in each.parts)]
    divided = {each.parent.name for each in usb}  # a disk with partitions holds no file system of its own
    machines = _of_the_machine(root)
    kept = {_disk(each) for each in usb if each.name in machines}
    places = {_name(root, row[0]): Path(row[1].replace("\\040", " ")) for row in _rows(root / "proc/self/mounts")}
    there = [each for each in usb if each.name not in divided and _disk(each) not in kept]
    found = [Stick(f"/dev/{each.name}", places.get(each.name), _sectors(each)) for each in there]
    return [stick for stick in found if stick.sectors]  # a card reader without a card is a disk of no size


def _of_the_machine(root: Path) -> set[str]:
    """Names of what is mounted where no stick is, swapped to, or listed in fstab, mounted or not (`nofail`)."""
    mounted = [row[0] for row in _rows(root / "proc/self/mounts") if not f"{row[1]}/".startswith(APART)]
    swaps = [row[0] for row in _rows(root / "proc/swaps")]
    # `noauto` is for what somebody plugs in.
    listed = [row[0] for row in _rows(root / "etc/fstab") if "noauto" not in ",".join(row[3:4]).split(",")]
    return {_name(root, device) for device in (*mounted, *swaps, *listed)}


def _rows(path: Path) -> list[list[str]]:
    """The words of each line with two or more. None where the file may not be read, as the console may not swaps."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [row for row in map(str.split, lines) if len(row) > 1 and not row[0].startswith("#")]


def _name(root: Path, device: str) -> str:
    """`sda1` for `/dev/sda1`, a link to it, or `PARTUUID=...` and its like; empty for what is no device."""
    kind, equals, value = device.partition("=")
    if device.startswith("/dev/"):
        return (root / device[1:]).resolve().name
    return (root / "dev/disk" / f"by-{kind.lower()}" / value.strip('"')).resolve().name if equals else ""


def _disk(real: Path) -> str:
    """The whole disk of a partition; a disk is its own."""
    return real.name if real.parent.name == "block" else real.parent.name


def _sectors(real: Path) -> int:
    """Its size; 1 where the kernel does not tell."""
    try:
        return int((real / "size").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 1


def mount(sticks: Sequence[Stick], run: Run, place: Path = PLACE) -> list[str]:
    """Mount all that are not mounted, from `place` on; one that was pulled meanwhile leaves it first. The devices.

    Raises BundleError: there is none, or systemd cannot mount one of them; it has tried the others all the same.
    """
    loose = [stick.device for stick in sticks if stick.place is None]
    if not loose:
        raise BundleError("there is no USB stick that is not mounted")
    free = _free(place, [stick.place for stick in sticks])
    failed = []
    for device in loose:
        try:
            mount_at(device, run, next(free))
        except BundleError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return loose


def _free(place: Path, taken: Sequence[Path | None]) -> Iterator[Path]:
    more = (place.with_name(f"{place.name}-{number}") for number in itertools.count(2))
    return (each for each in itertools.chain([place], more) if each not in taken)


def mount_at(device: str, run: Run, place: Path, options: str = OPTIONS) -> None:
    """What was pulled and left there goes first. Raises BundleError."""
    run(("systemd-umount", str(place)))
    status = run(("systemd-mount", "--collect", "--fsck=no", f"--options={options}", device, str(place)))
    if status != 0:
        raise BundleError(f"{device} cannot be mounted: systemd-mount ended with status {status}")


def run(words: Sequence[str]) -> int:
    """A program to its end. Raises BundleError when it cannot be started, or does not end."""
    try:
        return subprocess.run(words, check=False, timeout=MOUNT_S).returncode
    except (OSError, subprocess.SubprocessError) as error:
        raise BundleError(f"{words[0]}: {error}") from error
