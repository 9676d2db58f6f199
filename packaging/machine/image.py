"""The disk of the test machine: a small Debian for arm64, made once and kept in a cache.

Needs debootstrap, cpio, mke2fs, qemu-img and, on another processor, qemu-user-static with binfmt_misc; and root.
Nothing of the project is in it: the package comes on a stick, as it would in the field.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = ("debootstrap", "cpio", "mke2fs", "qemu-img", "qemu-io", "qemu-system-aarch64")
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-timesyncd", "udev", "dbus", "kmod", "python3", "procps", "iproute2", "tzdata",
    "ca-certificates", "busybox-static", "linux-image-arm64",
)  # fmt: skip
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "crc32c_generic", "ext4", "overlay")
"""What stands between the kernel and its root; udev would come too late."""
DISK = "3G"
SEARCH = os.environ.get("MACHINE_TOOLS") or f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Where the tools are."""
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
n=0
until [ -b /dev/vda ] || [ $n -ge 100 ]; do n=$((n + 1)); /bin/busybox usleep 100000; done
if /bin/busybox grep -q proof.overlay /proc/cmdline; then
  # As raspi-config's overlayfs and the package overlayroot do it: the card below, read-only, and memory above.
  /bin/busybox mkdir -p /card /memory
  /bin/busybox mount -t ext4 -o ro /dev/vda /card
  /bin/busybox mount -t tmpfs memory /memory
  /bin/busybox mkdir /memory/upper /memory/work
  /bin/busybox mount -t overlay -o lowerdir=/card,upperdir=/memory/upper,workdir=/memory/work root /root
else
  /bin/busybox mount -t ext4 /dev/vda /root
fi
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""
UNITS = {
    "proof-shell.service": """[Unit]
Description=What the bench says to this machine
After=basic.target
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/proof_shell.py
Restart=always
RestartSec=500ms
[Install]
WantedBy=multi-user.target
""",
    "proof-network.service": """[Unit]
Description=The one address of the bench
Before=network.target
[Service]
Type=oneshot
ExecStart=/sbin/ip link set lo up
ExecStart=/sbin/ip link set eth0 up
ExecStart=/sbin/ip address add 10.0.2.15/24 dev eth0
[Install]
WantedBy=multi-user.target
""",
}


class ImageError(Exception):
    """The image cannot be made; the text says what is missing or which tool said what."""


@dataclass(frozen=True)
class Image:
    """What qemu boots."""

    kernel: Path
    initrd: Path
    disk: Path


def missing() -> str:
    """Why no image can be made or booted here; empty when it can."""
    for tool in TOOLS:
        if shutil.which(tool, path=SEARCH) is None:
            return f"{tool} is not installed: apt-get install qemu-system-arm qemu-user-static qemu-utils debootstrap"
    if os.geteuid() != 0:
        return "making a Debian image needs root"
    return ""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "chargepoint-machine"


def image(suite: str) -> Image:
    """The image of a Debian suite, made when it is not there yet (about six minutes of one core)."""
    folder = cache() / suite
    if not (folder / "disk.qcow2").exists():
        why = missing()
        if why:
            raise ImageError(why)
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix=f".{suite}-") as work:
            _make(suite, Path(work))
            (Path(work) / "root").rename(Path(work) / "old")
            shutil.rmtree(Path(work) / "old")
            folder.mkdir(exist_ok=True)
            for file in ("vmlinuz", "initrd", "disk.qcow2"):  # the disk last: it says that all is there
                (Path(work) / file).rename(folder / file)
    return Image(folder / "vmlinuz", folder / "initrd", folder / "disk.qcow2")


