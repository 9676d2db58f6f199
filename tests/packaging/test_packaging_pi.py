"""The script that makes a Pi's root read-only: run on a made-up root, with made-up mounts and raspi-config."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PI = Path(__file__).parents[2] / "hardware/pi"
SCRIPT = PI / "read-only-root"
SECRETS = {
    "etc/chargepoint/chargepoint.toml": "[station]\n",
    "etc/chargepoint/ocpp-password": "secret",
    "var/lib/chargepoint/chargepoint.db": "sessions",
    "var/lib/chargepoint/update/errand": "",
    "opt/chargepoint/versions/1.0.0/bin/chargepoint": "program",
}
ORIGINALS = {name: text for name, text in SECRETS.items() if not name.startswith("opt")}
PLACES = {"etc/chargepoint": "etc", "var/lib/chargepoint": "lib", "opt/chargepoint": "opt"}
TRIXIE = 'grep -q overlayroot=tmpfs "$FILE" || sed -i "s/^/overlayroot=tmpfs /" "$FILE"'
BOOKWORM = 'grep -q boot=overlay "$FILE" || sed -i "s/^/boot=overlay /" "$FILE"'
CMDLINE = "console=tty1 root=PARTUUID=1-02 rootwait\n"
COMMANDS = {
    "id": "echo 0",
    "findmnt": 'cat "$DPKG_ROOT/../root-is"',
    "blkid": "echo chargepoint-data",
    "systemctl": "true",
    "sync": "true",
    # A mount is a link in the place of the folder.
    "mount": """
case $1 in
  -o) exit 0 ;;
  --bind) from=$2; to=$3 ;;
  *) from=$1; to=$2 ;;
