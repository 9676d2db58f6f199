"""The proof on a whole machine (`packaging/machine/run`) is too long for here; what it stands on is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "packaging/machine"


def test_where_there_is_no_qemu_it_says_so_and_skips(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(MACHINE / "prove.py")],
        env={**os.environ, "MACHINE_TOOLS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("skipped: debootstrap is not installed: apt-get install qemu-system-arm")


def test_a_card_goes_back_to_what_it_was_before_a_claim(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None or shutil.which("qemu-io") is None:
        pytest.skip("qemu-img is not installed")
    sys.path.insert(0, str(MACHINE))
    try:
        import guest
        import image
    finally:
        sys.path.remove(str(MACHINE))
    disk = tmp_path / "card.qcow2"

    def write(pattern: int) -> None:
        subprocess.run(["qemu-io", "-c", f"write -P {pattern} 0 512", str(disk)], check=True, capture_output=True)

    def holds(pattern: int) -> bool:
        read = subprocess.run(
            ["qemu-io", "-c", f"read -P {pattern} 0 512", str(disk)], check=False, capture_output=True, text=True
        )
        return "verification failed" not in read.stdout

    guest.new_data(disk, "1M")
    write(1)
    guest.mark("before", disk)
    write(2)
    guest.mark("after", disk)
    guest.back("before", disk)
    assert holds(1)
    write(3)
    guest.mark("before", disk)  # a claim that was tried again begins where it began now
    write(4)
    guest.back("before", disk)
    assert holds(3)
    with pytest.raises(image.ImageError):
        guest.back("never", disk)


def test_the_kernels_modules_are_loaded_in_the_order_of_their_needs(tmp_path: Path) -> None:
    sys.path.insert(0, str(MACHINE))
    try:
        from image import in_order
    finally:
        sys.path.remove(str(MACHINE))
    (tmp_path / "modules.dep").write_text(
        "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\n"
        "kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\n"
        "kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n"
        "kernel/drivers/virtio/virtio.ko.xz:\n"
    )
    names = [path.name for path in in_order(tmp_path)]
    assert names == ["virtio.ko.xz", "virtio_blk.ko.xz", "crc16.ko", "jbd2.ko", "ext4.ko"]