def run(*command: str | Path, **options: str) -> None:
    """Raises ImageError with what the tool said. `options`: its environment, beside ours."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": SEARCH, **options},
    )
    if done.returncode != 0:
        raise ImageError(f"{' '.join(map(str, command[:3]))} ... failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _make(suite: str, work: Path) -> None:
    root = work / "root"
    foreign = platform.machine() != "aarch64"
    run(
        *("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
        *(suite, root),
    )
    if foreign:
        _let_arm_programs_run(root)
    _shorten_lists(root)
    # The Debian way of making an initial RAM disk takes minutes under emulation; ours is made below.
    (root / "etc/initramfs-tools").mkdir(parents=True, exist_ok=True)
    (root / "etc/initramfs-tools/update-initramfs.conf").write_text("update_initramfs=no\n")
    run("chroot", root, "/debootstrap/debootstrap", "--second-stage", INITRD="No", DEBIAN_FRONTEND="noninteractive")
    (root / "usr/bin/qemu-aarch64-static").unlink(missing_ok=True)
    _configure(root)
    _initrd(root, work)
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    shutil.copyfile(kernel, work / "vmlinuz")
    shutil.rmtree(root / "var/cache/apt/archives")
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, work / "disk.raw", DISK)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", work / "disk.raw", work / "disk.qcow2")


def _shorten_lists(root: Path) -> None:
    """Leaves only the fetched packages in the lists: the second stage reads them whole again and again, which takes an
    emulated processor a minute each time."""
    fetched = {file.name.partition("_")[0] for file in (root / "var/cache/apt/archives").glob("*.deb")}
    for file in (root / "var/lib/apt/lists").glob("*_Packages"):
        told = [row for row in file.read_text(encoding="utf-8").split("\n\n") if row.startswith("Package: ")]
        kept = [row for row in told if row.partition("\n")[0].removeprefix("Package: ") in fetched]
        file.write_text("\n\n".join(kept) + "\n\n", encoding="utf-8")


def _let_arm_programs_run(root: Path) -> None:
    """Under this processor's kernel, by user-mode emulation."""
    static = shutil.which("qemu-aarch64-static")
    if static is None:
        raise ImageError("qemu-aarch64-static is not installed: apt-get install qemu-user-static")
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(static, root / "usr/bin/qemu-aarch64-static")
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", formats)
    if not (formats / "qemu-aarch64").exists():
        run("update-binfmts", "--enable", "qemu-aarch64")


def _configure(root: Path) -> None:
    (root / "etc/hostname").write_text("borne\n")
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    shutil.copy(HERE / "proof_shell.py", root / "usr/local/lib/proof_shell.py")
    system = root / "etc/systemd/system"
    wants = system / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for name, text in UNITS.items():
        (system / name).write_text(text)
        (wants / name).symlink_to(f"/etc/systemd/system/{name}")
    for unneeded in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"):
        (system / unneeded).symlink_to("/dev/null")


def _initrd(root: Path, work: Path) -> None:
    (modules,) = (root / "lib/modules").iterdir()
    tree = work / "initrd-tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "modules").mkdir()
    shutil.copy(root / "bin/busybox", tree / "bin/busybox")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    for number, file in enumerate(in_order(modules)):
        plain = tree / "modules" / f"{number:02}-{file.name.removesuffix('.xz')}"
        if file.suffix == ".xz":
            plain.write_bytes(subprocess.run(["xz", "-dc", str(file)], capture_output=True, check=True).stdout)
        else:
            shutil.copy(file, plain)
    with (work / "initrd").open("wb") as out:
        subprocess.run("find . | cpio --quiet -o -H newc | gzip -1", shell=True, cwd=tree, stdout=out, check=True)
    shutil.rmtree(tree)


def in_order(modules: Path) -> list[Path]:
    """The files of MODULES with all they need, needed ones first, as modules.dep tells."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[Path(file).name.split(".")[0].replace("-", "_")] = [file, *others.split()]
    found: list[Path] = []
    for module in MODULES:
        for file in reversed(needs.get(module, [])):  # a module built into the kernel is not in the list
            if modules / file not in found:
                found.append(modules / file)
    return found