esac
rmdir "$to"
ln -s "$from" "$to"
""",
    "umount": 'rm "$1"; mkdir "$1"',
    "mountpoint": '[ -L "$2" ]',
}
CUT = """
looked() {
  step=$((step + 1))
  [ "$step" -ne "$CUT" ] || kill -9 $$
}
step=0
set -T
trap looked DEBUG
. "$0"
"""


class Card:
    """A machine's root and its data partition, as folders."""

    def __init__(self, folder: Path, raspi_config: str | None = TRIXIE, boot: str = "boot/firmware") -> None:
        self.root, self.data, self.bin = folder / "root", folder / "data", folder / "bin"
        for name, text in {**SECRETS, "etc/fstab": "proc /proc proc defaults 0 0\n"}.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        for made in (self.data, self.bin):
            made.mkdir()
        self.cmdline = self.root / boot / "cmdline.txt"
        self.cmdline.parent.mkdir(parents=True)
        self.cmdline.write_text(CMDLINE)
        (folder / "root-is").write_text("ext4")
        for name, text in COMMANDS.items():
            self.command(name, text)
        if raspi_config is not None:
            self.raspi_config(raspi_config)

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def raspi_config(self, enable_overlayfs: str) -> None:
        asked = f'echo "$2" >>"{self.root}/../asked"'
        self.command(
            "raspi-config", f'{asked}; FILE={self.cmdline}; [ "$2" != enable_overlayfs ] || {{ {enable_overlayfs}; }}'
        )

    def run(self, *before: str, cut: int = 0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*(before or ("sh",)), str(SCRIPT), str(self.data)],
            env={"DPKG_ROOT": str(self.root), "PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "CUT": str(cut)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def start_again(self) -> None:
        """What was mounted is not."""
        for place in (self.root / "srv/chargepoint-data", self.root / "run/chargepoint-root"):
            if place.is_symlink():
                place.unlink()
                place.mkdir()

    @property
    def fstab(self) -> str:
        return (self.root / "etc/fstab").read_text()

    def on_the_partition(self) -> dict[str, str]:
        return kept(self.data, {name: name for name in PLACES.values()})

    def on_the_root(self) -> dict[str, str]:
        return kept(self.root, {name: at for name, at in PLACES.items() if at != "opt"})

    def whole(self) -> dict[str, str]:
        """What the partition holds when everything has come to it."""
        return {
            PLACES[place] + name.removeprefix(place): text
            for name, text in SECRETS.items()
            for place in PLACES
            if name.startswith(place)
        }


def kept(folder: Path, names: dict[str, str]) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for name in names
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def test_on_trixie_only_the_root_is_an_overlay(tmp_path: Path) -> None:
    """By `overlayroot=tmpfs` alone the data partition's mounts would be in memory, too."""
    card = Card(tmp_path)
    done = card.run()
    assert done.returncode == 0, done.stderr
    assert card.cmdline.read_text() == f"overlayroot=tmpfs:recurse=0 {CMDLINE}"
    assert (tmp_path / "asked").read_text().split() == ["enable_overlayfs", "enable_bootro"]


def test_on_bookworm_and_older_the_command_line_stays_as_raspi_config_wrote_it(tmp_path: Path) -> None:
    card = Card(tmp_path, BOOKWORM, "boot")
    done = card.run()
    assert done.returncode == 0, done.stderr
    assert card.cmdline.read_text() == f"boot=overlay {CMDLINE}"


def test_an_overlay_that_raspi_config_did_not_make_is_told_and_another_run_makes_it(tmp_path: Path) -> None:
    card = Card(tmp_path, "true")
    done = card.run()
    assert done.returncode == 1
    assert "neither overlayroot= nor boot=overlay to /boot/firmware/cmdline.txt" in done.stderr
    assert "the root stays writable" in done.stderr
    card.raspi_config(TRIXIE)
    assert card.run().returncode == 0
    assert "overlayroot=tmpfs:recurse=0 " in card.cmdline.read_text()
    assert card.fstab.count("/srv/chargepoint-data ext4") == 1
    assert card.on_the_partition() == card.whole()


def test_on_debian_the_package_overlayroot_is_told_whatever_its_file_said(tmp_path: Path) -> None:
    card = Card(tmp_path, None)
    conf = card.root / "etc/overlayroot.conf"
    conf.write_text('# overlayroot=disabled\noverlayroot_cfgdisk="disabled"\n')
    for _ in range(2):
        done = card.run()
        assert done.returncode == 0, done.stderr
        assert conf.read_text().splitlines()[-1] == 'overlayroot="tmpfs:recurse=0"'
    assert conf.read_text().count("tmpfs") == 1


def test_no_secret_and_no_old_journal_stay_on_the_root(tmp_path: Path) -> None:
    card = Card(tmp_path)
    assert card.run().returncode == 0
    assert card.on_the_root() == {}
    assert card.on_the_partition() == card.whole()
    assert (card.root / "opt/chargepoint/versions/1.0.0/bin/chargepoint").exists()
    assert (card.root / "etc/chargepoint").is_dir()


def test_originals_that_do_not_arrive_on_the_partition_stay(tmp_path: Path) -> None:
    card = Card(tmp_path)
    card.command("umount", f'rm "$1"; mkdir "$1"; [ ! -d {card.data}/etc ] || echo worn >{card.data}/etc/ocpp-password')
    done = card.run()
    assert done.returncode == 1
    assert "the originals are untouched" in done.stderr
    assert card.on_the_root()["etc/chargepoint/ocpp-password"] == "secret"
    assert "chargepoint-data" not in card.fstab


def test_another_bornes_data_are_respected(tmp_path: Path) -> None:
    card = Card(tmp_path)
    (card.data / "lib").mkdir()
    done = card.run()
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert "chargepoint-data" not in card.fstab
    assert list((card.data / "lib").iterdir()) == []


ITSELF = """
for folder in usr bin lib lib64 dev; do
  [ ! -e "/$folder" ] || { mkdir -p "$1/$folder"; mount --rbind "/$folder" "$1/$folder"; }
done
for folder in data stubs pi; do mkdir -p "$1/$folder"; done
mount --bind "$2" "$1/data"
mount --bind "$3" "$1/stubs"
mount --bind "$4" "$1/pi"
exec chroot "$1" /usr/bin/env -i PATH=/stubs:/usr/bin:/bin sh /pi/read-only-root /data
"""


def test_it_works_on_the_system_it_runs_on_too(tmp_path: Path) -> None:
    own = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], check=False, timeout=60).returncode:
        pytest.skip("this system gives no namespace for mounts")
    card = Card(tmp_path, None)
    (card.root / "root-is").write_text("ext4")
    places = [str(place) for place in (card.root, card.data, card.bin, PI)]
    done = subprocess.run(
        [*own, "sh", "-e", "-c", ITSELF, "sh", *places], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert card.on_the_partition() == card.whole()
    assert card.on_the_root() == {}


def test_on_an_overlay_nothing_is_begun(tmp_path: Path) -> None:
    card = Card(tmp_path)
    (tmp_path / "root-is").write_text("overlay")
    done = card.run()
    assert done.returncode == 1
    assert "the root is an overlay already" in done.stderr
    assert card.on_the_partition() == {}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_power_cut_at_any_command_loses_nothing_and_another_run_finishes(tmp_path: Path) -> None:
    for cut in range(1, 200):
        card = Card(tmp_path / str(cut))
        ended = card.run("bash", "-c", CUT, cut=cut).returncode
        card.start_again()
        if "chargepoint-data" in card.fstab:
            assert card.on_the_partition() == card.whole(), cut
        else:
            assert card.on_the_root() == ORIGINALS, cut
        again = card.run()
        assert again.returncode == 0, (cut, again.stderr)
        assert card.on_the_partition() == card.whole(), cut
        assert card.on_the_root() == {}, cut
        assert card.fstab.count("/srv/chargepoint-data ext4") == 1, cut
        if ended == 0:
            break
    else:
        raise AssertionError("the script has more commands than were tried")
    assert cut > 40


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="real mounts need root")
def test_another_run_on_a_borne_that_works_on_its_partition_empties_only_what_lies_beneath(tmp_path: Path) -> None:
    card = Card(tmp_path)
    assert card.run().returncode == 0
    for name, text in SECRETS.items():
        (card.root / name).parent.mkdir(parents=True, exist_ok=True)
        (card.root / name).write_text(text)
    for name in ("mount", "umount", "mountpoint"):
        (card.bin / name).unlink()
    mounts = [("", "srv/chargepoint-data"), *((at, place) for place, at in PLACES.items())]
    binds = "; ".join(f"mount --bind {card.data / at} {card.root / place}" for at, place in mounts)
    done = card.run("unshare", "-m", "sh", "-e", "-c", f'{binds}; exec sh "$0" "$1"')
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert card.on_the_root() == {}
    assert card.on_the_partition() == card.whole()
