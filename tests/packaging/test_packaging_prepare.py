"""The script that makes a Raspberry Pi ready for the carrier board: run on a made-up root, with a made-up card."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "hardware/pi/prepare"
KEY = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"
FREE = {
    "room": "  Start     End Sectors  Size\n   2048    8191    6144    3M\n3153920 8388607 5234688  2.5G",
    "full": "Start   End Sectors Size\n 2048  8191    6144    3M",
}
"""What sfdisk of util-linux 2.38 says: the gap before the boot partition is free on every card."""
COMMANDS = {
    "id": "echo 0",
    "findmnt": '[ "$3" = SOURCE ] && echo /dev/mmcblk0p2 || cat "$CARD/root-is"',
    "sync": "true",
    "partx": "true",
    "udevadm": "true",
    "dtc": 'while [ "$1" != -o ]; do shift; done; cp "$3" "$2"',
    "blkid": """
case $1 in
  -L) grep -qx "$2" "$CARD/label" && echo /dev/mmcblk0p3 ;;
  *) cat "$CARD/label" ;;
esac
""",
    "lsblk": """
case $* in
  *PKNAME*) echo /dev/mmcblk0; exit ;;
esac
echo "/dev/mmcblk0 disk"
echo "/dev/mmcblk0p1 part vfat 0xc"
echo "/dev/mmcblk0p2 part ext4 0x83"
[ ! -s "$CARD/made" ] || echo "/dev/mmcblk0p3 part  0x83"
""",
    "sfdisk": """
case $1 in
  -F) cat "$CARD/free" ;;
  -d) echo "/dev/mmcblk0p2 : start=     1056768, size=     2097152, type=83"
      echo "/dev/mmcblk0p3 : start=     3153920, size=     5234688, type=83" ;;
  *) cat >>"$CARD/made" ;;
esac
""",
    "mkfs.ext4": 'echo "$*" >>"$CARD/formatted"; echo chargepoint-data >"$CARD/label"',
}


class Pi:
    def __init__(self, folder: Path, free: str = "room") -> None:
        self.root, self.card, self.bin = folder / "root", folder / "card", folder / "bin"
        for made in (self.root / "etc/chargepoint", self.root / "boot/firmware", self.card, self.bin):
            made.mkdir(parents=True)
        (self.card / "free").write_text(FREE[free] + "\n")
        (self.card / "root-is").write_text("ext4\n")
        (self.card / "label").touch()
        (self.card / "made").touch()
        (self.boot / "config.txt").write_text("arm_64bit=1\n\n[cm5]\ndtoverlay=dwc2\n")
        (self.boot / "cmdline.txt").write_text("console=serial0,115200 console=tty1 root=PARTUUID=1-02 rootwait\n")
        self.key = folder / "signing.pem"
        self.key.write_text(KEY)
        for name, text in COMMANDS.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.bin / name).chmod(0o755)

    @property
    def boot(self) -> Path:
        return self.root / "boot/firmware"

    def prepare(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            ["sh", str(SCRIPT), *words],
            env={"DPKG_ROOT": str(self.root), "PATH": path, "CARD": str(self.card)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def files(self) -> dict[str, str]:
        return {str(p.relative_to(self.root)): p.read_text() for p in sorted(self.root.rglob("*")) if p.is_file()}

    def said(self, name: str) -> list[str]:
        return (self.card / name).read_text().splitlines()


def test_everything_the_carrier_needs_is_in_its_place_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    pi = Pi(tmp_path)
    done = pi.prepare(str(pi.key))
    assert done.returncode == 0, done.stderr
    files = pi.files()
    assert set(files) == {
        "boot/firmware/chargepoint.txt",
        "boot/firmware/cmdline.txt",
        "boot/firmware/config.txt",
        "boot/firmware/overlays/chargepoint-carrier.dtbo",
        "etc/chargepoint/trusted-keys/signing.pem",
        "etc/systemd/journald.conf.d/chargepoint.conf",
        "etc/systemd/system.conf.d/chargepoint-watchdog.conf",
        "etc/systemd/timesyncd.conf.d/chargepoint.conf",
    }
    # The last section of config.txt is another board's.
    assert files["boot/firmware/config.txt"].endswith("dtoverlay=dwc2\n\n[all]\ninclude chargepoint.txt\n")
    assert files["boot/firmware/cmdline.txt"] == "console=tty1 root=PARTUUID=1-02 rootwait\n"
    assert "RuntimeWatchdogSec" in files["etc/systemd/system.conf.d/chargepoint-watchdog.conf"]
    assert pi.said("made") == ["start=3153920, type=L"]
    assert pi.said("formatted") == ["-q -L chargepoint-data /dev/mmcblk0p3"]
    again = pi.prepare(str(pi.key))
    assert again.returncode == 0, again.stderr
    assert pi.files() == files
    assert len(pi.said("made")) == len(pi.said("formatted")) == 1
    assert "the data partition is /dev/mmcblk0p3" in again.stdout


def test_a_card_that_the_root_fills_is_told_and_the_rest_is_done(tmp_path: Path) -> None:
    pi = Pi(tmp_path, "full")
    done = pi.prepare(str(pi.key))
    assert done.returncode == 1
    assert "/dev/mmcblk0 has no free GiB for the data partition" in done.stderr
    assert "before the first start" in done.stderr
    assert pi.said("made") == []
    assert (pi.boot / "chargepoint.txt").exists()
    assert (pi.root / "etc/chargepoint/trusted-keys/signing.pem").exists()


def test_a_partition_that_a_power_cut_left_empty_is_used(tmp_path: Path) -> None:
    pi = Pi(tmp_path, "full")
    (pi.card / "made").write_text("before the cut\n")
    assert pi.prepare(str(pi.key)).returncode == 0
    assert pi.said("made") == ["before the cut"]
    assert pi.said("formatted") == ["-q -L chargepoint-data /dev/mmcblk0p3"]


def test_data_that_lay_where_the_partition_is_made_are_not_formatted(tmp_path: Path) -> None:
    pi = Pi(tmp_path)
    partition = pi.bin / "blkid"
    partition.write_text('#!/bin/sh\n[ "$1" != -L ] || exit 2\necho chargepoint-data\n')
    assert pi.prepare(str(pi.key)).returncode == 0
    assert not (pi.card / "formatted").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [("-----BEGIN PRIVATE KEY-----\n", "never leaves the office"), (KEY.replace("MCow", "other"), "another key is at")],
)
def test_a_key_that_would_be_wrong_is_refused(tmp_path: Path, text: str, told: str) -> None:
    pi = Pi(tmp_path)
    assert pi.prepare(str(pi.key)).returncode == 0
    before = pi.files()
    pi.key.write_text(text)
    done = pi.prepare(str(pi.key))
    assert done.returncode == 1
    assert told in done.stderr
    assert pi.files() == before


def test_without_a_key_it_is_told_that_no_bundle_can_be_applied(tmp_path: Path) -> None:
    pi = Pi(tmp_path)
    done = pi.prepare()
    assert done.returncode == 1
    assert "no key is trusted yet" in done.stderr
    assert (pi.boot / "chargepoint.txt").exists()
    pi.prepare(str(pi.key))
    assert pi.prepare().returncode == 0


def test_on_an_overlay_nothing_is_begun(tmp_path: Path) -> None:
    pi = Pi(tmp_path)
    (pi.card / "root-is").write_text("overlay\n")
    before = pi.files()
    done = pi.prepare(str(pi.key))
    assert done.returncode == 1
    assert "the root is an overlay" in done.stderr
    assert pi.files() == before
