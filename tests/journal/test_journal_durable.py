"""What the mounts of a machine say of the folder of the journal."""

from pathlib import Path, PurePath

import pytest

from chargepoint.journal.durable import fleeting, fleeting_here

CARD = """\
22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
23 22 0:21 / /run rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,size=188888k
"""
READ_ONLY_ROOT = """\
22 1 0:24 / / rw,relatime shared:1 - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay
30 22 179:2 / /media/root-ro ro,relatime shared:2 - ext4 /dev/mmcblk0p2 ro
"""
PARTITION = """\
31 22 179:3 / /srv/chargepoint-data rw,noatime shared:3 - ext4 /dev/mmcblk0p3 rw
32 22 179:3 /lib /var/lib/chargepoint rw,noexec,noatime shared:3 - ext4 /dev/mmcblk0p3 rw
"""
RECURSED = """\
33 22 0:31 / /var/lib/chargepoint rw,relatime shared:4 - overlay /media/root-ro/var/lib/chargepoint rw
"""
STATE = PurePath("/var/lib/chargepoint")


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        (CARD, ""),
        (READ_ONLY_ROOT, "overlay"),
        (READ_ONLY_ROOT + PARTITION, ""),
        (READ_ONLY_ROOT + RECURSED, "overlay"),
        (READ_ONLY_ROOT + PARTITION + RECURSED, "overlay"),
        (CARD + "34 22 0:32 / /var/lib rw - tmpfs tmpfs rw\n", "tmpfs"),
        (CARD + "34 22 0:32 / /var/lib/charge rw - tmpfs tmpfs rw\n", ""),
        ("", ""),
    ],
)
def test_the_mount_that_lies_nearest_decides(mounts: str, kind: str) -> None:
    assert fleeting(mounts, STATE) == kind


def test_a_place_with_a_blank_is_found() -> None:
    mounts = READ_ONLY_ROOT + "35 22 179:3 / /srv/my\\040data rw shared:3 - ext4 /dev/mmcblk0p3 rw\n"
    assert fleeting(mounts, PurePath("/srv/my data/state")) == ""


def test_this_machine_tells_of_its_own_memory() -> None:
    if not Path("/dev/shm").is_mount():
        pytest.skip("no /dev/shm is mounted here")
    assert fleeting_here(Path("/dev/shm/chargepoint")) == "tmpfs"
