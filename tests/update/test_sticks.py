"""USB sticks as the kernel tells them, and what the console has done by a unit that is root."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from chargepoint.update import sticks
from chargepoint.update.bundle import BundleError
from chargepoint.update.errands import MOUNT, RESTART, Errands
from chargepoint.update.sticks import PLACE, Stick


def kernel(root: Path, *devices: str) -> Path:
    """A /sys/class/block with links to where the devices hang."""
    block = root / "class"
    block.mkdir()
    for device in devices:
        home = root / "devices" / device
        home.mkdir(parents=True, exist_ok=True)
        (block / home.name).symlink_to(home)
    return block


USB = "pci0/usb1/1-1/host0/block"


def test_the_partitions_of_usb_disks_are_sticks_and_the_card_is_none(tmp_path: Path) -> None:
    card, disk = "soc/mmc0/block/mmcblk0/mmcblk0p1", "pci0/usb2/2-1/block/sdb"
    block = kernel(tmp_path, f"{USB}/sda", f"{USB}/sda/sda1", disk, card)
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/mmcblk0p1 / ext4 rw 0 0\n/dev/sdb /media/a\\040b vfat ro 0 0\nproc /proc proc rw 0 0\n")
    assert sticks.plugged(block, mounts) == [Stick("/dev/sda1", None), Stick("/dev/sdb", Path("/media/a b"))]


def test_a_kernel_that_tells_nothing_has_no_sticks(tmp_path: Path) -> None:
    assert sticks.plugged(tmp_path / "none", tmp_path / "neither") == []


def test_the_first_loose_stick_is_mounted_read_only_after_the_one_that_was_there(tmp_path: Path) -> None:
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> int:
        ran.append(words)
        return 1 if words[0] == "systemd-umount" else 0  # nothing was mounted there

    there = [Stick("/dev/sda1", Path("/mnt")), Stick("/dev/sdb1", None)]
    assert sticks.mount(there, run) == "/dev/sdb1"
    assert ran[0] == ("systemd-umount", str(PLACE))
    assert ran[1][0] == "systemd-mount" and ran[1][-2:] == ("/dev/sdb1", str(PLACE))
    assert "--options=ro,nosuid,nodev,noexec" in ran[1]


def test_a_stick_that_cannot_be_mounted_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="/dev/sda1 cannot be mounted: systemd-mount ended with status 1"):
        sticks.mount([Stick("/dev/sda1", None)], lambda words: 1)
    with pytest.raises(BundleError, match="no USB stick that is not mounted"):
        sticks.mount([Stick("/dev/sda1", Path("/mnt"))], lambda words: 0)


def test_a_program_that_is_not_there_is_an_error_of_ours() -> None:
    with pytest.raises(BundleError, match="no-such-program"):
        sticks.run(("no-such-program",))


def test_an_errand_is_done_once_and_the_next_one_in_spite_of_its_failure(tmp_path: Path) -> None:
    errands, done = Errands(tmp_path), []

    def fails() -> None:
        assert not errands.waits(RESTART)  # taken before it is done
        raise BundleError("it would not")

    errands.ask(RESTART)
    errands.ask(MOUNT)
    work = {RESTART: fails, MOUNT: lambda: done.append(MOUNT)}
    assert errands.serve(work) == ["it would not"]
    assert done == [MOUNT]
    assert errands.serve(work) == [] and done == [MOUNT]


def test_an_errand_that_nobody_took_can_be_withdrawn(tmp_path: Path) -> None:
    errands = Errands(tmp_path)
    errands.ask(MOUNT)
    assert errands.waits(MOUNT)
    errands.withdraw(MOUNT)
    assert errands.serve({MOUNT: lambda: pytest.fail("done")}) == []
