"""USB sticks as the kernel tells them, and what the console has done by a unit that is root."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from chargepoint import __version__
from chargepoint.update import sticks
from chargepoint.update.bundle import BundleError
from chargepoint.update.errands import MOUNT, RESTART, Errands
from chargepoint.update.sticks import PLACE, Stick


def kernel(root: Path, *devices: str, mounts: str = "", swaps: str = "", fstab: str = "") -> Path:
    """A root with a /sys/class/block of links to where the devices hang, and what is mounted, swapped to and listed."""
    block = root / "sys/class/block"
    block.mkdir(parents=True)
    for device in devices:
        home = root / "sys/devices" / device
        home.mkdir(parents=True, exist_ok=True)
        (block / home.name).symlink_to(home)
    for name, text in (("proc/self/mounts", mounts), ("proc/swaps", swaps), ("etc/fstab", fstab)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


USB = "pci0/usb1/1-1/host0/block"
OTHER = "pci0/usb2/2-1/host1/block"


def test_the_partitions_of_usb_disks_are_sticks_and_the_card_is_none(tmp_path: Path) -> None:
    card = "soc/mmc0/block/mmcblk0/mmcblk0p1"
    mounts = "/dev/mmcblk0p1 / ext4 rw 0 0\n/dev/sdb /media/a\\040b vfat ro 0 0\nproc /proc proc rw 0 0\n"
    root = kernel(tmp_path, f"{USB}/sda", f"{USB}/sda/sda1", f"{OTHER}/sdb", card, mounts=mounts)
    assert sticks.plugged(root) == [Stick("/dev/sda1", None), Stick("/dev/sdb", Path("/media/a b"))]


def disks(root: Path, mounts: str = "", swaps: str = "", fstab: str = "") -> Path:
    """A USB disk of three partitions, and a stick of one."""
    mine = (f"{USB}/sda{part}" for part in ("", "/sda1", "/sda2", "/sda3"))
    return kernel(root, *mine, f"{OTHER}/sdb", f"{OTHER}/sdb/sdb1", mounts=mounts, swaps=swaps, fstab=fstab)


@pytest.mark.parametrize(
    "used",
    [
        {"mounts": "/dev/sda1 /boot/firmware vfat rw 0 0\n/dev/sda2 / ext4 rw 0 0\n"},
        {"mounts": "overlay / overlay rw 0 0\n/dev/sda1 /boot/firmware vfat ro 0 0\n"},
        {"swaps": "Filename Type Size Used Priority\n/dev/sda3 partition 102396 0 -2\n"},
        {"fstab": "# the data\n/dev/sda3 /mnt/data ext4 defaults,nofail 0 2\n"},
        {"fstab": "LABEL=data /srv ext4 nofail 0 2\n"},
        {"fstab": "PARTUUID=6c58-02 / ext4 defaults 0 1\n", "mounts": "/dev/root / ext4 rw 0 0\n"},
    ],
    ids=["root", "overlay", "swap", "listed", "label", "partuuid"],
)
def test_no_part_of_a_usb_disk_that_is_the_machines_is_a_stick(tmp_path: Path, used: dict[str, str]) -> None:
    root = disks(tmp_path, **used)
    for link, device in (("by-label/data", "sda3"), ("by-partuuid/6c58-02", "sda2")):
        path = root / "dev/disk" / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(f"../../{device}")
    assert sticks.plugged(root) == [Stick("/dev/sdb1", None)]


def test_a_stick_stays_one_wherever_sticks_are_mounted_and_when_fstab_waits_for_it(tmp_path: Path) -> None:
    mounts = "/dev/sda1 /run/chargepoint-stick vfat ro 0 0\n/dev/sda2 /run/chargepoint-stick-2 ext4 ro 0 0\n"
    root = disks(tmp_path, mounts + "/dev/sdb1 /mnt vfat ro 0 0\n", fstab="/dev/sda3 /media/usb auto ro,noauto 0 0\n")
    places = [Path("/run/chargepoint-stick"), Path("/run/chargepoint-stick-2"), None, Path("/mnt")]
    assert [stick.place for stick in sticks.plugged(root)] == places


def test_a_card_reader_without_a_card_is_no_stick(tmp_path: Path) -> None:
    root = kernel(tmp_path, f"{USB}/sda", f"{OTHER}/sdb")
    for disk, size in ((f"{USB}/sda", 0), (f"{OTHER}/sdb", 30_310_400)):
        (root / "sys/devices" / disk / "size").write_text(f"{size}\n")
    assert sticks.plugged(root) == [Stick("/dev/sdb", None)]


def test_a_kernel_that_tells_nothing_has_no_sticks(tmp_path: Path) -> None:
    assert sticks.plugged(tmp_path / "none") == []
    (tmp_path / "sys/class/block").mkdir(parents=True)
    assert sticks.plugged(tmp_path) == []


def test_every_loose_stick_is_mounted_read_only_after_the_one_that_was_there(tmp_path: Path) -> None:
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> int:
        ran.append(words)
        return 1 if words[0] == "systemd-umount" else 0  # nothing was mounted there

    there = [Stick("/dev/sda1", Path("/mnt")), Stick("/dev/sdb1", None), Stick("/dev/sdc1", None)]
    assert sticks.mount(there, run) == ["/dev/sdb1", "/dev/sdc1"]
    assert ran[0] == ("systemd-umount", str(PLACE)) and ran[2] == ("systemd-umount", f"{PLACE}-2")
    assert ran[1][0] == "systemd-mount" and ran[1][-2:] == ("/dev/sdb1", str(PLACE))
    assert "--options=ro,nosuid,nodev,noexec" in ran[1]
    assert ran[3][-2:] == ("/dev/sdc1", f"{PLACE}-2")


def test_a_stick_that_is_mounted_keeps_its_place_and_one_that_cannot_be_keeps_no_other_out() -> None:
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> int:
        ran.append(words)
        if "/dev/sdb1" in words:
            raise BundleError("systemd-mount: timed out")
        return 0

    there = [Stick("/dev/sda1", PLACE), Stick("/dev/sdb1", None), Stick("/dev/sdc1", None)]
    with pytest.raises(BundleError, match="systemd-mount: timed out"):
        sticks.mount(there, run)
    assert ("systemd-umount", str(PLACE)) not in ran
    assert ran[-1][-2:] == ("/dev/sdc1", f"{PLACE}-3")


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


def test_an_errand_of_a_newer_version_is_taken_away_and_told_once(tmp_path: Path) -> None:
    errands, done = Errands(tmp_path), []
    errands.ask("polish")
    errands.ask(MOUNT)
    said = errands.serve({MOUNT: lambda: done.append(MOUNT)})
    assert said == [f"the console asked for 'polish', which version {__version__} does not know"]
    assert done == [MOUNT]
    assert not errands.waits("polish"), "its unit would be started again and again"
    assert errands.serve({MOUNT: lambda: None}) == []
